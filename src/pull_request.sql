-- pull requests ---------------------------------------------------------------
CREATE FUNCTION flowlens.store_pull_request_files(github_id bigint, pr_number integer, files jsonb)
RETURNS boolean LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(files) <> 'array' THEN
        RAISE EXCEPTION '"files" must be an array' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE flowlens.pull_requests p SET files_changed = store_pull_request_files.files
    FROM flowlens.repositories r
    WHERE r.github_id = store_pull_request_files.github_id AND p.repo_id = r.id AND p.pr_number = store_pull_request_files.pr_number;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION flowlens.store_pull_request_files(bigint, integer, jsonb) IS
'Stores the answer of GitHub''s "list pull requests files" (GET /repos/{owner}/{repo}/pulls/{number}/files) in pull_requests.files_changed, which webhooks do not carry; returns false when the pull request is unknown.';
-- writes pull_requests: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_pull_request_files(bigint, integer, jsonb) FROM PUBLIC;


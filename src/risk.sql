-- risk ------------------------------------------------------------------------
-- not STRICT: what is unknown keeps its rules out
CREATE FUNCTION flowlens.assess_pull_request_risk(files_changed jsonb, additions integer, deletions integer, title text DEFAULT NULL,
    OUT risk_level text, OUT summary text, OUT recommendation text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'flowlens_assess_pull_request_risk' LANGUAGE C STABLE PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.assess_pull_request_risk(jsonb, integer, integer, text) IS
'Assesses a pull request by the rules of risk_rules; returns one row. files_changed is an array of GitHub''s file objects or of names. risk_level is low (under 30 points), medium (under 60) or high; the summary names each rule that holds and by what. Where files, size or title are NULL, rules about them do not hold. Errors: invalid_parameter_value when files_changed is no array.';

CREATE FUNCTION flowlens.assess_pending_pull_requests(after interval DEFAULT '10 minutes', batch integer DEFAULT 1000)
RETURNS bigint LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    waiting uuid[];
    written bigint;
BEGIN
    IF batch < 1 THEN
        RAISE EXCEPTION '"batch" must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- the row of the pull request is locked before that of the queue, as everywhere
    SELECT array_agg(t.id) INTO waiting FROM (
        SELECT p.id
        FROM flowlens.work_queue q JOIN flowlens.pull_requests p ON p.id = q.id
        WHERE q.queue = 'flowlens.pull_requests'::regclass AND q.ready_at <= clock_timestamp()
          AND (q.leased_until IS NULL OR q.leased_until <= clock_timestamp())
          AND q.enqueued_at <= clock_timestamp() - after
        ORDER BY q.ready_at LIMIT batch
        FOR UPDATE OF p SKIP LOCKED) t;
    INSERT INTO flowlens.insights (repo_id, pr_number, commit_sha, risk_level, summary, recommendation, source)
    SELECT p.repo_id, p.pr_number, p.commit_sha, a.risk_level, a.summary, a.recommendation, 'rules'
    FROM flowlens.pull_requests p
    CROSS JOIN LATERAL flowlens.assess_pull_request_risk(p.files_changed, p.additions, p.deletions, p.title) a
    WHERE p.id = ANY (waiting) AND p.state = 'open'
      AND NOT EXISTS (SELECT FROM flowlens.insights i WHERE i.repo_id = p.repo_id AND i.pr_number = p.pr_number
                      AND i.commit_sha IS NOT DISTINCT FROM p.commit_sha AND (i.source IS DISTINCT FROM 'rules' OR i.summary = a.summary));
    GET DIAGNOSTICS written = ROW_COUNT;
    UPDATE flowlens.pull_requests SET processed = true WHERE id = ANY (waiting);
    RETURN written;
END
$$;
COMMENT ON FUNCTION flowlens.assess_pending_pull_requests(interval, integer) IS
'Takes pull requests that have waited longer than "after" without a service claiming them off the queue, and writes an insight (source ''rules'') for each open one whose commit has no insight of a service yet. Returns the number of insights. Errors: invalid_parameter_value.';
-- writes insights and the queue: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.assess_pending_pull_requests(interval, integer) FROM PUBLIC;


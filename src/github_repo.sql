-- repository answers ------------------------------------------------------------
CREATE TYPE flowlens.github_repo AS (
    github_id bigint,
    repo_full_name text,
    repo_url text,
    language text,
    description text,
    stars bigint,
    forks bigint,
    open_issues bigint,
    topics text[],
    is_archived boolean,
    is_disabled boolean,
    is_fork boolean,
    is_private boolean,
    created_at timestamptz,
    updated_at timestamptz,
    pushed_at timestamptz,
    errors jsonb
);
COMMENT ON TYPE flowlens.github_repo IS
'A repository answer as typed columns, or, where it broke a rule, "errors" alone: [{"instanceLocation", "keyword", "error"}].';

CREATE FUNCTION flowlens.project_github_repo(api_response jsonb, source_language text DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS flowlens.github_repo AS 'MODULE_PATHNAME', 'flowlens_project_github_repo' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.project_github_repo(jsonb, text, timestamptz) IS
'Reads a repository answer of GitHub in one pass: typed columns, or all rules that it broke. source_language ''render'' marks the Render ecosystem and sets the language. Not strict: a missing source is usual.';

CREATE FUNCTION flowlens.project_github_repo_at(api_response jsonb, source_language text, as_of timestamptz)
RETURNS flowlens.github_repo AS 'MODULE_PATHNAME', 'flowlens_project_github_repo_at' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.project_github_repo_at(jsonb, text, timestamptz) IS
'project_github_repo() at a given time: IMMUTABLE, so that Citus runs it on the shards. Errors: null_value_not_allowed. Not strict: a missing source is usual.';

CREATE FUNCTION flowlens.github_repo_errors(api_response jsonb, as_of timestamptz)
RETURNS TABLE (instance_location text, keyword text, error text)
AS 'MODULE_PATHNAME', 'flowlens_github_repo_errors' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.github_repo_errors(jsonb, timestamptz) IS
'The built-in rules that a repository answer breaks, one row each: JSON Pointer, JSON Schema keyword, message. Rules: id a positive integer; full_name owner/name; language present; stargazers_count >= 0; created_at and updated_at timestamps, created_at at most a day after updated_at, nothing more than a day after "as_of"; optional fields of the right type.';

CREATE FUNCTION flowlens.github_repo_id(api_response jsonb)
RETURNS bigint AS 'MODULE_PATHNAME', 'flowlens_github_repo_id' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.github_repo_id(jsonb) IS 'The "id" of an answer; 0 where it is not a positive integer within bigint.';


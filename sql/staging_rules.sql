-- rules of the user's own: a JSON Schema over the answer, beside the built-in ones
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE FUNCTION store(id bigint, stars integer, changes jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z') || changes, NULL, '2024-03-01 10:00') $$;
SELECT store(1, 10), store(2, 500, '{"license": {"key": "mit"}}'), store(3, 10, '{"id": "x", "license": {"key": 5}}');
UPDATE flowlens.settings SET value = '{"required": ["license"], "properties": {"stargazers_count": {"minimum": 100}, "license": {"properties": {"key": {"type": "string"}}}}}'
WHERE name = 'repository_schema';
SELECT * FROM flowlens.store_in_staging();
SELECT github_id FROM flowlens.stg_repos_validated;
SELECT repo_full_name, e ->> 'instanceLocation' AS place, e ->> 'keyword' AS keyword FROM flowlens.stg_repos_rejected, jsonb_array_elements(errors) e ORDER BY 1, 2, 3;
SELECT instance_location, keyword FROM flowlens.validate_github_repo('{"id": 1}') ORDER BY 1, 2;
-- relaxed, the quarantine is taken up again
UPDATE flowlens.settings SET value = NULL WHERE name = 'repository_schema';
SELECT * FROM flowlens.retry_rejected();
SELECT github_id FROM flowlens.stg_repos_validated ORDER BY 1;
SELECT instance_location, keyword FROM flowlens.validate_github_repo('{"id": 1}') ORDER BY 1, 2;
-- a setting that is no schema is an error, and nothing is lost
UPDATE flowlens.settings SET value = '{"type": "nonsense"}' WHERE name = 'repository_schema';
SELECT store(4, 10);
\set VERBOSITY sqlstate
SELECT * FROM flowlens.store_in_staging();
\set VERBOSITY default
UPDATE flowlens.settings SET value = NULL WHERE name = 'repository_schema';
SELECT * FROM flowlens.store_in_staging();
DROP FUNCTION store;

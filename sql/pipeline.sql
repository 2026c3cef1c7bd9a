-- run_pipeline(): all layers, every day that needs it, traced, harmless when repeated
SET TimeZone = 'UTC';
SET client_min_messages = warning;
SELECT clean_slate();
CREATE FUNCTION store(id bigint, stars integer, at timestamptz) RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z'), NULL, at) $$;
SELECT flowlens.maintain_partitions() >= 0 AS partitions;
-- an empty database
CALL flowlens.run_pipeline('2024-03-01');
SELECT status, jsonb_path_query_array(task_tree, '$[*].name') FROM flowlens.fact_workflow_runs;
SELECT count(*) FROM flowlens.pipeline_days;

-- days that were missed are filled: two days carry the repository, then it leaves the board
SELECT store(1, 10, '2024-03-01 10:00'), store(1, 20, '2024-03-05 10:00'), store(2, -1, '2024-03-05 10:00');
SET client_min_messages = notice;
CALL flowlens.run_pipeline('2024-03-06');
CALL flowlens.run_pipeline('2024-03-06');
SET client_min_messages = warning;
SELECT snapshot_date, github_id, stars, is_stale, round(star_velocity::numeric, 3) AS velocity FROM flowlens.fact_repo_snapshots ORDER BY 1;
-- a target in the past scores nothing behind it
SELECT store(1, 30, '2024-03-08 10:00'), store(1, 15, '2024-03-02 10:00');
CALL flowlens.run_pipeline('2024-03-02');
SELECT day, snapshot_pending, published_at IS NOT NULL AS published, scored, stale FROM flowlens.pipeline_days ORDER BY 1;
-- the next run scores what depends on the late answer
CALL flowlens.run_pipeline('2024-03-08');
SELECT snapshot_date, stars, is_stale, round(star_velocity::numeric, 3) AS velocity FROM flowlens.fact_repo_snapshots ORDER BY 1;
SELECT day, snapshot_pending, scored, stale FROM flowlens.pipeline_days ORDER BY 1;
-- the same step by step
SELECT store(1, 31, '2024-03-09 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_to_analytics('2024-03-09');
SELECT * FROM flowlens.load_to_analytics('2024-03-09');

-- a step that fails ends the run with its message, and the next run finishes the job
TRUNCATE flowlens.fact_workflow_runs;
SELECT store(3, 5, '2024-03-10 10:00');
ALTER TABLE flowlens.dim_repositories ADD CONSTRAINT no_threes CHECK (github_id <> 3);
\set VERBOSITY sqlstate
CALL flowlens.run_pipeline('2024-03-10');
\set VERBOSITY default
SELECT status, left(error_message, 60) AS error, t ->> 'name' AS task, t ->> 'status' AS task_status, left(t ->> 'error', 60) AS task_error
FROM flowlens.fact_workflow_runs, jsonb_array_elements(task_tree) t ORDER BY started_at, t ->> 'started_at';
ALTER TABLE flowlens.dim_repositories DROP CONSTRAINT no_threes;
CALL flowlens.run_pipeline('2024-03-10');
SELECT status, repos_processed FROM flowlens.fact_workflow_runs ORDER BY started_at;
SELECT repo_full_name, stars, is_stale FROM flowlens.analytics_trending_repos_current;
-- a run whose backend is gone has crashed
INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, status, task_tree, backend_pid, backend_started_at)
VALUES ('pipeline-gone', 'pipeline', '2024-03-10', 'running', '[]', 1, '2024-03-10');
CALL flowlens.run_pipeline('2024-03-10');
SELECT status, error_message FROM flowlens.fact_workflow_runs WHERE run_id = 'pipeline-gone';
-- inside a transaction it cannot commit its steps, and says so
BEGIN;
\set VERBOSITY terse
CALL flowlens.run_pipeline('2024-03-10');
\set VERBOSITY default
ROLLBACK;

-- a day that has not begun is refused before anything is done: today is the last one, in UTC whatever the session's TimeZone
TRUNCATE flowlens.fact_workflow_runs;
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, regexp_replace(message, '[0-9]{4}-[0-9]{2}-[0-9]{2}', 'YYYY-MM-DD'),
                     detail = format('Today is "%s" in UTC.', (clock_timestamp() AT TIME ZONE 'UTC')::date), hint);
END $$;
SET datestyle = 'ISO';
SELECT (now() AT TIME ZONE 'UTC')::date AS today, (now() AT TIME ZONE 'UTC')::date + 1 AS tomorrow \gset
SET TimeZone = 'Pacific/Apia';
SELECT refused(format('SELECT flowlens.target_day(%L)', (now() AT TIME ZONE 'UTC')::date + d)) FROM unnest('{0,1,400}'::integer[]) d;
SELECT refused(format('SELECT flowlens.target_day(%L)', d)) FROM unnest('{1969-12-31,1970-01-01,infinity}'::date[]) d;
SET TimeZone = 'UTC';
SELECT store(1, 99, now());
SELECT flowlens.target_day(NULL) = :'today';
SELECT refused(format('SELECT * FROM flowlens.load_snapshots(%L)', :'tomorrow'));
SELECT refused(format('SELECT * FROM flowlens.load_to_analytics(%L)', :'tomorrow'));
SELECT count(*) FROM flowlens.preview_snapshots(:'tomorrow');
\set VERBOSITY sqlstate
CALL flowlens.run_pipeline(:'tomorrow');
\set VERBOSITY default
SELECT count(*) FROM flowlens.fact_workflow_runs;
CALL flowlens.run_pipeline(:'today');
CALL flowlens.run_pipeline();
SELECT status, count(*) FROM flowlens.fact_workflow_runs GROUP BY 1;
SELECT day - :'today'::date AS days_ahead, published_at IS NOT NULL AS published, scored, stale FROM flowlens.pipeline_days WHERE day >= :'today';
DROP FUNCTION refused, store;

-- traces of runs, for outside workers too
SET client_min_messages = warning;
TRUNCATE flowlens.fact_workflow_runs;
CREATE FUNCTION outline(tree jsonb, depth integer DEFAULT 0) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE task jsonb;
BEGIN
    FOR task IN SELECT * FROM jsonb_array_elements(tree) LOOP
        RETURN NEXT repeat('  ', depth) || (task ->> 'name') || ' ' || (task ->> 'status') || ' ' || coalesce(task ->> 'counts', '-') || ' ' || coalesce(task ->> 'error', '-')
            || CASE WHEN task ? 'finished_at' AND task ->> 'finished_at' >= task ->> 'started_at' THEN ' finished' ELSE '' END;
        RETURN QUERY SELECT * FROM outline(task -> 'children', depth + 1);
    END LOOP;
END $$;

SELECT flowlens.start_workflow('nightly import with a name that is far longer than it may be') AS run \gset
SELECT length(:'run') <= 50 AS fits, :'run' LIKE 'nightly import with a na-%' AS named;
SELECT flowlens.start_task(:'run', 'fetch');
SELECT flowlens.start_task(:'run', 'page 1', 'fetch');
SELECT flowlens.start_task(:'run', 'parse', 'page 1');
SELECT flowlens.start_task(:'run', 'page 2', 'fetch');
SELECT flowlens.finish_task(:'run', 'parse', 'completed', '{"rows_in": 5, "rows_out": 4}');
SELECT flowlens.finish_task(:'run', 'page 1');
SELECT flowlens.finish_task(:'run', 'page 2', 'failed', NULL, 'rate limit');
-- what ended may begin again
SELECT flowlens.start_task(:'run', 'page 2', 'fetch');
SELECT outline(task_tree) FROM flowlens.fact_workflow_runs;
-- mistakes
\set VERBOSITY sqlstate
SELECT flowlens.start_task(:'run', 'page 2', 'fetch');
SELECT flowlens.start_task(:'run', 'x', 'nobody');
SELECT flowlens.start_task(:'run', ' ');
SELECT flowlens.finish_task(:'run', 'page 1');
SELECT flowlens.finish_task(:'run', 'page 2', 'done');
SELECT flowlens.finish_task('no such run', 'x');
SELECT flowlens.start_workflow('');
SELECT flowlens.finish_workflow(:'run', 'over');
\set VERBOSITY default
SELECT flowlens.finish_task(:'run', 'page 2', 'skipped');
SELECT flowlens.finish_task(:'run', 'fetch', 'completed', '{"pages": 2}');
SELECT flowlens.finish_workflow(:'run', 'failed', 'rate limit', 5);
SELECT workflow_name, status, error_message, repos_processed, completed_at >= started_at AS ended, execution_time_seconds >= 0 AS timed FROM flowlens.fact_workflow_runs;
SELECT outline(task_tree) FROM flowlens.fact_workflow_runs;
DO $$ BEGIN PERFORM flowlens.start_task((SELECT run_id FROM flowlens.fact_workflow_runs), 'late'); EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE WARNING 'the run has ended'; END $$;
SELECT workflow_name, runs, completed, failed, crashed, skipped FROM flowlens.analytics_workflow_performance;
-- who is alive
SELECT flowlens.backend_is_running(pg_backend_pid(), flowlens.backend_start()) AS this_one, flowlens.backend_is_running(pg_backend_pid(), '2020-01-01') AS same_number,
       flowlens.backend_is_running(-1, flowlens.backend_start()) AS nobody;
DROP FUNCTION outline;

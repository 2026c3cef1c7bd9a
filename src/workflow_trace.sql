-- workflow traces -----------------------------------------------------------------
-- task_tree is an array of tasks: {"name", "status", "started_at", "finished_at", "counts", "error", "children"}.

CREATE FUNCTION flowlens.backend_is_running(pid integer, started_at timestamptz)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_backend_is_running' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION flowlens.backend_is_running(integer, timestamptz) IS
'Whether a backend with this process id and start time exists; works for backends of other roles too.';

CREATE FUNCTION flowlens.backend_start()
RETURNS timestamptz AS 'MODULE_PATHNAME', 'flowlens_backend_start' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION flowlens.backend_start() IS 'When this backend started.';

CREATE FUNCTION flowlens.utc_text(at timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;
COMMENT ON FUNCTION flowlens.utc_text(timestamptz) IS 'A point in time as RFC 3339 text in UTC, as traces hold it.';

CREATE FUNCTION flowlens.task_path(task_tree jsonb, task text, running boolean)
RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE node AS (
        SELECT ARRAY[(t.n - 1)::text] AS path, t.task AS value
        FROM jsonb_array_elements(task_tree) WITH ORDINALITY t (task, n)
        UNION ALL
        SELECT node.path || ARRAY['children', (t.n - 1)::text], t.task
        FROM node, jsonb_array_elements(node.value -> 'children') WITH ORDINALITY t (task, n)
    )
    SELECT node.path FROM node
    WHERE node.value ->> 'name' = task_path.task AND (NOT running OR node.value ->> 'status' = 'running')
    ORDER BY node.value ->> 'started_at' DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION flowlens.task_path(jsonb, text, boolean) IS
'Path of the task of that name that started last in a task tree, on demand of a running one only; NULL when there is none.';

CREATE FUNCTION flowlens.start_workflow(name text)
RETURNS varchar(50) LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    new_id varchar(50);
BEGIN
    IF name IS NULL OR btrim(name) = '' THEN
        RAISE EXCEPTION 'a workflow needs a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    new_id := left(name, 24) || to_char(clock_timestamp() AT TIME ZONE 'UTC', '-YYYYMMDD"T"HH24MISS-') || left(gen_random_uuid()::text, 8);
    INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, status, task_tree, backend_pid, backend_started_at)
    VALUES (new_id, name, clock_timestamp(), 'running', '[]', pg_backend_pid(), flowlens.backend_start());
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION flowlens.start_workflow(text) IS
'Begins the trace of a run in fact_workflow_runs; returns its run_id. Commit to let others see it. Errors: invalid_parameter_value.';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.start_workflow(text) FROM PUBLIC;

CREATE FUNCTION flowlens.lock_run(run_id varchar(50))
RETURNS jsonb LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    run record;
BEGIN
    SELECT r.status, r.task_tree INTO run FROM flowlens.fact_workflow_runs r WHERE r.run_id = lock_run.run_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run "%" does not exist', run_id USING ERRCODE = 'undefined_object';
    END IF;
    IF run.status <> 'running' THEN
        RAISE EXCEPTION 'run "%" is not running', run_id USING
            ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Its status is "%s".', run.status);
    END IF;
    RETURN run.task_tree;
END
$$;
COMMENT ON FUNCTION flowlens.lock_run(varchar) IS
'Locks a running run and returns its task tree. Errors: undefined_object, object_not_in_prerequisite_state. Part of the trace functions.';
-- locks a trace: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.lock_run(varchar) FROM PUBLIC;

CREATE FUNCTION flowlens.start_task(run_id varchar(50), task text, parent text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    tree jsonb := flowlens.lock_run(run_id);
    node jsonb := jsonb_build_object('name', task, 'status', 'running', 'started_at', flowlens.utc_text(clock_timestamp()),
                                     'children', '[]'::jsonb);
    parent_path text[];
BEGIN
    IF task IS NULL OR btrim(task) = '' THEN
        RAISE EXCEPTION 'a task needs a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF flowlens.task_path(tree, task, true) IS NOT NULL THEN
        RAISE EXCEPTION 'task "%" is already running in run "%"', task, run_id USING ERRCODE = 'duplicate_object';
    END IF;
    IF parent IS NULL THEN
        tree := tree || node;
    ELSE
        parent_path := flowlens.task_path(tree, parent, false);
        IF parent_path IS NULL THEN
            RAISE EXCEPTION 'task "%" does not exist in run "%"', parent, run_id USING ERRCODE = 'undefined_object';
        END IF;
        tree := jsonb_insert(tree, parent_path || ARRAY['children', '-1'], node, true);
    END IF;
    UPDATE flowlens.fact_workflow_runs r SET task_tree = tree WHERE r.run_id = start_task.run_id;
END
$$;
COMMENT ON FUNCTION flowlens.start_task(varchar, text, text) IS
'Adds a running task to a run''s task tree, under "parent" if given. Errors: undefined_object, duplicate_object for a task of that name that runs, object_not_in_prerequisite_state for a run that ended.';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.start_task(varchar, text, text) FROM PUBLIC;

CREATE FUNCTION flowlens.finish_task(run_id varchar(50), task text, status text DEFAULT 'completed', counts jsonb DEFAULT NULL, error text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    tree jsonb := flowlens.lock_run(run_id);
    path text[] := flowlens.task_path(tree, task, true);
BEGIN
    IF status IS NULL OR status NOT IN ('completed', 'failed', 'skipped') THEN
        RAISE EXCEPTION 'status "%" is not known', coalesce(status, 'NULL') USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Use completed, failed or skipped.';
    END IF;
    IF path IS NULL THEN
        RAISE EXCEPTION 'no task "%" is running in run "%"', task, run_id USING ERRCODE = 'undefined_object';
    END IF;
    UPDATE flowlens.fact_workflow_runs r
    SET task_tree = jsonb_set(tree, path, (tree #> path) || jsonb_strip_nulls(jsonb_build_object(
            'status', finish_task.status, 'finished_at', flowlens.utc_text(clock_timestamp()), 'counts', counts, 'error', error)))
    WHERE r.run_id = finish_task.run_id;
END
$$;
COMMENT ON FUNCTION flowlens.finish_task(varchar, text, text, jsonb, text) IS
'Ends a running task of a run: completed, failed or skipped, with counts (such as {"rows_in": 5, "rows_out": 4}) and an error message. Errors: undefined_object, invalid_parameter_value, object_not_in_prerequisite_state.';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.finish_task(varchar, text, text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION flowlens.finish_workflow(run_id varchar(50), status text DEFAULT 'completed', error text DEFAULT NULL, repos_processed bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF status IS NULL OR status NOT IN ('completed', 'failed', 'skipped', 'crashed') THEN
        RAISE EXCEPTION 'status "%" is not known', coalesce(status, 'NULL') USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Use completed, failed, skipped or crashed.';
    END IF;
    PERFORM flowlens.lock_run(run_id);
    UPDATE flowlens.fact_workflow_runs r
    SET status = finish_workflow.status, error_message = finish_workflow.error, completed_at = clock_timestamp(),
        repos_processed = coalesce(finish_workflow.repos_processed, r.repos_processed::bigint),
        execution_time_seconds = extract(epoch FROM clock_timestamp() - r.started_at)
    WHERE r.run_id = finish_workflow.run_id;
END
$$;
COMMENT ON FUNCTION flowlens.finish_workflow(varchar, text, text, bigint) IS
'Ends a run: completed, failed, skipped or crashed. Errors: undefined_object, invalid_parameter_value, object_not_in_prerequisite_state for a run that ended before.';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.finish_workflow(varchar, text, text, bigint) FROM PUBLIC;


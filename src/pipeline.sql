-- pipeline --------------------------------------------------------------------
CREATE FUNCTION flowlens.target_day(snapshot_date date)
RETURNS date AS 'MODULE_PATHNAME', 'flowlens_target_day' LANGUAGE C STABLE PARALLEL SAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.target_day(date) IS
'The UTC day that a run works for: the one asked for, NULL = today. Errors: invalid_parameter_value for a day that has not begun. Part of run_pipeline() and load_to_analytics().';

CREATE FUNCTION flowlens.load_to_analytics(snapshot_date date DEFAULT NULL,
    OUT inserted bigint, OUT versioned bigint, OUT unchanged bigint, OUT scored bigint, OUT stale bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    day date := flowlens.target_day(snapshot_date);
BEGIN
    SELECT d.inserted, d.versioned, d.unchanged INTO inserted, versioned, unchanged
    FROM flowlens.load_dimensions(greatest(now(), (day + 1)::timestamp AT TIME ZONE 'UTC')) d;
    SELECT s.scored, s.stale INTO scored, stale FROM flowlens.load_snapshots(day) s;
END
$$;
COMMENT ON FUNCTION flowlens.load_to_analytics(date) IS
'load_dimensions() and load_snapshots() of one UTC day (NULL = today); returns the counts of both. Errors: invalid_parameter_value for a day that has not begun.';
-- writes analytics: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_to_analytics(date) FROM PUBLIC;

CREATE FUNCTION flowlens.days_to_score(target date)
RETURNS SETOF date LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    WITH known AS (
        SELECT p.day, p.snapshot_pending, p.snapshot_pending OR p.scored > 0 AS observed FROM flowlens.pipeline_days p
        WHERE (p.published_at IS NOT NULL OR p.snapshot_pending) AND p.day <= target
    ), reach AS (
        -- an observation of a day counts until "stale_after" has passed at the end of a later one
        SELECT coalesce((SELECT ceil(extract(epoch FROM s.value::interval) / 86400)::integer FROM flowlens.settings s
                         WHERE s.name = 'stale_after'), 2) - 1 AS days
    )
    SELECT k.day FROM known k WHERE k.snapshot_pending
    UNION
    -- days that nobody observed and nobody scored, as far as repositories are carried over them
    SELECT g.day::date
    FROM known k CROSS JOIN reach r,
         generate_series(k.day + 1, least(k.day + r.days, target), interval '1 day') g (day)
    WHERE k.observed AND NOT EXISTS (SELECT 1 FROM known o WHERE o.day = g.day::date)
    ORDER BY 1
$$;
COMMENT ON FUNCTION flowlens.days_to_score(date) IS
'UTC days up to "target" that a pipeline run scores, oldest first: days with new answers, published days whose past changed, and days that were missed, as far as repositories are carried (setting "stale_after").';

CREATE FUNCTION flowlens.begin_pipeline_run(OUT run_id varchar(50), OUT other_run varchar(50))
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    PERFORM flowlens.check_installed();
    PERFORM flowlens.hold_lock('pipeline');
    -- a run of this very backend that still says running was interrupted: a backend runs one at a time
    UPDATE flowlens.fact_workflow_runs r
    SET status = 'crashed', completed_at = clock_timestamp(), error_message = 'The backend that ran it is gone.',
        execution_time_seconds = extract(epoch FROM clock_timestamp() - r.started_at)
    WHERE r.workflow_name = 'pipeline' AND r.status = 'running'
      AND (r.backend_pid = pg_backend_pid() AND r.backend_started_at = flowlens.backend_start()
           OR NOT flowlens.backend_is_running(r.backend_pid, r.backend_started_at));
    SELECT r.run_id INTO other_run FROM flowlens.fact_workflow_runs r
    WHERE r.workflow_name = 'pipeline' AND r.status = 'running' LIMIT 1;
    run_id := flowlens.start_workflow('pipeline');
    IF other_run IS NOT NULL THEN
        PERFORM flowlens.finish_workflow(run_id, 'skipped', format('Run "%s" was running.', other_run));
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.begin_pipeline_run() IS
'Registers a pipeline run and marks runs whose backend is gone as crashed; when another one runs, the new one is skipped and other_run names it. Part of run_pipeline().';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.begin_pipeline_run() FROM PUBLIC;

CREATE FUNCTION flowlens.run_pipeline_step(step text, target date, day date, table_name text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    counts jsonb;
BEGIN
    CASE step
        WHEN 'partitions' THEN
            SELECT jsonb_build_object('rows_out', p.created) INTO counts FROM flowlens.maintain_partitions() p (created);
        WHEN 'move' THEN
            SELECT jsonb_build_object('rows_out', m.moved) INTO counts
            FROM flowlens.drain_default_partition(format('flowlens.%I', table_name)::regclass, day) m (moved);
        WHEN 'webhooks' THEN
            SELECT jsonb_build_object('rows_in', w.processed + w.failed + w.ignored, 'rows_out', w.processed) || to_jsonb(w)
            INTO counts FROM flowlens.process_webhooks(10000) w;
        WHEN 'staging' THEN
            SELECT jsonb_build_object('rows_in', s.staged + s.rejected + s.unchanged, 'rows_out', s.staged) || to_jsonb(s)
            INTO counts FROM flowlens.store_in_staging() s;
        WHEN 'dimensions' THEN
            SELECT jsonb_build_object('rows_in', d.inserted + d.versioned + d.unchanged, 'rows_out', d.inserted + d.versioned) || to_jsonb(d)
            INTO counts FROM flowlens.load_dimensions(greatest(now(), (target + 1)::timestamp AT TIME ZONE 'UTC')) d;
        WHEN 'snapshots' THEN
            SELECT jsonb_build_object('rows_in', s.scored + s.stale, 'rows_out', s.scored + s.stale) || to_jsonb(s)
            INTO counts FROM flowlens.load_snapshots(day) s;
        ELSE
            RAISE EXCEPTION 'the pipeline has no step "%"', step USING ERRCODE = 'invalid_parameter_value';
    END CASE;
    RETURN counts;
END
$$;
COMMENT ON FUNCTION flowlens.run_pipeline_step(text, date, date, text) IS
'Runs one step of the pipeline (partitions, move, webhooks, staging, dimensions, snapshots) and returns its counts. Part of run_pipeline().';
-- writes all layers: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.run_pipeline_step(text, date, date, text) FROM PUBLIC;

CREATE PROCEDURE flowlens.run_pipeline(snapshot_date date DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE    -- types by their full names: the search_path is still the caller's
    target pg_catalog.date;
    run pg_catalog.record;
    steps pg_catalog.text[];
    step pg_catalog.text;
    step_day pg_catalog.date;
    task pg_catalog.text;
    counts pg_catalog.jsonb;
    processed pg_catalog.int8 := 0;
    failure pg_catalog.text;
    failure_state pg_catalog.text;
BEGIN
    -- a procedure that commits cannot pin its search_path by itself: it is set anew in each transaction
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
    target := flowlens.target_day(snapshot_date);
    SELECT * INTO run FROM flowlens.begin_pipeline_run();
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
    IF run.other_run IS NOT NULL THEN
        RAISE NOTICE 'pipeline skipped: run "%" is running', run.other_run;
        RETURN;
    END IF;

    steps := ARRAY['partitions', 'webhooks', 'staging', 'dimensions'];
    WHILE cardinality(steps) > 0 AND failure IS NULL LOOP
        step := split_part(steps[1], ' ', 1);
        step_day := nullif(split_part(steps[1], ' ', 2), '')::date;
        task := steps[1];
        steps := steps[2:];
        PERFORM flowlens.start_task(run.run_id, task);
        COMMIT;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
        BEGIN
            counts := flowlens.run_pipeline_step(step, target, step_day, nullif(split_part(task, ' ', 3), ''));
        EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
            GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT, failure_state = RETURNED_SQLSTATE;
        END;
        PERFORM flowlens.finish_task(run.run_id, task, CASE WHEN failure IS NULL THEN 'completed' ELSE 'failed' END,
                                     CASE WHEN failure IS NULL THEN counts END, failure);
        COMMIT;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
        IF failure IS NULL THEN
            RAISE NOTICE 'pipeline: % %', task, counts;
            IF step = 'partitions' THEN
                steps := ARRAY(SELECT format('move %s %s', to_char(d.day, 'YYYY-MM-DD'), c.relname)
                               FROM flowlens.default_partition_days() d JOIN pg_class c ON c.oid = d.target ORDER BY c.relname, d.day) || steps;
            ELSIF step = 'webhooks' AND (counts ->> 'rows_in')::bigint > 0 THEN
                steps := array_prepend('webhooks', steps);    -- a batch at a time, until none is left
            ELSIF step = 'staging' THEN
                processed := (counts ->> 'rows_in')::bigint;
            ELSIF step = 'dimensions' THEN
                steps := ARRAY(SELECT 'snapshots ' || to_char(d.day, 'YYYY-MM-DD') FROM flowlens.days_to_score(target) d (day) ORDER BY d.day);
            END IF;
        END IF;
    END LOOP;

    PERFORM flowlens.finish_workflow(run.run_id, CASE WHEN failure IS NULL THEN 'completed' ELSE 'failed' END, failure, processed);
    COMMIT;
    IF failure IS NOT NULL THEN
        RAISE EXCEPTION 'pipeline failed in step "%": %', task, failure USING
            ERRCODE = failure_state, HINT = format('The trace is run "%s" in flowlens.fact_workflow_runs.', run.run_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE flowlens.run_pipeline(date) IS
'Takes what arrived through all layers and scores every UTC day up to snapshot_date (NULL = today) that needs it: partitions, rows of default partitions moved to their own, webhooks, staging, dimensions, snapshots. Commits after each step; its trace is in fact_workflow_runs. Skips with a notice when another run is going on. A step that fails ends the run with status failed and its own error. Errors: invalid_parameter_value for a day that has not begun, before anything is done.';
-- writes all layers: the owner decides who may
REVOKE ALL ON PROCEDURE flowlens.run_pipeline(date) FROM PUBLIC;


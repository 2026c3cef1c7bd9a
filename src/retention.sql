-- retention -------------------------------------------------------------------
-- What may go, and how, is in database/schema/07_retention.sql, shared with the script that works without the extension.

CREATE FUNCTION flowlens.check_retention_target(target regclass)
RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    class pg_class := (SELECT c FROM pg_class c WHERE c.oid = target);
BEGIN
    PERFORM flowlens.check_installed();
    IF target IS NULL THEN
        RAISE EXCEPTION '"target" must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF class.relname IS NULL THEN
        RAISE EXCEPTION 'relation with OID % does not exist', target::oid USING ERRCODE = 'undefined_table';
    ELSIF class.relnamespace <> 'flowlens'::regnamespace OR class.relkind NOT IN ('r', 'p') OR class.relispartition THEN
        RAISE EXCEPTION 'retention cannot treat "%"', target USING
            ERRCODE = 'wrong_object_type',
            DETAIL = 'It treats tables of schema "flowlens", also your own ones there, and no partitions or views.';
    ELSIF class.relname IN ('schema_version', 'settings', 'momentum_models', 'retention_policies', 'retention_blocked', 'scd2_tracked_columns',
                            'leaderboard_exclusions', 'leaderboard_current', 'staging_cursors', 'pipeline_days', 'work_queue', 'risk_rules',
                            'dim_languages', 'dim_render_services', 'stg_repo_readmes', 'stg_render_enrichment', 'repositories') THEN
        RAISE EXCEPTION 'retention cannot treat "%"', target USING
            ERRCODE = 'wrong_object_type',
            DETAIL = 'It holds settings, or what is known now: other rows need its rows, however old they are.';
    END IF;
    RETURN class.relname;
END
$$;
COMMENT ON FUNCTION flowlens.check_retention_target(regclass) IS
'Name of a table that may have a retention policy. Errors: wrong_object_type for others. Part of set_retention().';

CREATE FUNCTION flowlens.find_time_column(target regclass, wanted name)
RETURNS name LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    key name;
    candidates name[];
BEGIN
    SELECT array_agg(a.attname ORDER BY a.attnum) INTO candidates
    FROM pg_attribute a
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('date'::regtype, 'timestamptz'::regtype, 'timestamp'::regtype);
    SELECT a.attname INTO key
    FROM pg_partitioned_table k
    JOIN pg_attribute a ON a.attrelid = k.partrelid AND a.attnum = k.partattrs[0]
    WHERE k.partrelid = target AND k.partstrat = 'r' AND k.partnatts = 1 AND a.atttypid IN ('date'::regtype, 'timestamptz'::regtype);
    IF key IS NULL AND EXISTS (SELECT FROM pg_partitioned_table k WHERE k.partrelid = target) THEN
        RAISE EXCEPTION 'table "%" is not partitioned by day', target USING
            ERRCODE = 'wrong_object_type', DETAIL = 'It has to be partitioned by range over one date or timestamptz column.';
    ELSIF key IS NULL THEN
        key := coalesce(wanted, (SELECT p.time_column FROM flowlens.retention_policies p JOIN pg_class c ON c.relname = p.table_name
                                 WHERE c.oid = target), CASE WHEN cardinality(candidates) = 1 THEN candidates[1] END);
    END IF;
    IF key IS NULL OR wanted <> key OR key <> ALL (coalesce(candidates, '{}')) THEN
        RAISE EXCEPTION 'the age of a row of "%" cannot be told from column "%"', target, coalesce(wanted, key, '?') USING
            ERRCODE = 'invalid_column_reference',
            DETAIL = 'It has to be a date or a timestamp; in a partitioned table it is the partition key.',
            HINT = coalesce('Set "time_column" to one of: ' || array_to_string(candidates, ', ') || '.', 'The table has no such column.');
    END IF;
    RETURN key;
END
$$;
COMMENT ON FUNCTION flowlens.find_time_column(regclass, name) IS
'Column that tells how old a row is: the partition key, the wanted one, the one of the present policy, or the only date or timestamp. Errors: invalid_column_reference, wrong_object_type. Part of set_retention().';

CREATE FUNCTION flowlens.set_retention(target regclass, keep interval, partition_interval interval DEFAULT '1 day', time_column name DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    name text := flowlens.check_retention_target(target);
    width interval;
BEGIN
    IF keep <= interval '0' OR keep > interval '1000 years' THEN
        RAISE EXCEPTION '"keep" must be longer than 0 and at most 1000 years' USING
            ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', keep), HINT = 'NULL keeps rows for ever.';
    END IF;
    -- 30 days equal a month as intervals do; partitions go by calendar months
    width := CASE partition_interval WHEN '1 day' THEN '1 day'::interval WHEN '7 days' THEN '7 days' WHEN '1 month' THEN '1 month' END;
    IF width IS NULL THEN
        RAISE EXCEPTION '"partition_interval" must be 1 day, 7 days or 1 month' USING
            ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(partition_interval::text, 'NULL'));
    END IF;
    INSERT INTO flowlens.retention_policies AS p (table_name, keep, partition_interval, time_column, description)
    SELECT name, set_retention.keep, CASE c.relkind WHEN 'p' THEN width END, flowlens.find_time_column(target, set_retention.time_column), 'set by set_retention()'
    FROM pg_class c WHERE c.oid = target
    ON CONFLICT (table_name) DO UPDATE SET
        keep = excluded.keep, partition_interval = excluded.partition_interval, time_column = excluded.time_column;
END
$$;
COMMENT ON FUNCTION flowlens.set_retention(regclass, interval, interval, name) IS
'Sets how long a table of schema flowlens keeps its rows (NULL = for ever) and how wide its future partitions are: 1 day, 7 days (from Monday) or 1 month. time_column tells the age of a row where the partition key does not. Errors: invalid_parameter_value, wrong_object_type, invalid_column_reference.';
-- decides what is deleted: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.set_retention(regclass, interval, interval, name) FROM PUBLIC;

CREATE FUNCTION flowlens.check_retention_time(as_of timestamptz)
RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    PERFORM flowlens.check_installed();
    IF as_of IS NULL THEN
        RAISE EXCEPTION '"as_of" must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT as_of BETWEEN '1970-01-01 00:00+00' AND '9999-12-31 00:00+00' THEN
        RAISE EXCEPTION '"as_of" must lie in the years 1970 to 9999' USING ERRCODE = 'datetime_field_overflow';
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.check_retention_time(timestamptz) IS
'Refuses a point in time that retention cannot count back from: null_value_not_allowed, datetime_field_overflow.';

CREATE FUNCTION flowlens.preview_retention(as_of timestamptz DEFAULT now())
RETURNS TABLE (target regclass, cutoff timestamptz, partitions_dropped integer, rows_deleted bigint, bytes_freed bigint, remark text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    item record;
    rows bigint;
BEGIN
    PERFORM flowlens.check_retention_time(as_of);
    FOR item IN SELECT * FROM flowlens.retention_plan(as_of, true) LOOP
        IF target IS DISTINCT FROM item.target THEN
            IF target IS NOT NULL THEN
                RETURN NEXT;
            END IF;
            target := item.target;
            cutoff := item.cutoff;
            partitions_dropped := 0;
            rows_deleted := 0;
            bytes_freed := 0;
            remark := NULL;
        END IF;
        IF item.kept IS NOT NULL THEN
            remark := concat_ws('; ', remark, format('%s stays: %s', item.relation, item.kept));
        ELSIF item.is_partition THEN
            partitions_dropped := partitions_dropped + 1;
            bytes_freed := bytes_freed + flowlens.partition_bytes(item.relation);
        ELSE
            EXECUTE format('SELECT count(*) FROM %s%s r WHERE %s',
                           CASE WHEN NOT flowlens.is_distributed(item.relation) THEN 'ONLY ' ELSE '' END, item.relation,
                           CASE WHEN flowlens.is_distributed(item.relation) THEN flowlens.sharded_condition(item.condition) ELSE item.condition END) INTO rows;
            rows_deleted := rows_deleted + rows;
        END IF;
    END LOOP;
    IF target IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.preview_retention(timestamptz) IS
'What apply_retention() would do, per table: rows before "cutoff" go, with whole partitions or (rows_deleted) one by one; bytes_freed is what dropped partitions give back to the file system; remark names expired partitions that have to stay, and why.';

CREATE FUNCTION flowlens.begin_retention_run()
RETURNS varchar(50) LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    run_id varchar(50);
BEGIN
    IF NOT flowlens.try_procedure_lock('retention') THEN
        run_id := flowlens.start_workflow('retention');
        PERFORM flowlens.finish_workflow(run_id, 'skipped', 'Another run was going on.');
        RETURN NULL;
    END IF;
    -- with the lock in our hands, whatever says running was interrupted
    UPDATE flowlens.fact_workflow_runs r
    SET status = 'crashed', completed_at = clock_timestamp(), error_message = 'It was interrupted.',
        execution_time_seconds = extract(epoch FROM clock_timestamp() - r.started_at)
    WHERE r.workflow_name = 'retention' AND r.status = 'running';
    RETURN flowlens.start_workflow('retention');
END
$$;
COMMENT ON FUNCTION flowlens.begin_retention_run() IS
'Registers a retention run, takes its lock and marks interrupted runs as crashed; when another one runs, the new one is skipped and NULL is returned. Part of apply_retention().';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.begin_retention_run() FROM PUBLIC;

CREATE FUNCTION flowlens.add_counts(a jsonb, b jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a || coalesce(jsonb_object_agg(n.key, coalesce((a ->> n.key)::bigint, 0) + n.value::bigint), '{}')
    FROM jsonb_each_text(b) n
$$;
COMMENT ON FUNCTION flowlens.add_counts(jsonb, jsonb) IS 'Adds the numbers of two objects, key by key.';

CREATE FUNCTION flowlens.retention_counts_text(counts jsonb)
RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT coalesce(string_agg(CASE n.key WHEN 'bytes_freed' THEN pg_size_pretty(n.value::bigint) || ' freed'
                                          ELSE format('%s %s', n.value, replace(n.key, '_', ' ')) END, ', ' ORDER BY n.key DESC), 'nothing to do')
    FROM jsonb_each_text(counts) n
    WHERE n.value <> '0'
$$;
COMMENT ON FUNCTION flowlens.retention_counts_text(jsonb) IS 'The counts of a retention task in words, for notices.';

CREATE FUNCTION flowlens.finish_retention_task(run_id varchar(50), task text, counts jsonb, cutoff timestamptz, failure text)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF task = 'fact_repo_snapshots' THEN
        PERFORM flowlens.mark_expired_days(cutoff);
    END IF;
    PERFORM flowlens.finish_task(run_id, task, CASE WHEN failure IS NULL THEN 'completed' ELSE 'failed' END, counts, failure);
END
$$;
COMMENT ON FUNCTION flowlens.finish_retention_task(varchar, text, jsonb, timestamptz, text) IS
'Ends the task of a table in the trace of a retention run. Part of apply_retention().';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.finish_retention_task(varchar, text, jsonb, timestamptz, text) FROM PUBLIC;

CREATE FUNCTION flowlens.finish_retention_run(run_id varchar(50), failure text)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF failure IS NULL THEN
        -- what was blocked before and was not tried by this run is gone, or is kept longer by now
        DELETE FROM flowlens.retention_blocked b
        USING flowlens.fact_workflow_runs r
        WHERE r.run_id = finish_retention_run.run_id AND b.last_attempt_at < r.started_at;
    END IF;
    PERFORM flowlens.finish_workflow(run_id, CASE WHEN failure IS NULL THEN 'completed' ELSE 'failed' END, failure);
    PERFORM flowlens.release_procedure_lock('retention');
END
$$;
COMMENT ON FUNCTION flowlens.finish_retention_run(varchar, text) IS
'Ends the trace of a retention run and gives its lock back. Part of apply_retention().';
-- writes traces: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.finish_retention_run(varchar, text) FROM PUBLIC;

CREATE PROCEDURE flowlens.apply_retention(as_of timestamptz DEFAULT now())
LANGUAGE plpgsql
AS $$
DECLARE    -- types by their full names: the search_path is still the caller's
    run_id varchar(50);
    item pg_catalog.record;
    step pg_catalog.record;
    task pg_catalog.text;
    task_cutoff pg_catalog.timestamptz;
    counts pg_catalog.jsonb;
    place pg_catalog.text;
    rolled_up pg_catalog.text;
    failure pg_catalog.text;
    failure_state pg_catalog.text;
    task_failure pg_catalog.text;
    first_failure pg_catalog.text;
    first_state pg_catalog.text;
    deadlocks pg_catalog.int4;
    noticed_at pg_catalog.timestamptz;
BEGIN
    -- a procedure that commits cannot pin its search_path by itself: it is set anew in each transaction
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
    PERFORM flowlens.check_retention_time(as_of);
    run_id := flowlens.begin_retention_run();
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
    IF run_id IS NULL THEN
        RAISE NOTICE 'retention skipped: another run is going on';
        RETURN;
    END IF;

    FOR item IN SELECT * FROM flowlens.retention_plan(as_of) LOOP
        IF task IS DISTINCT FROM item.table_name THEN
            IF task IS NOT NULL THEN
                PERFORM flowlens.finish_retention_task(run_id, task, counts, task_cutoff, task_failure);
                RAISE NOTICE 'retention: %: %', task, flowlens.retention_counts_text(counts);
            END IF;
            task := item.table_name;
            task_cutoff := item.cutoff;
            task_failure := NULL;
            counts := '{"partitions_dropped": 0, "rows_deleted": 0, "bytes_freed": 0, "partitions_kept": 0, "partitions_blocked": 0}';
            PERFORM flowlens.start_task(run_id, task);
            COMMIT;
            PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
            noticed_at := clock_timestamp();
        END IF;
        CONTINUE WHEN task_failure IS NOT NULL;
        IF item.kept IS NOT NULL THEN
            counts := flowlens.add_counts(counts, '{"partitions_kept": 1}');
            RAISE NOTICE 'retention: % stays: %', item.relation, item.kept;
            CONTINUE;
        END IF;

        place := NULL;
        rolled_up := NULL;
        deadlocks := 0;
        LOOP
            BEGIN
                failure := NULL;
                IF NOT item.is_partition THEN
                    SELECT d.place, jsonb_build_object('rows_deleted', d.deleted) AS counts, NULL AS notice INTO step
                    FROM flowlens.delete_expired_batch(item.relation, task, item.time_column, item.condition, place) d;
                ELSIF task = 'fact_repo_snapshots' AND rolled_up IS NULL THEN
                    rolled_up := flowlens.roll_up_partition(item.target, item.relation, item.lower, item.upper);
                    SELECT 'drop' AS place, '{}'::jsonb AS counts, NULL AS notice INTO step;
                ELSE
                    SELECT NULL AS place, CASE d.outcome WHEN 'dropped' THEN jsonb_build_object('partitions_dropped', 1, 'bytes_freed', d.bytes)
                               ELSE jsonb_build_object('partitions_' || d.outcome, 1) END AS counts,
                           concat_ws(': ', d.outcome, d.detail) AS notice INTO step
                    FROM flowlens.drop_expired_partition(item.target, item.relation, item.lower, item.upper, rolled_up,
                        CASE WHEN (counts ->> 'partitions_blocked')::integer = 0 THEN 5 ELSE 1 END) d;
                END IF;
            EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
                GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT, failure_state = RETURNED_SQLSTATE;
            END;
            COMMIT;
            PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
            IF failure IS NOT NULL AND failure_state = '40P01' AND deadlocks < 3 THEN
                deadlocks := deadlocks + 1;    -- the other one has what it wanted: the same step again
                CONTINUE;
            END IF;
            EXIT WHEN failure IS NOT NULL;
            counts := flowlens.add_counts(counts, step.counts);
            place := step.place;
            IF step.notice IS NOT NULL THEN
                RAISE NOTICE 'retention: partition % of %: %', to_char(item.upper AT TIME ZONE 'UTC' - interval '1 day', 'YYYY-MM-DD'), task, step.notice;
            ELSIF clock_timestamp() > noticed_at + interval '2 seconds' THEN
                RAISE NOTICE 'retention: %: %', task, flowlens.retention_counts_text(counts);
                noticed_at := clock_timestamp();
            END IF;
            EXIT WHEN place IS NULL;
        END LOOP;
        IF failure IS NOT NULL THEN
            task_failure := failure;
            first_state := coalesce(first_state, failure_state);
            first_failure := coalesce(first_failure, format('%s: %s', task, failure));
            EXIT WHEN failure_state = '57014';    -- cancelled: the other tables are not to follow
        END IF;
    END LOOP;

    IF task IS NOT NULL THEN
        PERFORM flowlens.finish_retention_task(run_id, task, counts, task_cutoff, task_failure);
        RAISE NOTICE 'retention: %: %', task, flowlens.retention_counts_text(counts);
    END IF;
    PERFORM flowlens.finish_retention_run(run_id, first_failure);
    COMMIT;
    IF first_failure IS NOT NULL THEN
        RAISE EXCEPTION 'retention failed for %', first_failure USING
            ERRCODE = first_state, HINT = format('The trace is run "%s" in flowlens.fact_workflow_runs.', run_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE flowlens.apply_retention(timestamptz) IS
'Removes what is older at "as_of" than retention_policies says, and nobody needs: whole partitions are detached and dropped, other rows deleted, 10000 a transaction. Facts are added to agg_repo_monthly before. A partition in use is skipped, noted in retention_blocked and tried again by the next run. Skips with a notice when another run is going on; its trace is in fact_workflow_runs. A table that fails does not stop the others, but the call fails at its end.';
-- deletes data: the owner decides who may
REVOKE ALL ON PROCEDURE flowlens.apply_retention(timestamptz) FROM PUBLIC;

-- Health: one row per check. Plain PostgreSQL; no check reads a large table: counts stop at a limit, partitions are asked
-- whether they hold a row, and the newest answers are what staging remembers of them. A new connection plans every statement
-- anew, which costs more than its execution: what several checks ask for is asked in PL/pgSQL, which plans it once.
CREATE SCHEMA IF NOT EXISTS flowlens;

-- What a check shows of a point in time
CREATE OR REPLACE FUNCTION flowlens.health_age(at timestamptz, as_of timestamptz)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres
AS $$ SELECT coalesce(date_trunc('second', as_of - at)::text || ' ago', 'never') $$;
COMMENT ON FUNCTION flowlens.health_age(timestamptz, timestamptz) IS 'How long before "as_of" a point in time was, as checks of health show it.';

CREATE OR REPLACE FUNCTION flowlens.health_rows(rows bigint, most bigint, age interval)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres
AS $$
    SELECT CASE WHEN rows > most THEN format('more than %s rows', most) WHEN rows = 1 THEN '1 row' ELSE format('%s rows', rows) END
           || CASE WHEN rows > 0 AND age IS NOT NULL THEN format(', oldest waits for %s', date_trunc('second', age)) ELSE '' END
$$;
COMMENT ON FUNCTION flowlens.health_rows(bigint, bigint, interval) IS 'A counted backlog with the age of its oldest row, as checks of health show it; counting ends behind "most".';

CREATE OR REPLACE FUNCTION flowlens.health_setting(name text)
RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    RETURN (SELECT s.value FROM flowlens.settings s WHERE s.name = 'health_' || health_setting.name);
END
$$;
COMMENT ON FUNCTION flowlens.health_setting(text) IS 'A threshold of health from settings; NULL (also for a missing row) turns its check off.';

-- How long something that never happened may be missing: from the installation on. NULL without the extension.
CREATE OR REPLACE FUNCTION flowlens.health_installed_at()
RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    RETURN (SELECT min(v.installed_at) FROM flowlens.schema_version v);
END
$$;
COMMENT ON FUNCTION flowlens.health_installed_at() IS 'When install() first ran; NULL where the tables were made without the extension.';

CREATE OR REPLACE FUNCTION flowlens.health_last_success(workflow text, step text DEFAULT NULL)
RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    -- a run that completed has passed all its steps; one that failed has passed those before
    RETURN greatest(
        (SELECT r.completed_at FROM flowlens.fact_workflow_runs r
         WHERE r.workflow_name = workflow AND r.status = 'completed' ORDER BY r.started_at DESC LIMIT 1),
        (SELECT max((t.task ->> 'finished_at')::timestamptz)
         FROM (SELECT r.task_tree FROM flowlens.fact_workflow_runs r
               WHERE r.workflow_name = workflow AND r.status IN ('failed', 'crashed', 'running') ORDER BY r.started_at DESC LIMIT 10) recent,
              jsonb_array_elements(recent.task_tree) t (task)
         WHERE split_part(t.task ->> 'name', ' ', 1) = step AND t.task ->> 'status' = 'completed'));
END
$$;
COMMENT ON FUNCTION flowlens.health_last_success(text, text) IS
'When a workflow, or a step of it, last succeeded: its last completed run, or the step in one of the last ten that did not complete.';

CREATE OR REPLACE FUNCTION flowlens.health_runs(as_of timestamptz)
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    installed_at timestamptz := flowlens.health_installed_at();
    pipeline_age interval := flowlens.health_setting('pipeline_age');
    retention_age interval := flowlens.health_setting('retention_age');
    last_run timestamptz := flowlens.health_last_success('pipeline');
    jobs bigint := 0;
BEGIN
    RETURN QUERY
    SELECT 'last success: ' || x.label, coalesce(x.at > as_of - x.most, x.most IS NULL OR installed_at > as_of - x.most OR installed_at IS NULL),
           flowlens.health_age(x.at, as_of), x.hint
    FROM (SELECT 'pipeline ' || s.step AS label, flowlens.health_last_success('pipeline', s.step) AS at, pipeline_age AS most,
                 'CALL flowlens.run_pipeline(), and see error_message and task_tree of the last runs in flowlens.fact_workflow_runs.' AS hint, s.n
          FROM unnest(ARRAY['partitions', 'webhooks', 'staging', 'dimensions', 'snapshots']) WITH ORDINALITY s (step, n)
          UNION ALL
          SELECT 'retention', flowlens.health_last_success('retention'), retention_age,
                 'CALL flowlens.apply_retention(), and schedule it: docs/operations.md shows how.', 6) x
    ORDER BY x.n;

    RETURN QUERY
    WITH run AS (
        SELECT r.workflow_name, r.started_at, r.status,
               r.status = 'running' AND NOT EXISTS (
                   SELECT FROM pg_stat_activity a
                   WHERE a.pid = r.backend_pid AND (a.backend_start IS NULL OR a.backend_start = r.backend_started_at)) AS abandoned
        FROM flowlens.fact_workflow_runs r
        WHERE r.workflow_name IN ('pipeline', 'retention') AND r.status IN ('failed', 'crashed', 'running') AND r.started_at > as_of - interval '1 day'
    ), total AS (
        SELECT count(*) FILTER (WHERE r.status = 'crashed' OR r.abandoned) AS crashed, count(*) FILTER (WHERE r.status = 'failed') AS failed,
               count(*) FILTER (WHERE (r.status <> 'running' OR r.abandoned)
                                  AND r.started_at > coalesce(flowlens.health_last_success(r.workflow_name), '-infinity')) AS unhealed
        FROM run r
    )
    SELECT 'crashed runs', t.unhealed = 0 AND coalesce(t.crashed + t.failed <= flowlens.health_setting('crashed_runs')::bigint, true),
           format('%s crashed, %s failed in the last day; %s without a success after it', t.crashed, t.failed, t.unhealed),
           'See error_message in flowlens.fact_workflow_runs and the log of the server; the next run finishes what is left.'
    FROM total t;

    IF to_regclass('cron.job') IS NOT NULL AND has_schema_privilege('cron', 'USAGE') AND has_table_privilege('cron.job', 'SELECT') THEN
        EXECUTE 'SELECT count(*) FROM cron.job j WHERE j.database = current_database() AND j.active '
                'AND j.command IN (''CALL flowlens.run_pipeline()'', ''CALL flowlens.apply_retention()'')' INTO jobs;
    END IF;
    -- jobs of other roles, in another database or of another scheduler cannot be seen: their runs can
    RETURN QUERY SELECT 'jobs registered', jobs > 0 OR pipeline_age IS NULL OR installed_at IS NULL OR coalesce(last_run, installed_at) > as_of - pipeline_age,
        CASE WHEN jobs > 0 THEN jobs || ' in pg_cron' ELSE 'none in pg_cron here; pipeline ran ' || flowlens.health_age(last_run, as_of) END,
        'SELECT flowlens.schedule(), or call the pipeline from cron(8) or systemd: docs/operations.md shows how.';
END
$$;
COMMENT ON FUNCTION flowlens.health_runs(timestamptz) IS 'Checks of health about runs: last success of each step and of the retention, crashed and failed runs, a job of pg_cron or else a pipeline that runs. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_unstaged(source text, as_of timestamptz)
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most CONSTANT bigint := 1000;
    read_until text;
    waiting bigint;
    oldest timestamptz;
    age interval;
BEGIN
    SELECT c.snapshot INTO read_until FROM flowlens.staging_cursors c
    WHERE c.source = health_unstaged.source AND c.system_identifier = (SELECT y.system_identifier FROM pg_control_system() y);
    EXECUTE format('SELECT count(*), min(r.fetch_timestamp) FROM (SELECT fetch_timestamp FROM flowlens.%I WHERE %s LIMIT $2) r', source,
                   CASE WHEN read_until IS NULL THEN 'true'
                        ELSE 'arrival_xid >= pg_snapshot_xmin($1::pg_snapshot) AND NOT pg_visible_in_snapshot(arrival_xid, $1::pg_snapshot)' END)
    INTO waiting, oldest USING read_until, most + 1;
    -- what waits came after the last run, whenever it was observed
    age := least(as_of - oldest, as_of - flowlens.health_last_success('pipeline', 'staging'));
    RETURN QUERY SELECT 'backlog: ' || source,
        waiting = 0 OR flowlens.health_installed_at() IS NULL OR coalesce(age <= flowlens.health_setting('pipeline_age')::interval, true),
        flowlens.health_rows(waiting, most, age), 'CALL flowlens.run_pipeline(), and see why it did not run.';
END
$$;
COMMENT ON FUNCTION flowlens.health_unstaged(text, timestamptz) IS 'Check of health about the rows of a raw table that staging has not read. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_queues(as_of timestamptz)
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most CONSTANT bigint := 1000;
    queue_name text;
    waiting bigint;
    oldest timestamptz;
    dead bigint;
    all_dead bigint := 0;
    where_dead text := '';
BEGIN
    FOREACH queue_name IN ARRAY ARRAY['raw_github_events', 'pull_requests', 'pipeline_runs', 'insights'] LOOP
        SELECT count(*), min(w.enqueued_at) INTO waiting, oldest
        FROM (SELECT q.enqueued_at FROM flowlens.work_queue q
              WHERE q.queue = format('flowlens.%I', queue_name)::regclass AND q.ready_at < 'infinity' ORDER BY q.ready_at LIMIT most + 1) w;
        SELECT count(*) INTO dead
        FROM (SELECT FROM flowlens.work_queue q WHERE q.queue = format('flowlens.%I', queue_name)::regclass AND q.ready_at = 'infinity' LIMIT most + 1) w;
        all_dead := all_dead + dead;
        where_dead := where_dead || CASE WHEN dead > 0 THEN format(', %s in %s', dead, queue_name) ELSE '' END;
        RETURN QUERY SELECT 'backlog: ' || queue_name,
            waiting = 0 OR coalesce(as_of - oldest <= flowlens.health_setting(CASE queue_name WHEN 'raw_github_events' THEN 'pipeline_age' ELSE 'queue_age' END)::interval, true),
            flowlens.health_rows(waiting, most, as_of - oldest),
            CASE queue_name WHEN 'raw_github_events' THEN 'CALL flowlens.run_pipeline(), or more workers with flowlens.process_webhooks().'
                 ELSE 'See that a service works on it with flowlens.claim(), or set health_queue_age to NULL in flowlens.settings.' END;
    END LOOP;
    RETURN QUERY SELECT 'dead letters', coalesce(all_dead <= flowlens.health_setting('dead_letters')::bigint, true),
        all_dead || ' rows' || regexp_replace(where_dead, '^,', ':'),
        'See last_error in flowlens.work_queue; flowlens.requeue() gives them another try.';
END
$$;
COMMENT ON FUNCTION flowlens.health_queues(timestamptz) IS 'Checks of health about work queues: what waits and for how long, dead letters. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_holds_rows(partition regclass)
RETURNS boolean LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    holds_rows boolean;
BEGIN
    -- most of them are empty files, and a query would open their indexes too; rows of a distributed table are elsewhere
    IF pg_relation_size(partition) = 0 AND to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', partition) INTO holds_rows;
    RETURN holds_rows;
END
$$;
COMMENT ON FUNCTION flowlens.health_holds_rows(regclass) IS 'Whether a partition holds a row. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_partitions(as_of timestamptz)
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    installed_at timestamptz := flowlens.health_installed_at();
    tomorrow timestamptz := date_trunc('day', as_of) + interval '1 day';
    most interval := flowlens.health_setting('retention_age');
    needed date[] := ARRAY(SELECT flowlens.retention_needed_days());
    part record;
    strays text;
BEGIN
    -- without the extension nobody makes partitions, and the default ones hold everything
    IF installed_at IS NOT NULL THEN
        FOR part IN SELECT p.relname AS parent, k.partdefid::regclass AS partition FROM pg_class p JOIN pg_partitioned_table k ON k.partrelid = p.oid
                    WHERE p.relnamespace = 'flowlens'::regnamespace AND k.partdefid <> 0 ORDER BY p.relname LOOP
            strays := CASE WHEN flowlens.health_holds_rows(part.partition) THEN concat_ws(', ', strays, part.parent) ELSE strays END;
        END LOOP;
    END IF;
    RETURN QUERY SELECT 'default partitions', strays IS NULL, coalesce('rows in the default partition of ' || strays, 'empty'),
        'Rows came for days without a partition: the next run of the pipeline moves them, or CALL flowlens.drain_default_partitions().';

    RETURN QUERY
    WITH policy AS MATERIALIZED (
        SELECT p.table_name, b.partition, b.lower, b.upper, b.upper <= date_trunc('day', as_of) - p.keep - most AS overdue
        FROM flowlens.retention_policies p
        JOIN pg_class c ON c.relname = p.table_name AND c.relnamespace = 'flowlens'::regnamespace AND c.relkind = 'p'
        LEFT JOIN LATERAL flowlens.partitions_of(c.oid) b ON NOT b.is_default
        WHERE p.partition_interval IS NOT NULL
    ), ahead AS (
        SELECT p.table_name, coalesce(bool_or(tomorrow >= p.lower AND tomorrow < p.upper), false) AS covered, max(p.upper) - interval '1 day' AS last_day
        FROM policy p GROUP BY p.table_name
    )
    SELECT 'partitions ahead', installed_at IS NULL OR installed_at > as_of - flowlens.health_setting('pipeline_age')::interval OR bool_and(a.covered),
           coalesce('missing for tomorrow: ' || string_agg(a.table_name, ', ' ORDER BY a.table_name) FILTER (WHERE NOT a.covered),
                    'up to ' || to_char(min(a.last_day), 'YYYY-MM-DD'), 'none'),
           'SELECT flowlens.maintain_partitions(); the pipeline does it with every run.'
    FROM ahead a
    UNION ALL
    SELECT 'overdue partitions', installed_at IS NULL OR count(*) = 0,
           count(*) || ' past their window' || coalesce(', oldest ' || (array_agg(c.relname ORDER BY p.upper, c.relname))[1], ''),
           'A lock or rows that are not processed yet keep them: see the trace of the last run named retention in flowlens.fact_workflow_runs.'
    FROM policy p JOIN pg_class c ON c.oid = p.partition
    -- facts that the next day is scored from stay, whatever their age
    WHERE p.overdue AND NOT (p.table_name LIKE 'fact%' AND flowlens.facts_keep_reason(needed, p.lower, p.upper) IS NOT NULL);

    RETURN QUERY
    SELECT 'blocked drops', count(*) FILTER (WHERE b.attempts > 1) = 0,
           format('%s partitions in use', count(*)) || coalesce(', longest ' || (array_agg(b.partition_name ORDER BY b.blocked_since))[1] ||
               ' since ' || to_char(min(b.blocked_since), 'YYYY-MM-DD HH24:MI'), ''),
           'Sessions held them during two runs: see blocked_by in flowlens.retention_blocked, and end long transactions.'
    FROM flowlens.retention_blocked b;
END
$$;
COMMENT ON FUNCTION flowlens.health_partitions(timestamptz) IS 'Checks of health about partitions: default ones empty, tomorrow''s there, expired ones gone. Part of health_report().';

-- The newest delivery: deliveries are appended, so it is near the end of the newest partition that holds any
CREATE OR REPLACE FUNCTION flowlens.health_newest_event()
RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    part record;
    newest timestamptz;
    pages bigint;
BEGIN
    FOR part IN SELECT b.partition FROM flowlens.partitions_of('flowlens.raw_github_events') b ORDER BY b.lower DESC NULLS FIRST LOOP
        pages := pg_relation_size(part.partition) / current_setting('block_size')::bigint;
        CONTINUE WHEN pages = 0;
        EXECUTE format('SELECT max(received_at) FROM %s WHERE ctid >= %L::tid', part.partition, format('(%s,0)', greatest(pages - 4, 0))) INTO newest;
        EXIT WHEN newest IS NOT NULL;
    END LOOP;
    RETURN newest;
EXCEPTION WHEN feature_not_supported THEN
    RETURN NULL;    -- an engine without addresses of rows
END
$$;
COMMENT ON FUNCTION flowlens.health_newest_event() IS 'When about the newest webhook delivery came, from the last pages of the newest partition that holds any; NULL when there is none. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_sources(as_of timestamptz)
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    skew interval := coalesce(flowlens.health_setting('clock_skew')::interval, interval '5 minutes');
    part record;
    newest record;
    future text;
BEGIN
    FOR newest IN SELECT c.source, c.latest AS at FROM flowlens.staging_cursors c
                  UNION ALL SELECT 'raw_github_events', flowlens.health_newest_event() ORDER BY 1 LOOP
        RETURN QUERY SELECT 'source: ' || newest.source, coalesce(newest.at >= as_of - flowlens.health_setting('age_' || newest.source)::interval, true),
            flowlens.health_age(newest.at, as_of),
            format('Nothing newer came from GitHub: see the program that fetches it, or set health_age_%s in flowlens.settings.', newest.source);
        future := CASE WHEN newest.at > as_of + skew THEN concat_ws(', ', future, format('%s up to %s', newest.source, newest.at)) ELSE future END;
    END LOOP;
    FOR part IN SELECT t.source, b.partition, b.lower
                FROM unnest(ARRAY['raw_github_repos', 'raw_repo_metrics', 'raw_github_events']) t (source)
                CROSS JOIN LATERAL flowlens.partitions_of(format('flowlens.%I', t.source)::regclass) b
                WHERE b.lower > as_of + skew LOOP
        future := CASE WHEN flowlens.health_holds_rows(part.partition)
            THEN concat_ws(', ', future, part.source || ' from ' || to_char(part.lower, 'YYYY-MM-DD')) ELSE future END;
    END LOOP;
    SELECT concat_ws(', ', future, string_agg('run ' || r.run_id, ', ')) INTO future
    FROM flowlens.fact_workflow_runs r WHERE r.started_at > as_of + skew;
    RETURN QUERY SELECT 'clock skew', future = '', coalesce(nullif('from the future: ' || future, 'from the future: '), 'no rows from the future'),
        'Correct the clock or the observed_at of the sender and delete these rows; then set "latest" of flowlens.staging_cursors to the newest row that is left.';
END
$$;
COMMENT ON FUNCTION flowlens.health_sources(timestamptz) IS 'Checks of health about what arrives: how old the newest of each source is, and nothing from the future. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_results(as_of timestamptz)
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    most bigint := flowlens.health_setting('rejected_rows');
    rejected bigint;
BEGIN
    SELECT count(*) INTO rejected FROM (SELECT FROM flowlens.stg_repos_rejected LIMIT coalesce(most, 1000) + 1) q;
    RETURN QUERY SELECT 'rejected rows', coalesce(rejected <= most, true), flowlens.health_rows(rejected, coalesce(most, 1000), NULL),
        'See errors in flowlens.stg_repos_rejected; flowlens.retry_rejected() after a correction.';

    RETURN QUERY
    SELECT 'leaderboard', d.newest IS NULL OR coalesce(d.newest >= (as_of - flowlens.health_setting('board_age')::interval)::date, true),
           CASE WHEN d.newest IS NULL THEN 'nothing published' ELSE 'day ' || to_char(d.newest, 'YYYY-MM-DD') END || CASE WHEN d.waiting > 0 THEN format(', days waiting: %s', d.waiting) ELSE '' END,
           'No newer day was published: see the checks of the pipeline and of its sources.'
    FROM (SELECT max(p.day) FILTER (WHERE p.published_at IS NOT NULL) AS newest, count(*) FILTER (WHERE p.dimensions_pending OR p.snapshot_pending) AS waiting
          FROM flowlens.pipeline_days p) d;
END
$$;
COMMENT ON FUNCTION flowlens.health_results(timestamptz) IS 'Checks of health about results: the quarantine, the newest published day. Part of health_report().';

CREATE OR REPLACE FUNCTION flowlens.health_report(as_of timestamptz DEFAULT now())
RETURNS TABLE (name text, ok boolean, value text, hint text)
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, flowlens, pg_temp SET TimeZone = 'UTC' SET datestyle = 'ISO, YMD'
-- no table is read as a whole, and no statement of a check planned more than once in a connection
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
    SELECT c.name, c.ok, c.value, CASE WHEN NOT c.ok THEN c.hint END
    FROM (SELECT * FROM flowlens.health_runs(as_of)
          UNION ALL SELECT * FROM flowlens.health_sources(as_of)
          UNION ALL SELECT * FROM flowlens.health_unstaged('raw_github_repos', as_of)
          UNION ALL SELECT * FROM flowlens.health_unstaged('raw_repo_metrics', as_of)
          UNION ALL SELECT * FROM flowlens.health_queues(as_of)
          UNION ALL SELECT * FROM flowlens.health_partitions(as_of)
          UNION ALL SELECT * FROM flowlens.health_results(as_of)) c
$$;
COMMENT ON FUNCTION flowlens.health_report(timestamptz) IS
'One row per check of the database at a point in time: name, ok, value, and a hint where it is not ok. Thresholds are settings named health_*. Reads no table as a whole.';

CREATE OR REPLACE VIEW flowlens.health AS SELECT h.name, h.ok, h.value, h.hint FROM flowlens.health_report(now()) h;
COMMENT ON VIEW flowlens.health IS 'health_report() of now: one row per check (name, ok, value, hint), fit for a monitoring probe.';

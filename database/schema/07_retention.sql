-- Retention: what stays of expired facts, drops that were blocked, and the rules of what may go. The rules are ordinary
-- functions, so that flowlens.apply_retention() and database/data_retention_cleanup.sql follow the same ones.
-- Plain PostgreSQL; running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE TABLE IF NOT EXISTS flowlens.agg_repo_monthly (
    github_id bigint NOT NULL,
    month date NOT NULL,
    days_counted integer NOT NULL,
    day_mask integer NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    first_stars bigint NOT NULL,
    last_stars bigint NOT NULL,
    max_stars bigint NOT NULL,
    star_gain bigint GENERATED ALWAYS AS (last_stars - first_stars) STORED,
    momentum_sum double precision NOT NULL,
    momentum_days integer NOT NULL,
    mean_momentum double precision GENERATED ALWAYS AS (momentum_sum / nullif(momentum_days, 0)) STORED,
    best_rank integer,
    PRIMARY KEY (github_id, month),
    CONSTRAINT agg_repo_monthly_month CHECK (extract(day FROM month) = 1)
) WITH (fillfactor = 70);
COMMENT ON TABLE flowlens.agg_repo_monthly IS
'What stays of expired facts: one row per repository and UTC month. Days on which the repository was not observed, or its count was not believed, are not counted. Retention adds days as they expire; see the view analytics_repo_monthly for whole months.';
COMMENT ON COLUMN flowlens.agg_repo_monthly.day_mask IS 'bit d - 1 is set when day d of the month is counted: no day counts twice';
COMMENT ON COLUMN flowlens.agg_repo_monthly.star_gain IS 'stars gained from the first to the last counted day';
COMMENT ON COLUMN flowlens.agg_repo_monthly.momentum_days IS
'days in momentum_sum; a day that was scored again after its facts had expired counts with its stars only';

CREATE TABLE IF NOT EXISTS flowlens.retention_blocked (
    table_name text NOT NULL,
    partition_name text NOT NULL,
    blocked_since timestamptz NOT NULL,
    last_attempt_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    blocked_by text,
    PRIMARY KEY (table_name, partition_name)
);
COMMENT ON TABLE flowlens.retention_blocked IS
'Expired partitions that could not be dropped because somebody used them, one row each; the row goes when a later run drops the partition.';
COMMENT ON COLUMN flowlens.retention_blocked.blocked_by IS 'sessions that held a lock at the last attempt: process id, role, application, state, query';

-- rows are found by time
CREATE INDEX IF NOT EXISTS idx_stg_rejected_at ON flowlens.stg_repos_rejected (rejected_at);
CREATE INDEX IF NOT EXISTS idx_dim_repos_closed ON flowlens.dim_repositories (valid_to) WHERE NOT is_current;

CREATE OR REPLACE FUNCTION flowlens.is_distributed(relation regclass)
RETURNS boolean LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_dist_partition p WHERE p.logicalrelid = relation) THEN
        RETURN false;
    ELSIF current_setting('DateStyle') NOT LIKE 'ISO%' THEN
        RAISE EXCEPTION 'distributed tables need DateStyle "ISO"' USING
            ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Citus sends dates to the workers in the DateStyle of the session.',
            HINT = 'SET datestyle = ''ISO''.';
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION flowlens.is_distributed(regclass) IS
'Whether the rows of a table are kept by the Citus extension, on other servers. Errors: object_not_in_prerequisite_state in a session with another DateStyle than ISO, whose dates the workers would misread.';

CREATE OR REPLACE FUNCTION flowlens.partitions_of(parent regclass)
RETURNS TABLE (partition regclass, lower timestamptz, upper timestamptz, is_default boolean)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE    -- its plan is kept: health and retention ask for table after table
SET search_path = pg_catalog, flowlens, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    -- a bound is FOR VALUES FROM ('...') TO ('...'), MINVALUE or MAXVALUE without quotes, or DEFAULT
    RETURN QUERY
    SELECT b.inhrelid::regclass,
           CASE WHEN left(b.bound, 18) = 'FOR VALUES FROM (''' THEN split_part(b.bound, '''', 2)::timestamptz END,
           CASE WHEN right(b.bound, 2) = ''')' THEN split_part(b.bound, '''', -2)::timestamptz END,
           b.bound = 'DEFAULT'
    FROM (SELECT i.inhrelid, pg_get_expr(c.relpartbound, 0) AS bound
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = parent AND NOT i.inhdetachpending OFFSET 0) b    -- written out once per partition
    ORDER BY 3, 2;
END
$$;
COMMENT ON FUNCTION flowlens.partitions_of(regclass) IS
'Partitions of a table partitioned by range over one date or timestamptz column, oldest first: from "lower" (inclusive) to "upper" (exclusive), NULL = unbounded. A date is the start of its UTC day.';

CREATE OR REPLACE FUNCTION flowlens.retention_targets(as_of timestamptz)
RETURNS TABLE (target regclass, table_name text, time_column name, time_type regtype, is_partitioned boolean, cutoff timestamptz)
LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT c.oid::regclass, p.table_name, a.attname, a.atttypid::regtype, c.relkind = 'p',
           -- without a time zone: months end and leap days fall as in UTC, whatever the session's zone
           CASE WHEN c.relkind = 'p' OR a.atttypid = 'date'::regtype
               THEN date_trunc('day', date_trunc('day', as_of AT TIME ZONE 'UTC') - p.keep)    -- whole days, as partitions are
               ELSE (as_of AT TIME ZONE 'UTC') - p.keep END AT TIME ZONE 'UTC'
    FROM flowlens.retention_policies p
    JOIN pg_class c ON c.relnamespace = 'flowlens'::regnamespace AND c.relname = p.table_name AND c.relkind IN ('r', 'p')
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = p.time_column AND a.attnum > 0
    LEFT JOIN pg_partitioned_table k ON k.partrelid = c.oid
    WHERE p.keep IS NOT NULL
      AND (c.relkind = 'r' OR k.partstrat = 'r' AND k.partnatts = 1 AND k.partattrs[0] = a.attnum)
    -- a version of the dimension goes after the facts that needed it
    ORDER BY p.table_name = 'dim_repositories', p.table_name
$$;
COMMENT ON FUNCTION flowlens.retention_targets(timestamptz) IS
'Tables of retention_policies whose rows expire, in the order of their treatment: what is older than "cutoff" may go.';

CREATE OR REPLACE FUNCTION flowlens.retention_needed_days()
RETURNS SETOF date LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    -- the boards show the newest published day, and the next day carries on from it
    SELECT max(d.day) FROM flowlens.pipeline_days d WHERE d.published_at IS NOT NULL
    UNION
    -- a day that waits, and the one that it is scored from
    SELECT unnest(ARRAY[w.day, (SELECT max(p.day) FROM flowlens.pipeline_days p
                                WHERE p.published_at IS NOT NULL AND p.day < w.day AND p.day >= w.day - 30)])
    FROM flowlens.pipeline_days w
    WHERE w.dimensions_pending OR w.snapshot_pending
$$;
COMMENT ON FUNCTION flowlens.retention_needed_days() IS
'UTC days whose facts must stay, however old: the newest published one, those that wait to be scored, and those they are scored from.';

CREATE OR REPLACE FUNCTION flowlens.retention_unread(source text)
RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    place record;
BEGIN
    SELECT c.snapshot::pg_snapshot AS since, c.system_identifier = y.system_identifier AS is_here INTO place
    FROM flowlens.staging_cursors c, pg_control_system() y
    WHERE c.source = retention_unread.source;
    IF place.since IS NOT NULL AND place.is_here THEN
        RETURN format('(arrival_xid >= %L::xid8 AND NOT pg_visible_in_snapshot(arrival_xid, %L::pg_snapshot))',
                      pg_snapshot_xmin(place.since), place.since);
    ELSIF place.since IS NULL AND NOT EXISTS (SELECT FROM flowlens.schema_version) THEN
        RETURN 'false';    -- tables made by init.sql: nobody stages here
    END IF;
    RETURN 'true';
END
$$;
COMMENT ON FUNCTION flowlens.retention_unread(text) IS
'Condition over the rows of a raw table: staging has not read them. In a cluster that staging has not yet run in, it has read none; where the tables were made without the extension nothing stages, and all count as read.';

CREATE OR REPLACE FUNCTION flowlens.facts_keep_reason(needed date[], lower timestamptz, upper timestamptz)
RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    first_day date := (nullif(lower, '-infinity') AT TIME ZONE 'UTC')::date;
    last_day date := ((upper AT TIME ZONE 'UTC') - interval '1 microsecond')::date;
BEGIN
    RETURN CASE WHEN EXISTS (SELECT FROM unnest(needed) n (day) WHERE n.day <= last_day AND (first_day IS NULL OR n.day >= first_day))
        THEN 'it holds the newest published day, or days that wait to be scored' END;
END
$$;
COMMENT ON FUNCTION flowlens.facts_keep_reason(date[], timestamptz, timestamptz) IS
'Why an expired partition of facts has to stay when days of retention_needed_days() are needed, NULL when it may go. Part of retention_keep_reason().';

CREATE OR REPLACE FUNCTION flowlens.retention_keep_reason(target regclass, partition regclass, lower timestamptz, upper timestamptz)
RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    name text := (SELECT c.relname FROM pg_class c WHERE c.oid = target);
    first_day date := (nullif(lower, '-infinity') AT TIME ZONE 'UTC')::date;
    last_day date := ((upper AT TIME ZONE 'UTC') - interval '1 microsecond')::date;
    days date[];
    needed boolean;
BEGIN
    IF upper IS NULL OR NOT isfinite(upper) OR lower >= upper THEN
        RETURN 'it has no end';
    END IF;
    CASE
        WHEN name IN ('raw_github_repos', 'raw_repo_metrics') THEN
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s WHERE %s)', partition, flowlens.retention_unread(name)) INTO needed;
            RETURN CASE WHEN needed THEN 'staging has not read all of it' END;
        WHEN name = 'raw_github_events' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM flowlens.work_queue q JOIN %s e ON e.delivery_id = q.id WHERE q.queue = $1)', partition)
                INTO needed USING target;
            RETURN CASE WHEN needed THEN 'it holds deliveries that are not processed' END;
        WHEN name = 'stg_repos_validated' AND flowlens.is_distributed(partition) THEN
            EXECUTE format('SELECT ARRAY(SELECT DISTINCT s.observed_on FROM %s s)', partition) INTO days;
            RETURN CASE WHEN EXISTS (
                SELECT FROM unnest(days) t (day)
                WHERE NOT EXISTS (SELECT FROM flowlens.pipeline_days p WHERE p.day = t.day AND p.published_at IS NOT NULL
                                  AND NOT p.dimensions_pending AND NOT p.snapshot_pending)) THEN 'it holds days that are not scored yet' END;
        WHEN name = 'stg_repos_validated' THEN
            EXECUTE format($q$
                SELECT EXISTS (
                    SELECT FROM (SELECT d::date AS day FROM generate_series(coalesce($1, (SELECT min(s.observed_on) FROM %1$s s))::timestamp, $2, interval '1 day') d) t
                    WHERE NOT EXISTS (SELECT FROM flowlens.pipeline_days p WHERE p.day = t.day AND p.published_at IS NOT NULL
                                      AND NOT p.dimensions_pending AND NOT p.snapshot_pending)
                      AND EXISTS (SELECT FROM %1$s s WHERE s.observed_on = t.day))
                $q$, partition) INTO needed USING first_day, last_day;
            RETURN CASE WHEN needed THEN 'it holds days that are not scored yet' END;
        WHEN name IN ('fact_repo_snapshots', 'fact_render_usage') THEN
            RETURN flowlens.facts_keep_reason(ARRAY(SELECT flowlens.retention_needed_days()), lower, upper);
        ELSE
            RETURN NULL;
    END CASE;
END
$$;
COMMENT ON FUNCTION flowlens.retention_keep_reason(regclass, regclass, timestamptz, timestamptz) IS
'Why an expired partition has to stay, NULL when it may go: raw rows that staging has not read, deliveries that wait in the queue, days that are not scored, facts that the next days are scored from.';

CREATE OR REPLACE FUNCTION flowlens.retention_condition(target regclass, time_column name, time_type regtype, cutoff timestamptz,
    gone text DEFAULT 'false')
RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, flowlens, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
    name text := (SELECT c.relname FROM pg_class c WHERE c.oid = target);
    old text := CASE time_type WHEN 'timestamptz'::regtype THEN format('%I < %L::timestamptz', time_column, cutoff)
                               ELSE format('%I < %L::%s', time_column, (cutoff AT TIME ZONE 'UTC')::text, time_type) END;
    any_old boolean;
BEGIN
    CASE
        WHEN name IN ('raw_github_repos', 'raw_repo_metrics') THEN
            RETURN format('%s AND NOT %s', old, flowlens.retention_unread(name));
        WHEN name = 'raw_github_events' THEN
            RETURN format('%s AND delivery_id <> ALL (ARRAY(SELECT q.id FROM flowlens.work_queue q WHERE q.queue = %L::regclass))', old, target);
        WHEN name = 'stg_repos_validated' THEN
            RETURN old || ' AND observed_on IN (SELECT p.day FROM flowlens.pipeline_days p '
                'WHERE p.published_at IS NOT NULL AND NOT p.dimensions_pending AND NOT p.snapshot_pending)';
        WHEN name IN ('fact_repo_snapshots', 'fact_render_usage') THEN
            RETURN old || ' AND snapshot_date <> ALL (ARRAY(SELECT n.day FROM flowlens.retention_needed_days() n (day) WHERE n.day IS NOT NULL))';
        WHEN name = 'fact_workflow_runs' THEN
            RETURN old || ' AND status IS DISTINCT FROM ''running''';
        WHEN name = 'dim_repositories' THEN
            -- to plan the search for facts, over all their partitions, takes longer than to see that it is not needed
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s WHERE %s AND NOT is_current)', target, old) INTO any_old;
            RETURN CASE WHEN NOT any_old THEN 'false' ELSE format($c$%s AND NOT is_current
                AND NOT EXISTS (SELECT FROM flowlens.fact_repo_snapshots f WHERE f.github_id = r.github_id AND f.repo_key = r.repo_key AND NOT (%2$s))
                AND NOT EXISTS (SELECT FROM flowlens.fact_render_usage u WHERE u.github_id = r.github_id AND u.repo_key = r.repo_key AND NOT (%2$s))
                AND NOT EXISTS (SELECT FROM flowlens.pipeline_days p WHERE (p.dimensions_pending OR p.snapshot_pending)
                                AND (p.day + 1)::timestamp AT TIME ZONE 'UTC' > r.valid_from AND (p.day + 1)::timestamp AT TIME ZONE 'UTC' <= r.valid_to)
                $c$, old, gone) END;
        WHEN name IN ('pull_requests', 'pipeline_runs', 'insights') THEN
            RETURN format('%s AND NOT EXISTS (SELECT FROM flowlens.work_queue q WHERE q.queue = %L::regclass AND q.id = r.id)', old, target);
        ELSE
            RETURN old;
    END CASE;
END
$$;
COMMENT ON FUNCTION flowlens.retention_condition(regclass, name, regtype, timestamptz, text) IS
'Condition over the rows of a table, called r, that retention deletes one by one: older than the cutoff and needed by nobody. The counterpart of retention_keep_reason() for tables without partitions and for default partitions. "gone" is a condition over facts that are dropped before.';

CREATE OR REPLACE FUNCTION flowlens.retention_plan(as_of timestamptz, ahead boolean DEFAULT false)
RETURNS TABLE (target regclass, table_name text, cutoff timestamptz, relation regclass, is_partition boolean,
    lower timestamptz, upper timestamptz, kept text, time_column name, condition text)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    policy record;
    part record;
    needed CONSTANT date[] := ARRAY(SELECT flowlens.retention_needed_days());
    holds_facts boolean;
    dropped oid[] := '{}';
    deleted text := 'false';
BEGIN
    FOR policy IN SELECT * FROM flowlens.retention_targets(as_of) LOOP
        target := policy.target;
        table_name := policy.table_name;
        holds_facts := table_name IN ('fact_repo_snapshots', 'fact_render_usage');
        cutoff := policy.cutoff;
        time_column := policy.time_column;
        condition := flowlens.retention_condition(target, time_column, policy.time_type, cutoff,
            format('tableoid = ANY (%L::oid[]) OR %s', dropped, deleted));
        IF NOT policy.is_partitioned THEN
            relation := target;
            is_partition := false;
            IF table_name = 'dim_repositories' AND flowlens.is_distributed(target) THEN
                kept := 'versions of a distributed dimension are kept';
            END IF;
            RETURN NEXT;
            CONTINUE;
        END IF;
        FOR part IN SELECT * FROM flowlens.partitions_of(policy.target) p WHERE p.is_default OR p.upper <= policy.cutoff LOOP
            relation := part.partition;
            is_partition := NOT part.is_default;
            lower := part.lower;
            upper := part.upper;
            kept := CASE WHEN NOT is_partition THEN NULL WHEN holds_facts THEN flowlens.facts_keep_reason(needed, lower, upper)
                         ELSE flowlens.retention_keep_reason(target, relation, lower, upper) END;
            RETURN NEXT;
            IF ahead AND kept IS NULL AND holds_facts THEN
                IF is_partition THEN
                    dropped := dropped || relation::oid;
                ELSE
                    deleted := format('%s OR tableoid = %s AND %s', deleted, relation::oid, condition);
                END IF;
            END IF;
        END LOOP;
        lower := NULL;
        upper := NULL;
        kept := NULL;
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.retention_plan(timestamptz, boolean) IS
'What retention does, in order: partitions to drop (unless "kept" says why not) and tables whose rows under "condition" are deleted. With "ahead" the conditions count facts as gone that are dropped before.';

CREATE OR REPLACE FUNCTION flowlens.roll_up_statement(source text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT format($q$
        INSERT INTO flowlens.agg_repo_monthly AS a (github_id, month, days_counted, day_mask, first_day, last_day,
            first_stars, last_stars, max_stars, momentum_sum, momentum_days, best_rank)
        SELECT n.github_id, n.month, count(*), bit_or(n.bit), min(n.day), max(n.day),
               (array_agg(n.stars ORDER BY n.day))[1], (array_agg(n.stars ORDER BY n.day DESC))[1], max(n.stars),
               coalesce(sum(n.momentum_score), 0), count(n.momentum_score), min(n.rank_overall)
        FROM (SELECT f.github_id, f.snapshot_date AS day, f.snapshot_date - extract(day FROM f.snapshot_date)::integer + 1 AS month,
                     1 << (extract(day FROM f.snapshot_date)::integer - 1) AS bit, f.stars,
                     -- scored after its facts had expired, a day lacks the other repositories and the days before it
                     CASE WHEN d.expired_at IS NULL THEN f.momentum_score END AS momentum_score,
                     CASE WHEN d.expired_at IS NULL THEN f.rank_overall END AS rank_overall
              FROM %s f
              LEFT JOIN flowlens.pipeline_days d ON d.day = f.snapshot_date
              WHERE NOT f.is_stale AND NOT f.is_outlier) n
        LEFT JOIN flowlens.agg_repo_monthly o ON o.github_id = n.github_id AND o.month = n.month AND o.day_mask & n.bit <> 0
        WHERE o.github_id IS NULL
        GROUP BY n.github_id, n.month
        ON CONFLICT (github_id, month) DO UPDATE SET
            days_counted = a.days_counted + excluded.days_counted,
            day_mask = a.day_mask | excluded.day_mask,
            first_day = least(a.first_day, excluded.first_day),
            last_day = greatest(a.last_day, excluded.last_day),
            first_stars = CASE WHEN excluded.first_day < a.first_day THEN excluded.first_stars ELSE a.first_stars END,
            last_stars = CASE WHEN excluded.last_day > a.last_day THEN excluded.last_stars ELSE a.last_stars END,
            max_stars = greatest(a.max_stars, excluded.max_stars),
            momentum_sum = a.momentum_sum + excluded.momentum_sum,
            momentum_days = a.momentum_days + excluded.momentum_days,
            best_rank = least(a.best_rank, excluded.best_rank)
        $q$, source)
$$;
COMMENT ON FUNCTION flowlens.roll_up_statement(text) IS
'Statement that adds facts to agg_repo_monthly; days that are counted there already are left out. "source" is a table or the name of a WITH query.';

CREATE OR REPLACE FUNCTION flowlens.hold_retention_locks(table_name text)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    locks text[] := CASE table_name WHEN 'dim_repositories' THEN ARRAY['dimensions', 'snapshots']
                                    WHEN 'fact_repo_snapshots' THEN ARRAY['snapshots'] END;
    lock_name text;
BEGIN
    IF locks IS NULL OR to_regprocedure('flowlens.hold_lock(text)') IS NULL THEN
        RETURN;
    END IF;
    FOREACH lock_name IN ARRAY locks LOOP
        PERFORM flowlens.hold_lock(lock_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.hold_retention_locks(text) IS
'Keeps the pipeline from loading facts or versions until the transaction ends, as far as retention of that table needs it. Does nothing without the extension, which alone loads them.';
-- holding a lock stops the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.hold_retention_locks(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.facts_state(partition regclass, lower timestamptz, upper timestamptz)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT format('%s %s', partition::oid, (SELECT max(extract(epoch FROM d.published_at)) FROM flowlens.pipeline_days d
        WHERE d.day < (upper AT TIME ZONE 'UTC')::date AND (lower IS NULL OR d.day >= (lower AT TIME ZONE 'UTC')::date)))
$$;
COMMENT ON FUNCTION flowlens.facts_state(regclass, timestamptz, timestamptz) IS
'A text that changes when a day of a partition of facts is published anew.';

CREATE OR REPLACE FUNCTION flowlens.roll_up_partition(target regclass, partition regclass, lower timestamptz, upper timestamptz)
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF target <> 'flowlens.fact_repo_snapshots'::regclass THEN
        RETURN NULL;
    END IF;
    PERFORM flowlens.hold_retention_locks('fact_repo_snapshots');
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = partition) THEN
        RETURN '';    -- the pipeline has put another one in its place
    END IF;
    EXECUTE flowlens.roll_up_statement(partition::text);
    RETURN flowlens.facts_state(partition, lower, upper);
END
$$;
COMMENT ON FUNCTION flowlens.roll_up_partition(regclass, regclass, timestamptz, timestamptz) IS
'Adds the facts of a partition to agg_repo_monthly; returns their facts_state(). NULL for partitions of other tables. Repeating it changes nothing.';
-- writes facts: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.roll_up_partition(regclass, regclass, timestamptz, timestamptz) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.lock_holders(relations regclass[])
RETURNS text LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT string_agg(DISTINCT format('process %s (role %s, application "%s", %s): %s', l.pid, coalesce(a.usename, '?'), coalesce(a.application_name, '?'),
                                      coalesce(a.state, a.backend_type, '?'), left(coalesce(a.query, '?'), 200)), '; ')
    FROM pg_locks l
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY (relations) AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$$;
COMMENT ON FUNCTION flowlens.lock_holders(regclass[]) IS
'The other sessions that hold locks on some relations, as text; NULL when there are none. Queries of other roles are hidden unless you are in pg_read_all_stats.';
-- shows what others run: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.lock_holders(regclass[]) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.partition_bytes(partition regclass)
RETURNS bigint LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF flowlens.is_distributed(partition) THEN
        RETURN citus_total_relation_size(partition);
    END IF;
    RETURN pg_total_relation_size(partition);
END
$$;
COMMENT ON FUNCTION flowlens.partition_bytes(regclass) IS 'Disk space of a partition with its indexes, on all servers that hold it.';

CREATE OR REPLACE FUNCTION flowlens.try_drop_partition(target regclass, partition regclass, lower timestamptz, upper timestamptz, rolled_up text,
    OUT outcome text, OUT detail text, OUT bytes bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    default_partition regclass := (SELECT nullif(k.partdefid, 0) FROM pg_partitioned_table k WHERE k.partrelid = target);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = partition) THEN
        RAISE undefined_table;
    END IF;
    -- whoever comes to the table waits behind us, so we wait for it no longer than this, and for the rest not at all
    PERFORM set_config('lock_timeout', '50ms', true);
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', target);
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', concat_ws(', ', partition, default_partition));
    outcome := 'kept';
    IF partition = default_partition OR NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = partition AND i.inhparent = target) THEN
        detail := 'it is no partition of the table any more';
    ELSIF rolled_up <> flowlens.facts_state(partition, lower, upper) THEN
        detail := 'it was scored again';
    ELSE
        detail := flowlens.retention_keep_reason(target, partition, lower, upper);
    END IF;
    IF detail IS NULL THEN
        bytes := flowlens.partition_bytes(partition);
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', target, partition);
        EXECUTE format('DROP TABLE %s', partition);
        outcome := 'dropped';
    END IF;
EXCEPTION
WHEN undefined_table THEN
    outcome := 'kept';
    detail := 'somebody else dropped it';
WHEN lock_not_available OR deadlock_detected THEN
    outcome := 'blocked';
    bytes := NULL;
    detail := coalesce(flowlens.lock_holders(array_remove(ARRAY[target, partition, default_partition], NULL)), 'a session that is gone by now');
END
$$;
COMMENT ON FUNCTION flowlens.try_drop_partition(regclass, regclass, timestamptz, timestamptz, text) IS
'Detaches and drops a partition unless it has to stay or somebody uses it: outcome dropped, kept or blocked, with a reason, and the bytes freed. Its parent is locked from there to the end of the transaction, after waiting at most 50 ms. Part of drop_expired_partition().';
-- drops tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.try_drop_partition(regclass, regclass, timestamptz, timestamptz, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.drop_expired_partition(target regclass, partition regclass, lower timestamptz, upper timestamptz, rolled_up text DEFAULT NULL,
    attempts integer DEFAULT 5, OUT outcome text, OUT detail text, OUT bytes bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    parent_name text := (SELECT c.relname FROM pg_class c WHERE c.oid = target);
    old_name text := partition::text;
    old_timeout text := current_setting('lock_timeout');
BEGIN
    PERFORM flowlens.hold_retention_locks(parent_name);
    FOR attempt IN 1..attempts LOOP
        SELECT t.* INTO outcome, detail, bytes FROM flowlens.try_drop_partition(target, partition, lower, upper, rolled_up) t;
        EXIT WHEN outcome <> 'blocked' OR attempt = attempts;
        PERFORM pg_sleep(0.1);    -- nothing that readers need is locked here
    END LOOP;
    PERFORM set_config('lock_timeout', old_timeout, true);
    IF outcome = 'blocked' THEN
        INSERT INTO flowlens.retention_blocked AS b (table_name, partition_name, blocked_since, last_attempt_at, attempts, blocked_by)
        VALUES (parent_name, old_name, clock_timestamp(), clock_timestamp(), 1, detail)
        ON CONFLICT (table_name, partition_name) DO UPDATE SET
            last_attempt_at = excluded.last_attempt_at, attempts = b.attempts + 1, blocked_by = excluded.blocked_by;
    ELSE
        DELETE FROM flowlens.retention_blocked b WHERE b.table_name = parent_name AND b.partition_name = old_name;
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.drop_expired_partition(regclass, regclass, timestamptz, timestamptz, text, integer) IS
'Drops a partition, making so many attempts with breaks of 100 ms; what is blocked is noted in retention_blocked. "rolled_up" is what roll_up_partition() returned: facts that were scored again since then stay. Returns outcome dropped, kept or blocked, with a reason, and the bytes freed.';
-- drops tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.drop_expired_partition(regclass, regclass, timestamptz, timestamptz, text, integer) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.sharded_condition(condition text)
RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, flowlens, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
    SELECT replace(condition, 'ARRAY(SELECT n.day FROM flowlens.retention_needed_days() n (day) WHERE n.day IS NOT NULL)',
                   quote_literal(ARRAY(SELECT n.day FROM flowlens.retention_needed_days() n (day) WHERE n.day IS NOT NULL)) || '::date[]')
$$;
COMMENT ON FUNCTION flowlens.sharded_condition(text) IS
'A condition of retention_condition() with its days as values: the shards of a distributed table cannot look them up.';

CREATE OR REPLACE FUNCTION flowlens.delete_from_shards(relation regclass, table_name text, condition text)
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    wanted text := flowlens.sharded_condition(condition);
    deleted bigint;
BEGIN
    IF table_name = 'fact_repo_snapshots' THEN
        EXECUTE flowlens.roll_up_statement(format('(SELECT * FROM %s r WHERE %s)', relation, wanted));
    END IF;
    EXECUTE format('DELETE FROM %s r WHERE %s', relation, wanted);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION flowlens.delete_from_shards(regclass, text, text) IS
'What delete_expired_batch() does, for a distributed table: all rows at once, on the shards.';
-- deletes rows: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.delete_from_shards(regclass, text, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.batch_way(relation regclass, time_column name)
RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT CASE WHEN bool_or(i.indpred IS NULL) THEN 'range' WHEN count(*) > 0 THEN 'addresses' ELSE 'blocks' END
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = relation AND i.indisvalid AND a.attname = time_column AND pg_index_column_has_property(i.indexrelid, 1, 'orderable')
$$;
COMMENT ON FUNCTION flowlens.batch_way(regclass, name) IS
'How batches of old rows are found: as a range of times where an index has all rows in their order, by their addresses where it has some, or else block by block. Part of delete_expired_batch().';

CREATE OR REPLACE FUNCTION flowlens.delete_chosen(relation regclass, table_name text, chosen text)
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    deleted bigint;
BEGIN
    IF table_name = 'fact_repo_snapshots' THEN
        EXECUTE format('WITH gone AS (DELETE FROM ONLY %s r WHERE %s RETURNING r.github_id, r.snapshot_date, r.stars, r.momentum_score, '
                       'r.rank_overall, r.is_stale, r.is_outlier), rolled AS (%s) SELECT count(*) FROM gone', relation, chosen, flowlens.roll_up_statement('gone'))
        INTO deleted;
    ELSE
        EXECUTE format('DELETE FROM ONLY %s r WHERE %s', relation, chosen);    -- nothing returned: that costs half as much again
        GET DIAGNOSTICS deleted = ROW_COUNT;
    END IF;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION flowlens.delete_chosen(regclass, text, text) IS
'Deletes the rows of a table, called r, that fulfil a condition, and returns how many; facts are added to agg_repo_monthly in the same statement. Part of delete_expired_batch().';
-- deletes rows: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.delete_chosen(regclass, text, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.delete_range(relation regclass, table_name text, time_column name, region text, batch_size integer, INOUT place text, OUT deleted bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
SET enable_seqscan = off    -- only an index finds the end of a range without reading the table, and the planner cannot know it
AS $$
DECLARE
    behind text := format('SELECT r.%1$I FROM ONLY %2$s r WHERE %3$s ORDER BY r.%1$I OFFSET %4$s LIMIT 1', time_column, relation, region, batch_size);
    next_place text;
BEGIN
    EXECUTE format('SELECT (%s)::text', behind) INTO next_place;
    IF next_place = place THEN    -- more rows than a batch holds have the same time
        SELECT d.* INTO place, deleted FROM flowlens.delete_addresses(relation, table_name, time_column, region, region, batch_size) d;
        RETURN;
    END IF;
    -- the row behind the batch again: others may have come before it by now, and a batch is no larger for that
    deleted := flowlens.delete_chosen(relation, table_name, format('%s AND r.%I < coalesce((%s), ''infinity'')', region, time_column, behind));
    place := next_place;
END
$$;
COMMENT ON FUNCTION flowlens.delete_range(regclass, text, name, text, integer, text) IS
'Deletes the rows of a region that come before the one behind the batch; an index has all rows in their order. Part of delete_expired_batch().';
-- deletes rows: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.delete_range(regclass, text, name, text, integer, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.delete_addresses(relation regclass, table_name text, time_column name, region text, condition text, batch_size integer, OUT place text, OUT deleted bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    source text := format('FROM ONLY %s r WHERE %s', relation, region) || coalesce(' ORDER BY r.' || quote_ident(time_column), '');
BEGIN
    IF time_column IS NOT NULL THEN
        EXECUTE format('SELECT r.%I::text %s OFFSET %s LIMIT 1', time_column, source, batch_size - 1) INTO place;
    END IF;
    -- the condition again: another session may have changed a row meanwhile
    deleted := flowlens.delete_chosen(relation, table_name, format('r.ctid = ANY (ARRAY(SELECT r.ctid %s LIMIT %s)) AND (%s)', source, batch_size, condition));
END
$$;
COMMENT ON FUNCTION flowlens.delete_addresses(regclass, text, name, text, text, integer) IS
'Deletes a batch of rows of a region by their addresses, in the order of a column unless it is NULL; "place" is where the next batch begins, NULL when this one was not full. Rows that do not fulfil "condition" any more stay. Part of delete_expired_batch().';
-- deletes rows: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.delete_addresses(regclass, text, name, text, text, integer) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.delete_expired_batch(relation regclass, table_name text, time_column name, condition text, INOUT place text, OUT deleted bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET jit = off
AS $$
DECLARE
    batch_size CONSTANT integer := 10000;
    batch_blocks CONSTANT integer := 1000;
    way text := flowlens.batch_way(relation, time_column);
    blocks bigint := pg_relation_size(relation) / current_setting('block_size')::bigint;
    first bigint;
    region text;
BEGIN
    PERFORM flowlens.hold_retention_locks(table_name);
    IF flowlens.is_distributed(relation) THEN
        deleted := flowlens.delete_from_shards(relation, table_name, condition);
        place := NULL;
        RETURN;
    END IF;
    LOOP
        -- dead rows of the batches before must not be passed again: go on from the last time, or block by block
        IF way = 'blocks' THEN
            first := coalesce(place, '0');
            region := format('(%s) AND r.ctid >= ''(%s,0)'' AND r.ctid < ''(%s,0)''', condition, first, first + batch_blocks);
            SELECT d.deleted INTO deleted FROM flowlens.delete_addresses(relation, table_name, NULL, region, condition, batch_size) d;
            place := CASE WHEN deleted > 0 THEN first WHEN first + batch_blocks < blocks THEN first + batch_blocks END;
        ELSE
            region := format('(%s)%s', condition, CASE WHEN place IS NOT NULL THEN format(' AND r.%I >= %L', time_column, place) END);
            IF way = 'range' THEN
                SELECT d.* INTO place, deleted FROM flowlens.delete_range(relation, table_name, time_column, region, batch_size, place) d;
            ELSE    -- the condition of versions is long, and while retention holds its locks nobody changes them
                SELECT d.* INTO place, deleted
                FROM flowlens.delete_addresses(relation, table_name, time_column, region, CASE table_name WHEN 'dim_repositories' THEN 'true' ELSE condition END, batch_size) d;
            END IF;
        END IF;
        EXIT WHEN place IS NULL OR deleted > 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.delete_expired_batch(regclass, text, name, text, text) IS
'Deletes at most 10000 rows that fulfil "condition", oldest first where an index leads to them; facts are added to agg_repo_monthly in the same statement. "place" is NULL at the beginning and at the end, between them it says where to go on.';
-- deletes rows: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.delete_expired_batch(regclass, text, name, text, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION flowlens.mark_expired_days(cutoff timestamptz)
RETURNS bigint LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    first_kept date := (cutoff AT TIME ZONE 'UTC')::date;
    with_facts date[];
    marked bigint;
BEGIN
    IF flowlens.is_distributed('flowlens.fact_repo_snapshots') THEN
        SELECT array_agg(DISTINCT f.snapshot_date) INTO with_facts FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date < first_kept;
    ELSE
        with_facts := ARRAY(
            SELECT d.day FROM flowlens.pipeline_days d
            WHERE d.day < first_kept AND EXISTS (SELECT FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = d.day));
    END IF;
    UPDATE flowlens.pipeline_days d SET expired_at = clock_timestamp()
    WHERE d.day < first_kept AND d.published_at IS NOT NULL AND d.expired_at IS NULL AND d.day <> ALL (coalesce(with_facts, '{}'));
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END
$$;
COMMENT ON FUNCTION flowlens.mark_expired_days(timestamptz) IS
'Notes in pipeline_days which published days before "cutoff" have lost their facts; returns how many. Part of retention.';
-- steers the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.mark_expired_days(timestamptz) FROM PUBLIC;

CREATE OR REPLACE VIEW flowlens.analytics_repo_monthly AS
SELECT
    dr.repo_full_name,
    dr.language,
    m.month,
    m.days_counted,
    m.first_stars,
    m.last_stars,
    m.max_stars,
    m.last_stars - m.first_stars AS star_gain,
    m.mean_momentum,
    m.best_rank,
    m.first_day,
    m.last_day,
    m.github_id
FROM (
    SELECT p.github_id, p.month, sum(p.days_counted) AS days_counted, min(p.first_day) AS first_day, max(p.last_day) AS last_day,
           (array_agg(p.first_stars ORDER BY p.first_day))[1] AS first_stars,
           (array_agg(p.last_stars ORDER BY p.last_day DESC))[1] AS last_stars,
           max(p.max_stars) AS max_stars, sum(p.momentum_sum) / nullif(sum(p.momentum_days), 0) AS mean_momentum, min(p.best_rank) AS best_rank
    FROM (
        SELECT a.github_id, a.month, a.days_counted, a.first_day, a.last_day, a.first_stars, a.last_stars, a.max_stars,
               a.momentum_sum, a.momentum_days, a.best_rank
        FROM flowlens.agg_repo_monthly a
        UNION ALL
        SELECT f.github_id, f.snapshot_date - extract(day FROM f.snapshot_date)::integer + 1, 1, f.snapshot_date, f.snapshot_date,
               f.stars, f.stars, f.stars, f.momentum_score, (f.momentum_score IS NOT NULL)::integer, f.rank_overall
        FROM flowlens.fact_repo_snapshots f
        WHERE NOT f.is_stale AND NOT f.is_outlier
          AND NOT EXISTS (SELECT FROM flowlens.agg_repo_monthly o
                          WHERE o.github_id = f.github_id AND o.month = f.snapshot_date - extract(day FROM f.snapshot_date)::integer + 1
                            AND o.day_mask & (1 << (extract(day FROM f.snapshot_date)::integer - 1)) <> 0)
    ) p
    GROUP BY p.github_id, p.month
) m
JOIN flowlens.dim_repositories dr ON dr.github_id = m.github_id AND dr.is_current
WHERE NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
ORDER BY dr.repo_full_name, m.month DESC;
COMMENT ON VIEW flowlens.analytics_repo_monthly IS
'Whole months of each repository under its present name, newest first: expired days from agg_repo_monthly and the days that still have facts. mean_momentum is the mean of the days'' momentum_score, best_rank the best rank_overall.';

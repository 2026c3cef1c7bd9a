-- staging of distributed tables ---------------------------------------------------
-- Where Citus shards the raw and staging tables by github_id, every statement below runs on the shards, beside its rows.
-- arrival_xid is always a transaction of the coordinator, which computes the default of the column. A row may become
-- visible on its shard a little later than that transaction ends: the second phase of its commit is still on the way.
-- Such transactions do not count as read.

CREATE FUNCTION flowlens.unfinished_commits()
RETURNS xid8[] LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    own bigint := pg_current_xact_id()::text::bigint;
    unfinished xid8[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_dist_transaction) THEN
        RETURN '{}';
    END IF;
    -- the record of a two-phase commit is written by the transaction itself, and names what it left prepared on a node
    WITH node AS MATERIALIZED (
        SELECT n.success, CASE WHEN n.success THEN n.result::text[] END AS prepared
        FROM run_command_on_all_nodes('SELECT coalesce(array_agg(gid), ''{}'') FROM pg_prepared_xacts') n
    )
    SELECT array_agg(DISTINCT (own - ((own - t.xmin::text::bigint) & 4294967295))::text::xid8) INTO unfinished
    FROM pg_dist_transaction t
    WHERE EXISTS (SELECT 1 FROM node n WHERE NOT n.success OR t.gid = ANY (n.prepared));
    RETURN coalesce(unfinished, '{}');
END
$$;
COMMENT ON FUNCTION flowlens.unfinished_commits() IS
'Committed transactions of this node whose rows some other node does not show yet: they are prepared there, or the node does not answer. For databases with Citus. Part of store_in_staging().';
-- asks all nodes: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.unfinished_commits() FROM PUBLIC;

CREATE FUNCTION flowlens.sharded_cursor_snapshot()
RETURNS pg_snapshot LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    snapshot pg_snapshot := flowlens.cursor_snapshot();
    unfinished xid8[] := flowlens.unfinished_commits();    -- asked after the snapshot: what is not in it then is on all shards
BEGIN
    RETURN (SELECT format('%s:%s:%s', least(pg_snapshot_xmin(snapshot), min(x.xid)), pg_snapshot_xmax(snapshot),
                          string_agg(x.xid::text, ',' ORDER BY x.xid))
            FROM (SELECT pg_snapshot_xip(snapshot) AS xid
                  UNION SELECT u.xid FROM unnest(unfinished) u (xid) WHERE u.xid < pg_snapshot_xmax(snapshot)) x);
END
$$;
COMMENT ON FUNCTION flowlens.sharded_cursor_snapshot() IS
'The current snapshot without the current transaction and without those whose commit has not reached all shards: what a staging run over distributed tables may count as read.';
-- takes a transaction number and asks all nodes: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.sharded_cursor_snapshot() FROM PUBLIC;

CREATE FUNCTION flowlens.arrival_condition(since pg_snapshot, read_until pg_snapshot)
RETURNS text LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN since IS NULL THEN 'true' ELSE format(
        '(r.arrival_xid >= %L AND NOT pg_visible_in_snapshot(r.arrival_xid, %L) AND (pg_visible_in_snapshot(r.arrival_xid, %L) OR r.arrival_xid = %L))',
        pg_snapshot_xmin(since), since, read_until, pg_current_xact_id()) END
$$;
COMMENT ON FUNCTION flowlens.arrival_condition(pg_snapshot, pg_snapshot) IS
'A condition, as text, over raw rows r: visible to "read_until", or of this transaction, and not visible to "since" (NULL = all rows).';
-- takes a transaction number: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.arrival_condition(pg_snapshot, pg_snapshot) FROM PUBLIC;

-- The statements are built as text with their values: Citus cannot tell the types of some parameters to the workers.
CREATE FUNCTION flowlens.stage_answers_sharded(retry boolean, since pg_snapshot, read_until pg_snapshot, latest timestamptz,
    OUT staged bigint, OUT rejected bigint, OUT answers bigint, OUT newest timestamptz)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET jit = off    -- compiling takes longer than it saves
AS $$
DECLARE
    rules text := quote_literal(flowlens.repository_rules()::text);
    as_of text := quote_literal(now()) || '::timestamptz';    -- the coordinator's clock, not that of each shard
    days date[];
    source text := CASE WHEN retry THEN
        'SELECT r.github_id, r.raw_id, r.repo_full_name, r.source_language, r.fetch_timestamp, r.api_response
         FROM flowlens.stg_repos_rejected r WHERE true'
    ELSE
        'SELECT r.github_id, r.id AS raw_id, r.repo_full_name, r.source_language, r.fetch_timestamp, r.api_response
         FROM flowlens.raw_github_repos r WHERE ' || flowlens.arrival_condition(since, read_until)
    END;
    -- an answer that came late does not beat a newer one of its day, even if that one had changed nothing
    unbeaten text :=
        ' AND (r.fetch_timestamp >= ' || quote_literal(coalesce(latest, '-infinity')) || '
               OR NOT EXISTS (
                   SELECT 1
                   FROM flowlens.raw_github_repos n
                   WHERE n.github_id = r.github_id
                     AND (n.fetch_timestamp, n.id) > (r.fetch_timestamp, ' || CASE WHEN retry THEN 'r.raw_id' ELSE 'r.id' END || ')
                     AND n.fetch_timestamp < ((r.fetch_timestamp AT TIME ZONE ''UTC'')::date + 1)::timestamp AT TIME ZONE ''UTC''
                     AND (flowlens.project_github_repo_at(n.api_response, n.source_language, greatest(' || as_of || ', n.fetch_timestamp))).errors IS NULL'
        || coalesce('
                     AND flowlens.jsonb_matches_schema(' || rules || '::flowlens.jsonschema, n.api_response)', '') || '))';
    head text :=
        'SELECT a.github_id, a.raw_id, a.repo_full_name AS name_of_raw, a.source_language, a.fetch_timestamp, a.api_response,
                (a.fetch_timestamp AT TIME ZONE ''UTC'')::date AS observed_on, p.*,
                nullif(coalesce(p.broken, ''[]'')'
        || coalesce(' || coalesce(flowlens.rule_errors(' || rules || '::flowlens.jsonschema, a.api_response), ''[]'')', '') || '
                       || CASE WHEN p.id <> a.github_id
                               THEN ''[{"instanceLocation": "/id", "keyword": "const", "error": "is not the github_id of its raw row"}]''
                               ELSE ''[]'' END::jsonb, ''[]'') AS errors
         FROM (';
    tail text := ') a
         CROSS JOIN LATERAL flowlens.project_github_repo_at(a.api_response, a.source_language, greatest(' || as_of || ', a.fetch_timestamp))
            AS p (id, repo_full_name, repo_url, language, description, stars, forks, open_issues, topics, is_archived, is_disabled,
                  is_fork, is_private, created_at, updated_at, pushed_at, broken)';
BEGIN
    EXECUTE 'SELECT count(*), max(a.fetch_timestamp) FROM (' || source || ') a' INTO answers, newest;
    IF answers = 0 THEN
        staged := 0;
        rejected := 0;
        RETURN;
    END IF;
    EXECUTE '
        WITH stored AS (
            INSERT INTO flowlens.stg_repos_validated AS s (
                github_id, observed_on, repo_full_name, repo_url, language, description, stars, forks, open_issues, topics,
                is_archived, is_disabled, is_fork, is_private, created_at, updated_at, pushed_at,
                readme_content, observed_at, effective_at, raw_id)
            SELECT l.github_id, l.observed_on, l.repo_full_name, l.repo_url, l.language, l.description, l.stars, l.forks, l.open_issues, l.topics,
                   l.is_archived, l.is_disabled, l.is_fork, l.is_private, l.created_at, l.updated_at, l.pushed_at,
                   m.readme_content, l.fetch_timestamp, greatest(l.fetch_timestamp, m.observed_at), l.raw_id
            FROM (SELECT DISTINCT ON (x.github_id, x.observed_on) x.*
                  FROM (' || head || source || unbeaten || tail || ') x
                  WHERE x.errors IS NULL
                  ORDER BY x.github_id, x.observed_on, x.fetch_timestamp DESC, x.raw_id DESC) l
            LEFT JOIN flowlens.stg_repo_readmes m
                   ON m.github_id = l.github_id AND m.observed_at < (l.observed_on + 1)::timestamp AT TIME ZONE ''UTC''
            ON CONFLICT (github_id, observed_on) DO UPDATE SET
                repo_full_name = excluded.repo_full_name, repo_url = excluded.repo_url, language = excluded.language,
                description = excluded.description, stars = excluded.stars, forks = excluded.forks,
                open_issues = excluded.open_issues, topics = excluded.topics, is_archived = excluded.is_archived,
                is_disabled = excluded.is_disabled, is_fork = excluded.is_fork, is_private = excluded.is_private,
                created_at = excluded.created_at, updated_at = excluded.updated_at, pushed_at = excluded.pushed_at,
                readme_content = coalesce(excluded.readme_content, s.readme_content),
                observed_at = excluded.observed_at, effective_at = greatest(excluded.effective_at, s.effective_at),
                raw_id = excluded.raw_id, loaded_at = excluded.loaded_at
            WHERE (excluded.observed_at, excluded.raw_id) > (s.observed_at, s.raw_id)
              AND (s.repo_full_name, s.repo_url, s.language, s.description, s.stars, s.forks, s.open_issues, s.topics,
                   s.is_archived, s.is_disabled, s.is_fork, s.is_private, s.created_at, s.updated_at, s.pushed_at)
                  IS DISTINCT FROM
                  (excluded.repo_full_name, excluded.repo_url, excluded.language, excluded.description, excluded.stars,
                   excluded.forks, excluded.open_issues, excluded.topics, excluded.is_archived, excluded.is_disabled,
                   excluded.is_fork, excluded.is_private, excluded.created_at, excluded.updated_at, excluded.pushed_at)
            RETURNING observed_on
        )
        SELECT count(*), array_agg(DISTINCT s.observed_on) FROM stored s' INTO staged, days;
    IF retry THEN
        EXECUTE 'DELETE FROM flowlens.stg_repos_rejected q USING (' || head || source || tail || ') x
                 WHERE q.github_id = x.github_id AND q.raw_id = x.raw_id AND x.errors IS NULL';
    END IF;
    EXECUTE 'INSERT INTO flowlens.stg_repos_rejected AS q
                 (github_id, raw_id, repo_full_name, api_response, source_language, fetch_timestamp, errors)
             SELECT x.github_id, x.raw_id, x.name_of_raw, x.api_response, x.source_language, x.fetch_timestamp, x.errors
             FROM (' || head || source || tail || ') x
             WHERE x.errors IS NOT NULL
             ON CONFLICT (github_id, raw_id) DO UPDATE SET errors = excluded.errors, attempts = q.attempts + 1
             WHERE ' || retry::text;
    GET DIAGNOSTICS rejected = ROW_COUNT;
    IF days IS NOT NULL THEN
        PERFORM flowlens.mark_days(days);
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.stage_answers_sharded(boolean, pg_snapshot, pg_snapshot, timestamptz) IS
'What stage_answers() does, for distributed tables: each statement runs on the shards. Reads what is visible to "read_until" and not to "since" (NULL = all); an answer whose id is not the github_id of its row is rejected, because it belongs to another shard.';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.stage_answers_sharded(boolean, pg_snapshot, pg_snapshot, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.stage_metrics_sharded(since pg_snapshot, read_until pg_snapshot, OUT changed bigint, OUT newest timestamptz)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET jit = off    -- compiling takes longer than it saves
AS $$
DECLARE
    repositories bigint[];
    active_days date[];
    source text :=
        'SELECT r.github_id, r.id, r.metric_type, r.metric_data, r.fetch_timestamp
         FROM flowlens.raw_repo_metrics r WHERE ' || flowlens.arrival_condition(since, read_until);
BEGIN
    changed := 0;
    EXECUTE 'SELECT max(a.fetch_timestamp) FROM (' || source || ') a' INTO newest;
    IF newest IS NULL THEN
        RETURN;
    END IF;
    EXECUTE '
        WITH stored AS (
            INSERT INTO flowlens.stg_repo_readmes AS m (github_id, readme_content, observed_at)
            SELECT DISTINCT ON (a.github_id) a.github_id, a.metric_data #>> ''{}'', a.fetch_timestamp
            FROM (' || source || ') a
            WHERE a.metric_type = ''readme''
            ORDER BY a.github_id, a.fetch_timestamp DESC, a.id DESC
            ON CONFLICT (github_id) DO UPDATE SET readme_content = excluded.readme_content, observed_at = excluded.observed_at
            WHERE excluded.observed_at >= m.observed_at AND excluded.readme_content IS DISTINCT FROM m.readme_content
            RETURNING github_id
        )
        SELECT count(*), array_agg(s.github_id) FROM stored s' INTO changed, repositories;
    EXECUTE '
        WITH active AS (
            INSERT INTO flowlens.stg_repo_activity AS s (github_id, observed_on, event_on, metric_type, events, total)
            SELECT g.github_id, g.observed_on, g.event_on, g.metric_type, g.events - coalesce(g.known, g.events), CASE WHEN g.is_total THEN g.events END
            FROM (
                SELECT c.github_id, c.metric_type, c.event_on, c.observed_on, c.events, c.is_total,
                       greatest(CASE WHEN c.is_total THEN max(c.events) OVER earlier ELSE coalesce(max(c.events) OVER earlier, 0) END,
                                CASE WHEN c.is_total THEN t.total ELSE e.events END) AS known
                FROM (SELECT a.github_id, a.metric_type, e.event_on, e.is_total, (a.fetch_timestamp AT TIME ZONE ''UTC'')::date AS observed_on,
                             max(e.events) AS events
                      FROM (' || source || ') a,
                           flowlens.metric_events(a.metric_type, a.metric_data, (a.fetch_timestamp AT TIME ZONE ''UTC'')::date) e
                      WHERE a.metric_type <> ''readme''
                      GROUP BY 1, 2, 3, 4, 5) c
                LEFT JOIN (SELECT k.github_id, k.metric_type, max(k.total) AS total
                           FROM flowlens.stg_repo_activity k GROUP BY k.github_id, k.metric_type) t
                       ON t.github_id = c.github_id AND t.metric_type = c.metric_type
                LEFT JOIN (SELECT k.github_id, k.metric_type, k.event_on, sum(k.events) AS events
                           FROM flowlens.stg_repo_activity k WHERE k.total IS NULL GROUP BY k.github_id, k.metric_type, k.event_on) e
                       ON e.github_id = c.github_id AND e.metric_type = c.metric_type AND e.event_on = c.event_on
                WINDOW earlier AS (PARTITION BY c.github_id, c.metric_type, c.is_total, CASE WHEN NOT c.is_total THEN c.event_on END
                                   ORDER BY c.observed_on ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            ) g
            WHERE g.events > coalesce(g.known, -1)
            ON CONFLICT (github_id, observed_on, event_on, metric_type) DO UPDATE
            SET events = s.events + excluded.events, total = coalesce(excluded.total, s.total)
            RETURNING observed_on
        )
        SELECT array_agg(DISTINCT t.observed_on) FROM active t' INTO active_days;
    IF active_days IS NOT NULL THEN
        PERFORM flowlens.mark_days(active_days);
    END IF;
    IF changed > 0 THEN
        PERFORM flowlens.apply_readmes(repositories);
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.stage_metrics_sharded(pg_snapshot, pg_snapshot) IS
'What stage_metrics() does, for distributed tables: reads what is visible to "read_until" and not to "since" (NULL = all).';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.stage_metrics_sharded(pg_snapshot, pg_snapshot) FROM PUBLIC;

CREATE FUNCTION flowlens.move_staging_cursor(source text, read_until pg_snapshot, newest timestamptz)
RETURNS void LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    UPDATE flowlens.staging_cursors c
    SET snapshot = read_until, latest = greatest(c.latest, newest), system_identifier = (SELECT y.system_identifier FROM pg_control_system() y)
    WHERE c.source = move_staging_cursor.source AND newest IS NOT NULL
$$;
COMMENT ON FUNCTION flowlens.move_staging_cursor(text, pg_snapshot, timestamptz) IS
'Notes up to where a raw table was read, and the newest fetch_timestamp read (NULL = nothing was read: the cursor stays).';
-- steers staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.move_staging_cursor(text, pg_snapshot, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.store_in_staging_sharded(OUT staged bigint, OUT rejected bigint, OUT unchanged bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    metrics_cursor record;
    answer_cursor record;
    read_until pg_snapshot;
    metrics record;
    run record;
BEGIN
    SELECT * INTO metrics_cursor FROM flowlens.staging_cursor('raw_repo_metrics');
    SELECT * INTO answer_cursor FROM flowlens.staging_cursor('raw_github_repos');
    read_until := flowlens.sharded_cursor_snapshot();
    SELECT * INTO metrics FROM flowlens.stage_metrics_sharded(metrics_cursor.since, read_until);
    PERFORM flowlens.move_staging_cursor('raw_repo_metrics', read_until, metrics.newest);
    SELECT * INTO run FROM flowlens.stage_answers_sharded(false, answer_cursor.since, read_until, answer_cursor.latest);
    PERFORM flowlens.move_staging_cursor('raw_github_repos', read_until, run.newest);
    staged := run.staged;
    rejected := run.rejected;
    -- a first run reads without an upper bound: what arrives meanwhile is counted by some statements only
    unchanged := greatest(run.answers - run.staged - run.rejected, 0);
END
$$;
COMMENT ON FUNCTION flowlens.store_in_staging_sharded() IS
'What store_in_staging() does, for distributed tables.';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_in_staging_sharded() FROM PUBLIC;


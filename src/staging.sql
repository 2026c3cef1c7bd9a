-- staging ---------------------------------------------------------------------
-- A run reads what arrived since the last one. "Since" is neither a time nor an id but a transaction snapshot: each raw
-- row carries the transaction that stored it, and a run reads the rows whose transaction the previous run could not
-- see. So a row that a long transaction commits late is never skipped.

CREATE FUNCTION flowlens.cursor_snapshot()
-- STABLE: it has to see the snapshot of the statement that reads; a VOLATILE function would take a newer one,
-- and what was committed between the two would count as read
RETURNS text LANGUAGE sql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
    -- a statement sees its own transaction, but what that transaction stores later must not count as read
    SELECT format('%s:%s:%s', least(pg_snapshot_xmin(s.snapshot), s.own), pg_snapshot_xmax(s.snapshot),
                  (SELECT string_agg(x.xid::text, ',' ORDER BY x.xid)
                   FROM (SELECT pg_snapshot_xip(s.snapshot) AS xid
                         UNION SELECT s.own WHERE s.own < pg_snapshot_xmax(s.snapshot)) x))
    FROM (SELECT pg_current_snapshot() AS snapshot, pg_current_xact_id() AS own) s
$$;
COMMENT ON FUNCTION flowlens.cursor_snapshot() IS
'The snapshot of the calling statement as text, without the current transaction: what a statement that stages may count as read.';
-- takes a transaction number: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.cursor_snapshot() FROM PUBLIC;

CREATE FUNCTION flowlens.staging_cursor(source text, OUT since pg_snapshot, OUT latest timestamptz)
RETURNS record LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    -- transaction numbers mean nothing in another cluster: there, reading starts anew
    SELECT CASE WHEN c.system_identifier = y.system_identifier THEN c.snapshot::pg_snapshot END, c.latest
    FROM flowlens.staging_cursors c, pg_control_system() y
    WHERE c.source = staging_cursor.source
    FOR UPDATE OF c
$$;
COMMENT ON FUNCTION flowlens.staging_cursor(text) IS
'Where staging stopped reading a raw table (NULL = read all); locks the cursor, so that runs take turns.';
-- locks the cursor: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.staging_cursor(text) FROM PUBLIC;

CREATE FUNCTION flowlens.adopt_raw_rows(source text)
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    horizon xid8 := pg_snapshot_xmax(pg_current_snapshot());
    adopted bigint;
BEGIN
    PERFORM 1 FROM flowlens.staging_cursors c, pg_control_system() y
    WHERE c.source = adopt_raw_rows.source AND c.system_identifier IS DISTINCT FROM y.system_identifier;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- a number that this cluster has yet to reach came from another one: it would count as unread for a long time, whatever
    -- is read; 3 has been visible to everybody since the cluster began
    EXECUTE format('UPDATE flowlens.%I SET arrival_xid = ''3'' WHERE arrival_xid >= $1', source) USING horizon;
    GET DIAGNOSTICS adopted = ROW_COUNT;
    RETURN adopted;
END
$$;
COMMENT ON FUNCTION flowlens.adopt_raw_rows(text) IS
'Before the first run in a cluster, renumbers raw rows whose transactions lie ahead of it (they were restored from another cluster); returns how many. Part of store_in_staging().';
-- writes raw data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.adopt_raw_rows(text) FROM PUBLIC;

CREATE FUNCTION flowlens.mark_days(days date[])
RETURNS void LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    INSERT INTO flowlens.pipeline_days AS d (day, dimensions_pending, snapshot_pending, changes)
    SELECT DISTINCT t.day, true, true, 1 FROM unnest(days) t (day)
    ON CONFLICT (day) DO UPDATE SET dimensions_pending = true, snapshot_pending = true, changes = d.changes + 1;
    -- what came late for an old day changes the days after it: their versions follow from its own,
    -- and a score looks 30 days back, unless the facts between have expired
    UPDATE flowlens.pipeline_days d
    SET dimensions_pending = true,
        snapshot_pending = d.snapshot_pending OR d.published_at IS NOT NULL AND d.expired_at IS NULL AND coalesce(d.day <= late.last_day + 30, false),
        changes = d.changes + 1
    FROM (SELECT min(t.day) AS first_day, max(t.day) FILTER (WHERE e.expired_at IS NULL) AS last_day
          FROM unnest(days) t (day) LEFT JOIN flowlens.pipeline_days e ON e.day = t.day) late
    WHERE d.day > late.first_day AND d.day <> ALL (days);
$$;
COMMENT ON FUNCTION flowlens.mark_days(date[]) IS
'Marks UTC days whose staged answers changed: their dimensions and facts are to be loaded, the days after them have their versions checked again, and published days whose 30-day window reaches back to them are scored again.';
-- steers the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.mark_days(date[]) FROM PUBLIC;

CREATE FUNCTION flowlens.repository_rules()
RETURNS flowlens.jsonschema LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$ SELECT s.value::jsonb::flowlens.jsonschema FROM flowlens.settings s WHERE s.name = 'repository_schema' $$;
COMMENT ON FUNCTION flowlens.repository_rules() IS
'The user''s own rules for a repository answer: setting "repository_schema", a JSON Schema; NULL when there are none.';

CREATE FUNCTION flowlens.rule_errors(rules flowlens.jsonschema, answer jsonb)
RETURNS jsonb LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT jsonb_agg(jsonb_build_object('instanceLocation', e.instance_location, 'keyword', e.keyword, 'error', e.error))
    FROM flowlens.jsonb_schema_errors(rules, answer) e
$$;
COMMENT ON FUNCTION flowlens.rule_errors(flowlens.jsonschema, jsonb) IS
'What an answer breaks of a JSON Schema, in the form of stg_repos_rejected.errors; NULL when nothing.';

CREATE FUNCTION flowlens.validate_github_repo(api_response jsonb, as_of timestamptz DEFAULT now())
RETURNS TABLE (instance_location text, keyword text, error text)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT e.* FROM flowlens.github_repo_errors(api_response, as_of) e;
    IF to_regclass('flowlens.settings') IS NOT NULL THEN
        RETURN QUERY SELECT e.instance_location, e.keyword, e.error
                     FROM flowlens.jsonb_schema_errors(flowlens.repository_rules(), api_response) e;
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.validate_github_repo(jsonb, timestamptz) IS
'The rules that a repository answer breaks, one row each: JSON Pointer, JSON Schema keyword, message; first those of github_repo_errors(), then those of the user''s own schema (setting "repository_schema"). No row means that it is valid.';

CREATE FUNCTION flowlens.stage_answers(retry boolean, since pg_snapshot, latest timestamptz,
    OUT staged bigint, OUT rejected bigint, OUT answers bigint, OUT newest timestamptz, OUT days date[], OUT read_until text)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET jit = off    -- compiling takes longer than it saves
AS $$
#variable_conflict use_column
DECLARE
    rules flowlens.jsonschema := flowlens.repository_rules();
BEGIN
    WITH projected AS MATERIALIZED (
        SELECT x.raw_github_id, x.raw_id, x.repo_full_name, x.source_language, x.fetch_timestamp, x.repo,
               (x.fetch_timestamp AT TIME ZONE 'UTC')::date AS observed_on,
               CASE WHEN x.rule_errors IS NULL THEN (x.repo).errors ELSE coalesce((x.repo).errors, '[]') || x.rule_errors END AS errors,
               (x.repo).errors IS NULL AND x.rule_errors IS NULL AS is_valid,
               CASE WHEN (x.repo).errors IS NOT NULL OR x.rule_errors IS NOT NULL THEN x.api_response END AS bad_answer
        FROM (SELECT a.*, flowlens.project_github_repo(a.api_response, a.source_language, greatest(now(), a.fetch_timestamp)) AS repo,
                     CASE WHEN rules IS NOT NULL THEN flowlens.rule_errors(rules, a.api_response) END AS rule_errors
              FROM (SELECT r.github_id AS raw_github_id, r.id AS raw_id, r.repo_full_name, r.source_language, r.fetch_timestamp, r.api_response
                    FROM flowlens.raw_github_repos r
                    WHERE NOT stage_answers.retry
                      AND (stage_answers.since IS NULL
                           OR r.arrival_xid >= pg_snapshot_xmin(stage_answers.since) AND NOT pg_visible_in_snapshot(r.arrival_xid, stage_answers.since))
                    UNION ALL
                    SELECT q.github_id, q.raw_id, q.repo_full_name, q.source_language, q.fetch_timestamp, q.api_response
                    FROM flowlens.stg_repos_rejected q
                    WHERE stage_answers.retry) a
              OFFSET 0) x    -- OFFSET 0: the function runs once per row, not once per column
    ), last_of_day AS (
        SELECT DISTINCT ON ((p.repo).github_id, p.observed_on) p.observed_on, p.fetch_timestamp, p.raw_id, p.repo
        FROM projected p
        WHERE p.is_valid
          -- an answer that came late does not beat a newer one of its day, even if that one had changed nothing
          AND (p.fetch_timestamp >= coalesce(stage_answers.latest, '-infinity')
               OR NOT EXISTS (
                   SELECT 1
                   FROM flowlens.raw_github_repos n
                   WHERE n.github_id = (p.repo).github_id
                     AND (n.fetch_timestamp, n.id) > (p.fetch_timestamp, p.raw_id)
                     AND n.fetch_timestamp < (p.observed_on + 1)::timestamp AT TIME ZONE 'UTC'
                     AND (flowlens.project_github_repo(n.api_response, n.source_language, greatest(now(), n.fetch_timestamp))).errors IS NULL
                     AND (rules IS NULL OR flowlens.jsonb_matches_schema(rules, n.api_response))))
        ORDER BY (p.repo).github_id, p.observed_on, p.fetch_timestamp DESC, p.raw_id DESC
    ), state AS MATERIALIZED (
        -- a limited subquery, so that only the partition of each day is looked into
        SELECT bool_and((SELECT s.observed_on FROM flowlens.stg_repos_validated s WHERE s.observed_on = d.observed_on LIMIT 1) IS NULL) AS is_empty
        FROM (SELECT DISTINCT p.observed_on FROM projected p) d
    ), wanted AS NOT MATERIALIZED (
        SELECT (l.repo).github_id, l.observed_on, (l.repo).repo_full_name, (l.repo).repo_url, (l.repo).language,
               (l.repo).description, (l.repo).stars, (l.repo).forks, (l.repo).open_issues, (l.repo).topics,
               (l.repo).is_archived, (l.repo).is_disabled, (l.repo).is_fork, (l.repo).is_private,
               (l.repo).created_at, (l.repo).updated_at, (l.repo).pushed_at,
               m.readme_content, l.fetch_timestamp AS observed_at, greatest(l.fetch_timestamp, m.observed_at) AS effective_at, l.raw_id
        FROM last_of_day l
        LEFT JOIN flowlens.stg_repo_readmes m
               ON m.github_id = (l.repo).github_id AND m.observed_at < (l.observed_on + 1)::timestamp AT TIME ZONE 'UTC'
    ), begun AS (
        -- on days without staged answers nothing can conflict, because runs take turns: a plain INSERT costs less;
        -- only one of the two INSERTs has its rows computed
        INSERT INTO flowlens.stg_repos_validated (
            github_id, observed_on, repo_full_name, repo_url, language, description, stars, forks, open_issues, topics,
            is_archived, is_disabled, is_fork, is_private, created_at, updated_at, pushed_at,
            readme_content, observed_at, effective_at, raw_id)
        SELECT w.github_id, w.observed_on, w.repo_full_name, w.repo_url, w.language, w.description, w.stars, w.forks, w.open_issues, w.topics,
               w.is_archived, w.is_disabled, w.is_fork, w.is_private, w.created_at, w.updated_at, w.pushed_at,
               w.readme_content, w.observed_at, w.effective_at, w.raw_id
        FROM wanted w
        WHERE (SELECT e.is_empty FROM state e)
        RETURNING observed_on
    ), continued AS (
        INSERT INTO flowlens.stg_repos_validated AS s (
            github_id, observed_on, repo_full_name, repo_url, language, description, stars, forks, open_issues, topics,
            is_archived, is_disabled, is_fork, is_private, created_at, updated_at, pushed_at,
            readme_content, observed_at, effective_at, raw_id)
        SELECT w.github_id, w.observed_on, w.repo_full_name, w.repo_url, w.language, w.description, w.stars, w.forks, w.open_issues, w.topics,
               w.is_archived, w.is_disabled, w.is_fork, w.is_private, w.created_at, w.updated_at, w.pushed_at,
               w.readme_content, w.observed_at, w.effective_at, w.raw_id
        FROM wanted w
        WHERE NOT (SELECT e.is_empty FROM state e)
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
    ), stored AS (
        SELECT u.observed_on, count(*) AS answers
        FROM (SELECT b.observed_on FROM begun b UNION ALL SELECT c.observed_on FROM continued c) u
        GROUP BY u.observed_on
    ), quarantined AS (
        INSERT INTO flowlens.stg_repos_rejected AS q
            (github_id, raw_id, repo_full_name, api_response, source_language, fetch_timestamp, errors)
        SELECT p.raw_github_id, p.raw_id, p.repo_full_name, p.bad_answer, p.source_language, p.fetch_timestamp, p.errors
        FROM projected p
        WHERE NOT p.is_valid
        ON CONFLICT (github_id, raw_id) DO UPDATE SET errors = excluded.errors, attempts = q.attempts + 1
        WHERE stage_answers.retry
        RETURNING 1
    ), released AS (
        DELETE FROM flowlens.stg_repos_rejected q
        USING projected p
        WHERE stage_answers.retry AND q.github_id = p.raw_github_id AND q.raw_id = p.raw_id AND p.is_valid
    )
    SELECT (SELECT coalesce(sum(s.answers), 0) FROM stored s), (SELECT count(*) FROM quarantined), t.answers, t.newest,
           (SELECT array_agg(s.observed_on) FROM stored s), flowlens.cursor_snapshot()
    INTO staged, rejected, answers, newest, days, read_until
    FROM (SELECT count(*) AS answers, max(p.fetch_timestamp) AS newest FROM projected p) t;

    IF days IS NOT NULL THEN
        PERFORM flowlens.mark_days(days);
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.stage_answers(boolean, pg_snapshot, timestamptz) IS
'Validates answers and writes the last of each repository and UTC day to stg_repos_validated, the invalid ones to stg_repos_rejected: new raw answers not visible to "since" (NULL = all), or with "retry" the quarantine. "latest" is the newest fetch_timestamp read before. Part of store_in_staging() and retry_rejected().';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.stage_answers(boolean, pg_snapshot, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.metric_events(metric_type text, metric_data jsonb, observed_on date)
RETURNS TABLE (event_on date, events bigint, is_total boolean)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    WITH item AS (
        SELECT i.value
        FROM jsonb_array_elements(CASE WHEN jsonb_typeof(metric_data) = 'array' THEN metric_data
                                       WHEN jsonb_typeof(metric_data -> 'items') = 'array' THEN metric_data -> 'items'
                                       ELSE '[]' END) i
    ), instant AS (
        -- times are RFC 3339 in UTC, as GitHub writes them; anything else is no event
        SELECT CASE WHEN metric_type = 'commits' THEN i.value #>> '{commit,committer,date}'
                    WHEN NOT coalesce(i.value -> 'pull_request', 'null') <> 'null' THEN i.value ->> 'closed_at' END AS at
        FROM item i
        WHERE metric_type IN ('commits', 'issues')
    ), week AS (
        -- the statistics of GitHub: a week begins on a Sunday and has the commits of its days, or, per contributor, of the week
        SELECT to_timestamp(w.start::numeric::float8) AS start, w.days, w.commits
        FROM (SELECT i.value -> 'week' AS start, i.value -> 'days' AS days, NULL::jsonb AS commits FROM item i WHERE metric_type = 'commits'
              UNION ALL
              SELECT e.value -> 'w', NULL, e.value -> 'c'
              FROM item i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.value -> 'weeks') = 'array' THEN i.value -> 'weeks' ELSE '[]' END) e
              WHERE metric_type = 'contributors') w
        WHERE CASE WHEN jsonb_typeof(w.start) = 'number' THEN w.start::numeric BETWEEN 0 AND 4102444800 END
    ), event AS (
        SELECT make_date(left(t.at, 4)::integer, substr(t.at, 6, 2)::integer, 1) + substr(t.at, 9, 2)::integer - 1 AS event_on, 1::bigint AS events
        FROM instant t
        WHERE t.at ~ '^(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T[0-9:.]+Z$'
        UNION ALL
        SELECT (w.start AT TIME ZONE 'UTC')::date + d.n::integer - 1, CASE WHEN jsonb_typeof(d.value) = 'number' THEN greatest(least(d.value::numeric, 1e6), 0) END::bigint
        FROM week w, jsonb_array_elements(CASE WHEN jsonb_typeof(w.days) = 'array' THEN w.days ELSE '[]' END) WITH ORDINALITY d (value, n)
        WHERE d.n <= 7
        UNION ALL
        -- whoever contributed in a week counts on its last day that can be known
        SELECT least((w.start AT TIME ZONE 'UTC')::date + 6, observed_on), 1
        FROM week w
        WHERE jsonb_typeof(w.commits) = 'number' AND w.commits > '0'
          AND (w.start AT TIME ZONE 'UTC')::date <= observed_on
    )
    SELECT e.event_on, least(sum(e.events), 100)::bigint, false
    FROM event e
    WHERE e.events > 0 AND e.event_on BETWEEN observed_on - 255 AND observed_on
    GROUP BY e.event_on
    UNION ALL
    -- a plain list of contributors has no times: its growth is what happened
    SELECT observed_on, count(*), true
    FROM item i
    WHERE metric_type = 'contributors' AND NOT i.value ? 'weeks'
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION flowlens.metric_events(text, jsonb, date) IS
'The events in an answer about commits, issues or contributors by UTC day, at most 100 a day, of the 256 days up to observed_on: commits of a list or of the statistics by week, closed issues without pull requests, contributors with commits in a week. is_total marks the length of a plain list of contributors. What is not understood is no event.';

CREATE FUNCTION flowlens.apply_readmes(changed bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    days date[];
BEGIN
    -- a README belongs to the newest answer that is staged; one that comes before any answer waits for it
    WITH updated AS (
        UPDATE flowlens.stg_repos_validated s
        SET readme_content = m.readme_content, effective_at = greatest(s.effective_at, m.observed_at)
        FROM flowlens.stg_repo_readmes m
        WHERE m.github_id = ANY (changed) AND s.github_id = m.github_id
          AND s.observed_on = (SELECT max(n.observed_on) FROM flowlens.stg_repos_validated n WHERE n.github_id = m.github_id)
          AND s.readme_content IS DISTINCT FROM m.readme_content
        RETURNING s.observed_on
    )
    SELECT array_agg(DISTINCT u.observed_on) INTO days FROM updated u;
    UPDATE flowlens.pipeline_days d SET dimensions_pending = true, changes = d.changes + 1 WHERE d.day = ANY (days);
END
$$;
COMMENT ON FUNCTION flowlens.apply_readmes(bigint[]) IS
'Takes the READMEs of some repositories from stg_repo_readmes to the newest staged answer of each, and marks its day. Part of store_in_staging().';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.apply_readmes(bigint[]) FROM PUBLIC;

CREATE FUNCTION flowlens.stage_metrics()
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET jit = off    -- compiling takes longer than it saves
AS $$
DECLARE
    cursor_row record;
    read_until text;
    newest timestamptz;
    changed bigint[];
    active_days date[];
BEGIN
    SELECT * INTO cursor_row FROM flowlens.staging_cursor('raw_repo_metrics');
    WITH arrived AS (
        SELECT r.github_id, r.id, r.metric_type, r.metric_data, r.fetch_timestamp
        FROM flowlens.raw_repo_metrics r
        WHERE cursor_row.since IS NULL
           OR r.arrival_xid >= pg_snapshot_xmin(cursor_row.since) AND NOT pg_visible_in_snapshot(r.arrival_xid, cursor_row.since)
    ), stored AS (
        INSERT INTO flowlens.stg_repo_readmes AS m (github_id, readme_content, observed_at)
        SELECT DISTINCT ON (a.github_id) a.github_id, a.metric_data #>> '{}', a.fetch_timestamp
        FROM arrived a
        WHERE a.metric_type = 'readme'
        ORDER BY a.github_id, a.fetch_timestamp DESC, a.id DESC
        ON CONFLICT (github_id) DO UPDATE SET readme_content = excluded.readme_content, observed_at = excluded.observed_at
        WHERE excluded.observed_at >= m.observed_at AND excluded.readme_content IS DISTINCT FROM m.readme_content
        RETURNING github_id
    ), counted AS (
        -- what the answers of a day say together: the most that any of them shows
        SELECT a.github_id, a.metric_type, e.event_on, e.is_total, (a.fetch_timestamp AT TIME ZONE 'UTC')::date AS observed_on, max(e.events) AS events
        FROM arrived a, flowlens.metric_events(a.metric_type, a.metric_data, (a.fetch_timestamp AT TIME ZONE 'UTC')::date) e
        WHERE a.metric_type <> 'readme'
        GROUP BY 1, 2, 3, 4, 5
    ), grown AS (
        -- and how much of it is new; a length that nothing precedes is only something to compare with
        SELECT c.github_id, c.metric_type, c.event_on, c.observed_on, c.events, c.is_total,
               greatest(CASE WHEN c.is_total THEN max(c.events) OVER earlier ELSE coalesce(max(c.events) OVER earlier, 0) END,
                        (SELECT CASE WHEN c.is_total THEN max(k.total) ELSE sum(k.events) FILTER (WHERE k.event_on = c.event_on AND k.total IS NULL) END
                         FROM flowlens.stg_repo_activity k WHERE k.github_id = c.github_id AND k.metric_type = c.metric_type)) AS known
        FROM counted c
        WINDOW earlier AS (PARTITION BY c.github_id, c.metric_type, c.is_total, CASE WHEN NOT c.is_total THEN c.event_on END
                           ORDER BY c.observed_on ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), active AS (
        INSERT INTO flowlens.stg_repo_activity AS s (github_id, observed_on, event_on, metric_type, events, total)
        SELECT g.github_id, g.observed_on, g.event_on, g.metric_type, g.events - coalesce(g.known, g.events), CASE WHEN g.is_total THEN g.events END
        FROM grown g
        WHERE g.events > coalesce(g.known, -1)
        ON CONFLICT (github_id, observed_on, event_on, metric_type) DO UPDATE
        SET events = s.events + excluded.events, total = coalesce(excluded.total, s.total)
        RETURNING observed_on
    )
    SELECT (SELECT array_agg(s.github_id) FROM stored s), (SELECT array_agg(DISTINCT t.observed_on) FROM active t),
           (SELECT max(a.fetch_timestamp) FROM arrived a), flowlens.cursor_snapshot()
    INTO changed, active_days, newest, read_until;

    UPDATE flowlens.staging_cursors c
    SET snapshot = read_until, latest = greatest(c.latest, newest), system_identifier = (SELECT y.system_identifier FROM pg_control_system() y)
    WHERE c.source = 'raw_repo_metrics' AND newest IS NOT NULL;

    IF active_days IS NOT NULL THEN
        PERFORM flowlens.mark_days(active_days);
    END IF;
    IF changed IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM flowlens.apply_readmes(changed);
    RETURN cardinality(changed);
END
$$;
COMMENT ON FUNCTION flowlens.stage_metrics() IS
'Takes what is new in raw_repo_metrics to staging: commits, closed issues and contributors to stg_repo_activity, READMEs to stg_repo_readmes and to the newest staged answer of their repository; returns how many READMEs changed. Part of store_in_staging().';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.stage_metrics() FROM PUBLIC;

CREATE FUNCTION flowlens.store_in_staging(OUT staged bigint, OUT rejected bigint, OUT unchanged bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    cursor_row record;
    run record;
BEGIN
    PERFORM flowlens.check_installed();
    PERFORM flowlens.adopt_raw_rows('raw_github_repos'), flowlens.adopt_raw_rows('raw_repo_metrics');
    IF flowlens.is_distributed('flowlens.raw_github_repos') THEN
        SELECT s.staged, s.rejected, s.unchanged INTO staged, rejected, unchanged FROM flowlens.store_in_staging_sharded() s;
        RETURN;
    END IF;
    PERFORM flowlens.stage_metrics();
    SELECT * INTO cursor_row FROM flowlens.staging_cursor('raw_github_repos');
    SELECT * INTO run FROM flowlens.stage_answers(false, cursor_row.since, cursor_row.latest);
    UPDATE flowlens.staging_cursors c
    SET snapshot = run.read_until, latest = greatest(c.latest, run.newest),
        system_identifier = (SELECT y.system_identifier FROM pg_control_system() y)
    WHERE c.source = 'raw_github_repos' AND run.answers > 0;
    staged := run.staged;
    rejected := run.rejected;
    unchanged := run.answers - run.staged - run.rejected;
END
$$;
COMMENT ON FUNCTION flowlens.store_in_staging() IS
'Takes the answers that arrived since the last run from raw to staging: "staged" rows were written, "rejected" ones are in stg_repos_rejected with their errors, "unchanged" ones said nothing new. A second run waits for the first.';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_in_staging() FROM PUBLIC;

CREATE FUNCTION flowlens.retry_rejected(OUT staged bigint, OUT rejected bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    PERFORM flowlens.staging_cursor('raw_github_repos');    -- takes turns with store_in_staging()
    IF flowlens.is_distributed('flowlens.raw_github_repos') THEN
        SELECT a.staged, a.rejected INTO staged, rejected FROM flowlens.stage_answers_sharded(true, NULL, NULL, 'infinity') a;
    ELSE
        SELECT a.staged, a.rejected INTO staged, rejected FROM flowlens.stage_answers(true, NULL, 'infinity') a;
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.retry_rejected() IS
'Validates the quarantine again, after a rule was relaxed or an answer corrected in place: valid ones go to staging and leave it, the others stay with one more attempt.';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.retry_rejected() FROM PUBLIC;


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

CREATE FUNCTION flowlens.mark_days(days date[])
RETURNS void LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    INSERT INTO flowlens.pipeline_days AS d (day, dimensions_pending, snapshot_pending, changes)
    SELECT DISTINCT t.day, true, true, 1 FROM unnest(days) t (day)
    ON CONFLICT (day) DO UPDATE SET dimensions_pending = true, snapshot_pending = true, changes = d.changes + 1;
    -- what came late for an old day changes the days after it: their versions follow from its own,
    -- and a score looks 30 days back
    UPDATE flowlens.pipeline_days d
    SET dimensions_pending = true,
        snapshot_pending = d.snapshot_pending OR d.published_at IS NOT NULL AND d.day <= late.last_day + 30,
        changes = d.changes + 1
    FROM (SELECT min(t.day) AS first_day, max(t.day) AS last_day FROM unnest(days) t (day)) late
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

CREATE FUNCTION flowlens.stage_readmes()
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET jit = off    -- compiling takes longer than it saves
AS $$
DECLARE
    cursor_row record;
    read_until text;
    newest timestamptz;
    changed bigint[];
    days date[];
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
    )
    SELECT (SELECT array_agg(s.github_id) FROM stored s), (SELECT max(a.fetch_timestamp) FROM arrived a), flowlens.cursor_snapshot()
    INTO changed, newest, read_until;

    UPDATE flowlens.staging_cursors c
    SET snapshot = read_until, latest = greatest(c.latest, newest), system_identifier = (SELECT y.system_identifier FROM pg_control_system() y)
    WHERE c.source = 'raw_repo_metrics' AND newest IS NOT NULL;

    IF changed IS NULL THEN
        RETURN 0;
    END IF;
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
    RETURN cardinality(changed);
END
$$;
COMMENT ON FUNCTION flowlens.stage_readmes() IS
'Takes new READMEs from raw_repo_metrics to stg_repo_readmes and to the newest staged answer of their repository; returns how many changed. Part of store_in_staging().';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.stage_readmes() FROM PUBLIC;

CREATE FUNCTION flowlens.store_in_staging(OUT staged bigint, OUT rejected bigint, OUT unchanged bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    cursor_row record;
    run record;
BEGIN
    PERFORM flowlens.check_installed();
    PERFORM flowlens.stage_readmes();
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
    SELECT a.staged, a.rejected INTO staged, rejected FROM flowlens.stage_answers(true, NULL, 'infinity') a;
END
$$;
COMMENT ON FUNCTION flowlens.retry_rejected() IS
'Validates the quarantine again, after a rule was relaxed or an answer corrected in place: valid ones go to staging and leave it, the others stay with one more attempt.';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.retry_rejected() FROM PUBLIC;


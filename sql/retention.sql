-- what expires, what stays, and that the preview says it
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE TABLE flowlens.policies_before AS TABLE flowlens.retention_policies;

-- policies: each limit from both sides
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '14 days', '7 days');
SELECT table_name, keep, partition_interval, time_column FROM flowlens.retention_policies WHERE table_name = 'raw_repo_metrics';
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '00:00:00.000001', '24 hours'), flowlens.set_retention('flowlens.raw_repo_metrics', '1000 years', '30 days');
SELECT keep, partition_interval FROM flowlens.retention_policies WHERE table_name = 'raw_repo_metrics';
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', NULL);
SELECT keep IS NULL AS for_ever, partition_interval FROM flowlens.retention_policies WHERE table_name = 'raw_repo_metrics';
\set VERBOSITY terse
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '0');
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '1000 years 1 day');
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '1 day', '2 days');
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '1 day', NULL);
SELECT flowlens.set_retention('flowlens.raw_repo_metrics', '1 day', '1 day', 'id');
SELECT flowlens.set_retention('flowlens.settings', '1 day');
SELECT flowlens.set_retention('flowlens.raw_repo_metrics_default', '1 day');
SELECT flowlens.set_retention('flowlens.analytics_repo_history', '1 day');
SELECT flowlens.set_retention('pg_class', '1 day');
SELECT flowlens.set_retention(NULL, '1 day');
SELECT * FROM flowlens.preview_retention(NULL);
SELECT * FROM flowlens.preview_retention('infinity');
CALL flowlens.apply_retention('1969-12-31 23:59:59+00');
-- tables of one's own in the schema: the age is a date or timestamp column
CREATE TABLE flowlens.notes (id bigint, written_at timestamptz, local_time timestamp, text text);
COMMENT ON TABLE flowlens.notes IS 'a table of the user''s';
SELECT flowlens.set_retention('flowlens.notes', '1 day');
SELECT flowlens.set_retention('flowlens.notes', '1 day', time_column => 'text');
SELECT flowlens.set_retention('flowlens.notes', '1 day', time_column => 'local_time');
\set VERBOSITY default
INSERT INTO flowlens.notes (id, local_time) VALUES (1, '2024-03-09 11:59:59.999999'), (2, '2024-03-09 12:00:00'), (3, NULL);
SELECT rows_deleted FROM flowlens.preview_retention('2024-03-10 12:00+00') WHERE target = 'flowlens.notes'::regclass;
CALL flowlens.apply_retention('2024-03-10 12:00+00');
SELECT id FROM flowlens.notes ORDER BY id;
DROP TABLE flowlens.notes;
DELETE FROM flowlens.retention_policies;
INSERT INTO flowlens.retention_policies TABLE flowlens.policies_before;

-- the same moments under every TimeZone: ends of months, leap days, ends of years, days that a zone skipped or had twice
UPDATE flowlens.retention_policies SET keep = CASE table_name WHEN 'fact_repo_snapshots' THEN interval '1 month' WHEN 'fact_workflow_runs' THEN '1 month' ELSE keep END;
CREATE TEMP TABLE moments (at timestamptz);
INSERT INTO moments SELECT t + s FROM unnest('{2024-02-29 00:00+00,2024-03-01 00:00+00,2023-03-01 00:00+00,2024-03-31 12:00+00,2025-01-01 00:00+00,2011-12-30 12:00+00,2024-03-10 03:31+00,2024-11-03 04:31+00}'::timestamptz[]) t,
    unnest('{-0.000001 seconds,0,23:59:59}'::interval[]) s;
CREATE TEMP TABLE cutoffs (zone text, at timestamptz, table_name text, cutoff timestamptz);
DO $$
DECLARE zone text;
BEGIN
    FOREACH zone IN ARRAY ARRAY['UTC', 'America/St_Johns', 'Pacific/Apia'] LOOP
        PERFORM set_config('TimeZone', zone, true);
        INSERT INTO cutoffs SELECT zone, m.at, t.table_name, t.cutoff FROM moments m, flowlens.retention_targets(m.at) t;
    END LOOP;
END $$;
SELECT count(*) AS moments, count(*) FILTER (WHERE different > 1) AS different
FROM (SELECT count(DISTINCT c.cutoff) AS different FROM cutoffs c GROUP BY c.at, c.table_name) x;
SELECT DISTINCT at, table_name, cutoff FROM cutoffs
WHERE table_name IN ('fact_repo_snapshots', 'fact_workflow_runs') AND at IN ('2024-02-29 23:59:59+00', '2024-03-31 12:00+00', '2025-01-01 00:00+00') ORDER BY at, table_name;
UPDATE flowlens.retention_policies p SET keep = b.keep FROM flowlens.policies_before b WHERE b.table_name = p.table_name;

-- a world at 2024-03-10 12:00 UTC: raw and staging are kept from 03-03, facts from 02-09
CREATE PROCEDURE store_answer(id bigint, stars bigint, at timestamptz) LANGUAGE sql AS
$$ SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'a/r' || id, 'language', 'C', 'stargazers_count', stars,
       'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z'), observed_at => at) $$;
CREATE PROCEDURE add_facts(first_day date, last_day date) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE at date;
BEGIN
    FOR at IN SELECT d::date FROM generate_series(first_day::timestamp, last_day, '1 day') d LOOP
        PERFORM flowlens.ensure_partition('flowlens.fact_repo_snapshots', at);
        INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language,
            observed_at, is_stale, is_outlier, model, model_version)
        SELECT d.repo_key, d.github_id, at, 100 * d.github_id + (at - '2024-01-01'), 0.5, d.github_id, d.github_id, at::timestamp AT TIME ZONE 'UTC',
               d.github_id = 3 AND extract(day FROM at) % 2 = 0, d.github_id = 4 AND extract(day FROM at) = 1, 'default', 1
        FROM flowlens.dim_repositories d WHERE d.is_current
        ON CONFLICT DO NOTHING;
        INSERT INTO flowlens.pipeline_days (day, published_at) VALUES (at, at::timestamp AT TIME ZONE 'UTC') ON CONFLICT (day) DO UPDATE SET published_at = excluded.published_at;
    END LOOP;
END $$;
CALL store_answer(1, 10, '2024-02-20 12:00+00');
CALL store_answer(1, 11, '2024-03-02 23:59:59.999999+00');
CALL store_answer(1, 12, '2024-03-03 00:00+00');
CALL flowlens.drain_default_partitions();
SELECT * FROM flowlens.store_in_staging();
CALL store_answer(2, 5, '2024-02-21 12:00+00');
CALL store_answer(2, 5, '2024-02-22 12:00+00');
SELECT flowlens.ensure_partition('flowlens.raw_github_repos', '2024-02-21');
-- staging has read the 20th and 2nd; the 21st has a partition and is unread, the 22nd too, in the default partition
SELECT target, partitions_dropped, rows_deleted, remark FROM flowlens.preview_retention('2024-03-10 12:00+00') WHERE target::text ~ 'raw_github_repos|stg_repos_validated';
CALL flowlens.apply_retention('2024-03-10 12:00+00');
SELECT github_id, fetch_timestamp FROM flowlens.raw_github_repos ORDER BY fetch_timestamp;
SELECT count(*) AS staged FROM flowlens.stg_repos_validated;
-- once read, they may go; the staged days wait until they are scored
SELECT * FROM flowlens.store_in_staging();
SELECT target, partitions_dropped, rows_deleted, remark IS NOT NULL AS something_stays FROM flowlens.preview_retention('2024-03-10 12:00+00') WHERE target::text ~ 'raw_github_repos|stg_repos_validated';
SELECT system_identifier AS here FROM flowlens.staging_cursors WHERE source = 'raw_github_repos' \gset
UPDATE flowlens.staging_cursors SET system_identifier = 1;
SELECT rows_deleted, remark IS NOT NULL AS another_cluster_has_read_it FROM flowlens.preview_retention('2024-03-10 12:00+00') WHERE target = 'flowlens.raw_github_repos'::regclass;
UPDATE flowlens.staging_cursors SET system_identifier = :here WHERE source = 'raw_github_repos';
CALL flowlens.run_pipeline('2024-03-10');
SELECT target, partitions_dropped, rows_deleted, remark FROM flowlens.preview_retention('2024-03-10 12:00+00') WHERE target::text ~ 'raw_github_repos|stg_repos_validated';

-- preview and run, number by number
SELECT clean_slate();
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, valid_from) SELECT n, 'a/r' || n, 'C', '2023-01-01' FROM generate_series(1, 5) n;
CALL add_facts('2024-01-30', '2024-02-12');
UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = '2024-02-04';    -- waits; the 3rd is what it is scored from
INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language, observed_at, model, model_version)
SELECT d.repo_key, d.github_id, '2023-12-31', 50, 0.25, 9, 9, '2023-12-31', 'default', 1 FROM flowlens.dim_repositories d;    -- a day in the default partition
INSERT INTO flowlens.fact_workflow_runs (run_id, started_at, status) SELECT n, timestamptz '2024-02-09 12:00+00' - interval '1 second' * n, 'completed' FROM generate_series(-2, 12345) n;
INSERT INTO flowlens.fact_workflow_runs (run_id, started_at, status) VALUES ('lives', '2024-01-01', 'running');
INSERT INTO flowlens.stg_repos_rejected (github_id, raw_id, api_response, fetch_timestamp, errors, rejected_at) VALUES
    (1, 1, '{}', '2024-03-03 11:59:59+00', '[]', '2024-03-03 11:59:59+00'), (1, 2, '{}', '2024-03-03 12:00+00', '[]', '2024-03-03 12:00+00');
-- closed versions: one that nobody needs, one that a fact of the 12th needs, one that only an expired fact needs
INSERT INTO flowlens.dim_repositories (repo_key, github_id, repo_full_name, valid_from, valid_to, is_current) VALUES
    (1001, 1, 'a/old', '2022-01-01', '2022-06-01', false), (1002, 2, 'a/old', '2022-01-01', '2022-06-01', false), (1003, 3, 'a/old', '2022-01-01', '2022-06-01', false),
    (1004, 4, 'a/new', '2022-01-01', '2024-02-09 12:00+00', false);
UPDATE flowlens.fact_repo_snapshots SET repo_key = 1002 WHERE github_id = 2 AND snapshot_date = '2024-02-12';
UPDATE flowlens.fact_repo_snapshots SET repo_key = 1003 WHERE github_id = 3 AND snapshot_date = '2024-01-30';
SELECT flowlens.ensure_partition('flowlens.raw_github_events', d) FROM unnest('{2024-02-27,2024-02-28}'::date[]) d;
INSERT INTO flowlens.raw_github_events (delivery_id, received_at, event)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, t, 'ping' FROM (VALUES (1, timestamptz '2024-03-01 12:00+00'), (2, '2024-03-01 12:00+00'), (3, '2024-03-03 00:00+00'),
    (4, '2024-02-28 00:00+00'), (5, '2024-02-27 00:00+00')) v (n, t);
INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at) VALUES ('flowlens.raw_github_events', '00000000-0000-0000-0000-000000000002', 'infinity', '2024-03-01 12:00+00'),
    ('flowlens.raw_github_events', '00000000-0000-0000-0000-000000000004', '2024-02-28 12:00+00', '2024-02-28 00:00+00');
CREATE TEMP TABLE previewed AS SELECT * FROM flowlens.preview_retention('2024-03-10 12:00+00');
SELECT target, cutoff, partitions_dropped, rows_deleted, bytes_freed > 0 AS frees, remark FROM previewed ORDER BY target::text;
CALL flowlens.apply_retention('2024-03-10 12:00+00');
SELECT count(*) AS tables, count(*) FILTER (WHERE (p.partitions_dropped, p.rows_deleted, p.bytes_freed)
    IS DISTINCT FROM ((c ->> 'partitions_dropped')::integer, (c ->> 'rows_deleted')::bigint, (c ->> 'bytes_freed')::bigint)) AS different
FROM previewed p
FULL JOIN (SELECT ('flowlens.' || (t ->> 'name'))::regclass AS target, t -> 'counts' AS c FROM flowlens.fact_workflow_runs r, jsonb_array_elements(r.task_tree) t
           WHERE r.workflow_name = 'retention' AND r.started_at = (SELECT max(l.started_at) FROM flowlens.fact_workflow_runs l)) x USING (target);
SELECT string_agg(DISTINCT snapshot_date::text, ' ' ORDER BY snapshot_date::text) AS days_left FROM flowlens.fact_repo_snapshots;
SELECT string_agg(day::text, ' ' ORDER BY day) AS expired FROM flowlens.pipeline_days WHERE expired_at IS NOT NULL;
SELECT repo_key, github_id FROM flowlens.dim_repositories WHERE NOT is_current ORDER BY repo_key;
SELECT count(*) FILTER (WHERE run_id = 'lives') AS running, count(*) FILTER (WHERE run_id ~ '^-?[0-9]+$') AS young FROM flowlens.fact_workflow_runs;
SELECT count(*) AS quarantine FROM flowlens.stg_repos_rejected;
SELECT delivery_id FROM flowlens.raw_github_events ORDER BY delivery_id;
-- and again there is nothing to do
SELECT sum(partitions_dropped) AS partitions, sum(rows_deleted) AS rows FROM flowlens.preview_retention('2024-03-10 12:00+00');

-- the months that stay: counted by hand from the same rows
SELECT github_id, month, days_counted, first_day, last_day, first_stars, last_stars, max_stars, star_gain, mean_momentum, best_rank FROM flowlens.agg_repo_monthly ORDER BY github_id, month;
-- with the days that still have facts, whole months are shown
SELECT repo_full_name, month, days_counted, first_stars, last_stars, star_gain, best_rank FROM flowlens.analytics_repo_monthly WHERE month = '2024-02-01' ORDER BY repo_full_name;

-- many runs or one: the same months; a run that was killed after its rollup counts nothing twice
CREATE TEMP TABLE in_one AS SELECT github_id, month, days_counted, first_day, last_day, first_stars, last_stars, max_stars, momentum_days, best_rank FROM flowlens.agg_repo_monthly LIMIT 0;
CREATE TEMP TABLE in_pieces (LIKE in_one);
CREATE PROCEDURE expire(pieces text[], result text) LANGUAGE plpgsql AS $$
DECLARE at text;
BEGIN
    DELETE FROM flowlens.agg_repo_monthly;
    CALL add_facts('2024-01-15', '2024-03-09');
    FOREACH at IN ARRAY pieces LOOP
        PERFORM flowlens.roll_up_partition('flowlens.fact_repo_snapshots', p.partition, p.lower, p.upper)
        FROM flowlens.partitions_of('flowlens.fact_repo_snapshots') p WHERE p.upper = at::timestamptz - interval '30 days';
        COMMIT;
        CALL flowlens.apply_retention(at::timestamptz);
    END LOOP;
    EXECUTE format('INSERT INTO %I SELECT github_id, month, days_counted, first_day, last_day, first_stars, last_stars, max_stars, momentum_days, best_rank FROM flowlens.agg_repo_monthly', result);
    UPDATE flowlens.pipeline_days SET expired_at = NULL, snapshot_pending = false;
END $$;
SELECT clean_slate();
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, valid_from) SELECT n, 'a/r' || n, 'C', '2023-01-01' FROM generate_series(1, 5) n;
CALL expire('{2024-04-01}', 'in_one');
CALL expire('{2024-02-20,2024-02-21,2024-03-01,2024-03-15,2024-03-31,2024-04-01}', 'in_pieces');
SELECT count(*) AS months, (SELECT count(*) FROM (TABLE in_one EXCEPT TABLE in_pieces) d) AS different FROM in_one;
-- weekly and monthly partitions give the same; a partition goes when all of it is outside the window
UPDATE flowlens.retention_policies SET partition_interval = '7 days' WHERE table_name = 'fact_repo_snapshots';
DELETE FROM in_pieces;
SELECT clean_slate();
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, valid_from) SELECT n, 'a/r' || n, 'C', '2023-01-01' FROM generate_series(1, 5) n;
CALL expire('{2024-03-01,2024-03-18,2024-04-01}', 'in_pieces');
SELECT p.partition, p.lower, p.upper FROM flowlens.partitions_of('flowlens.fact_repo_snapshots') p WHERE NOT p.is_default LIMIT 2;
UPDATE flowlens.retention_policies SET partition_interval = '1 day' WHERE table_name = 'fact_repo_snapshots';
SELECT count(*) FROM (SELECT * FROM in_one WHERE month = '2024-01-01' EXCEPT TABLE in_pieces) d;
-- a day that comes late is added; one that comes again after it expired is not, and brings no ranks of its own
SELECT clean_slate();
DELETE FROM flowlens.agg_repo_monthly;
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, valid_from) SELECT n, 'a/r' || n, 'C', '2023-01-01' FROM generate_series(1, 2) n;
CALL add_facts('2024-01-20', '2024-01-20');
CALL add_facts('2024-03-09', '2024-03-09');
CALL flowlens.apply_retention('2024-04-01');
DELETE FROM flowlens.dim_repositories WHERE github_id = 2;
CALL add_facts('2024-01-10', '2024-01-10');
CALL add_facts('2024-01-20', '2024-01-20');
UPDATE flowlens.fact_repo_snapshots SET stars = 7, rank_overall = 1 WHERE github_id = 1 AND snapshot_date = '2024-01-10';
UPDATE flowlens.fact_repo_snapshots SET github_id = 3, rank_overall = 1 WHERE snapshot_date = '2024-01-20';
CALL flowlens.apply_retention('2024-04-01');
SELECT github_id, days_counted, first_day, first_stars, last_stars, momentum_days, best_rank FROM flowlens.agg_repo_monthly ORDER BY github_id;

-- keep = NULL keeps for ever
UPDATE flowlens.retention_policies SET keep = NULL;
SELECT count(*) FROM flowlens.preview_retention('9999-01-01 00:00+00');
CALL flowlens.apply_retention('9999-01-01 00:00+00');
SELECT status, task_tree FROM flowlens.fact_workflow_runs WHERE workflow_name = 'retention' ORDER BY started_at DESC LIMIT 1;
DELETE FROM flowlens.retention_policies;
INSERT INTO flowlens.retention_policies TABLE flowlens.policies_before;
DROP TABLE flowlens.policies_before;
DROP PROCEDURE store_answer, add_facts, expire;
DELETE FROM flowlens.work_queue;
DELETE FROM flowlens.raw_github_events;
DELETE FROM flowlens.agg_repo_monthly;
SELECT clean_slate();

-- health: every check from both sides of its limit, at an injected time
SET TimeZone = 'UTC';
SET client_min_messages = warning;
SELECT clean_slate();
TRUNCATE flowlens.work_queue, flowlens.raw_github_events;
CREATE TEMP TABLE kept_version AS TABLE flowlens.schema_version;
CREATE FUNCTION public.red(as_of timestamptz) RETURNS TABLE (name text, value text) LANGUAGE sql AS $$
    SELECT h.name, h.value FROM flowlens.health_report(as_of) h WHERE NOT h.ok $$;
CREATE FUNCTION public.checked(pattern text, as_of timestamptz) RETURNS TABLE (name text, ok boolean, value text) LANGUAGE sql AS $$
    SELECT h.name, h.ok, h.value FROM flowlens.health_report(as_of) h WHERE h.name LIKE pattern $$;

-- a new installation is well, for as long as things may be missing; the view is the report of now
SELECT name, ok, hint IS NULL AS no_hint FROM flowlens.health;
SELECT count(*) FROM flowlens.health_report(now()) h JOIN flowlens.health v USING (name, ok) WHERE h.value = v.value;
UPDATE flowlens.schema_version SET installed_at = '2024-03-10 12:00';
SELECT * FROM red('2024-03-10 14:59');
SELECT * FROM red('2024-03-10 15:00');
SELECT name, hint FROM flowlens.health_report('2024-03-12 12:00') WHERE NOT ok;
-- tables without the extension: nobody runs a pipeline
BEGIN;
DELETE FROM flowlens.schema_version;
SELECT * FROM red('2030-01-01');
ROLLBACK;

-- runs: the last success of each step; the run that failed has passed the steps before
INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, completed_at, status, task_tree, backend_pid, backend_started_at) VALUES
    ('p1', 'pipeline', '2024-03-20 09:00', '2024-03-20 09:10', 'completed', '[{"name": "partitions", "status": "completed", "finished_at": "2024-03-20T09:01:00Z"}]', 1, '2024-03-20'),
    ('p2', 'pipeline', '2024-03-20 12:00', '2024-03-20 12:10', 'failed', '[{"name": "partitions", "status": "completed", "finished_at": "2024-03-20T12:01:00Z"},
        {"name": "staging", "status": "failed", "finished_at": "2024-03-20T12:02:00Z"}]', 1, '2024-03-20'),
    ('p3', 'pipeline', '2024-03-20 12:05', '2024-03-20 12:05', 'skipped', '[]', 1, '2024-03-20'),
    ('r1', 'retention', '2024-03-19 03:37', '2024-03-19 03:40', 'completed', '[]', 1, '2024-03-20'),
    ('x1', 'import', '2024-03-20 12:20', '2024-03-20 12:25', 'failed', '[]', 1, '2024-03-20');
SELECT flowlens.maintain_partitions('3 days', '2024-03-20') > 0 AS partitions;
SELECT * FROM checked('last success%', '2024-03-20 12:10');
SELECT * FROM checked('last success%', '2024-03-20 12:09:59');
SELECT * FROM checked('last success: retention', '2024-03-21 03:40');
SELECT * FROM checked('crashed%', '2024-03-20 13:00');
-- a success after it heals, unless there are too many a day
UPDATE flowlens.fact_workflow_runs SET started_at = '2024-03-20 12:30', completed_at = '2024-03-20 12:40' WHERE run_id = 'p1';
SELECT * FROM red('2024-03-20 13:00');
INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, status, task_tree)
SELECT 'c' || i, 'pipeline', timestamptz '2024-03-20 10:00' + i * interval '1 minute', 'crashed', '[]' FROM generate_series(1, 2) i;
SELECT * FROM checked('crashed%', '2024-03-20 13:00');
INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, status, task_tree) VALUES ('c3', 'retention', '2024-03-19 03:00', 'crashed', '[]'), ('c4', 'pipeline', '2024-03-20 10:03', 'crashed', '[]');
SELECT * FROM checked('crashed%', '2024-03-20 13:00');
SELECT * FROM checked('crashed%', '2024-03-21 10:02');
-- a run whose backend is gone counts before anybody marks it; one that runs does not
INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, status, task_tree, backend_pid, backend_started_at)
VALUES ('here', 'pipeline', '2024-03-20 12:50', 'running', '[]', pg_backend_pid(), flowlens.backend_start());
DELETE FROM flowlens.fact_workflow_runs WHERE status = 'crashed';
SELECT * FROM checked('crashed%', '2024-03-20 13:00');
UPDATE flowlens.fact_workflow_runs SET backend_started_at = '2024-03-20' WHERE run_id = 'here';
SELECT * FROM checked('crashed%', '2024-03-20 13:00');
DELETE FROM flowlens.fact_workflow_runs WHERE run_id = 'here';
-- thresholds are settings, NULL turns a check off
UPDATE flowlens.settings SET value = '1 hour' WHERE name = 'health_pipeline_age';
SELECT name FROM red('2024-03-20 13:40');
SELECT name FROM red('2024-03-20 13:41');
UPDATE flowlens.settings SET value = NULL WHERE name = 'health_pipeline_age';
SELECT name FROM red('2024-03-20 20:00');
UPDATE flowlens.settings SET value = '3 hours' WHERE name = 'health_pipeline_age';

-- sources and backlog
SELECT flowlens.store_raw_repos('[{"id": 1}, {"id": 2}]', NULL, '2024-03-20 12:45');
SELECT * FROM checked('%raw_github_repos', '2024-03-20 15:40');
SELECT * FROM checked('backlog: raw_github_repos', '2024-03-20 15:46');
-- what was observed long ago waits since the last run only
UPDATE flowlens.raw_github_repos SET fetch_timestamp = '2024-03-20 00:00';
SELECT * FROM checked('backlog: raw_github_repos', '2024-03-20 13:00');
SELECT flowlens.store_raw_repos(jsonb_agg(jsonb_build_object('id', i)), NULL, '2024-03-20 12:45') FROM generate_series(1, 10000) i;
SELECT * FROM checked('backlog: raw_github_repos', '2024-03-20 13:00');
SELECT staged, rejected FROM flowlens.store_in_staging();
SELECT * FROM checked('%raw_github_repos', '2024-03-22 12:45');
SELECT * FROM checked('source: raw_github_repos', '2024-03-22 12:45:01');
SELECT * FROM checked('rejected%', '2024-03-20 13:00');
DELETE FROM flowlens.stg_repos_rejected WHERE raw_id NOT IN (SELECT raw_id FROM flowlens.stg_repos_rejected LIMIT 1000);
SELECT * FROM checked('rejected%', '2024-03-20 13:00');
-- deliveries: the newest is found without reading them all
INSERT INTO flowlens.raw_github_events (delivery_id, received_at, event)
SELECT gen_random_uuid(), timestamptz '2024-03-20 00:00' + i * interval '10 second', 'ping' FROM generate_series(0, 4000) i;
SELECT * FROM checked('source: raw_github_events', '2024-03-20 13:00');
UPDATE flowlens.settings SET value = '1 hour' WHERE name = 'health_age_raw_github_events';
SELECT * FROM checked('source: raw_github_events', '2024-03-20 13:00');
UPDATE flowlens.settings SET value = NULL WHERE name = 'health_age_raw_github_events';

-- no table is read as a whole: what it reads is far less than what is there
BEGIN;
SELECT count(*) AS raw, (SELECT count(*) FROM flowlens.raw_github_events) AS events FROM flowlens.raw_github_repos;
CREATE TEMP TABLE read_before AS SELECT relid, seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_all_tables WHERE schemaname = 'flowlens';
SELECT count(*) FROM flowlens.health_report('2024-03-20 13:00');
SELECT s.relname, s.seq_tup_read + s.idx_tup_fetch - coalesce(b.rows, 0) AS too_many
FROM pg_stat_xact_all_tables s LEFT JOIN read_before b USING (relid)
WHERE s.schemaname = 'flowlens' AND s.relname !~ '_default$' AND s.seq_tup_read + s.idx_tup_fetch - coalesce(b.rows, 0) > 1001 ORDER BY 1;
ROLLBACK;

-- queues and dead letters
INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at)
SELECT q, gen_random_uuid(), '2024-03-20 10:00', '2024-03-20 10:00' FROM unnest(ARRAY['flowlens.raw_github_events', 'flowlens.pull_requests']::regclass[]) q;
SELECT * FROM checked('backlog: %', '2024-03-20 13:00') WHERE value <> '0 rows';
SELECT * FROM checked('backlog: %', '2024-03-20 13:01') WHERE value <> '0 rows';
SELECT * FROM checked('backlog: %', '2024-03-21 10:01') WHERE value <> '0 rows';
SELECT * FROM checked('dead%', '2024-03-20 13:00');
UPDATE flowlens.work_queue SET ready_at = 'infinity';
SELECT * FROM checked('dead%', '2024-03-20 13:00');
DELETE FROM flowlens.work_queue;

-- partitions: rows in a default partition, tomorrow, overdue ones
SELECT * FROM checked('default%', '2024-03-20 13:00');
INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, rank_overall, rank_in_language, observed_at, model, model_version)
VALUES (1, 1, '2023-01-01', 1, 1, 1, '2023-01-01', 'default', 1);
SELECT * FROM checked('default%', '2024-03-20 13:00');
DELETE FROM flowlens.fact_repo_snapshots;
SELECT * FROM checked('partitions ahead', '2024-03-22 23:59:59');
SELECT * FROM checked('partitions ahead', '2024-03-23 00:00');
SELECT * FROM checked('overdue%', '2024-03-29 23:59:59');
SELECT * FROM checked('overdue%', '2024-03-30 00:00');

-- facts of the newest published day stay
INSERT INTO flowlens.pipeline_days (day, published_at) VALUES ('2024-03-21', '2024-03-21 13:00');
SELECT * FROM checked('overdue%', '2024-04-23 00:00');
SELECT * FROM checked('overdue%', '2024-04-24 00:00');
DELETE FROM flowlens.pipeline_days;
-- a drop that was blocked once is tried again, twice is a sign
INSERT INTO flowlens.retention_blocked (table_name, partition_name, blocked_since, last_attempt_at, attempts)
VALUES ('raw_github_repos', 'raw_github_repos_p20240310', '2024-03-18 03:37', '2024-03-18 03:37', 1);
SELECT * FROM checked('blocked%', '2024-03-20 13:00');
UPDATE flowlens.retention_blocked SET attempts = 2;
SELECT * FROM checked('blocked%', '2024-03-20 13:00');
DELETE FROM flowlens.retention_blocked;

-- from the future
SELECT * FROM checked('clock%', '2024-03-20 12:40');
SELECT * FROM checked('clock%', '2024-03-20 12:39:59');
SELECT flowlens.ensure_partition('flowlens.raw_github_repos', '2024-04-02');
SELECT flowlens.store_raw_repos('{"id": 3}', NULL, '2024-04-02 00:00');
SELECT * FROM checked('clock%', '2024-03-20 13:00');
DELETE FROM flowlens.raw_github_repos WHERE github_id = 3;

-- the board
INSERT INTO flowlens.pipeline_days (day, published_at) VALUES ('2024-03-18', '2024-03-18 13:00');
SELECT * FROM checked('leaderboard', '2024-03-20 23:59');
UPDATE flowlens.pipeline_days SET snapshot_pending = true;
SELECT * FROM checked('leaderboard', '2024-03-21 00:00');

-- the answer depends on no setting of the session
CREATE TEMP TABLE plain AS SELECT * FROM flowlens.health_report('2024-03-25 13:00');
SET TimeZone = 'Pacific/Apia';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SELECT * FROM flowlens.health_report('2024-03-25 13:00+00') EXCEPT SELECT * FROM plain;
RESET DateStyle;
RESET IntervalStyle;
SET TimeZone = 'UTC';

UPDATE flowlens.schema_version v SET installed_at = k.installed_at FROM kept_version k WHERE k.version = v.version;
DELETE FROM flowlens.raw_github_events;
DROP FUNCTION public.red(timestamptz);
DROP FUNCTION public.checked(text, timestamptz);
SELECT clean_slate();

-- The work queue in one session: the flag "processed", leases, versions, retries, dead letters
INSERT INTO flowlens.repositories (id, github_id, name, full_name, owner)
VALUES ('00000000-0000-0000-0000-0000000000aa', 10, 'shop', 'acme/shop', 'acme');
CREATE FUNCTION pr(number integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(number::text)::uuid $$;
CREATE FUNCTION version(number integer) RETURNS bigint LANGUAGE sql AS $$ SELECT version FROM flowlens.work_queue WHERE id = pr(number) $$;
CREATE VIEW waiting AS
SELECT p.pr_number, p.processed, q.attempts, coalesce(q.leased_until > clock_timestamp(), false) AS leased,
       CASE WHEN q.ready_at = 'infinity' THEN 'dead' WHEN greatest(q.ready_at, q.leased_until) > clock_timestamp() THEN 'later' WHEN q.id IS NOT NULL THEN 'ready' END AS state
FROM flowlens.pull_requests p LEFT JOIN flowlens.work_queue q ON q.queue = 'flowlens.pull_requests'::regclass AND q.id = p.id;

-- a new row waits, even one that says it is processed
INSERT INTO flowlens.pull_requests (id, repo_id, pr_number, title, processed)
SELECT pr(n), '00000000-0000-0000-0000-0000000000aa', n, 'pull request ' || n, n = 2 FROM generate_series(1, 4) n;
SELECT * FROM waiting ORDER BY pr_number;

-- the flag leads, the queue follows: processed by a direct writer, with and without a time
UPDATE flowlens.pull_requests SET processed = true WHERE pr_number = 1;
UPDATE flowlens.pull_requests SET processed = true, updated_at = '2024-01-01' WHERE pr_number = 2;
UPDATE flowlens.pull_requests SET processed = true, title = 'changed' WHERE pr_number = 3;
UPDATE flowlens.pull_requests SET processed = NULL WHERE pr_number = 4;
SELECT * FROM waiting ORDER BY pr_number;
-- what changes nothing queues nothing; any other change does
UPDATE flowlens.pull_requests SET title = title, processed = processed;
SELECT * FROM waiting ORDER BY pr_number;
UPDATE flowlens.pull_requests SET updated_at = '2024-01-02' WHERE pr_number = 1;
UPDATE flowlens.pull_requests SET files_changed = '[]' WHERE pr_number = 2;
SELECT * FROM waiting ORDER BY pr_number;
INSERT INTO flowlens.pull_requests (repo_id, pr_number, title) VALUES ('00000000-0000-0000-0000-0000000000aa', 1, 'again')
ON CONFLICT (repo_id, pr_number) DO UPDATE SET title = excluded.title;
SELECT * FROM waiting WHERE pr_number = 1;

-- the queue leads, the flag follows
SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 2);
SELECT count(*) FILTER (WHERE leased) AS leased, count(*) FILTER (WHERE state = 'later') AS later FROM waiting;
SELECT count(*) AS others FROM flowlens.claim('flowlens.pull_requests', 10);
SELECT count(*) AS nothing_left FROM flowlens.claim('flowlens.pull_requests', 10);
SELECT pending, leased, dead, oldest_age IS NOT NULL AS aged FROM flowlens.queue_stats() WHERE queue = 'flowlens.pull_requests'::regclass;
SELECT flowlens.ack('flowlens.pull_requests', pr(1), 1) AS old_version;
SELECT flowlens.ack('flowlens.pull_requests', pr(1), version(1)) AS acknowledged;
SELECT flowlens.ack('flowlens.pull_requests', pr(1), 4) AS twice;
SELECT flowlens.ack('flowlens.pull_requests', pr(99), 1) AS unknown;
SELECT * FROM waiting ORDER BY pr_number;

-- a change during processing is not lost
CREATE TEMP TABLE lease AS SELECT 2 AS pr_number, version(2) AS version;
SELECT version(2) AS before \gset
UPDATE flowlens.pull_requests SET title = 'changed while leased' WHERE pr_number = 2;
SELECT *, version(2) > :before AS newer FROM waiting WHERE pr_number = 2;
SELECT flowlens.ack('flowlens.pull_requests', pr(2), version) FROM lease;
SELECT * FROM waiting WHERE pr_number = 2;
SELECT c.attempts FROM flowlens.claim('flowlens.pull_requests') c;

-- a lease that ended belongs to nobody: the second claim's version counts
SELECT flowlens.requeue('flowlens.pull_requests', pr(1));
CREATE TEMP TABLE first_claim AS SELECT * FROM flowlens.claim('flowlens.pull_requests', 1, '1 microsecond');
SELECT pg_sleep(0.01);
CREATE TEMP TABLE second_claim AS SELECT * FROM flowlens.claim('flowlens.pull_requests', 1);
SELECT flowlens.ack('flowlens.pull_requests', id, version) AS first FROM first_claim;
SELECT leased FROM waiting WHERE pr_number = 1;
SELECT flowlens.nack('flowlens.pull_requests', id, version, 'too late') AS first FROM first_claim;
SELECT flowlens.ack('flowlens.pull_requests', id, version) AS second, attempts FROM second_claim;

-- a version never comes back: whoever had an earlier one cannot acknowledge what was queued anew
SELECT flowlens.requeue('flowlens.pull_requests', pr(1));
SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 1);
SELECT flowlens.ack('flowlens.pull_requests', id, version) AS first FROM first_claim;
SELECT flowlens.ack('flowlens.pull_requests', id, version) AS second FROM second_claim;
SELECT flowlens.ack('flowlens.pull_requests', pr(1), version(1)) AS third;

-- errors: backoff, then a dead letter; a change revives it
SET flowlens.queue_max_attempts = 2;
UPDATE flowlens.work_queue SET ready_at = CASE WHEN id = pr(2) THEN '2023-01-01' ELSE '2024-01-01' END::timestamptz, attempts = 0, leased_until = NULL;
SELECT flowlens.nack('flowlens.pull_requests', id, version, 'broken') FROM flowlens.claim('flowlens.pull_requests', 1);
SELECT last_error, round(extract(epoch FROM ready_at - clock_timestamp())) AS seconds FROM flowlens.work_queue WHERE last_error IS NOT NULL;
UPDATE flowlens.work_queue SET ready_at = '2023-01-01' WHERE last_error IS NOT NULL;
SELECT flowlens.nack('flowlens.pull_requests', id, version, 'broken again', '1 hour') FROM flowlens.claim('flowlens.pull_requests', 1);
SELECT dead FROM flowlens.queue_stats() WHERE queue = 'flowlens.pull_requests'::regclass;
SELECT flowlens.requeue('flowlens.pull_requests');
SELECT dead FROM flowlens.queue_stats() WHERE queue = 'flowlens.pull_requests'::regclass;
UPDATE flowlens.work_queue SET ready_at = 'infinity', attempts = 2, leased_until = NULL;
UPDATE flowlens.pull_requests SET title = 'fixed' WHERE NOT processed AND pr_number = 3;
SELECT * FROM waiting ORDER BY pr_number;
-- rows that kill their workers: claimed that often, never answered
UPDATE flowlens.work_queue SET ready_at = '2024-01-01', attempts = 2, last_error = NULL, leased_until = NULL;
SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 10);
SELECT DISTINCT ready_at, last_error FROM flowlens.work_queue;
RESET flowlens.queue_max_attempts;

-- retry_in, and many at once
SELECT flowlens.requeue('flowlens.pull_requests') > 0;
UPDATE flowlens.work_queue SET ready_at = '2023-01-01' WHERE id = pr(3);
SELECT flowlens.nack('flowlens.pull_requests', id, version, NULL, '0') FROM flowlens.claim('flowlens.pull_requests', 1);
SELECT flowlens.nack('flowlens.pull_requests', id, version, 'x', '-1 second') FROM flowlens.claim('flowlens.pull_requests', 1, '1 hour');
UPDATE flowlens.work_queue SET ready_at = '2024-01-01', leased_until = NULL;
CREATE TEMP TABLE batch AS SELECT * FROM flowlens.claim('flowlens.pull_requests', 10);
UPDATE flowlens.pull_requests SET title = 'moved' WHERE pr_number = 4;
SELECT p.pr_number FROM flowlens.ack_batch('flowlens.pull_requests', (SELECT array_agg(id) FROM batch), (SELECT array_agg(version) FROM batch)) a (id)
JOIN flowlens.pull_requests p USING (id) ORDER BY 1;
SELECT * FROM waiting ORDER BY pr_number;

-- rows that go away leave the queue
UPDATE flowlens.pull_requests SET title = 'once more';
DELETE FROM flowlens.pull_requests WHERE pr_number = 1;
SELECT count(*) FROM flowlens.work_queue;
TRUNCATE flowlens.pull_requests;
SELECT count(*) FROM flowlens.work_queue;
INSERT INTO flowlens.insights (repo_id, pr_number, summary) VALUES ('00000000-0000-0000-0000-0000000000aa', 1, 'fine');
SELECT queue, attempts FROM flowlens.work_queue;
DELETE FROM flowlens.repositories;
SELECT count(*) FROM flowlens.work_queue;

-- a writer needs no rights on the queue
INSERT INTO flowlens.repositories (id, github_id, name, full_name, owner)
VALUES ('00000000-0000-0000-0000-0000000000aa', 10, 'shop', 'acme/shop', 'acme');
CREATE ROLE queue_writer;
GRANT USAGE ON SCHEMA flowlens TO queue_writer;
GRANT INSERT ON flowlens.insights TO queue_writer;
SET ROLE queue_writer;
INSERT INTO flowlens.insights (repo_id, pr_number) VALUES ('00000000-0000-0000-0000-0000000000aa', 1);
SELECT flowlens.claim('flowlens.insights');
RESET ROLE;
SELECT count(*) FROM flowlens.work_queue;
DELETE FROM flowlens.repositories;

-- limits
SELECT flowlens.claim('flowlens.pull_requests', 0);
SELECT flowlens.claim('flowlens.pull_requests', 100001);
SELECT flowlens.claim('flowlens.pull_requests', 100000);
SELECT flowlens.claim('flowlens.pull_requests', 1, '0');
SELECT flowlens.claim('flowlens.repositories');
SELECT flowlens.ack_batch('flowlens.pull_requests', '{}', '{1}');
SELECT flowlens.ack_batch('flowlens.pull_requests', '{}', '{}');
SELECT flowlens.mark_unprocessed();
CREATE TABLE no_queue (id integer);
CREATE TRIGGER t BEFORE INSERT ON no_queue FOR EACH ROW EXECUTE FUNCTION flowlens.mark_unprocessed();
INSERT INTO no_queue VALUES (1);
DROP TABLE no_queue;
DROP OWNED BY queue_writer;
DROP ROLE queue_writer;
DROP VIEW waiting;
DROP FUNCTION version(integer);
DROP FUNCTION pr(integer);

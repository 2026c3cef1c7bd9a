-- Who else writes a queue: COPY, MERGE, ON CONFLICT, partitions, triggers of the user; what claim() and ack() do then
INSERT INTO flowlens.repositories (id, github_id, name, full_name, owner)
VALUES ('00000000-0000-0000-0000-0000000000aa', 10, 'shop', 'acme/shop', 'acme');
CREATE FUNCTION pr(number integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(number::text)::uuid $$;
CREATE FUNCTION claimed() RETURNS TABLE (id uuid, version bigint) LANGUAGE sql AS $$
    SELECT id, version FROM flowlens.claim('flowlens.pull_requests', 100, '10 minutes') ORDER BY id $$;
-- rows whose flag and queue disagree
CREATE VIEW unequal AS
SELECT p.pr_number, p.processed, q.id IS NOT NULL AS waits
FROM flowlens.pull_requests p LEFT JOIN flowlens.work_queue q ON q.queue = 'flowlens.pull_requests'::regclass AND q.id = p.id
WHERE p.processed IS DISTINCT FROM (q.id IS NULL);

-- COPY
COPY flowlens.pull_requests (id, repo_id, pr_number, title, processed) FROM STDIN (FORMAT csv);
c4ca4238-a0b9-2382-0dcc-509a6f75849b,00000000-0000-0000-0000-0000000000aa,1,copied,true
c81e728d-9d4c-2f63-6f06-7f89cc14862c,00000000-0000-0000-0000-0000000000aa,2,copied,false
\.
SELECT pr_number, processed FROM flowlens.pull_requests ORDER BY 1;
SELECT count(*) AS acknowledged FROM claimed() c, flowlens.ack('flowlens.pull_requests', c.id, c.version) done WHERE done;
-- MERGE: one row as it was, one changed, one new, and one that is only marked
MERGE INTO flowlens.pull_requests p
USING (VALUES (1, 'copied'), (2, 'merged'), (3, 'new')) AS s (pr_number, title) ON p.pr_number = s.pr_number
WHEN MATCHED THEN UPDATE SET title = s.title
WHEN NOT MATCHED THEN INSERT (id, repo_id, pr_number, title, processed)
    VALUES (pr(s.pr_number), '00000000-0000-0000-0000-0000000000aa', s.pr_number, s.title, true);
SELECT pr_number, processed FROM flowlens.pull_requests ORDER BY 1;
SELECT * FROM unequal;
MERGE INTO flowlens.pull_requests p USING (VALUES (2), (3)) AS s (pr_number) ON p.pr_number = s.pr_number
WHEN MATCHED AND p.pr_number = 2 THEN UPDATE SET processed = true
WHEN MATCHED THEN DELETE;
SELECT pr_number, processed FROM flowlens.pull_requests ORDER BY 1;
SELECT * FROM unequal;
-- ON CONFLICT, with a row of its own in the same statement
INSERT INTO flowlens.pull_requests (id, repo_id, pr_number, title)
SELECT pr(n), '00000000-0000-0000-0000-0000000000aa', n, 'upserted' FROM generate_series(2, 4) n
ON CONFLICT (repo_id, pr_number) DO UPDATE SET title = excluded.title, processed = true;
SELECT pr_number, processed FROM flowlens.pull_requests ORDER BY 1;
SELECT * FROM unequal;
-- two changes and an answer in one transaction
BEGIN;
UPDATE flowlens.pull_requests SET title = 'once' WHERE pr_number = 1;
UPDATE flowlens.pull_requests SET title = 'twice' WHERE pr_number = 1;
SELECT count(*) AS acknowledged FROM claimed() c, flowlens.ack('flowlens.pull_requests', c.id, c.version) done WHERE done;
UPDATE flowlens.pull_requests SET title = 'after' WHERE pr_number = 1;
COMMIT;
SELECT pr_number, processed FROM flowlens.pull_requests ORDER BY 1;
SELECT * FROM unequal;
-- what is rolled back, has not been
BEGIN;
SELECT count(*) FROM claimed();
SAVEPOINT s;
SELECT count(*) FROM flowlens.ack_batch('flowlens.pull_requests', (SELECT array_agg(id) FROM flowlens.work_queue), (SELECT array_agg(version) FROM flowlens.work_queue));
SELECT count(*) FROM flowlens.work_queue;
ROLLBACK TO s;
SELECT count(*) FROM flowlens.work_queue;
SELECT * FROM unequal;
ROLLBACK;
SELECT count(*) FROM flowlens.work_queue WHERE leased_until IS NOT NULL;

-- an old position of this session's last claim leads to no wrong row: the row moved, went, and came back
SELECT id AS old_id, version AS old_version FROM claimed() LIMIT 1 \gset
SELECT flowlens.nack('flowlens.pull_requests', :'old_id', :old_version, 'later', '0');
SELECT id AS new_id, version AS new_version FROM claimed() WHERE id = :'old_id' \gset
SELECT flowlens.ack('flowlens.pull_requests', :'old_id', :old_version) AS old, flowlens.ack('flowlens.pull_requests', :'new_id', :new_version) AS new;
UPDATE flowlens.pull_requests SET title = title || '!';
SELECT flowlens.ack('flowlens.pull_requests', :'new_id', :new_version) AS gone;
SELECT * FROM unequal;
-- pairs that name no row, and the same row twice
SELECT count(*) FROM flowlens.ack_batch('flowlens.pull_requests', ARRAY[NULL, pr(1), pr(99)]::uuid[], ARRAY[1, NULL, 1]::bigint[]);
UPDATE flowlens.work_queue SET leased_until = NULL;
CREATE TEMP TABLE batch AS SELECT * FROM claimed();
SELECT count(*) FROM batch;
SELECT count(*) FROM flowlens.ack_batch('flowlens.pull_requests', (SELECT array_agg(id) || array_agg(id) FROM batch), (SELECT array_agg(version) || array_agg(version) FROM batch));
SELECT * FROM unequal;

-- triggers of the user: one touches every updated row, one writes another queue and another row of the same table
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER a_touch BEFORE UPDATE ON flowlens.pull_requests FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION spread() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO flowlens.insights (repo_id, pr_number, summary) VALUES (NEW.repo_id, NEW.pr_number, 'written by a trigger');
    UPDATE flowlens.pull_requests SET title = title || '?' WHERE pr_number = NEW.pr_number + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER z_spread AFTER UPDATE ON flowlens.pull_requests FOR EACH ROW WHEN (NEW.processed AND NEW.pr_number = 1) EXECUTE FUNCTION spread();
UPDATE flowlens.pull_requests SET title = 'work' WHERE pr_number = 1;
SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM claimed();
SELECT pr_number, processed, title FROM flowlens.pull_requests WHERE pr_number <= 2 ORDER BY 1;
SELECT queue, attempts FROM flowlens.work_queue ORDER BY queue::text;
SELECT * FROM unequal;
DROP TRIGGER a_touch ON flowlens.pull_requests;
DROP TRIGGER z_spread ON flowlens.pull_requests;
DROP FUNCTION touch();
DROP FUNCTION spread();
DELETE FROM flowlens.insights;

-- a check constraint, and a generated column
ALTER TABLE flowlens.pull_requests ADD CONSTRAINT not_now CHECK (NOT processed OR pr_number <> 2) NOT VALID;
UPDATE flowlens.pull_requests SET title = 'work' WHERE pr_number = 2;
\set VERBOSITY terse
SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM claimed();
\set VERBOSITY default
ALTER TABLE flowlens.pull_requests DROP CONSTRAINT not_now;
ALTER TABLE flowlens.pull_requests ADD COLUMN waits boolean GENERATED ALWAYS AS (NOT processed) STORED;
SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM claimed();
SELECT pr_number, processed, waits FROM flowlens.pull_requests WHERE pr_number = 2;
ALTER TABLE flowlens.pull_requests DROP COLUMN waits;
SELECT * FROM unequal;

-- polling keeps its index, which holds the rows that wait
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM flowlens.pull_requests WHERE processed = FALSE;
EXPLAIN (COSTS OFF) SELECT id FROM flowlens.pull_requests WHERE NOT processed LIMIT 10;
RESET enable_seqscan;

-- a partitioned queue
CREATE TABLE tasks (id uuid NOT NULL, day integer NOT NULL, note text, processed boolean DEFAULT false, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
CREATE TABLE tasks_1 PARTITION OF tasks FOR VALUES IN (1);
CREATE TABLE tasks_2 PARTITION OF tasks FOR VALUES IN (2);
CREATE TRIGGER mark_unprocessed BEFORE INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION flowlens.mark_unprocessed();
CREATE TRIGGER work_queue_insert AFTER INSERT ON tasks REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue();
CREATE TRIGGER work_queue_update AFTER UPDATE ON tasks REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue();
CREATE TRIGGER work_queue_delete AFTER DELETE ON tasks REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue();
CREATE TRIGGER work_queue_truncate AFTER TRUNCATE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue();
INSERT INTO tasks SELECT pr(n), 1 + n % 2, 'task', true FROM generate_series(1, 4) n;
SELECT count(*) FROM flowlens.work_queue WHERE queue = 'tasks'::regclass;
SELECT count(*) FROM flowlens.claim('tasks', 3) c, flowlens.ack('tasks', c.id, c.version) done WHERE done;
SELECT t.day, t.processed, q.id IS NOT NULL AS waits, q.attempts FROM tasks t LEFT JOIN flowlens.work_queue q ON q.queue = 'tasks'::regclass AND q.id = t.id ORDER BY 2, 1;
UPDATE tasks SET note = 'changed' WHERE day = 1;
UPDATE tasks SET day = 2, note = 'moved' WHERE day = 1;
SELECT t.day, t.processed, q.id IS NOT NULL AS waits FROM tasks t LEFT JOIN flowlens.work_queue q ON q.queue = 'tasks'::regclass AND q.id = t.id ORDER BY 2, 1, 3;
DELETE FROM tasks;
SELECT count(*) FROM flowlens.work_queue WHERE queue = 'tasks'::regclass;
DROP TABLE tasks;

-- a table that only looks like a queue: its flag is a text
CREATE TABLE looks (id uuid PRIMARY KEY, processed text);
INSERT INTO looks VALUES (pr(1), 'no');
INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at) VALUES ('looks', pr(1), '2024-01-01', '2024-01-01');
SELECT flowlens.ack('looks', id, version) FROM flowlens.claim('looks');
DELETE FROM flowlens.work_queue WHERE queue = 'looks'::regclass;
DROP TABLE looks;
-- nothing is written where nothing may be
BEGIN READ ONLY;
SELECT flowlens.claim('flowlens.pull_requests');
ROLLBACK;
BEGIN READ ONLY;
SELECT flowlens.ack('flowlens.pull_requests', pr(1), 1);
ROLLBACK;

-- work_queue itself stays plain
UPDATE flowlens.pull_requests SET title = 'more work' WHERE pr_number = 2;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE ON flowlens.work_queue FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT * FROM claimed();
DROP TRIGGER audit ON flowlens.work_queue;
CREATE TRIGGER audit AFTER INSERT ON flowlens.work_queue FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT count(*) FROM claimed();
DROP TRIGGER audit ON flowlens.work_queue;
DROP FUNCTION nothing();
BEGIN;
DROP INDEX flowlens.idx_work_queue_ready;
SELECT * FROM claimed();
ROLLBACK;
BEGIN;
ALTER TABLE flowlens.work_queue ADD COLUMN note text DEFAULT 'kept', DROP COLUMN group_key;
UPDATE flowlens.work_queue SET leased_until = NULL;
SELECT count(*) FROM claimed();
SELECT attempts, last_error, note FROM flowlens.work_queue;
ROLLBACK;

-- rights: those of the documents suffice, one less does not
CREATE ROLE queue_worker;
GRANT USAGE ON SCHEMA flowlens TO queue_worker;
GRANT EXECUTE ON FUNCTION flowlens.claim, flowlens.ack, flowlens.ack_batch, flowlens.nack TO queue_worker;
GRANT SELECT, UPDATE ON flowlens.work_queue TO queue_worker;
GRANT SELECT ON flowlens.pull_requests TO queue_worker;
UPDATE flowlens.work_queue SET leased_until = NULL;
SET ROLE queue_worker;
SELECT id, version FROM claimed() \gset
SELECT flowlens.ack('flowlens.pull_requests', :'id', :version);
RESET ROLE;
GRANT DELETE ON flowlens.work_queue TO queue_worker;
SET ROLE queue_worker;
SELECT flowlens.ack('flowlens.pull_requests', :'id', :version);
RESET ROLE;
GRANT UPDATE (processed) ON flowlens.pull_requests TO queue_worker;
SET ROLE queue_worker;
SELECT flowlens.ack('flowlens.pull_requests', :'id', :version);
RESET ROLE;
SELECT * FROM unequal;
-- row security of the queue's table
UPDATE flowlens.pull_requests SET title = 'hidden' WHERE pr_number IN (2, 3);
ALTER TABLE flowlens.pull_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_two ON flowlens.pull_requests TO queue_worker USING (pr_number = 2);
SET ROLE queue_worker;
CREATE TEMP TABLE pair AS SELECT * FROM claimed();
SELECT count(*) FROM flowlens.ack_batch('flowlens.pull_requests', (SELECT array_agg(b.id) FROM pair b), (SELECT array_agg(b.version) FROM pair b));
SELECT done FROM pair b, flowlens.ack('flowlens.pull_requests', b.id, b.version) done WHERE b.id = pr(2);
RESET ROLE;
SELECT pr_number, processed FROM flowlens.pull_requests WHERE pr_number IN (2, 3) ORDER BY 1;
SELECT * FROM unequal;
ALTER TABLE flowlens.pull_requests DISABLE ROW LEVEL SECURITY;
DROP OWNED BY queue_worker;
DROP ROLE queue_worker;
DELETE FROM flowlens.repositories;
DROP VIEW unequal;
DROP FUNCTION claimed();
DROP FUNCTION pr(integer);

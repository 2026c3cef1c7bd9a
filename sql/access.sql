-- grant_access(): what a reader, a writer and an admin may do, and what not; set_owner(), revoke_access()
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE ROLE regress_flowlens_reader;
CREATE ROLE regress_flowlens_writer;
CREATE ROLE regress_flowlens_admin;
CREATE ROLE regress_flowlens_owner;
CREATE FUNCTION public.answer(id bigint, stars integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z') $$;
-- prints what a statement returns, or the state of its error
CREATE FUNCTION public.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'ok');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- mistakes
\set VERBOSITY terse
SELECT flowlens.grant_access('regress_flowlens_reader', 'everything');
SELECT flowlens.grant_access('regress_flowlens_reader', NULL);
SELECT flowlens.grant_access('regress_flowlens_nobody', 'reader');
SELECT flowlens.grant_access(NULL, 'reader');
SELECT flowlens.revoke_access('regress_flowlens_nobody');
SELECT flowlens.set_owner('regress_flowlens_nobody');
\set VERBOSITY sqlstate
SELECT flowlens.revoke_access(flowlens.tables_owner());
-- nobody becomes a superuser this way
SELECT flowlens.grant_access('regress_flowlens_admin', 'admin') FROM pg_roles WHERE rolname = flowlens.tables_owner() AND rolsuper;
\set VERBOSITY default

-- a role of its own owns everything from here on, and hands out access itself
SELECT flowlens.grant_access('regress_flowlens_reader', 'reader');
SELECT current_user AS superuser \gset
SELECT flowlens.set_owner('regress_flowlens_owner');
SELECT flowlens.tables_owner(), (SELECT count(*) FROM pg_class WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
    AND pg_get_userbyid(relowner) <> 'regress_flowlens_owner') AS others;
GRANT regress_flowlens_owner TO regress_flowlens_admin;
SET ROLE regress_flowlens_owner;
SELECT flowlens.grant_access('regress_flowlens_writer', 'writer');
SELECT flowlens.grant_access('regress_flowlens_owner', 'reader');
SELECT * FROM flowlens.access_list();

-- the owner runs everything
SELECT flowlens.store_raw_repos(answer(1, 10), NULL, '2024-03-01 10:00');
CALL flowlens.run_pipeline('2024-03-01');
SELECT flowlens.install();
RESET ROLE;

-- a reader reads, partitions that came later too, and writes nothing
SET ROLE regress_flowlens_reader;
SELECT repo_full_name, stars FROM flowlens.analytics_trending_repos_current;
SELECT count(*) FROM flowlens.raw_github_repos;
SELECT count(*) FROM flowlens.raw_github_repos_p20240301;
SELECT repo_full_name FROM flowlens.repo_as_of(1, '2024-03-02');
SELECT count(*) > 0 AS queues FROM flowlens.queue_stats();
SELECT count(*) > 20 AS checks FROM flowlens.health;
SELECT format('%s: %s', c.relname, attempt(format('WITH x AS (SELECT FROM flowlens.%I LIMIT 1) SELECT NULL', c.relname))) AS not_readable
FROM pg_class c WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND attempt(format('WITH x AS (SELECT FROM flowlens.%I LIMIT 1) SELECT NULL', c.relname)) <> 'ok' ORDER BY 1;
SELECT count(*) AS may_write FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege(c.oid, privilege);
SELECT p.oid::regprocedure AS may_execute FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND p.provolatile = 'v' AND p.proname NOT IN ('backend_is_running', 'coordinator_xid') AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1::text;
SELECT attempt($$SELECT flowlens.store_raw_repos(answer(1, 10))$$);
SELECT attempt($$CREATE TABLE flowlens.mine ()$$);
RESET ROLE;

-- a writer stores, receives, works on queues and traces
SET ROLE regress_flowlens_writer;
SELECT flowlens.store_raw_repos(answer(2, 20), NULL, '2024-03-01 11:00');
SELECT flowlens.store_raw_readme(2, '# two', '2024-03-01 11:00'), flowlens.store_raw_metrics(2, 'issues', '[]', '2024-03-01 11:00');
SELECT flowlens.store_render_enrichment(1, '{web}', 'community', observed_at => '2024-03-01 12:00');
-- it cannot create a partition: the row waits in the default one
SELECT flowlens.store_raw_repos(answer(3, 30), NULL, '2024-03-02 10:00');
SELECT tableoid::regclass, count(*) FROM flowlens.raw_github_repos GROUP BY 1 ORDER BY count(*);
-- no secret is set, so no delivery is authentic; here is one that came before
SELECT flowlens.receive_webhook('ping', '00000000-0000-0000-0000-000000000001', '{}');
INSERT INTO flowlens.raw_github_events (delivery_id, received_at, event, action, github_id, payload) VALUES
    ('00000000-0000-0000-0000-000000000001', '2024-03-01 10:00', 'pull_request', 'opened', 9, '{"action": "opened", "number": 1,
    "repository": {"id": 9, "name": "r9", "full_name": "o/r9", "owner": {"login": "o"}, "language": "C", "stargazers_count": 1, "default_branch": "main",
                   "created_at": "2020-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z"},
    "pull_request": {"id": 5, "number": 1, "title": "one", "state": "open", "user": {"login": "u"}, "head": {"sha": "aa", "ref": "x"}, "base": {"ref": "main"},
                     "created_at": "2024-03-01T00:00:00Z", "updated_at": "2024-03-01T00:00:00Z"}}');
INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at, group_key)
SELECT 'flowlens.raw_github_events'::regclass, delivery_id, received_at, received_at, github_id FROM flowlens.raw_github_events;
SELECT * FROM flowlens.process_webhooks();
SELECT flowlens.store_pull_request_files(9, 1, '[{"filename": "a.c"}]');
SELECT id, version FROM flowlens.claim('flowlens.pull_requests') \gset
SELECT flowlens.nack('flowlens.pull_requests', :'id', :version, 'not yet', '0');
SELECT flowlens.requeue('flowlens.pull_requests', :'id');
SELECT id, version FROM flowlens.claim('flowlens.pull_requests') \gset
SELECT flowlens.ack('flowlens.pull_requests', :'id', :version);
INSERT INTO flowlens.insights (repo_id, pr_number, risk_level) SELECT id, 1, 'low' FROM flowlens.repositories WHERE github_id = 9;
SELECT count(*) FROM flowlens.claim('flowlens.insights') c, flowlens.ack_batch('flowlens.insights', ARRAY[c.id], ARRAY[c.version]);
SELECT flowlens.start_workflow('fetch') AS run \gset
SELECT flowlens.start_task(:'run', 'page'), flowlens.finish_task(:'run', 'page'), flowlens.finish_workflow(:'run');
SELECT status FROM flowlens.fact_workflow_runs WHERE run_id = :'run';
-- and nothing more
SELECT attempt(s) FROM unnest(ARRAY['CALL flowlens.run_pipeline()', 'SELECT flowlens.store_in_staging()', 'SELECT flowlens.load_snapshots()',
    'SELECT flowlens.maintain_partitions()', 'SELECT flowlens.schedule()', 'SELECT flowlens.unschedule()', 'SELECT flowlens.install()', 'SELECT flowlens.uninstall(''drop all data'')',
    'SELECT flowlens.grant_access(''regress_flowlens_writer'', ''admin'')', 'SELECT flowlens.set_owner(''regress_flowlens_writer'')',
    'UPDATE flowlens.settings SET value = NULL', 'DELETE FROM flowlens.raw_github_repos', 'UPDATE flowlens.raw_github_repos SET github_id = 0',
    'DELETE FROM flowlens.pull_requests', 'INSERT INTO flowlens.dim_languages (language_name) VALUES (''x'')', 'TRUNCATE flowlens.work_queue',
    'UPDATE flowlens.stg_repos_validated SET stars = 0', 'DELETE FROM flowlens.fact_workflow_runs']) s;
SELECT p AS may_execute FROM flowlens.writer_functions() p WHERE has_function_privilege(p, 'EXECUTE');
RESET ROLE;

-- an admin does all that the owner does, and what it creates belongs to the owner
SET ROLE regress_flowlens_admin;
UPDATE flowlens.settings SET value = '99' WHERE name = 'leaderboard_size';
CALL flowlens.run_pipeline('2024-03-03');
SELECT repo_full_name, stars FROM flowlens.analytics_trending_repos_current ORDER BY 1;
SELECT flowlens.ensure_partition('flowlens.raw_github_repos', '2024-03-02');
SELECT count(*) AS strays FROM flowlens.raw_github_repos_default;
SELECT flowlens.install();
RESET ROLE;
UPDATE flowlens.settings SET value = '100' WHERE name = 'leaderboard_size';
SELECT flowlens.store_raw_repos(answer(3, 31), NULL, '2024-03-04 10:00');
CALL flowlens.run_pipeline('2024-03-04');
SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c
WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND pg_get_userbyid(c.relowner) <> 'regress_flowlens_owner';
-- readers see the partitions that it made
SET ROLE regress_flowlens_reader;
SELECT count(*) FROM flowlens.fact_repo_snapshots_p20240304;
RESET ROLE;

-- a later version: what install() brings back is open to readers and writers again
SET ROLE regress_flowlens_owner;
DROP TABLE flowlens.stg_render_enrichment CASCADE;
SELECT flowlens.install() LIKE 'installed %' AS repaired;
RESET ROLE;
SELECT has_table_privilege('regress_flowlens_writer', 'flowlens.stg_render_enrichment', 'INSERT') AS writer,
       has_table_privilege('regress_flowlens_reader', 'flowlens.stg_render_enrichment', 'SELECT') AS reader,
       has_table_privilege('regress_flowlens_reader', 'flowlens.analytics_render_showcase', 'SELECT') AS reader_of_view;

-- all of it can be taken away
SET ROLE regress_flowlens_owner;
SELECT flowlens.revoke_access('regress_flowlens_writer'), flowlens.revoke_access('regress_flowlens_reader');
RESET ROLE;
SELECT flowlens.revoke_access('regress_flowlens_admin');
SELECT * FROM flowlens.access_list();
DROP ROLE regress_flowlens_reader;
DROP ROLE regress_flowlens_writer;
DROP ROLE regress_flowlens_admin;
SELECT flowlens.set_owner(:'superuser');
DROP OWNED BY regress_flowlens_owner;
DROP ROLE regress_flowlens_owner;
DELETE FROM flowlens.repositories;
DELETE FROM flowlens.raw_github_events;
DROP FUNCTION public.answer(bigint, integer);
DROP FUNCTION public.attempt(text);
SELECT clean_slate();

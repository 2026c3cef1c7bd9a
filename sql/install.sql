-- install() and uninstall(): what they create, refuse, keep and drop
SET client_min_messages = warning;
CREATE EXTENSION flowlens_trender;
SELECT extname, extversion = flowlens.extension_version() AS version, nspname
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'flowlens_trender';

-- the extension itself owns no table
SELECT count(*) FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'flowlens_trender' AND c.relkind IN ('r', 'p', 'v', 'S');

-- what needs the tables says so
SELECT flowlens.store_raw_repos('{}');
\set VERBOSITY terse
SELECT flowlens.store_in_staging();
CALL flowlens.run_pipeline();
\set VERBOSITY default

-- relations of others are in the way: nothing is adopted, nothing is left behind
CREATE TABLE flowlens.settings (mine integer);
CREATE VIEW flowlens.analytics_repo_history AS SELECT 1 AS mine;
SELECT flowlens.install();
SELECT count(*) FROM flowlens.schema_objects() WHERE present;
DROP TABLE flowlens.settings;
DROP VIEW flowlens.analytics_repo_history;

-- installed, and again
SELECT flowlens.install() = 'installed ' || flowlens.extension_version() AS installed;
SELECT flowlens.install();
SELECT kind, count(*) > 0 AS some, bool_and(present) AS present FROM flowlens.schema_objects() GROUP BY kind ORDER BY kind;
SELECT count(*) AS versions, bool_and(version = flowlens.extension_version()) AS right_one FROM flowlens.schema_version;

-- what was dropped by hand comes back; what was edited stays
DROP VIEW flowlens.analytics_repo_history;
UPDATE flowlens.settings SET value = '7' WHERE name = 'leaderboard_size';
SELECT flowlens.install() = 'installed ' || flowlens.extension_version() AS repaired;
SELECT to_regclass('flowlens.analytics_repo_history') IS NOT NULL AS is_back,
       (SELECT value FROM flowlens.settings WHERE name = 'leaderboard_size') AS kept;

-- uninstall() wants its word, and stops at what others built on top
SELECT flowlens.uninstall(NULL);
SELECT flowlens.uninstall('drop all');
CREATE VIEW public.on_top AS SELECT name FROM flowlens.settings;
\set VERBOSITY terse
SELECT flowlens.uninstall('drop all data');
\set VERBOSITY default
DROP VIEW public.on_top;
SELECT flowlens.uninstall('drop all data');
SELECT count(*) FROM flowlens.schema_objects() WHERE present;
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'p', 'v', 'S', 'm') ORDER BY 1;

-- a plain role installs it (the extension is trusted) and runs everything on its own tables
DROP EXTENSION flowlens_trender;
DROP SCHEMA flowlens;
CREATE ROLE regress_flowlens_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_flowlens_owner', current_database()) \gexec
SET ROLE regress_flowlens_owner;
CREATE EXTENSION flowlens_trender;
SELECT flowlens.install() = 'installed ' || flowlens.extension_version() AS installed;
SELECT flowlens.store_raw_repos('{"id": 1, "full_name": "a/b", "language": "C", "stargazers_count": 1,
    "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z"}', observed_at => '2024-02-01 12:00+00');
CALL flowlens.run_pipeline('2024-02-01');
SELECT repo_full_name, stars FROM flowlens.analytics_trending_repos_current;
-- dropping the extension is refused; with CASCADE triggers go and data stays, and install() makes up for it
\set VERBOSITY terse
DROP EXTENSION flowlens_trender;
DROP EXTENSION flowlens_trender CASCADE;
\set VERBOSITY default
SELECT repo_full_name, stars FROM flowlens.analytics_trending_repos_current;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'flowlens.pull_requests'::regclass AND NOT tgisinternal;
CREATE EXTENSION flowlens_trender;
SELECT flowlens.install() = 'installed ' || flowlens.extension_version() AS repaired;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'flowlens.pull_requests'::regclass AND NOT tgisinternal;
SELECT flowlens.install();
CALL flowlens.run_pipeline('2024-02-01');
RESET ROLE;
-- another role may not, and may not take over
CREATE ROLE regress_flowlens_stranger;
GRANT USAGE, CREATE ON SCHEMA flowlens TO regress_flowlens_stranger;
GRANT EXECUTE ON FUNCTION flowlens.hold_lock(text) TO regress_flowlens_stranger;
SET ROLE regress_flowlens_stranger;
SELECT flowlens.install();
RESET ROLE;
GRANT EXECUTE ON FUNCTION flowlens.install() TO regress_flowlens_stranger;
SET ROLE regress_flowlens_stranger;
\set VERBOSITY terse
SELECT flowlens.install();
\set VERBOSITY default
RESET ROLE;
SET ROLE regress_flowlens_owner;
SELECT flowlens.uninstall('drop all data');
DROP EXTENSION flowlens_trender;
DROP SCHEMA flowlens;
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_flowlens_owner', current_database()) \gexec
DROP ROLE regress_flowlens_owner, regress_flowlens_stranger;

-- for the tests that follow
CREATE EXTENSION flowlens_trender;
SELECT flowlens.install() IS NOT NULL AS installed;
-- empties all layers and forgets their days
CREATE FUNCTION public.clean_slate() RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE relation regclass;
BEGIN
    FOR relation IN SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                    WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind = 'r' AND c.relname ~ '_p[0-9]{8}$' LOOP
        EXECUTE format('DROP TABLE %s', relation);
    END LOOP;
    FOR relation IN SELECT to_regclass('flowlens.' || n) FROM unnest(ARRAY['raw_github_repos', 'raw_repo_metrics', 'stg_repos_validated', 'stg_repos_rejected',
        'stg_repo_readmes', 'stg_repo_activity', 'stg_render_enrichment', 'dim_repositories', 'fact_repo_snapshots', 'fact_render_usage', 'leaderboard_current',
        'pipeline_days', 'fact_workflow_runs']) n LOOP
        EXECUTE format('DELETE FROM %s', relation);
    END LOOP;
    UPDATE flowlens.staging_cursors SET snapshot = NULL, latest = NULL;
END $$;

-- Removes the workflow tables of databases made before fact_workflow_runs took their place:
--     psql $DATABASE_URL -f database/cleanup_workflow_tracking.sql
-- These are fact_workflow_executions and a view analytics_workflow_performance that reads it, in schema public or flowlens.
-- Without them nothing happens. What else depends on the old table stops the script, instead of vanishing with it.
\set QUIET on
\set ON_ERROR_STOP on
\pset pager off

DO $cleanup$
DECLARE
    old_table regclass;
    old_view regclass;
    removed integer := 0;
BEGIN
    FOR old_table IN
        SELECT c.oid::regclass
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'flowlens') AND c.relname = 'fact_workflow_executions' AND c.relkind IN ('r', 'p')
    LOOP
        FOR old_view IN
            SELECT DISTINCT v.oid::regclass
            FROM pg_depend d
            JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
            JOIN pg_class v ON v.oid = r.ev_class
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = old_table
              AND v.relkind = 'v' AND v.relname = 'analytics_workflow_performance'
        LOOP
            RAISE NOTICE 'dropping view %', old_view;
            EXECUTE format('DROP VIEW %s', old_view);
            removed := removed + 1;
        END LOOP;
        RAISE NOTICE 'dropping table %', old_table;
        EXECUTE format('DROP TABLE %s', old_table);
        removed := removed + 1;
    END LOOP;
    IF removed = 0 THEN
        RAISE NOTICE 'no old workflow tables in this database';
    END IF;
END
$cleanup$;

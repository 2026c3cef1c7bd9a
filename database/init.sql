-- Creates all tables, indexes and views in schema flowlens, without the extension:
--     psql $DATABASE_URL -f database/init.sql
-- Running it again changes nothing. With the extension, SELECT flowlens.install() does the same.
\set QUIET on
\set ON_ERROR_STOP on

-- names mean the server's own objects, whatever somebody put into the schemas of the caller's path
SELECT pg_catalog.current_setting('search_path') AS caller_search_path
\gset
SELECT pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', false) AS search_path
\gset

\ir schema/00_settings.sql
\ir schema/01_raw_layer.sql
\ir schema/02_staging_layer.sql
\ir schema/03_analytics_layer.sql
\ir schema/04_views.sql
\ir schema/05_workflow_traces.sql
\ir schema/06_flowlens.sql
\ir schema/07_retention.sql
\ir schema/08_health.sql

SELECT count(*) FILTER (WHERE relkind IN ('r', 'p')) AS tables, count(*) FILTER (WHERE relkind = 'v') AS views
FROM pg_class
WHERE relnamespace = 'flowlens'::regnamespace AND NOT relispartition
\gset
SELECT pg_catalog.set_config('search_path', :'caller_search_path', false) AS search_path
\gset
\echo 'schema flowlens:' :tables 'tables,' :views 'views'

-- DESTRUCTIVE: empties every table of schema flowlens, for testing only:
--     psql $DATABASE_URL -f database/clear_data.sql
-- Kept are settings, models, policies, exclusions, the schema version, and the languages and services of the dimensions.
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql

BEGIN;
-- One TRUNCATE over all tables, because some refer to others
SELECT string_agg(format('flowlens.%I', c.relname), ', ' ORDER BY c.relname) AS emptied
FROM pg_class c
WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname NOT IN ('schema_version', 'settings', 'momentum_models', 'retention_policies', 'scd2_tracked_columns',
    'leaderboard_exclusions', 'staging_cursors', 'work_queue', 'dim_languages', 'dim_render_services')
\gset
TRUNCATE :emptied RESTART IDENTITY;
-- Staging starts again at the beginning
UPDATE flowlens.staging_cursors SET snapshot = NULL, system_identifier = NULL, latest = NULL;
COMMIT;
\echo 'emptied:' :emptied

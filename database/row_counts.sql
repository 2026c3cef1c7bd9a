-- Rows and size of every table, by layer:
--     psql $DATABASE_URL -f database/row_counts.sql
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql

-- One statement that counts them all, so that the numbers belong to one moment
SELECT string_agg(format(
        'SELECT %L AS layer, %L AS table_name, count(*) AS rows, pg_size_pretty(%s::numeric) AS size FROM flowlens.%I',
        layer, relname, bytes, relname), E'\nUNION ALL ' ORDER BY layer, relname)
FROM (
    SELECT c.relname,
        CASE
            WHEN c.relname LIKE 'raw\_%' THEN '1 raw'
            WHEN c.relname LIKE 'stg\_%' THEN '2 staging'
            WHEN c.relname ~ '^(dim_|fact_|agg_|leaderboard_current)' THEN '3 analytics'
            WHEN c.relname IN ('repositories', 'pull_requests', 'pipeline_runs', 'insights', 'deployments',
                'workflow_run_attempts') THEN '4 flowlens'
            ELSE '5 settings and state'
        END AS layer,
        CASE c.relkind
            WHEN 'p' THEN (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0) FROM pg_partition_tree(c.oid) t)
            ELSE pg_total_relation_size(c.oid)
        END AS bytes
    FROM pg_class c
    WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
) tables
\gexec

-- Shows whether data flows from staging to the leaderboard:
--     psql $DATABASE_URL -f database/check_analytics_load.sql
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql
\pset footer off

\echo '== newest data per layer'
SELECT 'raw_github_repos' AS table_name, count(*) AS rows, max(fetch_timestamp)::text AS newest FROM flowlens.raw_github_repos
UNION ALL
SELECT 'stg_repos_validated', count(*), max(observed_at)::text FROM flowlens.stg_repos_validated
UNION ALL
SELECT 'stg_repos_rejected', count(*), max(fetch_timestamp)::text FROM flowlens.stg_repos_rejected
UNION ALL
SELECT 'dim_repositories (current)', count(*), max(valid_from)::text FROM flowlens.dim_repositories WHERE is_current
UNION ALL
SELECT 'dim_repositories (closed)', count(*), max(valid_to)::text FROM flowlens.dim_repositories WHERE NOT is_current
UNION ALL
SELECT 'fact_repo_snapshots', count(*), max(snapshot_date)::text FROM flowlens.fact_repo_snapshots
UNION ALL
SELECT 'fact_render_usage', count(*), max(snapshot_date)::text FROM flowlens.fact_render_usage;

\echo '== last days'
SELECT day, scored, stale, model, published_at, dimensions_pending, snapshot_pending
FROM flowlens.pipeline_days
ORDER BY day DESC
LIMIT 7;

\echo '== repositories by language: staged, in the dimension, scored on the newest published day'
WITH staged AS (
    SELECT language, count(DISTINCT github_id) AS repositories FROM flowlens.stg_repos_validated GROUP BY language
), loaded AS (
    SELECT language, count(*) AS repositories FROM flowlens.dim_repositories WHERE is_current GROUP BY language
), scored AS (
    SELECT dl.language_name AS language, count(*) AS repositories
    FROM flowlens.fact_repo_snapshots f
    JOIN flowlens.dim_languages dl ON dl.language_key = f.language_key
    WHERE f.snapshot_date = (SELECT max(day) FROM flowlens.pipeline_days WHERE published_at IS NOT NULL)
    GROUP BY dl.language_name
)
SELECT language, staged.repositories AS staged, loaded.repositories AS current, scored.repositories AS scored
FROM staged
FULL JOIN loaded USING (language)
FULL JOIN scored USING (language)
ORDER BY loaded.repositories DESC NULLS LAST, language
LIMIT 30;

\echo '== most frequent reasons of rejection'
SELECT e.error ->> 'instanceLocation' AS field, e.error ->> 'keyword' AS keyword, count(*) AS answers,
    min(r.repo_full_name) AS example, left(min(e.error ->> 'error'), 60) AS error
FROM flowlens.stg_repos_rejected r
CROSS JOIN LATERAL jsonb_array_elements(r.errors) AS e (error)
GROUP BY 1, 2
ORDER BY answers DESC, field, keyword
LIMIT 10;

\echo '== last runs'
SELECT run_id, workflow_name, started_at, status, execution_time_seconds AS seconds, repos_processed,
    left(error_message, 60) AS error
FROM flowlens.fact_workflow_runs
ORDER BY started_at DESC
LIMIT 5;

\echo '== consistency (each line must say ok)'
SELECT name AS check, CASE WHEN found = 0 THEN 'ok' ELSE 'PROBLEM: ' || found END AS result
FROM (
    SELECT 1, 'one open version per repository', (
        SELECT count(*) FROM (
            SELECT 1 FROM flowlens.dim_repositories GROUP BY github_id HAVING count(*) FILTER (WHERE is_current) <> 1) x)
    UNION ALL
    SELECT 2, 'versions of a repository follow each other without overlap', (
        SELECT count(*) FROM (
            SELECT valid_to, lead(valid_from) OVER (PARTITION BY github_id ORDER BY valid_from) AS next_from
            FROM flowlens.dim_repositories) x
        WHERE next_from < coalesce(valid_to, 'infinity'))
    UNION ALL
    SELECT 3, 'every fact points at a version of its own repository', (
        SELECT count(*) FROM flowlens.fact_repo_snapshots f
        WHERE NOT EXISTS (SELECT 1 FROM flowlens.dim_repositories dr
            WHERE dr.repo_key = f.repo_key AND dr.github_id = f.github_id))
    UNION ALL
    SELECT 4, 'ranks of each published day are 1 to n', (
        SELECT count(*) FROM (
            SELECT 1 FROM flowlens.fact_repo_snapshots f
            JOIN flowlens.pipeline_days d ON d.day = f.snapshot_date AND d.published_at IS NOT NULL
            GROUP BY f.snapshot_date
            HAVING min(f.rank_overall) <> 1 OR max(f.rank_overall) <> count(*) OR count(DISTINCT f.rank_overall) <> count(*)) x)
    UNION ALL
    -- without the extension nobody makes partitions, and the default ones hold everything
    SELECT 5, 'no rows in default partitions', (
        SELECT CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'flowlens_trender') THEN count(*) ELSE 0 END FROM (
            SELECT 1 FROM flowlens.raw_github_repos_default
            UNION ALL SELECT 1 FROM flowlens.raw_github_events_default
            UNION ALL SELECT 1 FROM flowlens.raw_repo_metrics_default
            UNION ALL SELECT 1 FROM flowlens.stg_repos_validated_default
            UNION ALL SELECT 1 FROM flowlens.fact_repo_snapshots_default
            UNION ALL SELECT 1 FROM flowlens.fact_render_usage_default) x)
) AS checks (position, name, found)
ORDER BY position;

-- Current repositories per language, with the best of each on the newest published day:
--     psql $DATABASE_URL -f database/repos_by_language.sql
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql

WITH newest AS (
    SELECT f.github_id, f.stars, f.star_velocity, f.rank_in_language
    FROM flowlens.fact_repo_snapshots f
    WHERE f.snapshot_date = (SELECT max(d.day) FROM flowlens.pipeline_days d WHERE d.published_at IS NOT NULL)
)
SELECT
    coalesce(dr.language, '(none)') AS language,
    count(*) AS repositories,
    round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS percent,
    sum(n.stars) AS stars,
    round(sum(n.star_velocity)::numeric, 1) AS stars_per_day,
    (array_agg(dr.repo_full_name ORDER BY n.rank_in_language) FILTER (WHERE n.rank_in_language IS NOT NULL))[1] AS best
FROM flowlens.dim_repositories dr
LEFT JOIN newest n ON n.github_id = dr.github_id
WHERE dr.is_current AND NOT dr.is_deleted
GROUP BY dr.language
ORDER BY repositories DESC, language;

-- What bin/demo prints at the end: the leaderboard with the daily gains of 30 days, and what lies in each layer.
\set QUIET on
\pset pager off
\pset footer off
\pset null '-'

-- Draws values as bars between 0 (or their smallest, if negative) and their largest; a missing one is a space
CREATE FUNCTION pg_temp.sparkline(numbers double precision[]) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN (
    SELECT string_agg(coalesce(substr('▁▂▃▄▅▆▇█', CASE WHEN high = low THEN 1 ELSE 1 + floor(7.999 * (number - low) / (high - low))::integer END, 1), ' '),
        '' ORDER BY position)
    FROM unnest(numbers) WITH ORDINALITY AS n (number, position)
    CROSS JOIN (SELECT least(0, min(m)) AS low, max(m) AS high FROM unnest(numbers) m) bounds);

\echo
\echo '== leaderboard: analytics_trending_repos_current, with the stars gained per day in the scored history'
WITH gains AS (
    SELECT f.github_id, d.day::date AS day,
        (f.stars - lag(f.stars) OVER (PARTITION BY f.github_id ORDER BY d.day))::double precision AS gain
    FROM flowlens.fact_repo_snapshots f
    JOIN generate_series((SELECT max(day) - 29 FROM flowlens.pipeline_days WHERE published_at IS NOT NULL),
        (SELECT max(day) FROM flowlens.pipeline_days WHERE published_at IS NOT NULL), '1 day') AS d (day) ON f.snapshot_date = d.day
), lines AS (
    SELECT t.github_id, pg_temp.sparkline(array_agg(g.gain ORDER BY d.day)) AS line
    FROM flowlens.analytics_trending_repos_current t
    CROSS JOIN generate_series(t.snapshot_date - 28, t.snapshot_date, '1 day') AS d (day)
    LEFT JOIN gains g ON g.github_id = t.github_id AND g.day = d.day
    GROUP BY t.github_id
)
SELECT t.rank_overall AS rank, t.repo_full_name AS repository, t.language, t.stars,
    round(t.star_velocity::numeric, 1) AS per_day, round(t.momentum_score::numeric, 3) AS momentum, l.line AS "gained in 29 days"
FROM flowlens.analytics_trending_repos_current t
LEFT JOIN lines l USING (github_id)
ORDER BY t.rank_overall
LIMIT 20;

\echo
\echo '== languages: analytics_language_trends'
SELECT language_name, total_repos AS repositories, total_stars AS stars, round(stars_per_day::numeric, 1) AS per_day,
    render_projects
FROM flowlens.analytics_language_trends
LIMIT 10;

SELECT EXISTS (SELECT FROM flowlens.analytics_render_showcase) AS has_render \gset
\if :has_render
\echo
\echo '== Render ecosystem: analytics_render_showcase'
SELECT repo_full_name AS repository, render_category AS category, stars, array_to_string(render_services, ', ') AS services,
    render_complexity_score AS complexity
FROM flowlens.analytics_render_showcase
LIMIT 5;
\endif

\echo
\echo '== versions: the repositories that changed most often, from dim_repositories'
SELECT github_id, valid_from::date AS valid_from, valid_to::date AS valid_to, repo_full_name AS repository,
    left(description, 40) AS description, is_archived AS archived
FROM flowlens.dim_repositories
WHERE github_id IN (
    SELECT github_id FROM flowlens.dim_repositories GROUP BY github_id HAVING count(*) > 1
    ORDER BY count(DISTINCT repo_full_name) DESC, count(*) DESC, github_id LIMIT 3)
ORDER BY github_id, valid_from
LIMIT 12;

\echo
\echo '== rejected answers: stg_repos_rejected'
SELECT e.error ->> 'instanceLocation' AS field, e.error ->> 'error' AS reason, count(*) AS answers, min(r.repo_full_name) AS example
FROM flowlens.stg_repos_rejected r
CROSS JOIN LATERAL jsonb_array_elements(r.errors) AS e (error)
GROUP BY 1, 2
ORDER BY answers DESC, field, reason
LIMIT 10;

\echo
\echo '== rows per layer'
SELECT (SELECT count(*) FROM flowlens.raw_github_repos) AS raw,
    (SELECT count(*) FROM flowlens.stg_repos_validated) AS staged,
    (SELECT count(*) FROM flowlens.stg_repos_rejected) AS rejected,
    (SELECT count(*) FROM flowlens.dim_repositories WHERE is_current) AS repositories,
    (SELECT count(*) FROM flowlens.dim_repositories) AS versions,
    (SELECT count(*) FROM flowlens.fact_repo_snapshots) AS snapshots,
    (SELECT count(*) FROM flowlens.pipeline_days WHERE published_at IS NOT NULL) AS days,
    (SELECT count(*) FROM flowlens.fact_workflow_runs) AS runs,
    (SELECT round(avg(execution_time_seconds), 2) FROM flowlens.fact_workflow_runs WHERE status = 'completed') AS seconds_per_run;

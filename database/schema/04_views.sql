-- Views: leaderboards and trends. They show the newest published day, and one row per repository whatever its versions.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE OR REPLACE VIEW flowlens.analytics_trending_repos_current AS
SELECT
    dr.repo_full_name,
    dr.language,
    b.stars,
    b.momentum_score,
    dr.description,
    dr.readme_content,
    dr.created_at,
    dr.repo_url,
    dr.render_category,
    b.star_velocity,
    b.activity_score,
    b.growth_score,
    b.rank_overall,
    b.rank_in_language,
    b.snapshot_date,
    b.observed_at AS last_updated,
    b.is_stale,
    b.github_id
FROM flowlens.leaderboard_current b
JOIN flowlens.dim_repositories dr ON dr.github_id = b.github_id AND dr.is_current
WHERE NOT dr.is_deleted
  AND NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
ORDER BY b.rank_overall
LIMIT (SELECT s.value::integer FROM flowlens.settings s WHERE s.name = 'leaderboard_size');
COMMENT ON VIEW flowlens.analytics_trending_repos_current IS
'The repositories expected to gain the most stars: head of the newest published day, best first ("leaderboard_size" rows).';

CREATE OR REPLACE VIEW flowlens.analytics_render_showcase AS
SELECT
    dr.repo_full_name,
    dr.render_category,
    f.stars,
    f.momentum_score,
    f.star_velocity,
    f.activity_score,
    dr.repo_url,
    dr.language,
    dr.description,
    dr.readme_content,
    e.render_services,
    e.service_count,
    e.render_complexity_score,
    e.has_blueprint_button,
    e.deploy_button_url,
    f.snapshot_date,
    f.github_id
FROM flowlens.dim_languages dl
JOIN flowlens.fact_repo_snapshots f ON f.language_key = dl.language_key
JOIN flowlens.dim_repositories dr ON dr.github_id = f.github_id AND dr.is_current
LEFT JOIN flowlens.stg_render_enrichment e ON e.github_id = f.github_id
WHERE dl.language_name = 'render'
  AND f.snapshot_date = (SELECT max(d.day) FROM flowlens.pipeline_days d WHERE d.published_at IS NOT NULL)
  AND NOT dr.is_deleted
  AND NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
ORDER BY f.rank_in_language;
COMMENT ON VIEW flowlens.analytics_render_showcase IS
'Repositories of the Render ecosystem on the newest published day, best first.';

CREATE OR REPLACE VIEW flowlens.analytics_language_rankings AS
SELECT
    dl.language_name,
    dr.repo_full_name,
    b.stars,
    b.momentum_score,
    b.rank_in_language,
    (dr.render_category IS NOT NULL OR dr.language = 'render') AS uses_render,
    dr.repo_url,
    dr.description,
    dr.readme_content,
    dr.render_category,
    b.star_velocity,
    b.snapshot_date,
    b.github_id
FROM flowlens.dim_languages dl
JOIN flowlens.leaderboard_current b ON b.language_key = dl.language_key
JOIN flowlens.dim_repositories dr ON dr.github_id = b.github_id AND dr.is_current
WHERE b.rank_in_language <= (SELECT t.value::integer FROM flowlens.settings t WHERE t.name = 'language_board_size')
  AND NOT dr.is_deleted
  AND NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
ORDER BY dl.language_name, b.rank_in_language;
COMMENT ON VIEW flowlens.analytics_language_rankings IS
'Best repositories of each language on the newest published day ("language_board_size" per language).';

CREATE OR REPLACE VIEW flowlens.analytics_language_trends AS
SELECT
    dl.language_name,
    dl.language_category,
    count(*) AS total_repos,
    sum(f.stars) AS total_stars,
    avg(f.stars) AS avg_stars,
    avg(f.momentum_score) AS avg_momentum,
    sum(f.star_velocity) AS stars_per_day,
    count(*) FILTER (WHERE dr.render_category IS NOT NULL OR dr.language = 'render') AS render_projects,
    round(100.0 * count(*) FILTER (WHERE dr.render_category IS NOT NULL OR dr.language = 'render') / count(*), 2)
        AS render_adoption_percentage,
    f.snapshot_date
FROM flowlens.dim_languages dl
JOIN flowlens.fact_repo_snapshots f ON f.language_key = dl.language_key
JOIN flowlens.dim_repositories dr ON dr.github_id = f.github_id AND dr.is_current
WHERE f.snapshot_date = (SELECT max(d.day) FROM flowlens.pipeline_days d WHERE d.published_at IS NOT NULL)
  AND NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
GROUP BY dl.language_key, dl.language_name, dl.language_category, f.snapshot_date
ORDER BY total_repos DESC, dl.language_name;
COMMENT ON VIEW flowlens.analytics_language_trends IS
'Each language on the newest published day: repositories, stars, expected stars a day, Render adoption in per cent.';

CREATE OR REPLACE VIEW flowlens.analytics_repo_history AS
SELECT
    dr.repo_full_name,
    dr.language,
    f.snapshot_date,
    f.stars,
    f.star_velocity,
    f.momentum_score,
    f.activity_score,
    f.rank_overall,
    f.rank_in_language,
    f.forks,
    f.open_issues,
    f.is_stale,
    f.github_id
FROM flowlens.fact_repo_snapshots f
JOIN flowlens.dim_repositories dr ON dr.github_id = f.github_id AND dr.is_current
WHERE NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
ORDER BY dr.repo_full_name, f.snapshot_date DESC;
COMMENT ON VIEW flowlens.analytics_repo_history IS
'All scored days of each repository under its present name, newest first.';

CREATE OR REPLACE VIEW flowlens.analytics_render_services_adoption AS
SELECT
    s.service_type,
    s.description AS service_description,
    count(DISTINCT u.github_id) AS repos_using_service,
    coalesce(sum(u.service_count), 0) AS total_service_instances,
    avg(u.complexity_score) AS avg_complexity_score,
    count(*) FILTER (WHERE u.has_blueprint) AS blueprints_with_service,
    s.service_category
FROM flowlens.dim_render_services s
LEFT JOIN flowlens.fact_render_usage u ON u.service_key = s.service_key
    AND u.snapshot_date = (SELECT max(d.day) FROM flowlens.pipeline_days d WHERE d.published_at IS NOT NULL)
GROUP BY s.service_key, s.service_type, s.description, s.service_category
ORDER BY repos_using_service DESC, s.service_type;
COMMENT ON VIEW flowlens.analytics_render_services_adoption IS
'Each kind of Render service on the newest published day: how many repositories use it, how complex they are.';

CREATE OR REPLACE VIEW flowlens.momentum_backtest_days AS
SELECT d.day AS as_of, h.horizon, d.model, d.model_version
FROM flowlens.pipeline_days d
CROSS JOIN (VALUES (7), (28)) h (horizon)
WHERE d.published_at IS NOT NULL
  AND EXISTS (SELECT 1 FROM flowlens.pipeline_days later WHERE later.day = d.day + h.horizon AND later.published_at IS NOT NULL)
ORDER BY d.day DESC, h.horizon
LIMIT 30;
COMMENT ON VIEW flowlens.momentum_backtest_days IS
'The last 30 pairs of a published day and a horizon (7 or 28 days) whose outcome is published too, newest first. Part of analytics_momentum_backtests.';

CREATE OR REPLACE VIEW flowlens.analytics_momentum_backtests AS
SELECT
    days.as_of,
    days.horizon,
    days.model,
    days.model_version,
    quality.repositories,
    quality.ndcg_at_100,
    quality.precision_at_100,
    quality.spearman
FROM flowlens.momentum_backtest_days days
CROSS JOIN LATERAL (
    SELECT
        count(*) AS repositories,
        sum(r.gain / ln(r.place + 1::double precision)) FILTER (WHERE r.place <= 100)
            / nullif(sum(r.gain / ln(r.ideal_place + 1::double precision)) FILTER (WHERE r.ideal_place <= 100), 0) AS ndcg_at_100,
        count(*) FILTER (WHERE r.place <= 100 AND r.ideal_place <= 100) / 100::double precision AS precision_at_100,
        corr(r.score_rank, r.gain_rank) AS spearman
    FROM (
        SELECT
            greatest(u.gain, 0)::double precision AS gain,
            row_number() OVER (ORDER BY u.score DESC, u.stars DESC, u.github_id) AS place,
            row_number() OVER (ORDER BY greatest(u.gain, 0) DESC, u.stars DESC, u.github_id) AS ideal_place,
            rank() OVER (ORDER BY u.score DESC) + (count(*) OVER (ORDER BY u.score DESC RANGE CURRENT ROW) - 1) / 2::double precision AS score_rank,
            rank() OVER (ORDER BY u.gain DESC) + (count(*) OVER (ORDER BY u.gain DESC RANGE CURRENT ROW) - 1) / 2::double precision AS gain_rank
        FROM (
            SELECT f.github_id, f.stars, coalesce(f.momentum_score, -1) AS score, later.stars - f.stars AS gain
            FROM flowlens.fact_repo_snapshots f
            JOIN flowlens.fact_repo_snapshots later ON later.github_id = f.github_id AND later.snapshot_date = days.as_of + days.horizon
            WHERE f.snapshot_date = days.as_of AND NOT f.is_stale AND NOT later.is_stale
        ) u
    ) r
) quality
ORDER BY days.as_of DESC, days.horizon;
COMMENT ON VIEW flowlens.analytics_momentum_backtests IS
'How well the last published days foretold the stars gained 7 and 28 days later (30 backtests): quality of the first 100, rank correlation of all. Each row costs a join and three sorts of a day: ask for one with WHERE as_of = ....';

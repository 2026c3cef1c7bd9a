-- views answer with the original's columns, under search_path = flowlens too, and honour exclusions
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
SELECT flowlens.store_raw_repos((SELECT jsonb_agg(jsonb_build_object('id', i, 'full_name', (ARRAY['vercel', 'rust', 'go'])[i % 3 + 1] || '/r' || i, 'language', (ARRAY['C', 'Go'])[i % 2 + 1], 'stargazers_count', 100 * i + d * i,
    'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z', 'description', 'number ' || i)) FROM generate_series(1, 130) i), NULL, timestamptz '2024-03-01 10:00' + d * interval '1 day') FROM generate_series(0, 1) d;
CALL flowlens.run_pipeline('2024-03-02');
SET search_path = flowlens, public;
-- the original's query on the original's names
SELECT repo_full_name, language, stars, momentum_score > 0 AS scored, description, readme_content, created_at FROM analytics_trending_repos_current LIMIT 3;
SELECT count(*), min(rank_overall), max(rank_overall) FROM analytics_trending_repos_current;
SELECT language_name, count(*), max(rank_in_language), bool_or(uses_render) FROM analytics_language_rankings GROUP BY 1 ORDER BY 1;
SELECT repo_full_name, render_category, stars, momentum_score, star_velocity, activity_score FROM analytics_render_showcase;
SELECT language_name, total_repos, total_stars, round(avg_stars) AS avg_stars, render_projects, render_adoption_percentage FROM analytics_language_trends;
SELECT repo_full_name, language, snapshot_date, stars, rank_overall, rank_in_language FROM analytics_repo_history WHERE github_id IN (1, 130) ORDER BY 1, 3;
-- the board's size is a setting
UPDATE settings SET value = '5' WHERE name = 'leaderboard_size';
UPDATE settings SET value = '2' WHERE name = 'language_board_size';
SELECT repo_full_name, rank_overall FROM analytics_trending_repos_current;
SELECT language_name, repo_full_name, rank_in_language FROM analytics_language_rankings;
-- exclusions apply at once, in all leaderboard views; ranks are those of all repositories
INSERT INTO leaderboard_exclusions (pattern, reason) VALUES ('vercel/%', 'an example');
SELECT repo_full_name, rank_overall FROM analytics_trending_repos_current;
SELECT language_name, repo_full_name, rank_in_language FROM analytics_language_rankings;
SELECT count(*) FILTER (WHERE repo_full_name LIKE 'vercel/%') AS excluded, count(*) FROM analytics_repo_history;
SELECT sum(total_repos) FROM analytics_language_trends;
DELETE FROM leaderboard_exclusions;
-- a repository shows under its newest name, with its whole history; a deleted one leaves the boards
SELECT flowlens.store_raw_repos('{"id": 130, "full_name": "new/name", "language": "C", "stargazers_count": 14000, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z"}', NULL, '2024-03-02 11:00');
CALL flowlens.run_pipeline('2024-03-02');
SELECT repo_full_name, stars FROM analytics_trending_repos_current LIMIT 1;
SELECT repo_full_name, snapshot_date, stars FROM analytics_repo_history WHERE github_id = 130;
UPDATE dim_repositories SET is_deleted = true WHERE github_id = 130 AND is_current;
SELECT repo_full_name FROM analytics_trending_repos_current LIMIT 1;
RESET search_path;
UPDATE flowlens.settings SET value = '100' WHERE name = 'leaderboard_size';
UPDATE flowlens.settings SET value = '50' WHERE name = 'language_board_size';

-- Leaves the repositories of one organisation out of all leaderboards, as an example to change:
--     psql $DATABASE_URL -f database/filter_vercel_repos.sql
-- A pattern is a LIKE pattern over "owner/name" (% any text, _ one character, \_ an underscore).
-- Scores and ranks are kept: deleting the row from leaderboard_exclusions brings the repositories back.
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql

INSERT INTO flowlens.leaderboard_exclusions (pattern, reason) VALUES
    ('vercel/%', 'example: an organisation'),
    ('vercel-%/%', 'example: its further organisations, such as vercel-labs')
ON CONFLICT (pattern) DO NOTHING;

\echo 'excluded from the leaderboards:'
SELECT x.pattern, x.reason, count(dr.github_id) AS repositories
FROM flowlens.leaderboard_exclusions x
LEFT JOIN flowlens.dim_repositories dr
    ON dr.is_current AND NOT dr.is_deleted AND dr.repo_full_name LIKE x.pattern
GROUP BY x.pattern, x.reason
ORDER BY x.pattern;

\echo 'left on the current leaderboard:'
SELECT count(*) AS repositories FROM flowlens.analytics_trending_repos_current;

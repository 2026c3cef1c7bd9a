-- a day of facts: scores equal to the aggregate over history, ranks, stale rows, publishing
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
-- 60 repositories, 40 days, with gaps, drops, late starters and quiet ones; repository 59 is observed twice, 60 once
CREATE TABLE observed AS
SELECT i AS id, day::date AS day, greatest(0, 50 * (i % 9) + (d * (i % 7)) + CASE WHEN (i * d) % 11 = 0 THEN -40 ELSE 0 END
       + CASE WHEN d = 20 AND i % 13 = 0 THEN 500 ELSE 0 END)::integer AS stars
FROM generate_series(1, 60) i, generate_series(0, 39) d, LATERAL (SELECT date '2024-01-20' + d AS day) t
WHERE (i * 7 + d * 3) % 5 <> 0 AND d >= i % 20 AND NOT (i = 17 AND d BETWEEN 10 AND 25) AND NOT (i = 18 AND d > 30)
  AND (i < 59 OR (i = 59 AND d IN (19, 30)) OR (i = 60 AND d = 0));
SELECT flowlens.store_raw_repos((SELECT coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'full_name', 'o/r' || o.id, 'language', (ARRAY['C', 'Go', 'Rust'])[o.id % 3 + 1],
           'stargazers_count', o.stars, 'forks_count', o.id, 'created_at', CASE WHEN o.id % 4 = 0 THEN '2024-01-25T00:00:00Z' ELSE '2020-01-01T00:00:00Z' END,
           'updated_at', '2024-01-25T00:00:00Z', 'pushed_at', to_char(o.day - o.id % 3, 'YYYY-MM-DD') || 'T01:00:00Z')), '[]') FROM observed o WHERE o.day = g.day::date), NULL, g.day + interval '10 hours') > 0 AS stored, count(*)
FROM generate_series(timestamp '2024-01-20', '2024-02-28', '1 day') g (day) GROUP BY 1;
CALL flowlens.run_pipeline('2024-02-28');

-- every observation is a fact, the others of the last 48 hours are carried with is_stale
SELECT count(*) FROM observed o FULL JOIN (SELECT * FROM flowlens.fact_repo_snapshots WHERE NOT is_stale) f ON f.github_id = o.id AND f.snapshot_date = o.day
WHERE o.stars IS DISTINCT FROM f.stars;
SELECT count(*) AS wrong FROM (SELECT g.day::date AS day, o.id, max(o.day) AS last_day FROM generate_series(timestamp '2024-01-20', '2024-02-28', '1 day') g (day)
      JOIN observed o ON o.day <= g.day GROUP BY 1, 2) t
FULL JOIN flowlens.fact_repo_snapshots f ON f.github_id = t.id AND f.snapshot_date = t.day
WHERE (f.github_id IS NULL AND t.last_day + interval '10 hours' >= t.day + interval '1 day' - interval '48 hours')
   OR (f.github_id IS NOT NULL AND (f.is_stale <> (t.last_day < t.day) OR f.observed_at <> t.last_day + interval '10 hours'));

-- scores: those of the aggregate over the observations of 30 days
CREATE VIEW expected AS
SELECT g.day::date AS day, o.id,
       coalesce(CASE WHEN count(*) = 1 THEN flowlens.star_momentum_of_newborn(g.day::date, CASE WHEN o.id % 4 = 0 THEN date '2024-01-25' END, max(o.day), max(o.stars)) END,
                flowlens.star_momentum(g.day::date, o.day, o.stars)) AS m
FROM generate_series(timestamp '2024-01-20', '2024-02-28', '1 day') g (day) JOIN observed o ON o.day BETWEEN g.day::date - 30 AND g.day::date GROUP BY 1, 2;
SELECT count(*) AS rows, max(abs(f.star_velocity - flowlens.star_velocity(e.m)) / (1 + f.star_velocity)) < 1e-9 AS velocity,
       max(abs(f.momentum_score - flowlens.momentum_score(e.m))) < 1e-9 AS score, max(abs(f.growth_score - f.star_velocity / (f.stars + 100))) < 1e-12 AS growth
FROM flowlens.fact_repo_snapshots f JOIN expected e ON e.id = f.github_id AND e.day = f.snapshot_date;
-- no score only where the newest count is not believed
SELECT count(*) AS outliers, bool_and(momentum_score IS NULL AND star_velocity IS NULL) AS without_scores FROM flowlens.fact_repo_snapshots WHERE is_outlier;
SELECT count(*) AS wrong FROM flowlens.fact_repo_snapshots WHERE (momentum_score IS NULL) <> is_outlier OR is_outlier <> flowlens.momentum_state_is_outlier(momentum_state);
-- activity: the share of days with a push, times 7
SELECT count(*) AS wrong FROM flowlens.fact_repo_snapshots f
JOIN LATERAL (SELECT 7 * flowlens.push_activity(f.snapshot_date, h.snapshot_date, h.pushed_at) AS activity
              FROM flowlens.fact_repo_snapshots h WHERE h.github_id = f.github_id AND h.snapshot_date <= f.snapshot_date) a ON true
WHERE f.github_id NOT IN (17, 18, 59, 60) AND f.snapshot_date > '2024-02-10' AND abs(f.activity_score - a.activity) > 0.35;

-- ranks: total, by M, then stars, then id; the same order within each language
SELECT count(*) AS wrong FROM (
    SELECT f.*, row_number() OVER (PARTITION BY f.snapshot_date ORDER BY f.star_velocity DESC NULLS LAST, f.stars DESC, f.github_id) AS r,
           row_number() OVER (PARTITION BY f.snapshot_date, f.language_key ORDER BY f.star_velocity DESC NULLS LAST, f.stars DESC, f.github_id) AS rl
    FROM flowlens.fact_repo_snapshots f) t WHERE r <> rank_overall OR rl <> rank_in_language;
-- keys: the version and the language valid at the end of the day
SELECT count(*) AS wrong FROM flowlens.fact_repo_snapshots f
LEFT JOIN flowlens.dim_repositories d ON d.repo_key = f.repo_key AND d.github_id = f.github_id AND d.valid_from < f.snapshot_date + 1 AND (d.valid_to IS NULL OR d.valid_to >= f.snapshot_date + 1)
LEFT JOIN flowlens.dim_languages l ON l.language_key = f.language_key WHERE d.repo_key IS NULL OR l.language_name IS DISTINCT FROM d.language;

-- published: each day, its counts, and the head of the newest one
SELECT count(*) AS days, bool_and(published_at IS NOT NULL AND NOT snapshot_pending AND model = 'default' AND model_version = 1) AS published,
       bool_and(scored + stale = (SELECT count(*) FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = day)) AS counts FROM flowlens.pipeline_days;
SELECT bool_and(snapshot_date = '2024-02-28') AS newest, count(*) = (SELECT count(*) FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2024-02-28') AS whole FROM flowlens.leaderboard_current;
-- each day stands in a partition of its own, with the indexes of its parent
SELECT count(DISTINCT tableoid) AS partitions, count(*) FILTER (WHERE tableoid = 'flowlens.fact_repo_snapshots_default'::regclass) AS in_default FROM flowlens.fact_repo_snapshots;
SELECT indexdef FROM pg_indexes WHERE tablename = 'fact_repo_snapshots_p20240228' ORDER BY indexdef COLLATE "C";
SELECT conname, contype, convalidated FROM pg_constraint WHERE conrelid = 'flowlens.fact_repo_snapshots_p20240228'::regclass AND contype <> 'n';

-- again: the identical rows, not even rewritten
CREATE TABLE before AS SELECT f.*, f.xmin::text AS version FROM flowlens.fact_repo_snapshots f;
SELECT * FROM flowlens.load_snapshots('2024-02-28');
SELECT count(*) FROM before b FULL JOIN (SELECT f.*, f.xmin::text AS version FROM flowlens.fact_repo_snapshots f) f USING (github_id, snapshot_date) WHERE b IS DISTINCT FROM f AND (b.version IS DISTINCT FROM f.version);
-- a day that lost rows is loaded again, from what is staged and stored: all but the keys is as before
DELETE FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2024-02-20' AND github_id % 2 = 0;
SELECT * FROM flowlens.load_snapshots('2024-02-20');
SELECT count(*) FROM before b FULL JOIN flowlens.fact_repo_snapshots f USING (github_id, snapshot_date)
WHERE (to_jsonb(b) - '{version,snapshot_key}'::text[]) IS DISTINCT FROM (to_jsonb(f) - 'snapshot_key'::text);
-- staging expires: the day is scored again from its own facts
UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = '2024-02-21';
DELETE FROM flowlens.stg_repos_validated WHERE observed_on <= '2024-02-21';
SELECT * FROM flowlens.load_snapshots('2024-02-21');
SELECT count(*) FROM before b FULL JOIN flowlens.fact_repo_snapshots f USING (github_id, snapshot_date)
WHERE (to_jsonb(b) - '{version,snapshot_key}'::text[]) IS DISTINCT FROM (to_jsonb(f) - 'snapshot_key'::text);
-- states that got lost are built again from the stored days
UPDATE flowlens.fact_repo_snapshots SET momentum_state = NULL WHERE snapshot_date < '2024-02-28';
UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = '2024-02-28';
SELECT * FROM flowlens.load_snapshots('2024-02-28');
SELECT count(*) AS rows, count(*) FILTER (WHERE abs(b.star_velocity - f.star_velocity) > 1e-9 OR b.rank_overall <> f.rank_overall OR b.momentum_state <> f.momentum_state) AS changed
FROM before b FULL JOIN flowlens.fact_repo_snapshots f USING (github_id, snapshot_date) WHERE snapshot_date = '2024-02-28';

-- the board of a day without writing it: the ranks and scores that loading gives, of any size
SELECT count(*) AS rows, count(*) FILTER (WHERE (p.rank_overall, p.rank_in_language, p.stars, p.star_velocity, p.momentum_score, p.is_stale)
    IS DISTINCT FROM (f.rank_overall, f.rank_in_language, f.stars, f.star_velocity, f.momentum_score, f.is_stale)) AS differing
FROM flowlens.preview_snapshots('2024-02-28', 1000000) p FULL JOIN (SELECT * FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2024-02-28') f USING (github_id);
SELECT count(*), max(rank_overall) FROM flowlens.preview_snapshots('2024-02-28', 5);
SELECT count(*) FROM flowlens.preview_snapshots('2024-02-28', 0);
SELECT count(*) FROM flowlens.preview_snapshots('2024-03-05');
SELECT * FROM flowlens.preview_snapshots('2024-02-28', -1);
SELECT * FROM flowlens.preview_snapshots('2024-02-28', NULL);
SELECT * FROM flowlens.preview_snapshots('infinity');

-- days without anybody: the board stays as it was
SELECT * FROM flowlens.load_snapshots('2024-03-05');
SELECT max(day) FROM flowlens.pipeline_days WHERE published_at IS NOT NULL;
SELECT flowlens.load_snapshots('infinity');
SELECT flowlens.load_snapshots('1969-12-31');
UPDATE flowlens.settings SET value = 'none' WHERE name = 'momentum_model';
SELECT flowlens.load_snapshots('2024-02-28');
UPDATE flowlens.settings SET value = 'default' WHERE name = 'momentum_model';
DROP VIEW expected;
DROP TABLE observed, before;

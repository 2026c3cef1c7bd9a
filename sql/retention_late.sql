-- answers that come late, for days whose facts have expired or are about to
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
UPDATE flowlens.retention_policies SET keep = '10 days' WHERE table_name = 'fact_repo_snapshots';
-- three repositories over 16 days; the third is seen every other day, so that it is carried between
CREATE FUNCTION pg_temp.answer(id bigint, stars bigint) RETURNS jsonb LANGUAGE sql AS
$$ SELECT jsonb_build_object('id', id, 'full_name', 'a/r' || id, 'language', 'C', 'stargazers_count', stars, 'pushed_at', '2024-01-03T00:00:00Z',
       'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z') $$;
SELECT count(flowlens.ensure_partition(t, date '2024-01-01' + n)) FROM unnest('{flowlens.raw_github_repos,flowlens.stg_repos_validated}'::regclass[]) t, generate_series(0, 15) n;
SELECT sum(flowlens.store_raw_repos(pg_temp.answer(id, 100 * id + n * n), observed_at => date '2024-01-01' + n + time '12:00'))
FROM generate_series(1, 3) id, generate_series(0, 15) n WHERE id < 3 OR n % 2 = 0;
CALL flowlens.run_pipeline('2024-01-16');
-- 10 days are kept: 01-06 is the oldest, and the third repository is carried on it
CALL flowlens.apply_retention('2024-01-16 12:00+00');
SELECT min(snapshot_date), max(snapshot_date), count(*), count(*) FILTER (WHERE is_stale) AS carried FROM flowlens.fact_repo_snapshots;
SELECT count(*) AS months, sum(days_counted) AS days FROM flowlens.agg_repo_monthly;
CREATE TEMP TABLE scored AS SELECT to_jsonb(f) - 'snapshot_key' AS fact FROM flowlens.fact_repo_snapshots f;
CREATE FUNCTION pg_temp.changed() RETURNS TABLE (github_id text, snapshot_date text, was text, is_now text) LANGUAGE sql AS $$
    SELECT coalesce(a.fact, b.fact) ->> 'github_id', coalesce(a.fact, b.fact) ->> 'snapshot_date', a.fact ->> 'stars', b.fact ->> 'stars'
    FROM scored a FULL JOIN (SELECT to_jsonb(f) - 'snapshot_key' AS fact FROM flowlens.fact_repo_snapshots f) b USING (fact)
    WHERE a.fact IS NULL OR b.fact IS NULL ORDER BY 1, 2 $$;

-- for an expired day: its stars go to the month, nothing else changes
SELECT flowlens.store_raw_repos(pg_temp.answer(3, 333), observed_at => '2024-01-04 12:00+00');
CALL flowlens.run_pipeline('2024-01-16');
SELECT * FROM pg_temp.changed();
CALL flowlens.apply_retention('2024-01-16 12:00+00');
SELECT * FROM pg_temp.changed();
SELECT github_id, days_counted, first_stars, max_stars, momentum_days, best_rank FROM flowlens.agg_repo_monthly ORDER BY github_id;
-- a second answer for that day counts nothing
SELECT flowlens.store_raw_repos(pg_temp.answer(3, 999), observed_at => '2024-01-04 13:00+00');
CALL flowlens.run_pipeline('2024-01-16');
CALL flowlens.apply_retention('2024-01-16 12:00+00');
SELECT github_id, days_counted, max_stars, momentum_days FROM flowlens.agg_repo_monthly WHERE github_id = 3;

-- for the oldest day that is kept: it is scored again although the day before has expired; who was carried stays
SELECT flowlens.store_raw_repos(pg_temp.answer(1, 126), observed_at => '2024-01-06 13:00+00');
CALL flowlens.run_pipeline('2024-01-16');
SELECT github_id, snapshot_date, was, is_now FROM pg_temp.changed() WHERE snapshot_date = '2024-01-06' AND github_id = '1' ORDER BY was;
SELECT count(*) AS rows, count(momentum_score) AS scores, count(*) FILTER (WHERE is_stale) AS carried FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2024-01-06';
-- the others are what they were, but for the ranks
SELECT count(*) AS rows, count(*) FILTER (WHERE b.fact - '{rank_overall,rank_in_language}'::text[] <> to_jsonb(f) - '{snapshot_key,rank_overall,rank_in_language}'::text[]) AS changed
FROM flowlens.fact_repo_snapshots f JOIN scored b ON (b.fact ->> 'github_id')::bigint = f.github_id AND (b.fact ->> 'snapshot_date')::date = f.snapshot_date
WHERE f.github_id <> 1;
SELECT abs((b.fact ->> 'momentum_score')::float8 - f.momentum_score) < 0.02 AS about_as_before
FROM flowlens.fact_repo_snapshots f JOIN scored b ON (b.fact ->> 'github_id')::bigint = f.github_id AND (b.fact ->> 'snapshot_date')::date = f.snapshot_date
WHERE f.github_id = 1 AND f.snapshot_date = '2024-01-06';
UPDATE flowlens.retention_policies SET keep = '30 days' WHERE table_name = 'fact_repo_snapshots';
DELETE FROM flowlens.agg_repo_monthly;
SELECT clean_slate();

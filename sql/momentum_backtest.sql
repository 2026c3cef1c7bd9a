-- momentum_backtest, momentum_compare and the view of backtests
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
\set SHOW_CONTEXT never
SET extra_float_digits = -3;
SELECT clean_slate();

-- ranking quality by hand: order by score a b c d; gains 3 0 7 -2; ideal order c a b d (b before d by clipping and stars)
SELECT n, ndcg, (3 / log(2, 2) + 0 / log(2, 3)) / (7 / log(2, 2) + 3 / log(2, 3)) AS ndcg_by_hand, precision_at_k, spearman
FROM flowlens.ranking_quality('{4,3,2,1}', '{3,0,7,-2}', '{10,10,10,10}', '{1,2,3,4}', 2);
-- a perfect and a reversed order, k larger than n
SELECT * FROM flowlens.ranking_quality('{4,3,2,1}', '{40,30,20,10}', '{1,1,1,1}', '{1,2,3,4}', 4);
SELECT * FROM flowlens.ranking_quality('{1,2,3,4}', '{40,30,20,10}', '{1,1,1,1}', '{1,2,3,4}', 10);
-- equal scores: more stars first, then the smaller id; equal ranks for the correlation
SELECT * FROM flowlens.ranking_quality('{1,1,1}', '{5,0,0}', '{9,9,8}', '{7,3,1}', 1);
SELECT * FROM flowlens.ranking_quality('{1,1,1}', '{5,0,0}', '{9,9,9}', '{7,8,9}', 1);
-- nobody gained; nobody there
SELECT * FROM flowlens.ranking_quality('{2,1}', '{0,-3}', '{9,8}', '{1,2}', 1);
SELECT * FROM flowlens.ranking_quality('{}', '{}', '{}', '{}', 1);

-- 150 repositories over 40 days, scored by the aggregate; some days and repositories are missing, some rows are stale
INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language, observed_at, is_stale, model, model_version)
SELECT id, id, date '2024-03-01' + day, id % 20 * 100 + day * (id % 13) + hashint4(id * 100 + day) % (2 + id % 13) + 15, NULL, 1, 1, '2024-03-01', (id + day) % 17 = 0, 'default', 1
FROM generate_series(1, 150) id, generate_series(0, 40) day WHERE day <> 20 AND (id * 7 + day) % 23 <> 0;
UPDATE flowlens.fact_repo_snapshots f SET momentum_score = flowlens.momentum_score((
    SELECT flowlens.star_momentum(f.snapshot_date, h.snapshot_date, h.stars) FROM flowlens.fact_repo_snapshots h WHERE h.github_id = f.github_id AND NOT h.is_stale))
WHERE github_id % 10 > 0;
INSERT INTO flowlens.pipeline_days (day, published_at, model, model_version)
SELECT DISTINCT snapshot_date, timestamptz '2024-05-01', 'default', 1 FROM flowlens.fact_repo_snapshots;

-- reference: written out for one day
CREATE FUNCTION reference_backtest(as_of date, horizon integer, k integer) RETURNS TABLE (n bigint, ndcg float8, precision_at_k float8, spearman float8) LANGUAGE sql STABLE AS $$
WITH u AS (
    SELECT a.github_id, a.stars, coalesce(a.momentum_score, -1) AS score, (b.stars - a.stars)::float8 AS y
    FROM flowlens.fact_repo_snapshots a JOIN flowlens.fact_repo_snapshots b USING (github_id)
    WHERE a.snapshot_date = as_of AND b.snapshot_date = as_of + horizon AND NOT a.is_stale AND NOT b.is_stale
), r AS (
    SELECT *, 1 + (SELECT count(*) FROM u o WHERE (o.score, o.stars, -o.github_id) > (u.score, u.stars, -u.github_id)) AS p,
           1 + (SELECT count(*) FROM u o WHERE (greatest(o.y, 0), o.stars, -o.github_id) > (greatest(u.y, 0), u.stars, -u.github_id)) AS i,
           (SELECT sum(CASE WHEN o.score < u.score THEN 1 WHEN o.score = u.score THEN 0.5 ELSE 0 END) FROM u o) AS score_rank,
           (SELECT sum(CASE WHEN o.y < u.y THEN 1 WHEN o.y = u.y THEN 0.5 ELSE 0 END) FROM u o) AS y_rank
    FROM u
)
SELECT count(*), sum(greatest(y, 0) / log(2, p + 1)::float8) FILTER (WHERE p <= k) / nullif(sum(greatest(y, 0) / log(2, i + 1)::float8) FILTER (WHERE i <= k), 0),
       count(*) FILTER (WHERE p <= k AND i <= k) / k::float8, corr(score_rank, y_rank) FROM r
$$;
SELECT as_of, horizon, k, b.n, round(b.ndcg::numeric, 4) AS ndcg, b.precision_at_k, round(b.spearman::numeric, 4) AS spearman,
       b.n = r.n AND abs(b.ndcg - r.ndcg) < 1e-9 AND b.precision_at_k = r.precision_at_k AND abs(b.spearman - r.spearman) < 1e-9 AS as_reference
FROM (VALUES (date '2024-03-05', 7, 100), ('2024-03-12', 7, 10), ('2024-03-12', 28, 50), ('2024-03-19', 1, 1)) v(as_of, horizon, k),
     LATERAL flowlens.momentum_backtest(as_of, horizon, k) b, LATERAL reference_backtest(as_of, horizon, k) r;
-- the day is missing, the later day is missing
SELECT * FROM flowlens.momentum_backtest('2024-03-21');
SELECT * FROM flowlens.momentum_backtest('2024-04-10');
SELECT * FROM flowlens.momentum_backtest(NULL);
SELECT * FROM flowlens.momentum_backtest('2024-03-05', 0);
SELECT * FROM flowlens.momentum_backtest('2024-03-05', 7, NULL);

-- the view: 30 rows, equal to the function
SELECT count(*), min(as_of), max(as_of) FROM flowlens.analytics_momentum_backtests;
SELECT count(*) FILTER (WHERE horizon = 7) AS week, count(*) FILTER (WHERE horizon = 28) AS month,
       count(*) FILTER (WHERE v.repositories <> b.n OR abs(v.ndcg_at_100 - b.ndcg) > 1e-9 OR v.precision_at_100 <> b.precision_at_k OR abs(v.spearman - b.spearman) > 1e-9) AS differing
FROM flowlens.analytics_momentum_backtests v, LATERAL flowlens.momentum_backtest(v.as_of, v.horizon) b;

-- compare: the same model twice, and as published
SELECT count(*) AS days, count(*) FILTER (WHERE c.ndcg_a <> c.ndcg_b OR c.precision_a <> c.precision_b OR c.spearman_a <> c.spearman_b) AS differing
FROM flowlens.momentum_compare('{}', flowlens.momentum_model('default')) c;
UPDATE flowlens.fact_repo_snapshots f SET momentum_score = flowlens.momentum_score((
    SELECT flowlens.star_momentum(f.snapshot_date, h.snapshot_date, h.stars) FROM flowlens.fact_repo_snapshots h WHERE h.github_id = f.github_id AND NOT h.is_stale));
SELECT c.as_of, c.n = b.n AND abs(c.ndcg_a - b.ndcg) < 1e-9 AND c.precision_a = b.precision_at_k AND abs(c.spearman_a - b.spearman) < 1e-9 AS as_published,
       c.ndcg_a <> c.ndcg_b AS models_differ
FROM flowlens.momentum_compare('{}', '{"kernel_exponent": 2, "window_days": 10}', '2024-03-05', '2024-03-25', 10, 7, 20) c, LATERAL flowlens.momentum_backtest(c.as_of, 7, 20) b;
-- the packed history in the row gives the same as the history in the table
CREATE TABLE from_history AS SELECT * FROM flowlens.momentum_compare('{}', '{"prior_weight": 1}', '2024-03-10', '2024-03-13');
UPDATE flowlens.fact_repo_snapshots f SET momentum_state = (
    SELECT flowlens.momentum_state(f.snapshot_date, h.snapshot_date, h.stars) FROM flowlens.fact_repo_snapshots h WHERE h.github_id = f.github_id AND NOT h.is_stale);
SELECT count(*) AS days, max(abs(h.ndcg_b - s.ndcg_b) + abs(h.precision_b - s.precision_b) + abs(h.spearman_b - s.spearman_b)) < 1e-9 AS equal
FROM from_history h JOIN flowlens.momentum_compare('{}', '{"prior_weight": 1}', '2024-03-10', '2024-03-13') s USING (as_of, n);
-- no day in the range
SELECT * FROM flowlens.momentum_compare('{}', '{}', '2023-01-01', '2023-01-05');
-- what is refused
SELECT * FROM flowlens.momentum_compare('{}', '{"speed": 1}');
SELECT * FROM flowlens.momentum_compare('{}', '{}', step => 0);
SELECT * FROM flowlens.momentum_compare('{}', '{}', horizon => 0);
SELECT flowlens.momentum_model('default', 1) = flowlens.momentum_constants() AS default_is_default;
SELECT flowlens.momentum_model('unknown');
SELECT flowlens.momentum_model('default', 99);
SELECT flowlens.momentum_model('trender');

DROP TABLE from_history;
DROP FUNCTION reference_backtest(date, integer, integer);
SELECT clean_slate();

-- models: trender beside the default, other constants as a new version, recorded in each fact
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
SELECT flowlens.store_raw_repos(jsonb_agg(jsonb_build_object('id', i, 'full_name', 'o/r' || i, 'language', 'C', 'stargazers_count', i * i * 10 + d * (6 - i) * 9,
           'created_at', to_char(timestamp '2024-03-08' - i * i * interval '10 days', 'YYYY-MM-DD') || 'T00:00:00Z', 'updated_at', '2024-03-08T00:00:00Z') || '{}'), CASE WHEN g.source = 'render' THEN 'render' END, timestamptz '2024-03-08 12:00+00' + d * interval '1 day')
FROM generate_series(1, 6) i, generate_series(0, 2) d, LATERAL (SELECT CASE WHEN i > 4 THEN 'render' END AS source) g GROUP BY d, g.source;
SELECT count(*), min(errors #>> '{0,instanceLocation}') FROM flowlens.stg_repos_rejected;
CALL flowlens.run_pipeline('2024-03-10');
CREATE VIEW board AS SELECT f.github_id, d.language, f.stars, round(f.momentum_score::numeric, 4) AS score, round(f.star_velocity::numeric, 3) AS velocity, f.rank_overall, f.rank_in_language, f.model, f.model_version
FROM flowlens.fact_repo_snapshots f JOIN flowlens.dim_repositories d USING (repo_key) WHERE f.snapshot_date = '2024-03-10' ORDER BY f.rank_overall;
SELECT * FROM board;

-- trender: 0.7 recency + 0.3 stars / most stars, the Render ecosystem being a group of its own; velocity is still the model's
UPDATE flowlens.settings SET value = 'trender' WHERE name = 'momentum_model';
SELECT * FROM flowlens.load_snapshots('2024-03-10');
SELECT * FROM board;
SELECT max(abs(f.momentum_score - flowlens.trender_score(flowlens.recency_score(d.created_at, '2024-03-10 23:59:59+00'), f.stars,
           (SELECT max(m.stars) FROM flowlens.fact_repo_snapshots m JOIN flowlens.dim_repositories n USING (repo_key) WHERE m.snapshot_date = f.snapshot_date AND (n.language = 'render') = (d.language = 'render'))))) < 1e-12 AS as_defined
FROM flowlens.fact_repo_snapshots f JOIN flowlens.dim_repositories d USING (repo_key) WHERE f.snapshot_date = '2024-03-10';
SELECT model, model_version FROM flowlens.pipeline_days WHERE day = '2024-03-10';

-- a new version of a model scores new days, and old ones when they are loaded again
INSERT INTO flowlens.momentum_models (model, version, formula, constants) VALUES ('default', 2, 'power_kernel', '{"score_rate": 0.1, "kernel_exponent": 0.2}');
UPDATE flowlens.settings SET value = 'default' WHERE name = 'momentum_model';
SELECT * FROM flowlens.load_snapshots('2024-03-10');
SELECT * FROM board;
SELECT DISTINCT model, model_version FROM flowlens.fact_repo_snapshots WHERE snapshot_date < '2024-03-10';
-- constants that make no sense are refused before anything is written
INSERT INTO flowlens.momentum_models (model, version, formula, constants) VALUES ('default', 3, 'power_kernel', '{"score_rate": -1}');
SELECT flowlens.load_snapshots('2024-03-10');
\set VERBOSITY terse
INSERT INTO flowlens.momentum_models (model, version, formula, constants) VALUES ('default', 0, 'power_kernel', '{}');
INSERT INTO flowlens.momentum_models (model, version, formula, constants) VALUES ('mine', 1, 'magic', '{}');
\set VERBOSITY default
DELETE FROM flowlens.momentum_models WHERE model = 'default' AND version > 1;
SELECT * FROM flowlens.load_snapshots('2024-03-10');
SELECT * FROM board;
-- a count beyond belief is ranked last until the next one confirms it, or is forgotten when it goes back
SELECT flowlens.store_raw_repos(jsonb_agg(jsonb_build_object('id', i, 'full_name', 'o/r' || i, 'language', 'C', 'stargazers_count', CASE i WHEN 1 THEN 500000 WHEN 2 THEN 400000 ELSE 50 END,
           'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z')), NULL, '2024-03-11 12:00+00') FROM generate_series(1, 3) i;
CALL flowlens.run_pipeline('2024-03-11');
CREATE VIEW doubts AS SELECT snapshot_date, github_id, stars, momentum_score IS NULL AS no_score, rank_overall, is_outlier, is_stale FROM flowlens.fact_repo_snapshots
WHERE snapshot_date >= '2024-03-11' AND github_id <= 3 ORDER BY snapshot_date, rank_overall;
SELECT * FROM doubts;
SELECT flowlens.store_raw_repos(jsonb_agg(jsonb_build_object('id', i, 'full_name', 'o/r' || i, 'language', 'C', 'stargazers_count', CASE i WHEN 1 THEN 500100 WHEN 2 THEN 120 ELSE 51 END,
           'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z')), NULL, '2024-03-12 12:00+00') FROM generate_series(1, 3) i;
CALL flowlens.run_pipeline('2024-03-12');
SELECT * FROM doubts WHERE snapshot_date = '2024-03-12';
DROP VIEW doubts;
DROP VIEW board;

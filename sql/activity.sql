-- activity beyond pushes: commits, closed issues and contributors of raw_repo_metrics
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
-- what is an event in an answer seen on 2024-03-10: days of 256, at most 100 a day, times as GitHub writes them
SELECT v.n, v.metric_type, e.* FROM (VALUES
    (1, 'commits', '[{"sha": "a", "commit": {"committer": {"date": "2024-03-10T23:59:59Z"}}}, {"commit": {"committer": {"date": "2024-03-10T00:00:00Z"}}}, {"commit": {"committer": {"date": "2024-03-09T12:00:00Z"}}}]'::jsonb),
    (2, 'commits', '[{"commit": {"committer": {"date": "2024-03-11T00:00:00Z"}}}, {"commit": {"committer": {"date": "2023-06-29T10:00:00Z"}}}, {"commit": {"committer": {"date": "2023-06-28T10:00:00Z"}}}]'),
    (3, 'commits', (SELECT jsonb_agg('{"commit": {"committer": {"date": "2024-03-01T10:00:00Z"}}}'::jsonb) FROM generate_series(1, 101))),
    (4, 'commits', '[{"week": 1709424000, "total": 9, "days": [0, 1, 2, 3, 1e400, -1e400, "x", 5]}, {"week": "x"}, {"week": 1e400}, {"week": -1}, {"week": 1709424000, "days": 7}]'),
    (5, 'commits', '[{"commit": {"committer": {"date": "yesterday"}}}, {"commit": {"committer": {"date": "2024-13-01T00:00:00Z"}}}, {"commit": {"committer": {"date": "2024-03-01T00:00:00+02:00"}}}, {"commit": 1}, 5, "x", null, []]'),
    (6, 'commits', '[{"commit": {"committer": {"date": "2024-02-31T00:00:00Z"}}}]'),
    (7, 'issues', '[{"closed_at": "2024-03-09T08:00:00Z"}, {"closed_at": null, "state": "open"}, {"closed_at": "2024-03-09T09:00:00Z", "pull_request": {"url": "u"}}, {"closed_at": "2024-03-09T10:00:00Z", "pull_request": null}]'),
    (8, 'issues', '{"total_count": 1, "items": [{"closed_at": "2024-03-08T08:00:00Z"}]}'),
    (9, 'contributors', '[{"login": "a", "contributions": 3}, {"login": "b", "contributions": 1}]'),
    (10, 'contributors', '[{"author": {"login": "a"}, "weeks": [{"w": 1709424000, "a": 1, "d": 1, "c": 2}, {"w": 1708819200, "c": 0}]}, {"author": {"login": "b"}, "weeks": [{"w": 1709424000, "c": 1}, {"w": 1710028800, "c": 4}, {"w": 1710633600, "c": 4}, {"c": 1}]}, {"weeks": 3}]'),
    (11, 'contributors', '[]'), (12, 'commits', '{}'), (13, 'issues', '"x"'), (14, 'commits', '{"items": 3}')) v (n, metric_type, metric_data),
    flowlens.metric_events(v.metric_type, v.metric_data, '2024-03-10') e ORDER BY v.n, e.event_on;

CREATE FUNCTION store(id bigint, at timestamptz, pushed_at text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', 100, 'pushed_at', pushed_at,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z'), NULL, at) $$;
-- so many commits, closed issues or contributors, the first ones on "first", one a day further back each
CREATE FUNCTION metric(id bigint, kind text, counts integer[], first date, at timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT flowlens.store_raw_metrics(id, kind, (
        SELECT coalesce(jsonb_agg(CASE kind WHEN 'commits' THEN jsonb_build_object('commit', jsonb_build_object('committer', jsonb_build_object('date', c.day || 'T10:00:00Z')))
                                   WHEN 'issues' THEN jsonb_build_object('closed_at', c.day || 'T10:00:00Z') ELSE jsonb_build_object('login', g) END), '[]')
        FROM unnest(counts) WITH ORDINALITY u (n, i), generate_series(1, u.n) g, LATERAL (SELECT to_char(first - u.i::integer + 1, 'YYYY-MM-DD') AS day) c), at) $$;
CREATE VIEW scores AS SELECT snapshot_date AS day, github_id AS id, round(activity_score::numeric, 6) AS activity FROM flowlens.fact_repo_snapshots ORDER BY 1, 2;

-- 1 is pushed to, 2 has metrics too, 3 has only metrics, of 4 nothing is known
SELECT count(store(id, day + time '08:00', CASE WHEN id < 3 THEN to_char(day, 'YYYY-MM-DD') || 'T01:00:00Z' END))
FROM generate_series(1, 4) id, generate_series(timestamp '2024-03-01', '2024-03-04', '1 day') day;
SELECT metric(2, 'commits', '{3,0,5}', '2024-03-01', '2024-03-01 09:00'), metric(2, 'commits', '{2,4,0,5}', '2024-03-02', '2024-03-02 09:00'),
       metric(2, 'commits', '{4}', '2024-03-01', '2024-03-03 09:00'), metric(2, 'issues', '{1,2}', '2024-03-02', '2024-03-03 09:00'),
       metric(3, 'contributors', '{7}', '2024-03-01', '2024-03-01 09:00'), metric(3, 'contributors', '{9}', '2024-03-03', '2024-03-03 09:00'), metric(3, 'contributors', '{8}', '2024-03-04', '2024-03-04 09:00'),
       metric(3, 'issues', '{2}', '2024-03-04', '2024-03-04 09:00');
CALL flowlens.run_pipeline('2024-03-04');
-- an event counts once, on the day of the first answer that shows it
SELECT * FROM flowlens.stg_repo_activity ORDER BY github_id, metric_type, observed_on, event_on;
SELECT * FROM scores;
-- the score by its definition: 7 (1 - 2^(-1/14)) times the sum of weights, halved every 14 days
CREATE VIEW defined AS
SELECT f.snapshot_date AS day, f.github_id AS id, 7 * (1 - power(2, -1 / 14.0::float8)) * (
    coalesce((SELECT sum(power(2, -(f.snapshot_date - p.day) / 14.0::float8)) FROM (SELECT DISTINCT (h.pushed_at AT TIME ZONE 'UTC')::date AS day FROM flowlens.fact_repo_snapshots h
              WHERE h.github_id = f.github_id AND h.snapshot_date <= f.snapshot_date) p), 0) +
    coalesce((SELECT sum(CASE a.metric_type WHEN 'commits' THEN 0.1 WHEN 'issues' THEN 0.25 ELSE 1 END * a.events * power(2, -(f.snapshot_date - a.event_on) / 14.0::float8))
              FROM flowlens.stg_repo_activity a WHERE a.github_id = f.github_id AND a.observed_on <= f.snapshot_date), 0)) AS activity, f.activity_score
FROM flowlens.fact_repo_snapshots f;
SELECT count(*) AS rows, count(activity_score) AS known, max(abs(activity - coalesce(activity_score, 0))) < 1e-9 AS as_defined FROM defined;
-- again, and answers that show nothing new: nothing is written, no day is loaded again
CREATE TABLE before AS SELECT a.*, a.xmin::text AS version FROM flowlens.stg_repo_activity a;
SELECT metric(2, 'commits', '{3}', '2024-03-01', '2024-03-04 10:00'), metric(3, 'contributors', '{9}', '2024-03-04', '2024-03-04 10:00'), metric(4, 'commits', '{}', '2024-03-04', '2024-03-04 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT count(*) FROM before b FULL JOIN (SELECT a.*, a.xmin::text AS version FROM flowlens.stg_repo_activity a) a USING (github_id, observed_on, event_on, metric_type) WHERE a.version IS DISTINCT FROM b.version;
SELECT count(*) FROM flowlens.pipeline_days WHERE snapshot_pending;
-- an answer that comes late changes its day and the days after it; a repository that was away keeps all its events
SELECT metric(1, 'commits', '{10}', '2024-03-02', '2024-03-02 12:00'), store(1, '2024-03-20 08:00'), store(2, '2024-03-20 08:00');
CALL flowlens.run_pipeline('2024-03-20');
SELECT * FROM scores WHERE id < 3 AND day IN ('2024-03-01', '2024-03-02', '2024-03-04', '2024-03-20');
SELECT count(*) AS rows, max(abs(activity - coalesce(activity_score, 0))) < 1e-9 AS as_defined FROM defined WHERE day < '2024-03-20';
DROP VIEW scores, defined;
DROP TABLE before;
DROP FUNCTION store, metric;

-- the scores of one row: recency, the seed formula, newborn repositories, growth, activity, model constants
SET TimeZone = 'Asia/Tokyo';	-- days are UTC days whatever the session says
SET extra_float_digits = 0;
SET search_path = flowlens, public;

-- recency: each step from both sides
SELECT days, recency_score(timestamptz '2024-03-31 12:00Z' - make_interval(days => days), '2024-03-31 12:00Z') AS recency,
       recency_score(timestamptz '2024-03-31 12:00Z' - make_interval(days => days + 1, secs => -0.000001), '2024-03-31 12:00Z') AS almost_a_day_more
FROM unnest('{0,14,15,30,31,60,61,90,91,180,181,365,366,5000}'::int[]) days;
SELECT recency_score(NULL, '2024-03-31') AS unknown, recency_score('-infinity', '2024-03-31') AS infinite,
       recency_score('2024-04-02', '2024-03-31') AS future, recency_score('2024-03-31', NULL) AS no_day;
SELECT recency_score('4713-01-01 BC', '294000-01-01') AS longest;
SELECT recency_score('2024-03-31', 'infinity');

-- the seed formula
SELECT recency, stars, max_stars, trender_score(recency, stars, max_stars)
FROM (VALUES (1.0, 500, 1000), (0, 0, 1000), (1, 1000, 1000), (0.85, 10, 0), (2, 2000, 1000), (-1, -5, 10), (0, NULL, 10)) v(recency, stars, max_stars);

-- a repository seen once and created inside the window
SELECT created_on, round(star_momentum_of_newborn('2024-03-31', created_on, '2024-03-31', 90)::numeric, 9) AS m
FROM unnest('{2024-04-01,2024-03-31,2024-03-30,2024-03-21,2024-03-01,2024-02-29,infinity,-infinity}'::date[]) created_on;
-- equal to two observations, the first of them without stars
SELECT created_on, star_momentum_of_newborn('2024-03-31', created_on, '2024-03-28', 90) =
       (SELECT star_momentum('2024-03-31', d, s) FROM (VALUES (created_on, 0), (date '2024-03-28', 90)) v(d, s)) AS equal
FROM unnest('{2024-03-27,2024-03-10,2024-03-01}'::date[]) created_on;
-- created on the day it was observed: as if one day earlier
SELECT star_momentum_of_newborn('2024-03-31', '2024-03-28', '2024-03-28', 90) =
       star_momentum_of_newborn('2024-03-31', '2024-03-27', '2024-03-28', 90) AS equal;
-- both on the oldest day of the window: the day before lies outside
SELECT star_momentum_of_newborn('2024-03-31', '2024-03-01', '2024-03-01', 90);
SELECT star_momentum_of_newborn('2024-03-31', '2024-03-01', '2024-02-29', 90), star_momentum_of_newborn('2024-03-31', '2024-03-01', '2024-04-01', 90);
SELECT star_momentum_of_newborn('2024-03-31', '2024-03-30', '2024-03-31', -1);

-- growth
SELECT growth_score(10, 0), growth_score(10, 900), growth_score(0, 5), growth_score(10, -7), growth_score(NULL, 5);

-- activity: a push on every day, on one day, on none
SELECT round(push_activity('2024-03-31', d::date, d + interval '1 hour')::numeric, 6) AS every_day
FROM generate_series(timestamptz '2023-01-01 00:00Z', '2024-03-31 00:00Z', '1 day') d;
SELECT age, round(push_activity('2024-03-31', '2024-03-31', timestamptz '2024-03-31 00:00Z' - make_interval(days => age))::numeric, 9) AS one_day,
       round(((1 - power(2, -1 / 14.0)) * power(2, -age / 14.0))::numeric, 9) AS expected
FROM unnest('{0,1,14,28,255,256}'::int[]) age GROUP BY age ORDER BY age;
SELECT push_activity('2024-03-31', '2024-03-31', NULL) AS no_push, push_activity('2024-03-31', '2024-04-01', '2024-03-30') AS future_row,
       push_activity(NULL, '2024-03-31', '2024-03-30') AS no_day;
-- two pushes of one UTC day count once; a push later than the day it was seen counts for that day
SELECT push_activity('2024-03-31', '2024-03-31', at) = push_activity('2024-03-31', '2024-03-31', at) FILTER (WHERE n = 1) AS same_day
FROM (VALUES (1, timestamptz '2024-03-30 00:00Z'), (2, '2024-03-30 23:59:59Z')) v(n, at);
SELECT push_activity('2024-03-31', '2024-03-29', '2024-03-30 05:00Z') = push_activity('2024-03-31', '2024-03-29', '2024-03-29 05:00Z') AS clipped;
SELECT push_activity(d, '2024-03-29', '2024-03-29') FROM (VALUES (date '2024-03-30'), ('2024-03-31')) v(d);

-- carried on from day to day: equal to the aggregate
CREATE TABLE pushes AS
SELECT repo, date '2024-01-01' + day AS snapshot_date,
       timestamptz '2024-01-01 06:00Z' + make_interval(days => day - day % (1 + repo % 7), hours => day / (1 + repo % 7) * 5 % 13) AS pushed_at
FROM generate_series(1, 12) repo, generate_series(0, 120) day WHERE (repo + day) % (1 + repo % 3) = 0;
WITH RECURSIVE ordered AS (
    SELECT *, row_number() OVER w AS n, snapshot_date - lag(snapshot_date) OVER w AS days,
           (max(pushed_at) OVER w AT TIME ZONE 'UTC')::date AS pushed_on
    FROM pushes WINDOW w AS (PARTITION BY repo ORDER BY snapshot_date)
), carried AS (
    SELECT *, activity_push_share(NULL, NULL, true, snapshot_date - pushed_on) AS share FROM ordered WHERE n = 1
    UNION ALL
    SELECT o.*, activity_push_share(c.share, o.days, o.pushed_on > c.pushed_on, o.snapshot_date - o.pushed_on)
    FROM carried c JOIN ordered o ON o.repo = c.repo AND o.n = c.n + 1
)
SELECT count(*) > 700 AS enough_days, count(*) FILTER (WHERE abs(share - (
           SELECT push_activity(c.snapshot_date, p.snapshot_date, p.pushed_at) FROM pushes p WHERE p.repo = c.repo)) > 1e-9) AS differing
FROM carried c WHERE n > 1;
DROP TABLE pushes;
SELECT activity_push_share(NULL, NULL, NULL, NULL) AS nothing, activity_push_share(0.5, 14, false) AS halved, activity_push_share(1, 0, true) AS clamped;
SELECT activity_push_share(1.5, 1, true);
SELECT activity_push_share(0.5, -1, true);

-- constants
SELECT * FROM jsonb_each(momentum_constants()) ORDER BY key;
SELECT momentum_constants('{"window_days": 7, "score_rate": 0.25}') - '{formula,kernel_exponent,prior_weight,single_offset,outlier_excess}'::text[];
SELECT momentum_constants('{"half_life": 7}');
SELECT momentum_constants('{"window_days": 31}');
SELECT momentum_constants('{"window_days": 7.5}');
SELECT momentum_constants('{"prior_weight": -0.1}');
SELECT momentum_constants('{"outlier_excess": 5.9}');
SELECT momentum_constants('{"kernel_exponent": "NaN"}');
SELECT momentum_constants('{"formula": "guess"}');
SELECT momentum_constants('[1]');
SELECT momentum_constants('3');
SELECT round(momentum_score(2, '{"score_rate": 0.5}')::numeric, 9) AS other_rate, round((1 - exp(-1))::numeric, 9) AS expected;
-- constants may differ from row to row
SELECT rate, momentum_score(1, jsonb_build_object('score_rate', rate)) = -(exp(-rate) - 1) AS equal
FROM unnest('{0.5,0.5,1,0.25}'::float8[]) rate;

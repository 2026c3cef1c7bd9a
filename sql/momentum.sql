-- star_momentum against the model in plain SQL
SET TimeZone = 'UTC';
SET extra_float_digits = 0;
SET search_path = flowlens, public;

-- reference: the model of docs/momentum.md with windows over the observations of one group
CREATE TABLE observations (repo text, snapshot_date date, stars bigint);

CREATE VIEW reach AS
SELECT n, coalesce(sum(power(n, -0.5)) FILTER (WHERE n > 0) OVER (ORDER BY n), 0)::float8 AS h
FROM generate_series(0, 30) n;

CREATE FUNCTION reference_momentum(as_of date)
RETURNS TABLE (repo text, m float8) LANGUAGE sql STABLE AS $$
WITH days AS (
    SELECT o.repo, o.snapshot_date AS d, max(o.stars) AS stars
    FROM observations o
    WHERE o.snapshot_date BETWEEN as_of - 30 AND as_of AND o.stars IS NOT NULL
    GROUP BY 1, 2
), steps AS (
    SELECT days.repo, d, stars, lag(d) OVER w AS d0, lag(stars) OVER w AS stars0,
           row_number() OVER (PARTITION BY days.repo ORDER BY d DESC) AS age_rank
    FROM days WINDOW w AS (PARTITION BY days.repo ORDER BY d)
), weighted AS (
    SELECT s.repo, s.stars, s.age_rank, ln(1 + greatest(s.stars - s.stars0, 0)::float8 / (s.d - s.d0)) AS l, a.h - b.h AS w
    FROM steps s LEFT JOIN reach a ON a.n = as_of - s.d0 LEFT JOIN reach b ON b.n = as_of - s.d
), sums AS (
    SELECT w.repo, max(stars) FILTER (WHERE age_rank = 1) AS stars, max(l) FILTER (WHERE age_rank = 1) AS last_l,
           sum(w * l) / (sum(w) + 0.03 * ((SELECT h FROM reach WHERE n = 30) - sum(w))) AS mean
    FROM weighted w GROUP BY 1
), blended AS (
    SELECT *, sqrt(exp(mean) - 1) / (sqrt(exp(mean) - 1) + 20) AS q FROM sums
)
SELECT b.repo, CASE WHEN mean IS NULL THEN greatest(0.5 * ln(1 + stars::float8) - 2.8, 0) ELSE (1 - q) * mean + q * last_l END
FROM blended b
$$;

-- what differs from the reference by more than 1e-9, or is missing on one side
CREATE FUNCTION differences(as_of date)
RETURNS TABLE (repo text, m float8, reference float8) LANGUAGE sql STABLE AS $$
SELECT repo, a.m, r.m
FROM (SELECT o.repo, star_momentum(as_of, o.snapshot_date, o.stars) AS m FROM observations o GROUP BY 1) a
FULL JOIN reference_momentum(as_of) r USING (repo)
WHERE abs(a.m - r.m) > 1e-9 OR (a.m IS NULL) <> (r.m IS NULL)
ORDER BY repo
$$;

-- single cases
INSERT INTO observations
SELECT 'steady', date '2024-03-01' + i, 1000 + 7 * i FROM generate_series(0, 30) i
UNION ALL SELECT 'quiet', date '2024-03-01' + i, 50 FROM generate_series(0, 30) i
UNION ALL SELECT 'gaps', date '2024-03-01' + i, 100 + i * i FROM generate_series(0, 30) i WHERE i % 7 IN (0, 1, 4)
UNION ALL SELECT 'drops', date '2024-03-01' + i, 5000 + 100 * (i % 3) - 3 * i FROM generate_series(0, 30) i
UNION ALL SELECT 'two ends', date '2024-03-01' + i, 10 + i FROM generate_series(0, 30, 30) i
UNION ALL SELECT 'outside', date '2024-03-01' - i, 100 - 10 * i FROM generate_series(1, 5) i
UNION ALL SELECT 'edge', date '2024-03-01' - i, 100 - 9 * i FROM generate_series(0, 3) i
UNION ALL SELECT 'future', date '2024-03-31' + i, 100 + 9 * i FROM generate_series(-1, 3) i
UNION ALL SELECT 'single small', date '2024-03-31', 200
UNION ALL SELECT 'single large', date '2024-03-20', 90000
UNION ALL SELECT 'single zero', date '2024-03-31', 0
UNION ALL SELECT 'jump', date '2024-03-01' + i, CASE WHEN i < 30 THEN 10 ELSE 90000 END FROM generate_series(0, 30) i
UNION ALL SELECT 'near 2^31', date '2024-03-01' + i, 2147483640::bigint + i FROM generate_series(0, 30) i
UNION ALL SELECT 'beyond 2^31', date '2024-03-01' + i, 3000000000 + 70000000::bigint * i FROM generate_series(0, 30) i
UNION ALL SELECT 'largest', date '2024-03-01' + i, 9223372036854775807 - (30 - i) * 100000000000 FROM generate_series(0, 30) i
UNION ALL SELECT 'zero to largest', date '2024-03-01' + i, CASE WHEN i % 2 = 0 THEN 0 ELSE 9223372036854775807 END FROM generate_series(0, 30) i
UNION ALL SELECT 'missing count', date '2024-03-01' + i, CASE WHEN i % 3 > 0 THEN 40 + i END FROM generate_series(0, 30) i
UNION ALL SELECT 'only missing', date '2024-03-01' + i, NULL FROM generate_series(0, 30) i
UNION ALL SELECT 'repeated day', date '2024-03-01' + i / 2, 300 + (i * 37) % 11 + i FROM generate_series(0, 61) i
UNION ALL SELECT 'ancient', date '2024-03-01' - i, 20000 + 10 * i FROM generate_series(-1000, 1000, 500) i;

SELECT repo, round(star_momentum('2024-03-31', snapshot_date, stars)::numeric, 9) AS m
FROM observations GROUP BY repo ORDER BY repo;

SELECT * FROM differences('2024-03-31');

-- every as-of day, windows from empty to full
SELECT as_of, d.* FROM generate_series(date '2024-02-20', date '2024-05-10', '1 day') t(as_of), differences(as_of::date) d;

-- a fall is no gain, whatever its size
SELECT star_momentum('2024-03-31', d, s) FROM (VALUES (date '2024-03-30', 9000000000), ('2024-03-31', 1)) v(d, s);

-- the order of the rows does not matter, also when the wide representation is needed
SELECT count(*) AS repos, count(*) FILTER (WHERE up IS DISTINCT FROM down OR up IS DISTINCT FROM mixed) AS differing
FROM (SELECT star_momentum('2024-03-31', snapshot_date, stars ORDER BY snapshot_date, stars) AS up,
             star_momentum('2024-03-31', snapshot_date, stars ORDER BY snapshot_date DESC, stars DESC) AS down,
             star_momentum('2024-03-31', snapshot_date, stars ORDER BY md5(snapshot_date::text || stars)) AS mixed
      FROM observations GROUP BY repo) o;

-- of two counts of one day the higher one is taken
SELECT star_momentum('2024-03-31', d, s) = star_momentum('2024-03-31', d, s) FILTER (WHERE s <> 15) AS higher_wins
FROM (VALUES (date '2024-03-30', 10), ('2024-03-31', 20), ('2024-03-31', 15)) v(d, s);

-- as of the newest observation
SELECT repo, star_momentum(snapshot_date, stars) = star_momentum('2024-03-31', snapshot_date, stars) AS equal
FROM observations WHERE repo IN ('steady', 'repeated day', 'zero to largest') GROUP BY repo ORDER BY repo;
SELECT round(star_momentum(d, s)::numeric, 9) AS m FROM (VALUES (date '2024-06-30', 90), ('2024-01-01', 5), ('2024-06-29', 70)) v(d, s);

-- NULLs, no rows
SELECT star_momentum('2024-03-31', d, 1) FROM (VALUES (NULL::date)) v(d);
SELECT star_momentum(NULL, d, 1) FROM (VALUES (date '2024-03-31')) v(d);
SELECT star_momentum('2024-03-31', d, NULL) FROM (VALUES (date '2024-03-31')) v(d);
SELECT star_momentum('2024-03-31', d, 1) FROM (VALUES (date '2024-03-31')) v(d) WHERE false;
SELECT star_momentum(d, NULL) FROM (VALUES (date '2024-03-31')) v(d);
SELECT star_momentum('2024-03-31', d, 1) FROM (VALUES (date 'infinity'), ('-infinity')) v(d);

-- what is refused
SELECT star_momentum(d, d, 1) FROM (VALUES (date '2024-03-30'), ('2024-03-31')) v(d);
SELECT star_momentum('2024-03-31', d, -1) FROM (VALUES (date '2024-03-30')) v(d);
SELECT star_momentum('infinity', d, 1) FROM (VALUES (date '2024-03-30')) v(d);
SELECT star_momentum(d, 1) FROM (VALUES (date 'infinity')) v(d);

-- from M to what is shown
SELECT m, round(momentum_score(m)::numeric, 9) AS score, round(star_velocity(m)::numeric, 9) AS velocity
FROM (VALUES (0::float8), (0.5), (3), (20), (NULL)) v(m);
SELECT momentum_score(0), momentum_score(43.7) < 1 AS below_one;

DROP FUNCTION differences(date), reference_momentum(date);
DROP VIEW reach;
DROP TABLE observations;

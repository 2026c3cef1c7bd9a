-- star_momentum, momentum_state and their parallel and moving forms on random histories
SET TimeZone = 'UTC';
SET extra_float_digits = 0;
SET search_path = flowlens, public;

-- the same numbers between 0 and 1 on every server
CREATE FUNCTION noise(repo integer, day integer, salt integer) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT ('x' || substr(md5(repo || ' ' || day || ' ' || salt), 1, 7))::bit(28)::integer / 268435456.0 $$;

-- 300 repositories over 60 days: gaps, falls, jumps, repeated days, growth from 0 to millions a day
CREATE TABLE observations AS
SELECT repo, date '2024-01-01' + day AS snapshot_date,
       greatest(0, power(10, repo % 8) * (1 + day * noise(repo, day, copy)) + (noise(repo, day, copy + 2) - 0.5) * power(8, repo % 7))::bigint AS stars
FROM generate_series(1, 300) repo, generate_series(0, 59) day, generate_series(1, 2) copy
WHERE noise(repo, day, copy + 4) < CASE copy WHEN 1 THEN (1 + repo % 10) / 10.0 ELSE 0.05 END
ORDER BY noise(repo, day, copy + 6);
SELECT count(*) AS observations, count(DISTINCT repo) AS repos, count(DISTINCT (repo, snapshot_date)) AS days FROM observations;

CREATE VIEW reach AS
SELECT n, coalesce(sum(power(n, -0.5)) FILTER (WHERE n > 0) OVER (ORDER BY n), 0)::float8 AS h
FROM generate_series(0, 30) n;

-- the model in plain SQL for every day at once
CREATE TABLE reference AS
WITH days AS (
    SELECT as_of::date, o.repo, o.snapshot_date AS d, max(o.stars) AS stars
    FROM generate_series(date '2024-01-01', date '2024-03-31', '1 day') as_of
    JOIN observations o ON o.snapshot_date BETWEEN as_of::date - 30 AND as_of::date
    GROUP BY 1, 2, 3
), steps AS (
    SELECT as_of, repo, d, stars, lag(d) OVER w AS d0, lag(stars) OVER w AS stars0,
           row_number() OVER (PARTITION BY as_of, repo ORDER BY d DESC) AS age_rank
    FROM days WINDOW w AS (PARTITION BY as_of, repo ORDER BY d)
), weighted AS (
    SELECT s.as_of, s.repo, s.stars, s.age_rank, ln(1 + greatest(s.stars - s.stars0, 0)::float8 / (s.d - s.d0)) AS l, a.h - b.h AS w
    FROM steps s LEFT JOIN reach a ON a.n = as_of - s.d0 LEFT JOIN reach b ON b.n = as_of - s.d
), sums AS (
    SELECT as_of, repo, max(stars) FILTER (WHERE age_rank = 1) AS stars, max(l) FILTER (WHERE age_rank = 1) AS last_l,
           sum(w * l) / (sum(w) + 0.03 * ((SELECT h FROM reach WHERE n = 30) - sum(w))) AS mean
    FROM weighted GROUP BY 1, 2
), blended AS (
    SELECT *, sqrt(exp(mean) - 1) / (sqrt(exp(mean) - 1) + 20) AS q FROM sums
)
SELECT as_of, repo, CASE WHEN mean IS NULL THEN greatest(0.5 * ln(1 + stars::float8) - 2.8, 0) ELSE (1 - q) * mean + q * last_l END AS m
FROM blended;
CREATE UNIQUE INDEX ON reference (as_of, repo);

-- rows where two scores differ by more than 1e-9 or only one is NULL
CREATE FUNCTION differ(a float8, b float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT coalesce(abs(a - b) > 1e-9, (a IS NULL) <> (b IS NULL)) $$;

-- the aggregate, every day
SELECT count(*) > 15000 AS enough_scores, count(*) FILTER (WHERE differ(a.m, r.m)) AS differing
FROM (SELECT as_of::date, o.repo, star_momentum(as_of::date, o.snapshot_date, o.stars) AS m
      FROM generate_series(date '2024-01-01', date '2024-03-31', '1 day') as_of, observations o GROUP BY 1, 2) a
FULL JOIN reference r USING (as_of, repo);

-- the packed history of the aggregate, scored
SELECT count(*) > 15000 AS enough_scores, count(*) FILTER (WHERE differ(momentum_state_score(as_of, s.state), r.m)) AS differing
FROM (SELECT as_of::date, o.repo, momentum_state(as_of::date, o.snapshot_date, o.stars) AS state
      FROM generate_series(date '2024-01-01', date '2024-03-31', '1 day') as_of, observations o GROUP BY 1, 2) s
FULL JOIN reference r USING (as_of, repo);

-- day by day: yesterday's state and today's rows; scores equal the reference, bytes equal the aggregate
CREATE TABLE carried (as_of date, repo integer, state bytea);
DO $$
DECLARE
    today date;
BEGIN
    FOR today IN SELECT generate_series(date '2024-01-01', date '2024-03-31', '1 day')::date LOOP
        INSERT INTO carried
        SELECT today, repo, momentum_state_push(c.state, o.snapshot_date, o.stars)
        FROM generate_series(1, 300) repo
        LEFT JOIN (SELECT * FROM carried WHERE as_of = today - 1) c USING (repo)
        LEFT JOIN (SELECT DISTINCT ON (repo) * FROM observations WHERE snapshot_date = today ORDER BY repo, stars) o USING (repo);
        -- the second row of a repeated day comes late and has the higher count
        UPDATE carried c SET state = momentum_state_push(c.state, o.snapshot_date, o.stars)
        FROM (SELECT DISTINCT ON (repo) * FROM observations WHERE snapshot_date = today ORDER BY repo, stars DESC) o
        WHERE c.as_of = today AND c.repo = o.repo;
    END LOOP;
END
$$;
SELECT count(*) > 15000 AS enough_scores, count(*) FILTER (WHERE differ(momentum_state_score(as_of, c.state), r.m)) AS differing
FROM carried c FULL JOIN reference r USING (as_of, repo);
SELECT count(*) > 9000 AS enough_states, count(*) FILTER (WHERE c.state <> a.state) AS differing
FROM (SELECT o2.snapshot_date AS as_of, o2.repo, momentum_state(o2.snapshot_date, o.snapshot_date, o.stars) AS state
      FROM (SELECT DISTINCT repo, snapshot_date FROM observations) o2 JOIN observations o USING (repo) GROUP BY 1, 2) a
JOIN carried c USING (as_of, repo);

-- rows pushed in any order make the same bytes
CREATE AGGREGATE push_all(date, bigint) (SFUNC = momentum_state_push, STYPE = bytea);
SELECT count(*) AS repos, count(*) FILTER (WHERE up IS DISTINCT FROM down OR up IS DISTINCT FROM mixed OR up IS DISTINCT FROM at_once) AS differing
FROM (SELECT push_all(snapshot_date, stars ORDER BY snapshot_date) AS up,
             push_all(snapshot_date, stars ORDER BY snapshot_date DESC) AS down,
             push_all(snapshot_date, stars ORDER BY md5(snapshot_date::text || stars)) AS mixed,
             momentum_state('2024-02-29', snapshot_date, stars) AS at_once
      FROM observations WHERE snapshot_date > '2024-01-29' GROUP BY repo) o;

-- the state holds the observations without loss
SELECT count(*) AS observations, count(*) FILTER (WHERE s.stars IS DISTINCT FROM o.stars) AS differing
FROM (SELECT repo, x.* FROM carried c, momentum_state_observations(c.state) x WHERE as_of = '2024-02-29') s
FULL JOIN (SELECT o.repo, o.snapshot_date, max(o.stars) AS stars
           FROM observations o JOIN (SELECT repo, max(snapshot_date) AS newest FROM observations GROUP BY 1) n USING (repo)
           WHERE o.snapshot_date >= n.newest - 30 GROUP BY 1, 2) o USING (repo, snapshot_date);

-- moving frames: a score for every day of the history
SELECT count(*) > 9000 AS enough_scores, count(*) FILTER (WHERE differ(w.m, r.m)) AS differing
FROM (SELECT repo, snapshot_date AS as_of,
             star_momentum(snapshot_date, stars) OVER (PARTITION BY repo ORDER BY snapshot_date RANGE '30 days' PRECEDING) AS m
      FROM observations) w JOIN reference r USING (as_of, repo);
-- frames that shrink, move backwards or hold repeated days equal the plain aggregate over the same rows
CREATE TABLE frames AS
SELECT repo, snapshot_date, stars, row_number() OVER (PARTITION BY repo ORDER BY snapshot_date, stars) AS n FROM observations WHERE repo <= 60;
SELECT count(*) AS rows,
       count(*) FILTER (WHERE backwards IS DISTINCT FROM (SELECT star_momentum(g.snapshot_date, g.stars) FROM frames g WHERE g.repo = f.repo AND g.n BETWEEN f.n AND f.n + 5)) AS backwards,
       count(*) FILTER (WHERE shrinking IS DISTINCT FROM (SELECT star_momentum(g.snapshot_date, g.stars) FROM frames g WHERE g.repo = f.repo AND g.n >= f.n)) AS shrinking,
       count(*) FILTER (WHERE fixed IS DISTINCT FROM (SELECT star_momentum('2024-02-10', g.snapshot_date, g.stars) FROM frames g WHERE g.repo = f.repo AND g.n BETWEEN f.n - 9 AND f.n + 1)) AS fixed
FROM (SELECT f.*,
             star_momentum(snapshot_date, stars) OVER (PARTITION BY repo ORDER BY n DESC ROWS 5 PRECEDING) AS backwards,
             star_momentum(snapshot_date, stars) OVER (PARTITION BY repo ORDER BY n ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS shrinking,
             star_momentum('2024-02-10', snapshot_date, stars) OVER (PARTITION BY repo ORDER BY n ROWS BETWEEN 9 PRECEDING AND 1 FOLLOWING) AS fixed
      FROM frames f) f;

-- parallel workers
CREATE TABLE serial AS
SELECT repo, star_momentum('2024-02-20', snapshot_date, stars) AS m, star_momentum(snapshot_date, stars) AS newest,
       momentum_state('2024-02-20', snapshot_date, stars) AS state FROM observations GROUP BY repo;
ALTER TABLE observations SET (parallel_workers = 3);
SET max_parallel_workers_per_gather = 3;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT repo, star_momentum('2024-02-20', snapshot_date, stars) FROM observations GROUP BY repo;
SELECT count(*) AS repos, count(*) FILTER (WHERE s.m IS DISTINCT FROM p.m OR s.newest IS DISTINCT FROM p.newest OR s.state IS DISTINCT FROM p.state) AS differing
FROM serial s FULL JOIN
     (SELECT repo, star_momentum('2024-02-20', snapshot_date, stars) AS m, star_momentum(snapshot_date, stars) AS newest,
             momentum_state('2024-02-20', snapshot_date, stars) AS state FROM observations GROUP BY repo) p USING (repo);

DROP TABLE observations, reference, carried, frames, serial CASCADE;
DROP VIEW reach;
DROP AGGREGATE push_all(date, bigint);
DROP FUNCTION differ(float8, float8), noise(integer, integer, integer);

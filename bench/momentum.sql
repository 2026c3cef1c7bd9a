-- The momentum aggregate and the compact history against what they are measured by.
-- usage: psql -v repositories=1000000 -v repeats=3 -f bench/momentum.sql    (defaults: 100000 and 3)
-- needs the extension; leaves nothing behind; prints medians in ms and ratios
\set QUIET on
\if :{?repositories} \else \set repositories 100000 \endif
\if :{?repeats} \else \set repeats 3 \endif
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '256MB';
DROP SCHEMA IF EXISTS momentum_bench CASCADE;
CREATE SCHEMA momentum_bench;
SET search_path = momentum_bench, public;
SET momentum_bench.repositories = :'repositories';
SET momentum_bench.repeats = :'repeats';

-- 30 days, one day after the other as they arrive, each in an order of its own (7919 is prime: every repository comes once);
-- one repository in ten grows every day, one in five now and then
CREATE UNLOGGED TABLE snapshots (github_id bigint NOT NULL, snapshot_date date NOT NULL, stars bigint NOT NULL);
INSERT INTO snapshots
SELECT id, date '2024-03-01' + day,
       id % 5000 + CASE WHEN id % 10 = 0 THEN day * (1 + id % 97) + hashint8(id * 31 + day) % (1 + id % 97)
                        WHEN id % 5 = 1 THEN day * (id % 7) / 10 ELSE 0 END
FROM generate_series(1, 30) day, generate_series(1, :repositories) n,
     LATERAL (SELECT 1 + (n * 7919::bigint + day * 104729) % :repositories AS id) shuffled;
VACUUM ANALYZE snapshots;

-- the default model with lag() over the history, as docs/momentum.md has it
CREATE TABLE reach AS SELECT n, coalesce(sum(power(n, -0.5)) FILTER (WHERE n > 0) OVER (ORDER BY n), 0)::float8 AS h FROM generate_series(0, 30) n;
CREATE VIEW model_in_sql AS
WITH steps AS (
    SELECT github_id, snapshot_date AS d, stars, lag(snapshot_date) OVER w AS d0, lag(stars) OVER w AS stars0, lead(stars) OVER w IS NULL AS newest
    FROM snapshots WHERE snapshot_date BETWEEN date '2024-03-31' - 30 AND date '2024-03-31' WINDOW w AS (PARTITION BY github_id ORDER BY snapshot_date)
), weighted AS (
    SELECT s.github_id, s.stars, s.newest, ln(1 + greatest(s.stars - s.stars0, 0)::float8 / (s.d - s.d0)) AS l, a.h - b.h AS w
    FROM steps s LEFT JOIN reach a ON a.n = date '2024-03-31' - s.d0 LEFT JOIN reach b ON b.n = date '2024-03-31' - s.d
), sums AS (
    SELECT github_id, max(stars) FILTER (WHERE newest) AS stars, max(l) FILTER (WHERE newest) AS last_l,
           sum(w * l) / (sum(w) + 0.03 * ((SELECT h FROM reach WHERE n = 30) - sum(w))) AS mean
    FROM weighted GROUP BY 1
), blended AS (
    SELECT *, sqrt(exp(mean) - 1) / (sqrt(exp(mean) - 1) + 20) AS q FROM sums
)
SELECT github_id, CASE WHEN mean IS NULL THEN greatest(0.5 * ln(1 + stars::float8) - 2.8, 0) ELSE (1 - q) * mean + q * last_l END AS m FROM blended;

-- runs each statement in turn, so that what disturbs one disturbs all; medians
CREATE TABLE timings (topic text, variant text, ms float8);
CREATE FUNCTION run(topic text, variants text[], statements text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz;
BEGIN
    FOR turn IN 0 .. current_setting('momentum_bench.repeats')::int LOOP
        FOR i IN 1 .. cardinality(statements) LOOP
            begun := clock_timestamp();
            EXECUTE statements[i];
            -- the first turn warms the caches
            IF turn > 0 THEN
                INSERT INTO timings VALUES (topic, variants[i], extract(epoch FROM clock_timestamp() - begun) * 1000);
            END IF;
        END LOOP;
    END LOOP;
END
$$;

SELECT run('history', '{scan,sum,star_momentum,momentum_state,lag}', ARRAY[
    'SELECT sum(stars) FROM snapshots',
    'SELECT count(s) FROM (SELECT github_id, sum(stars) AS s FROM snapshots GROUP BY github_id OFFSET 0) x',
    'SELECT count(m) FROM (SELECT github_id, flowlens.star_momentum(''2024-03-31'', snapshot_date, stars) AS m FROM snapshots GROUP BY github_id OFFSET 0) x',
    'SELECT count(m) FROM (SELECT github_id, flowlens.momentum_state(''2024-03-31'', snapshot_date, stars) AS m FROM snapshots GROUP BY github_id OFFSET 0) x',
    'SELECT count(m) FROM model_in_sql']) \g /dev/null

-- the row of yesterday carries the history; today has a count
CREATE UNLOGGED TABLE yesterday AS
SELECT github_id, flowlens.momentum_state('2024-03-31', snapshot_date, stars) AS state FROM snapshots WHERE snapshot_date < '2024-03-31' GROUP BY 1;
CREATE UNLOGGED TABLE today AS SELECT * FROM snapshots WHERE snapshot_date = '2024-03-31' ORDER BY hashint8(github_id);
VACUUM ANALYZE yesterday, today;
SELECT run('day', '{join,push,push and score}', ARRAY[
    'SELECT count(*), sum(length(state)), sum(stars) FROM today JOIN yesterday USING (github_id)',
    'SELECT sum(length(flowlens.momentum_state_push(state, snapshot_date, stars))) FROM today JOIN yesterday USING (github_id)',
    'SELECT sum(length(state)), sum(flowlens.momentum_state_score(''2024-03-31'', state))
     FROM (SELECT flowlens.momentum_state_push(state, snapshot_date, stars) AS state FROM today JOIN yesterday USING (github_id) OFFSET 0) x']) \g /dev/null

\pset footer off
\echo repositories: :repositories, 30 days
SELECT topic, variant, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)) AS ms,
       round(min(ms)) AS least, round(max(ms)) AS most
FROM timings GROUP BY 1, 2 ORDER BY 1, 3;
WITH median AS (SELECT variant, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms FROM timings GROUP BY 1)
SELECT name, round((a.ms / b.ms)::numeric, 2) AS ratio, wanted
FROM (VALUES ('star_momentum : sum', 'star_momentum', 'sum', '<= 1.1'), ('momentum_state : sum', 'momentum_state', 'sum', ''),
             ('lag : star_momentum', 'lag', 'star_momentum', '>= 6'), ('push and score : join', 'push and score', 'join', '')) v(name, upper, lower, wanted)
JOIN median a ON a.variant = upper JOIN median b ON b.variant = lower;
SELECT round(avg(octet_length(state)), 1) AS state_bytes, min(octet_length(state)) AS least, max(octet_length(state)) AS most FROM yesterday;
DROP SCHEMA momentum_bench CASCADE;

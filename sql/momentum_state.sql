-- the compact history: its bytes, limits and errors
SET extra_float_digits = 0;
SET search_path = flowlens, public;

-- bytes: version, newest day, its stars, steps newest first
SELECT momentum_state_push(NULL, '2024-03-31', 1000) AS first;
SELECT momentum_state_push(momentum_state_push(NULL, '2024-03-31', 1000), '2024-04-01', 1005) AS gain;
SELECT momentum_state_push(momentum_state_push(NULL, '2024-03-31', 1000), '2024-04-01', 998) AS loss;
SELECT momentum_state_push(momentum_state_push(NULL, '2024-03-31', 1000), '2024-04-05', 1005) AS longer;
SELECT name, octet_length(momentum_state('2024-03-31', date '2024-03-01' + i, CASE name
           WHEN 'quiet' THEN 1000 WHEN 'steady' THEN 1000 + i WHEN 'weekly' THEN 1000 + i / 7 WHEN 'busy' THEN 100000 + 200 * i
           WHEN 'viral' THEN 100000 + 5000 * i WHEN 'largest' THEN i % 2 * 9223372036854775807 END)) AS bytes
FROM unnest('{quiet,steady,weekly,busy,viral,largest}'::text[]) name, generate_series(0, 30) i GROUP BY name ORDER BY bytes, name;

-- each kind of step from both sides, there and back
SELECT gain, octet_length(state) AS bytes, (SELECT stars - lead(stars) OVER (ORDER BY snapshot_date DESC) FROM momentum_state_observations(state) LIMIT 1) AS read
FROM (SELECT gain, momentum_state_push(momentum_state_push(NULL, '2024-03-30', 1000000000), '2024-03-31', 1000000000 + gain) AS state
      FROM unnest('{-1000000000,-17,-16,-1,0,1,200,201,1000000000}'::bigint[]) gain) s;
SELECT * FROM momentum_state_observations(momentum_state_push(momentum_state_push(NULL, '2024-03-01', 9223372036854775807), '2024-03-31', 0));

-- a NULL observation changes nothing
SELECT momentum_state_push(NULL, NULL, 5), momentum_state_push(NULL, '2024-03-31', NULL),
       momentum_state_push('\x019845e807', '2024-03-31', NULL), momentum_state_push('\x019845e807', NULL, 1);

-- days: the window moves on, the last day of it counts, an older one is forgotten
SELECT days, (SELECT array_agg(snapshot_date - date '2024-03-01' ORDER BY snapshot_date) FROM momentum_state_observations(
           momentum_state_push(momentum_state_push(NULL, '2024-03-01', 10), date '2024-03-01' + days, 20))) AS kept
FROM unnest('{-31,-30,-1,0,1,30,31,100000}'::int[]) days;
-- part of a quiet run leaves the window
SELECT count(*), min(snapshot_date), max(snapshot_date)
FROM momentum_state_observations(momentum_state_push(momentum_state_push(NULL, '2024-03-31', 10), '2024-04-30', 10));
SELECT count(*), min(snapshot_date), max(snapshot_date)
FROM (SELECT momentum_state_push(momentum_state('2024-03-31', date '2024-03-01' + i, 10), '2024-04-10', 10) AS state FROM generate_series(0, 30) i) s,
     momentum_state_observations(s.state);
-- before 2000 and far ahead
SELECT * FROM momentum_state_observations(momentum_state_push(momentum_state_push(NULL, '1969-12-31', 3), '1970-01-02', 4));
SELECT * FROM momentum_state_observations(momentum_state_push(NULL, '5874897-12-31', 3));

-- of two counts of one day the higher one stays
SELECT * FROM momentum_state_observations(momentum_state_push(momentum_state_push(momentum_state_push(NULL, '2024-03-30', 10), '2024-03-31', 20), '2024-03-31', 15));
SELECT * FROM momentum_state_observations(momentum_state_push(momentum_state_push(momentum_state_push(NULL, '2024-03-30', 10), '2024-03-31', 20), '2024-03-31', 25));
SELECT * FROM momentum_state_observations(momentum_state_push(momentum_state_push(momentum_state_push(NULL, '2024-03-30', 10), '2024-03-31', 20), '2024-03-30', 12));

-- scores: later days without an observation, the end of the window, a day in the past
SELECT as_of, momentum_state_score(as_of, state) IS NOT DISTINCT FROM m AS equal, m IS NULL AS unscored
FROM (SELECT as_of::date, momentum_state('2024-03-31', d.snapshot_date, d.stars) AS state, star_momentum(as_of::date, d.snapshot_date, d.stars) AS m
      FROM (SELECT date '2024-03-01' + i AS snapshot_date, 100 + i * i AS stars FROM generate_series(0, 30, 5) i) d,
           (VALUES (date '2024-03-31'), ('2024-04-01'), ('2024-04-29'), ('2024-04-30'), ('2024-05-01')) v(as_of) GROUP BY as_of) s ORDER BY as_of;
SELECT momentum_state_score('2024-03-30', momentum_state_push(NULL, '2024-03-31', 10));
SELECT momentum_state_score(NULL, momentum_state_push(NULL, '2024-03-31', 10)), momentum_state_score('2024-03-31', NULL);

-- one observation: the day of creation decides where it lies in the window, else the count
SELECT created_on, momentum_state_score('2024-03-31', momentum_state_push(NULL, '2024-03-28', 900), created_on) IS NOT DISTINCT FROM
       coalesce(star_momentum_of_newborn('2024-03-31', created_on, '2024-03-28', 900), star_momentum('2024-03-31', '2024-03-28', 900)) AS equal
FROM unnest('{2024-03-29,2024-03-28,2024-03-27,2024-03-01,2024-02-29,NULL}'::date[]) created_on GROUP BY created_on ORDER BY created_on;
-- two observations: creation adds nothing
SELECT momentum_state_score('2024-03-31', state, '2024-03-10') = momentum_state_score('2024-03-31', state) AS equal
FROM (SELECT momentum_state_push(momentum_state_push(NULL, '2024-03-28', 900), '2024-03-29', 950) AS state) s;

-- other constants; the reference is the model in plain SQL
SELECT constants, round(momentum_state_score('2024-03-31', state, NULL, constants)::numeric, 9) AS m, round(reference::numeric, 9) AS reference
FROM (SELECT momentum_state('2024-03-31', date '2024-03-01' + i, 100 + i * i) AS state FROM generate_series(0, 30, 3) i) s,
     (VALUES ('{"kernel_exponent": 1, "window_days": 30}'::jsonb, 1.0, 0.03, 20), ('{"prior_weight": 0.5, "blend_velocity": 5}', 0.5, 0.5, 5),
             ('{"kernel_exponent": 0, "prior_weight": 0, "window_days": 11}', 0, 0, 20)) v(constants, exponent, prior, blend),
     LATERAL (SELECT (1 - q) * mean + q * last_l AS reference
              FROM (SELECT mean, last_l, sqrt(exp(mean) - 1) / (sqrt(exp(mean) - 1) + blend) AS q
                    FROM (SELECT sum(w * l) / (sum(w) + prior * ((SELECT sum(power(n, -exponent)) FROM generate_series(1, coalesce((constants ->> 'window_days')::int, 30)) n) - sum(w))) AS mean,
                                 max(l) FILTER (WHERE i = 30) AS last_l
                          FROM (SELECT i, ln(1 + (i * i - (i - 3) * (i - 3)) / 3.0::float8) AS l,
                                       (SELECT sum(power(n, -exponent)) FROM generate_series(31 - i, 33 - i) n) AS w
                                FROM generate_series(3, 30, 3) i WHERE 33 - i <= coalesce((constants ->> 'window_days')::int, 30)) steps) sums) q) r;

-- outliers: a jump until it is confirmed, also when it has gone again, and a full return after a drop
SELECT name, counts, momentum_state_is_outlier((SELECT momentum_state('2024-03-31', date '2024-03-31' - (cardinality(counts) - n::int), s)
           FROM unnest(counts) WITH ORDINALITY u(s, n))) AS outlier
FROM (VALUES (1, 'steady', '{100,110,120,130}'::bigint[]), (2, 'fast', '{10000,20000,30000,40000}'), (3, 'jump', '{100,101,102,90000}'),
             (4, 'confirmed', '{100,101,102,90000,90010}'), (5, 'half gone', '{100,101,102,90000,45051}'), (6, 'more than half gone', '{100,101,102,90000,45050}'),
             (7, 'gone for some days', '{100,101,102,90000,103,104,105}'), (8, 'no pace before', '{100,90000}'), (9, 'one interval before', '{100,100,90000}'),
             (10, 'just plausible', '{100,100,100,1195}'), (11, 'just implausible', '{100,100,100,1196}'), (12, 'return', '{1000,1001,900,1000}'),
             (13, 'not a full return', '{1000,1001,900,990}'), (14, 'small drop', '{1000,1000,901,1000}'), (15, 'few stars', '{20,20,11,20}'),
             (16, 'return goes on', '{1000,1001,900,1000,1001}'), (17, 'large return', '{90000,90001,100,90000}'), (18, 'drop only', '{1000,1000,100}')) v(n, name, counts)
ORDER BY v.n;
SELECT momentum_state_is_outlier(NULL), momentum_state_is_outlier(momentum_state_push(NULL, '2024-03-31', 10)),
       momentum_state_is_outlier('\x019845e80720'), momentum_state_is_outlier('\x019845e807f8a09c0101', '{"outlier_excess": 20}');

-- what is refused
SELECT momentum_state_push(NULL, '2024-03-31', -1);
SELECT momentum_state_push(NULL, 'infinity', 1);
SELECT momentum_state_score('infinity', '\x019845e807');
SELECT momentum_state_score('2024-03-31', '\x019845e807', NULL, '{"kernel": 1}');
-- bytes that are no state
SELECT momentum_state_score('2024-03-31', '\x');
SELECT momentum_state_score('2024-03-31', '\x029845e807');
SELECT momentum_state_score('2024-03-31', '\x01c7');
SELECT momentum_state_score('2024-03-31', '\x019845e8');
SELECT momentum_state_score('2024-03-31', '\x019845e80700');
SELECT momentum_state_score('2024-03-31', '\x019845e807fa');
SELECT momentum_state_score('2024-03-31', '\x019845e807f8');
SELECT momentum_state_push('\x019845e807f91f02', '2024-04-01', 5);
SELECT momentum_state_observations('\x019845e8071e1e');
SELECT momentum_state_observations('\x0198450533');
SELECT momentum_state_push('\x019845e807' || decode(repeat('20', 331), 'hex'), '2024-04-01', 5);
SELECT momentum_state_push('\x01ffffffffffffffffff01', '2024-04-01', 5);

-- Random histories against an oracle that looks at every point in time.
-- Each key of a round is one history: some hundred of them, 10,000 in the long tests.
\set histories 320
\getenv long FLOWLENS_LONG
\if :{?long}
\set histories 10000
\endif
SET client_min_messages = warning;
CREATE SCHEMA scd2_property;
SET search_path = scd2_property;

-- all observations of a round; batch is the merge that brings them
CREATE TABLE observed (id int, at_hour int, name text, size numeric, is_deleted boolean, batch int);
CREATE TABLE target (id int NOT NULL, name text, size numeric, row_hash bigint, is_deleted boolean,
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL,
    CHECK (valid_from < valid_to), CHECK (is_current = (valid_to IS NULL)), UNIQUE (id, valid_from));
CREATE UNIQUE INDEX ON target (id) WHERE is_current;
CREATE TABLE noted (id int, valid_at timestamptz, PRIMARY KEY (id, valid_at));
CREATE TABLE batch (id int, name text, size numeric, is_deleted boolean, at timestamptz);

CREATE FUNCTION hour_to_time(hour int) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN '2024-01-01 00:00+00'::timestamptz + hour * interval '1 hour';

-- what the table says about each key and hour: NULL is "no version"
CREATE VIEW table_states AS
SELECT k.id, h.hour, t.name || '/' || coalesce(trim_scale(t.size)::text, '-') AS state
FROM generate_series(1, 40) k(id) CROSS JOIN generate_series(-1, 13) h(hour)
LEFT JOIN target t ON t.id = k.id AND t.valid_from <= hour_to_time(h.hour)
    AND (t.valid_to > hour_to_time(h.hour) OR t.valid_to IS NULL);

-- versions that must not exist: overlapping, agreeing with their neighbour, or wrongly marked
CREATE VIEW violations AS
SELECT a.id FROM target a JOIN target b ON a.id = b.id AND a.valid_from < b.valid_from
WHERE a.valid_to IS NULL OR a.valid_to > b.valid_from
UNION ALL
SELECT a.id FROM target a JOIN target b ON a.id = b.id AND a.valid_to = b.valid_from
WHERE (a.name, a.size) IS NOT DISTINCT FROM (b.name, b.size)
UNION ALL
SELECT a.id FROM target a
WHERE a.is_deleted <> (a.valid_to IS NOT NULL AND NOT EXISTS
    (SELECT FROM target b WHERE b.id = a.id AND b.valid_from = a.valid_to))
UNION ALL
SELECT id FROM target
WHERE row_hash <> flowlens.scd2_row_hash('{name,size}', name, size);

-- the last word about each hour is its last observation, or that of the hour before
CREATE VIEW expected_states AS
SELECT k.id, h.hour, o.state
FROM generate_series(1, 40) k(id) CROSS JOIN generate_series(-1, 13) h(hour)
LEFT JOIN LATERAL (
    SELECT CASE WHEN NOT o.is_deleted THEN o.name || '/' || coalesce(trim_scale(o.size)::text, '-') END AS state
    FROM observed o WHERE o.id = k.id AND o.at_hour <= h.hour
    ORDER BY o.at_hour DESC, o.batch DESC LIMIT 1) o ON true;

-- fills observed: up to ten observations for each of 40 keys, spread over six batches
CREATE PROCEDURE make_observations(one_per_batch boolean) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE observed, target, noted;
    INSERT INTO observed
    SELECT id, at_hour, name, CASE WHEN size > 0 THEN round(size, (random() * 3)::int) END, deleted, batch
    FROM (SELECT DISTINCT ON (id, batch, CASE WHEN one_per_batch THEN 0 ELSE at_hour END)
              id, at_hour, name, size, deleted, batch
          FROM (SELECT id, (random() * 12)::int AS at_hour, chr(97 + (random() * 2)::int) AS name,
                    (random() * 2)::int::numeric AS size, random() < 0.2 AS deleted, 1 + (random() * 5)::int AS batch
                FROM generate_series(1, 40) id, generate_series(1, 1 + (random() * 9)::int)) o
          ORDER BY id, batch, CASE WHEN one_per_batch THEN 0 ELSE at_hour END, random()) o;
END $$;

-- observations with their own times, all times noted: the order of arrival must not matter
CREATE FUNCTION round_noted() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
    CALL make_observations(false);
    FOR n IN SELECT DISTINCT o.batch FROM observed o ORDER BY 1 LOOP
        TRUNCATE batch;
        INSERT INTO batch SELECT id, name, size, is_deleted, hour_to_time(at_hour) FROM observed o WHERE o.batch = n;
        PERFORM flowlens.scd2_merge('target', 'batch', '{id}', valid_at => 'epoch', valid_at_column => 'at',
            observations => 'noted');
    END LOOP;
    RETURN QUERY SELECT format('noted: key %s differs', id) FROM (TABLE table_states EXCEPT TABLE expected_states) d
        UNION ALL SELECT format('noted: key %s is wrong', id) FROM violations;
END $$;

-- nothing noted: an observation holds until the next change known when it arrives
CREATE FUNCTION round_unnoted() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    n int;
    o observed;
    states text[];      -- one history: element i is hour i - 1, '' is "no version"
    state text;
    ends int;
    wrong bigint;
BEGIN
    CALL make_observations(true);
    FOR n IN SELECT DISTINCT x.batch FROM observed x ORDER BY 1 LOOP
        TRUNCATE batch;
        INSERT INTO batch SELECT id, name, size, is_deleted, hour_to_time(at_hour) FROM observed x WHERE x.batch = n;
        PERFORM flowlens.scd2_merge('target', 'batch', '{id}', valid_at => 'epoch', valid_at_column => 'at');
    END LOOP;
    FOR n IN 1 .. 40 LOOP
        states := array_fill(''::text, ARRAY[14]);
        FOR o IN SELECT * FROM observed x WHERE x.id = n ORDER BY x.batch LOOP
            state := CASE WHEN o.is_deleted THEN '' ELSE o.name || '/' || coalesce(trim_scale(o.size)::text, '-') END;
            CONTINUE WHEN states[o.at_hour + 1] = state;
            ends := o.at_hour + 2;
            WHILE ends <= 14 AND states[ends] = states[ends - 1] LOOP ends := ends + 1; END LOOP;
            FOR i IN o.at_hour + 1 .. ends - 1 LOOP states[i] := state; END LOOP;
        END LOOP;
        SELECT count(*) INTO wrong FROM table_states t
        WHERE t.id = n AND t.hour BETWEEN 0 AND 13 AND states[t.hour + 1] <> coalesce(t.state, '');
        IF wrong > 0 THEN RETURN NEXT format('unnoted: key %s differs', n); END IF;
    END LOOP;
    RETURN QUERY SELECT format('unnoted: key %s is wrong', id) FROM violations;
END $$;

-- whole extracts at one time each, some of them complete: what a complete one lacks is deleted.
-- In order of time nothing needs to be noted.
CREATE FUNCTION round_extracts(noting boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    n int;
    hour int;
    complete boolean;
BEGIN
    CALL make_observations(true);
    FOR n IN SELECT DISTINCT o.batch FROM observed o ORDER BY 1 LOOP
        hour := CASE WHEN noting THEN random() * 12 ELSE 2 * (n - 1) + random() * 2 END::int;
        complete := random() < 0.5;
        UPDATE observed o SET at_hour = hour WHERE o.batch = n;
        TRUNCATE batch;
        INSERT INTO batch SELECT id, name, size, is_deleted FROM observed o WHERE o.batch = n;
        IF complete THEN
            INSERT INTO observed SELECT DISTINCT t.id, hour, '', 0, true, n FROM target t
            WHERE t.id NOT IN (SELECT b.id FROM batch b);
        END IF;
        PERFORM flowlens.scd2_merge('target', 'batch', '{id}', valid_at => hour_to_time(hour),
            close_missing => complete, observations => CASE WHEN noting THEN 'noted'::regclass END);
    END LOOP;
    RETURN QUERY SELECT format('extracts (noting %s): key %s differs', noting, id) FROM (TABLE table_states EXCEPT TABLE expected_states) d
        UNION ALL SELECT format('extracts (noting %s): key %s is wrong', noting, id) FROM violations;
END $$;

SELECT setseed(0.42);

-- each detector does half of the rounds
CREATE PROCEDURE run_rounds(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    first text;
    differences bigint := 0;
    result text;
BEGIN
    FOR n IN 1 .. rounds LOOP
        PERFORM set_config('flowlens.scd2_detector', CASE n % 2 WHEN 0 THEN 'hash' ELSE 'join' END, false);
        FOR result IN SELECT round_noted() UNION ALL SELECT round_unnoted()
            UNION ALL SELECT round_extracts(true) UNION ALL SELECT round_extracts(false) LOOP
            first := coalesce(first, result);
            differences := differences + 1;
        END LOOP;
        COMMIT;
    END LOOP;
    RAISE NOTICE 'differences: %, first: %', differences, first;
END $$;
SET client_min_messages = notice;
CALL run_rounds((:histories + 159) / 160);
SET client_min_messages = warning;

DROP SCHEMA scd2_property CASCADE;

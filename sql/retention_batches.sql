-- batches of retention: at most 10,000 rows each, whichever way they are found, nothing left out and nothing too much
SET TimeZone = 'UTC';
CREATE TABLE many (id bigint, at timestamptz, keep boolean NOT NULL DEFAULT false);
CREATE FUNCTION batches() RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    step record;
    place text;
    sizes bigint[] := '{}';
BEGIN
    LOOP
        SELECT d.* INTO step
        FROM flowlens.delete_expired_batch('many', 'many', 'at', $c$at < '2024-03-10 00:00+00'::timestamptz AND NOT keep$c$, place) d;
        sizes := sizes || step.deleted;
        place := step.place;
        EXIT WHEN place IS NULL;
    END LOOP;
    RETURN sizes;
END $$;
-- twice as many rows as a batch holds have the same time; some are kept, too young, or have no time
CREATE PROCEDURE fill() LANGUAGE sql AS $$
    TRUNCATE many;
    INSERT INTO many SELECT n, '2024-03-02 00:00+00' FROM generate_series(1, 20001) n;
    INSERT INTO many SELECT n, timestamptz '2024-03-03 00:00+00' + n * interval '1 second' FROM generate_series(1, 9998) n;
    INSERT INTO many VALUES (-1, '2024-03-01 00:00+00'), (-2, '2024-03-09 23:59:59.999999+00'), (-3, '2024-03-10 00:00+00'), (-5, NULL);
    INSERT INTO many VALUES (-4, '2024-03-02 00:00+00', true)
$$;

-- block by block; more than the 1,000 blocks that are looked through at once
CALL fill();
SELECT batches();
SELECT id FROM many ORDER BY id;
ALTER TABLE many ADD COLUMN wide text;
ALTER TABLE many ALTER COLUMN wide SET STORAGE plain;
INSERT INTO many SELECT n, '2024-03-02 00:00+00', false, repeat('x', 4000) FROM generate_series(1, 2500) n;
SELECT pg_relation_size('many') / current_setting('block_size')::integer > 1000 AS more_blocks, (SELECT sum(b) FROM unnest(batches()) b) AS rows;
SELECT id FROM many ORDER BY id;
ALTER TABLE many DROP COLUMN wide;

-- by an index over all rows, in either direction
CREATE INDEX many_at ON many (at DESC);
CALL fill();
SELECT batches();
SELECT id FROM many ORDER BY id;
-- by an index over those that may go
DROP INDEX many_at;
CREATE INDEX many_at ON many (at) WHERE NOT keep;
CALL fill();
SELECT batches();
SELECT id FROM many ORDER BY id;
-- an index without order is of no use
SELECT flowlens.batch_way('many', 'at');
DROP INDEX many_at;
CREATE INDEX many_at ON many USING brin (at);
SELECT flowlens.batch_way('many', 'at');
CREATE INDEX many_btree ON many (at, id);
SELECT flowlens.batch_way('many', 'at');

-- no row, a row less than a batch, a batch, a row more
SELECT batches();
INSERT INTO many SELECT n, timestamptz '2024-03-03 00:00+00' + n * interval '1 second' FROM generate_series(1, 9999) n;
SELECT batches();
INSERT INTO many SELECT n, timestamptz '2024-03-03 00:00+00' + n * interval '1 second' FROM generate_series(1, 10000) n;
SELECT batches();
INSERT INTO many SELECT n, timestamptz '2024-03-03 00:00+00' + n * interval '1 second' FROM generate_series(1, 10001) n;
SELECT batches();
-- the settings of the session are as before
SELECT current_setting('enable_seqscan') AS enable_seqscan, current_setting('TimeZone') AS zone;
DROP FUNCTION batches;
DROP PROCEDURE fill;
DROP TABLE many;

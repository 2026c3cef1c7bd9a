-- what a merge has to survive: odd names, types and texts, functions and triggers that interfere
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;

-- keys and values in the toast table, other bytes for equal values, both ways to find changes
CREATE TABLE wide_source (k text, j jsonb, "Array" text[], body text, n numeric, f float8);
ALTER TABLE wide_source ALTER k SET STORAGE EXTERNAL;
INSERT INTO wide_source
SELECT repeat(md5(i::text), 200), jsonb_build_object('a', i), ARRAY[repeat('x', i), NULL], repeat('body' || i, 5000), 1.0, 'NaN'
FROM generate_series(1, 4) i;
CREATE TABLE wide (f float8, body text, "Array" text[], n numeric, j jsonb, k text,
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL);
ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
CREATE FUNCTION merge_wide(detector text, keys name[]) RETURNS TABLE (step text, inserted bigint, versioned bigint, unchanged bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('flowlens.scd2_detector', detector, true);
    TRUNCATE wide;
    UPDATE wide_source SET body = repeat('body' || (j->>'a'), 5000), n = 1.0, f = 'NaN';
    RETURN QUERY SELECT 'first', m.inserted, m.versioned, m.unchanged FROM flowlens.scd2_merge('wide', 'wide_source', keys, valid_at => '2024-01-01') m;
    UPDATE wide_source SET n = 1.000;
    RETURN QUERY SELECT 'same', m.inserted, m.versioned, m.unchanged FROM flowlens.scd2_merge('wide', 'wide_source', keys, valid_at => '2024-01-02') m;
    UPDATE wide_source SET body = body || '.' WHERE j->>'a' = '2';
    UPDATE wide_source SET f = 0 WHERE j->>'a' = '3';
    RETURN QUERY SELECT 'changed', m.inserted, m.versioned, m.unchanged FROM flowlens.scd2_merge('wide', 'wide_source', keys, valid_at => '2024-01-03') m;
    UPDATE wide_source SET f = '-0' WHERE j->>'a' = '3';
    RETURN QUERY SELECT 'zero', m.inserted, m.versioned, m.unchanged FROM flowlens.scd2_merge('wide', 'wide_source', keys, valid_at => '2024-01-04') m;
END $$;
SELECT keys, h.*, h IS NOT DISTINCT FROM j AS same_by_join
FROM (VALUES ('{k}'::name[]), ('{j}'), ('{Array}'), ('{j,Array,k}')) x(keys),
    LATERAL merge_wide('hash', keys) h JOIN LATERAL merge_wide('join', keys) j USING (step) ORDER BY keys::text, h.step;

-- columns added with a default have no place in old rows
SET flowlens.scd2_detector = hash;
CREATE TABLE s (gone int, id int, v text);
CREATE TABLE d (v text, id int, valid_from timestamptz, valid_to timestamptz, is_current boolean);
INSERT INTO s VALUES (0, 1, 'a'), (0, 2, NULL), (0, 3, '');
ALTER TABLE s DROP gone;
SELECT * FROM flowlens.scd2_merge('d', 's', '{id}', valid_at => '2024-01-01');
ALTER TABLE s ADD extra int DEFAULT 5, ADD label text DEFAULT 'none';
ALTER TABLE d ADD label text DEFAULT 'none', ADD extra int DEFAULT 5;
SELECT * FROM flowlens.scd2_merge('d', 's', '{id}', valid_at => '2024-01-02');
UPDATE s SET v = '' WHERE id = 2;
UPDATE s SET v = NULL WHERE id = 3;
SELECT * FROM flowlens.scd2_merge('d', 's', '{id}', valid_at => '2024-01-03');
SELECT id, coalesce(v, 'NULL') AS v, extra, label, valid_from, valid_to FROM d ORDER BY id, valid_from;

-- the text of a query: one SELECT, with or without a semicolon or a comment
SELECT * FROM flowlens.scd2_merge_query('d', 'SELECT * FROM s;', '{id}', valid_at => '2024-01-04');
SELECT * FROM flowlens.scd2_merge_query('d', 'SELECT * FROM s -- everything', '{id}', valid_at => '2024-01-04');
SELECT * FROM flowlens.scd2_merge_query('d', 'WITH w AS (TABLE s) SELECT * FROM w', '{id}', valid_at => '2024-01-04');
\set VERBOSITY terse
SELECT flowlens.scd2_merge_query('d', 'SELECT * FROM s) AS s; DROP TABLE d; SELECT * FROM (SELECT 1', '{id}');
SELECT flowlens.scd2_merge_query('d', 'SELECT * FROM s; DROP TABLE d', '{id}');
SELECT flowlens.scd2_merge_query('d', 'DELETE FROM s RETURNING *', '{id}');
SELECT flowlens.scd2_merge_query('d', '', '{id}');

-- a column serves one purpose
SELECT flowlens.scd2_merge('d', 's', '{id}', valid_from_column => 'valid_to');
SELECT flowlens.scd2_merge('d', 's', '{id}', is_deleted_column => 'is_current');

-- a merge within a merge of the same table: from a trigger, from the source, from a partition
CREATE FUNCTION merge_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flowlens.scd2_merge('scd2_test.d', 'scd2_test.s', '{id}', valid_at => '2024-02-01');
    RETURN NULL;
END $$;
CREATE TRIGGER merge_again AFTER UPDATE ON d FOR EACH STATEMENT EXECUTE FUNCTION merge_again();
UPDATE s SET v = 'b';
SELECT flowlens.scd2_merge('d', 's', '{id}', valid_at => '2024-02-01');
DROP TRIGGER merge_again ON d;
CREATE FUNCTION merging_source() RETURNS SETOF s LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flowlens.scd2_merge('scd2_test.d', 'scd2_test.s', '{id}', valid_at => '2024-02-01');
    RETURN QUERY TABLE scd2_test.s;
END $$;
SELECT flowlens.scd2_merge_query('d', 'SELECT * FROM merging_source()', '{id}', valid_at => '2024-02-01');
-- another table is fine, and after an error so is this one
CREATE TABLE d2 (LIKE d);
SELECT * FROM flowlens.scd2_merge_query('d2', 'SELECT * FROM merging_source()', '{id}', valid_at => '2024-02-01');
SELECT id, count(*), count(*) FILTER (WHERE is_current) AS currents FROM d GROUP BY id ORDER BY id;

-- a source that changes the target while it is read: all or nothing
CREATE FUNCTION meddling_source() RETURNS SETOF s LANGUAGE plpgsql AS $$
BEGIN
    UPDATE scd2_test.d SET v = 'meddled' WHERE id = 1 AND is_current;
    RETURN QUERY SELECT id, v || '!', extra, label FROM scd2_test.s;
END $$;
SELECT flowlens.scd2_merge_query('d', 'SELECT * FROM meddling_source()', '{id}', valid_at => '2024-02-02');
SELECT id, v FROM d WHERE is_current ORDER BY id;

-- rules
CREATE RULE ignore AS ON INSERT TO d2 DO INSTEAD NOTHING;
UPDATE s SET v = 'c';
SELECT flowlens.scd2_merge('d2', 's', '{id}', valid_at => '2024-03-01');
SELECT count(*), count(*) FILTER (WHERE is_current) AS currents FROM d2;
\set VERBOSITY default

-- one transaction, one time: corrected in place, rolled back to a savepoint, merged again
DROP RULE ignore ON d2;
BEGIN;
SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => '2024-03-01');
SAVEPOINT before;
UPDATE s SET v = 'd';
SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => '2024-03-01');
ROLLBACK TO before;
SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => '2024-03-01');
UPDATE s SET v = 'e' WHERE id = 1;
SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => '2024-03-01');
COMMIT;
SELECT id, v, valid_from, valid_to FROM d2 ORDER BY id, valid_from;

-- a prepared call outlives changes of both tables
PREPARE again AS SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => $1);
EXECUTE again('2024-03-02');
ALTER TABLE s ADD late int DEFAULT 1;
EXECUTE again('2024-03-03');
ALTER TABLE d2 ADD late int;
EXECUTE again('2024-03-04');
ALTER TABLE d2 DROP late;
EXECUTE again('2024-03-05');
DEALLOCATE again;

-- the ends of time
SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => '4713-01-02 00:00:00+00 BC');
UPDATE s SET v = 'last';
SELECT * FROM flowlens.scd2_merge('d2', 's', '{id}', valid_at => '294276-12-31 23:59:59.999999+00');
SELECT id, v, valid_from, valid_to FROM d2 WHERE id = 1 ORDER BY valid_from;

DROP SCHEMA scd2_test CASCADE;

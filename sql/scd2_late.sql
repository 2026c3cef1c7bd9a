-- late data, equal times, several merges in one transaction, any order of arrival
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;
CREATE TABLE h (version serial, id int NOT NULL, v text, u int, valid_from timestamptz NOT NULL, valid_to timestamptz,
    is_current boolean NOT NULL, UNIQUE (id, valid_from), CHECK (valid_from < valid_to), CHECK (is_current = (valid_to IS NULL)));
CREATE UNIQUE INDEX ON h (id) WHERE is_current;
CREATE VIEW history AS SELECT version, id, v, u, valid_from::date AS "from", valid_to::date AS "to" FROM h ORDER BY id, valid_from;
CREATE FUNCTION observe(id int, v text, at date, u int DEFAULT 0) RETURNS text LANGUAGE sql AS $$
    SELECT m::text FROM flowlens.scd2_merge_query('h', format('SELECT %s AS id, %L::text AS v, %s AS u', id, v, u), '{id}', '{v}', at) m $$;

-- in order
SELECT observe(1, 'a', '2024-01-01'), observe(1, 'c', '2024-01-10');
-- late, in the middle of the first version: it is split
SELECT observe(1, 'b', '2024-01-05');
-- before the first version
SELECT observe(1, 'z', '2023-12-01');
TABLE history;
-- the same as its successor: the successor starts earlier, and stays the same row
SELECT observe(1, 'b', '2024-01-03');
-- the same as the version it falls into, or at the very start of one: nothing to do
SELECT observe(1, 'b', '2024-01-04'), observe(1, 'c', '2024-01-10');
TABLE history;
-- a second word about the same time replaces the first, in the same row
SELECT observe(1, 'B', '2024-01-03');
-- and joins the neighbours if they agree now
SELECT observe(1, 'a', '2024-01-03');
SELECT observe(1, 'c', '2024-01-01');
TABLE history;
-- the latest observation decides about columns without history, a late one does not
SELECT observe(2, 'a', '2024-01-05', 5), observe(2, 'b', '2024-01-01', 1), observe(2, 'a', '2024-01-03', 3), observe(2, 'a', '2024-01-05', 6);
SELECT * FROM history WHERE id = 2;

-- two merges in one transaction have the same time: one version, no empty period
BEGIN;
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 3 AS id, ''a'' AS v, 0 AS u', '{id}', '{v}');
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 3 AS id, ''b'' AS v, 0 AS u', '{id}', '{v}');
SELECT id, v, valid_from = now() AS from_now, valid_to, is_current FROM h WHERE id = 3;
COMMIT;

-- several observations of a key in one source
SELECT * FROM flowlens.scd2_merge_query('h', $$
    SELECT * FROM (VALUES (4, 'a', 0, timestamptz '2024-01-01'), (4, 'a', 0, '2024-01-05'), (4, 'b', 0, '2024-01-03'), (5, 'a', 0, NULL)) o(id, v, u, at)
    $$, '{id}', '{v}', '2024-02-01', valid_at_column => 'at');
SELECT * FROM history WHERE id IN (4, 5);

-- an observation that changed nothing leaves no trace: what comes between it and its version is taken as newer
SELECT observe(6, 'a', '2024-01-01'), observe(6, 'a', '2024-01-05'), observe(6, 'b', '2024-01-03');
SELECT * FROM history WHERE id = 6;
-- with a table of the times of observation, no order of arrival makes a difference
CREATE TABLE noted (id int, valid_at timestamptz, PRIMARY KEY (id, valid_at));
CREATE TABLE results (arrival int[], history text);
DO $$
DECLARE
    observations date[] := '{2024-01-01,2024-01-03,2024-01-05,2024-01-07}';
    values text[] := '{a,b,a,a}';
    arrival int[];
    n int;
BEGIN
    FOR arrival IN SELECT ARRAY[i, j, k, l] FROM generate_series(1, 4) i, generate_series(1, 4) j, generate_series(1, 4) k, generate_series(1, 4) l
        WHERE (SELECT count(DISTINCT x) FROM unnest(ARRAY[i, j, k, l]) x) = 4 LOOP
        TRUNCATE h, noted;
        FOREACH n IN ARRAY arrival LOOP
            PERFORM flowlens.scd2_merge_query('h', format('SELECT 7 AS id, %L::text AS v, 0 AS u', values[n]), '{id}', '{v}', observations[n],
                observations => 'noted');
        END LOOP;
        INSERT INTO results SELECT arrival, string_agg(format('%s from %s to %s', h.v, h.valid_from::date, h.valid_to::date), ', ' ORDER BY h.valid_from) FROM h;
    END LOOP;
END $$;
SELECT history, count(*) FROM results GROUP BY 1;
-- noting the same times again writes nothing
BEGIN;
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 7 AS id, ''a'' AS v, 0 AS u', '{id}', '{v}', '2024-01-07', observations => 'noted');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
SELECT count(*) FROM noted;
-- the table of times needs its unique key
ALTER TABLE noted DROP CONSTRAINT noted_pkey;
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 7 AS id, ''c'' AS v, 0 AS u', '{id}', '{v}', '2024-01-09', observations => 'noted');
DROP SCHEMA scd2_test CASCADE;

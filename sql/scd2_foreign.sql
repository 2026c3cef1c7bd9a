-- a target on another server: no ctid, no relation in memory, temporary tables and keys instead
\set VERBOSITY terse
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT count(*) = 0 AS missing FROM pg_available_extensions WHERE name = 'postgres_fdw' \gset
\if :missing
\quit
\endif
CREATE SCHEMA scd2_test;
CREATE EXTENSION postgres_fdw SCHEMA scd2_test;
SET search_path = scd2_test;
DO $$ BEGIN
    EXECUTE format('CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, port %L, host %L)', current_database(),
        current_setting('port'), split_part(coalesce(nullif(current_setting('unix_socket_directories'), ''), 'localhost'), ',', 1));
    EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (user %L)', current_user);
END $$;
CREATE TABLE remote_history (id int NOT NULL, v text, seen int, row_hash bigint, is_deleted boolean, valid_from timestamptz NOT NULL, valid_to timestamptz,
    is_current boolean NOT NULL, UNIQUE (id, valid_from), CHECK (valid_from < valid_to));
CREATE UNIQUE INDEX ON remote_history (id) WHERE is_current;
CREATE FOREIGN TABLE history (id int NOT NULL, v text, seen int, row_hash bigint, is_deleted boolean, valid_from timestamptz, valid_to timestamptz, is_current boolean)
    SERVER loopback OPTIONS (schema_name 'scd2_test', table_name 'remote_history');
CREATE FUNCTION observe(value text, at date, ids int[], complete boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT m::text FROM flowlens.scd2_merge_query('history', format('SELECT id, %L::text AS v, 1 AS seen FROM unnest(%L::int[]) id', value, ids), '{id}', '{v}', at,
        close_missing => complete) m $$;
SELECT observe('a', '2024-01-01', '{1,2}');
SELECT observe('a', '2024-01-02', '{1,2}');
SELECT observe('c', '2024-01-10', '{1,3}');
-- late, in place, complete, twice in a transaction
SELECT observe('b', '2024-01-05', '{1,3}');
UPDATE remote_history SET seen = 0;
SELECT observe('c', '2024-01-11', '{1,3}', true);
BEGIN;
SELECT observe('d', '2024-01-12', '{1}'), observe('e', '2024-01-12', '{1}');
COMMIT;
SELECT id, v, seen, is_deleted, row_hash = flowlens.scd2_row_hash('{v}', v) AS hash_right, valid_from::date, valid_to::date, is_current
FROM remote_history ORDER BY id, valid_from;
SELECT observe('x', '2024-01-13', '{1,1}');
-- nothing stays behind
SELECT count(*) FROM pg_class WHERE relname LIKE 'scd2\_%\_table';
DROP SCHEMA scd2_test CASCADE;

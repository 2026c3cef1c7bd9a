-- what a merge refuses, before it writes anything
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;
CREATE TABLE h (id int, v text, n numeric, g int GENERATED ALWAYS AS (id + 1) STORED, valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE TABLE s (id int, v text, n numeric, g int);
INSERT INTO s VALUES (1, 'a', 1, 1);
-- columns
SELECT flowlens.scd2_merge('h', 's', '{nothing}');
SELECT flowlens.scd2_merge('h', 's', '{}');
SELECT flowlens.scd2_merge('h', 's', '{id,id}');
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v,nothing}');
SELECT flowlens.scd2_merge('h', 's', '{id}', '{id,v}');
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v,NULL}');
SELECT flowlens.scd2_merge('h', 's', '{id}', '{valid_to}');
SELECT flowlens.scd2_merge('h', 's', '{id}', '{g}');
SELECT flowlens.scd2_merge('h', 's', '{id}', valid_at_column => 'v');
SELECT flowlens.scd2_merge('h', 's', '{id}', valid_at_column => 'nothing');
SELECT flowlens.scd2_merge('h', 's', '{id}', keep_on_null => '{nothing}');
SELECT flowlens.scd2_merge('h', 's', '{id}', valid_from_column => 'since');
SELECT flowlens.scd2_merge('h', 's', '{id}', valid_from_column => 'v');
SELECT flowlens.scd2_merge('h', 's', '{id}', is_current_column => NULL);
SELECT flowlens.scd2_merge_query('h', 'SELECT 1 AS id', '{id}', '{v}');
-- types and collations
SELECT flowlens.scd2_merge_query('h', 'SELECT 1::bigint AS id, ''a'' AS v', '{id}');
SELECT flowlens.scd2_merge_query('h', 'SELECT 1 AS id, 2 AS v', '{id}');
SELECT flowlens.scd2_merge_query('h', 'SELECT 1 AS id, v COLLATE "C" FROM s', '{id}');
CREATE TABLE j (id json, valid_from timestamptz, valid_to timestamptz, is_current boolean);
SELECT flowlens.scd2_merge_query('j', 'SELECT ''{}''::json AS id', '{id}');
-- keys
SELECT flowlens.scd2_merge_query('h', 'SELECT NULL::int AS id, ''a'' AS v', '{id}');
SELECT flowlens.scd2_merge_query('h', 'SELECT i % 2 AS id, ''a'' AS v FROM generate_series(1, 3) i', '{id}');
SELECT flowlens.scd2_merge_query('h', 'SELECT 1 AS id, v, now() AS at FROM unnest(ARRAY[''a'', ''b'']) v', '{id}', valid_at_column => 'at');
SET flowlens.scd2_detector = join;
SELECT flowlens.scd2_merge_query('h', 'SELECT NULL::int AS id, ''a'' AS v', '{id}');
SELECT flowlens.scd2_merge_query('h', 'SELECT i % 2 AS id, ''a'' AS v FROM generate_series(1, 3) i', '{id}');
RESET flowlens.scd2_detector;
-- times
SELECT flowlens.scd2_merge('h', 's', '{id}', valid_at => 'infinity');
SELECT flowlens.scd2_merge('h', 's', '{id}', valid_at => NULL);
SELECT flowlens.scd2_merge_query('h', 'SELECT 1 AS id, ''-infinity''::timestamptz AS at', '{id}', valid_at_column => 'at');
-- relations
CREATE VIEW hv AS TABLE h;
SELECT flowlens.scd2_merge('hv', 's', '{id}');
SELECT flowlens.scd2_merge('h', NULL, '{id}');
SELECT flowlens.scd2_merge(0, 's', '{id}');
SELECT flowlens.scd2_merge_query('h', 'SELECT 1 AS id; SELECT 2', '{id}');
SELECT flowlens.scd2_merge_query('h', 'DELETE FROM h RETURNING id', '{id}');
-- nothing of all that wrote
SELECT count(*) FROM h;
-- a damaged target: two current versions, versions that overlap
INSERT INTO h VALUES (1, 'a', 1, DEFAULT, '2024-01-01', NULL, true), (1, 'b', 1, DEFAULT, '2024-01-02', NULL, true);
SELECT flowlens.scd2_merge('h', 's', '{id}');
SET flowlens.scd2_detector = join;
SELECT flowlens.scd2_merge('h', 's', '{id}');
RESET flowlens.scd2_detector;
UPDATE h SET valid_to = '2024-01-03', is_current = false WHERE v = 'a';
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v}', '2023-01-01');
-- a trigger that keeps rows from being written does not go unnoticed
TRUNCATE h;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER refuse BEFORE INSERT ON h FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v}');
-- rights
DROP TRIGGER refuse ON h;
CREATE ROLE scd2_reader;
GRANT USAGE ON SCHEMA scd2_test, flowlens TO scd2_reader;
GRANT SELECT ON h, s TO scd2_reader;
SET ROLE scd2_reader;
SELECT flowlens.scd2_merge('h', 's', '{id}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION flowlens.scd2_merge TO scd2_reader;
SET ROLE scd2_reader;
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v}');
RESET ROLE;
GRANT INSERT, UPDATE ON h TO scd2_reader;
REVOKE SELECT ON s FROM scd2_reader;
SET ROLE scd2_reader;
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v}');
RESET ROLE;
GRANT SELECT ON s TO scd2_reader;
SET ROLE scd2_reader;
SELECT flowlens.scd2_merge('h', 's', '{id}', '{v}', '2024-01-01');
RESET ROLE;
-- the same through the two names of a hash
SELECT flowlens.scd2_row_hash('{a,b}', 1);
SELECT flowlens.scd2_row_hash('{a,NULL}', 1, 2);
REVOKE EXECUTE ON FUNCTION flowlens.scd2_merge FROM scd2_reader;
REVOKE USAGE ON SCHEMA flowlens FROM scd2_reader;
DROP SCHEMA scd2_test CASCADE;
DROP ROLE scd2_reader;

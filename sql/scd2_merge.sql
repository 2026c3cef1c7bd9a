-- versions, columns in place, and merges that change nothing
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;
CREATE TABLE customer_history (customer_key bigserial PRIMARY KEY, customer_id int NOT NULL, name text, city text, visits int,
    note text, valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL,
    UNIQUE (customer_id, valid_from), CHECK (valid_from < valid_to));
CREATE UNIQUE INDEX ON customer_history (customer_id) WHERE is_current;
CREATE TABLE customer (customer_id int, name text, city text, visits int, phone text);
CREATE VIEW history AS SELECT customer_id AS id, name, city, visits, note, valid_from::date AS "from", valid_to::date AS "to",
    is_current AS current FROM customer_history ORDER BY customer_id, valid_from;

-- new keys open a version
INSERT INTO customer VALUES (1, 'Ann', 'Oslo', 1), (2, 'Bob', NULL, 1);
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', '{name,city}', '2024-01-01');
-- a tracked column makes a version; NULL is a value like others; an untracked one is written in place
UPDATE customer SET city = 'Bergen', visits = 2 WHERE customer_id = 1;
UPDATE customer SET visits = 3 WHERE customer_id = 2;
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', '{name,city}', '2024-01-02');
UPDATE customer SET city = 'Rome' WHERE customer_id = 2;
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', '{name,city}', '2024-01-03');
UPDATE customer SET city = NULL WHERE customer_id = 2;
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', '{name,city}', '2024-01-04');
TABLE history;

-- a column that only the table has stays with the next version
UPDATE customer_history SET note = 'pays late' WHERE customer_id = 1 AND is_current;
UPDATE customer SET city = 'Paris' WHERE customer_id = 1;
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', '{name,city}', '2024-01-05');
SELECT * FROM history WHERE id = 1;

-- a hundred merges of the same rows write nothing: not one transaction number is used
BEGIN;
SELECT DISTINCT m.* FROM generate_series(1, 100) n, LATERAL flowlens.scd2_merge('customer_history', 'customer', '{customer_id}',
    '{name,city}', timestamptz '2024-01-06' + n * interval '1 day') m;
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
SET flowlens.scd2_detector = join;
BEGIN;
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', '{name,city}', '2024-06-01');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
RESET flowlens.scd2_detector;

-- without a list every common column is tracked
UPDATE customer SET visits = 9 WHERE customer_id = 1;
SELECT * FROM flowlens.scd2_merge('customer_history', 'customer', '{customer_id}', valid_at => '2024-06-02');
SELECT * FROM history WHERE id = 1;

-- a key of several columns, a query as source, other names for the columns that are maintained
CREATE TABLE price_history (shop text, item int, price numeric(10, 2), since timestamptz, until timestamptz, latest boolean,
    digest bigint, gone boolean);
SELECT * FROM flowlens.scd2_merge_query('price_history', 'SELECT ''north'' AS shop, i AS item, i / 3.0 AS price FROM generate_series(1, 3) i',
    '{shop,item}', valid_at => '2024-01-01', valid_from_column => 'since', valid_to_column => 'until',
    is_current_column => 'latest', row_hash_column => 'digest', is_deleted_column => 'gone');
-- the same prices, though not yet rounded to the precision of the table
SELECT * FROM flowlens.scd2_merge_query('price_history', 'SELECT ''north'' AS shop, i AS item, i / 3.0 AS price FROM generate_series(1, 3) i',
    '{shop,item}', valid_at => '2024-01-02', valid_from_column => 'since', valid_to_column => 'until',
    is_current_column => 'latest', row_hash_column => 'digest', is_deleted_column => 'gone');
SELECT shop, item, price, since, until, latest, digest = flowlens.scd2_row_hash('{price}', price) AS digest_right, gone
FROM price_history ORDER BY item;

-- large and small sources are handled in different ways: same result
CREATE TABLE big (id int, v text);
CREATE TABLE big_history (id int, v text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
INSERT INTO big SELECT i, 'v' || i FROM generate_series(1, 60000) i;
SELECT * FROM flowlens.scd2_merge('big_history', 'big', '{id}', valid_at => '2024-01-01');
-- without statistics the table of hashes is made too small at first
SELECT * FROM flowlens.scd2_merge('big_history', 'big', '{id}', valid_at => '2024-01-02', close_missing => true);
ANALYZE big_history;
UPDATE big SET v = v || '!' WHERE id % 1000 = 0;
DELETE FROM big WHERE id > 59000;
BEGIN;
SELECT * FROM flowlens.scd2_merge('big_history', 'big', '{id}', valid_at => '2024-01-02', close_missing => true);
CREATE TEMP TABLE by_hash ON COMMIT DROP AS SELECT * FROM big_history;
SAVEPOINT s;
DELETE FROM big_history WHERE valid_from = '2024-01-02';
UPDATE big_history SET valid_to = NULL, is_current = true;
SET LOCAL flowlens.scd2_detector = join;
SELECT * FROM flowlens.scd2_merge('big_history', 'big', '{id}', valid_at => '2024-01-02', close_missing => true);
SELECT count(*) FROM (TABLE by_hash EXCEPT ALL TABLE big_history) d;
ROLLBACK;
-- too little memory for the table of hashes: the join takes over
SET maintenance_work_mem = '1MB';
SET flowlens.scd2_detector = hash;
SELECT * FROM flowlens.scd2_merge('big_history', 'big', '{id}', valid_at => '2024-01-02');
RESET maintenance_work_mem;
RESET flowlens.scd2_detector;
DROP SCHEMA scd2_test CASCADE;

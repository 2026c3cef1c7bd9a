-- the trigger variant and the view of periods
SET client_min_messages = warning;
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;
CREATE TABLE customer (id int PRIMARY KEY, name text, city text, visits int DEFAULT 0);
CREATE TABLE customer_history (id int NOT NULL, name text, city text, visits int, is_deleted boolean, valid_from timestamptz NOT NULL,
    valid_to timestamptz, is_current boolean NOT NULL, UNIQUE (id, valid_from), CHECK (valid_from < valid_to));
CREATE UNIQUE INDEX ON customer_history (id) WHERE is_current;
CREATE TRIGGER history_insert AFTER INSERT ON customer REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}', '{name,city}');
CREATE TRIGGER history_update AFTER UPDATE ON customer REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}', '{name,city}');
CREATE TRIGGER history_delete AFTER DELETE ON customer REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}', '{name,city}');
CREATE TRIGGER history_truncate AFTER TRUNCATE ON customer
    FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}', '{name,city}');
CREATE VIEW history AS SELECT id, name, city, visits, is_deleted, is_current, valid_to > valid_from AS closed,
    valid_from = lag(valid_to) OVER (PARTITION BY id ORDER BY valid_from) AS follows FROM customer_history ORDER BY id, valid_from;

INSERT INTO customer VALUES (1, 'Ann', 'Oslo'), (2, 'Bob', 'Rome'), (3, 'Cid', 'Bonn');
-- a statement that changes nothing makes no version; nor does a column that is not tracked
UPDATE customer SET city = city;
UPDATE customer SET visits = 1 WHERE id = 1;
-- a transaction makes one version, whatever it tried in between
BEGIN;
UPDATE customer SET city = 'Bergen' WHERE id = 1;
UPDATE customer SET city = 'Paris' WHERE id = 1;
SAVEPOINT s;
UPDATE customer SET city = 'Nowhere' WHERE id = 1;
ROLLBACK TO s;
COMMIT;
-- what was undone leaves nothing
BEGIN;
UPDATE customer SET city = 'Nowhere';
ROLLBACK;
-- a new key is a new history
UPDATE customer SET id = 20 WHERE id = 2;
DELETE FROM customer WHERE id = 3;
INSERT INTO customer VALUES (3, 'Cid', 'Bonn');
TABLE history;
-- INSERT ... ON CONFLICT and MERGE fire them too
INSERT INTO customer VALUES (1, 'Ann', 'Lima'), (4, 'Dan', 'Kyiv') ON CONFLICT (id) DO UPDATE SET city = excluded.city;
MERGE INTO customer c USING (VALUES (4, 'Riga'), (5, 'Bern')) n(id, city) ON c.id = n.id
    WHEN MATCHED THEN UPDATE SET city = n.city WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'Eva', n.city);
SELECT id, city, is_current, follows FROM history WHERE id IN (1, 4, 5);
-- the current versions are the table
SELECT id, name, city, visits FROM customer EXCEPT SELECT id, name, city, visits FROM customer_history WHERE is_current;
TRUNCATE customer;
SELECT count(*) AS current_versions FROM customer_history WHERE is_current;

-- a history that knew a deletion mark in the table itself
ALTER TABLE customer ADD is_deleted boolean;
INSERT INTO customer VALUES (6, 'Fay', 'Graz');
UPDATE customer SET is_deleted = true WHERE id = 6;
SELECT id, is_deleted, is_current FROM history WHERE id = 6;

-- wrong uses
CREATE TABLE other (id int, name text);
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}');
INSERT INTO other VALUES (1);
DROP TRIGGER t ON other;
CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}');
INSERT INTO other VALUES (1);
DROP TRIGGER t ON other;
CREATE TRIGGER t AFTER INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history', '{id}');
INSERT INTO other VALUES (1);
DROP TRIGGER t ON other;
CREATE TRIGGER t AFTER INSERT ON other REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('scd2_test.customer_history');
INSERT INTO other VALUES (1);
DROP TRIGGER t ON other;
SELECT flowlens.scd2_versioning();

-- periods as ranges
SELECT flowlens.scd2_range_view('customer_history', 'customer_during');
SELECT id, city FROM customer_during WHERE valid_during @> now() AND id < 5 ORDER BY id;
SELECT count(*) FROM customer_during a JOIN customer_during b ON a.id = b.id AND a.valid_from < b.valid_from AND a.valid_during && b.valid_during;
-- again, after a column was added
ALTER TABLE customer_history ADD phone text;
SELECT flowlens.scd2_range_view('customer_history', 'scd2_test.customer_during');
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'customer_during'::regclass AND attnum > 0;
DROP SCHEMA scd2_test CASCADE;

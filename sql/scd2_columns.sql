-- types without or with their own equality, row hashes, "not observed", columns added later
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;

-- equal values in other bytes make no version; json has no equality and is compared by its text
CREATE DOMAIN price AS numeric CHECK (VALUE >= 0);
CREATE TABLE h (id numeric, amount numeric, cost price, doc json, docb jsonb, ratio float8, tags text[], code char(5), place point,
    valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE TABLE s AS SELECT id, amount, cost, doc, docb, ratio, tags, code, place FROM h;
INSERT INTO s VALUES (1.0, 1.0, 1.0, '{"a": 1}', '{"a": 1.0}', 'NaN', '{x,NULL}', 'ab', '(1,2)'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-01');
UPDATE s SET id = 1.000, amount = 1.00, cost = 1.000, docb = '{"a": 1.00}', code = 'ab   ' WHERE id = 1;
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-02');
SET flowlens.scd2_detector = join;
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-02');
UPDATE s SET doc = '{"a":1}' WHERE id = 1;
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-03');
RESET flowlens.scd2_detector;
UPDATE s SET place = '(1,3)' WHERE id = 1;
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-04');
SELECT id, amount, doc, place, valid_from::date FROM h ORDER BY id, valid_from;
-- a name that needs quotes, also in a key
CREATE TABLE "H h" ("the ""key""" text, "select" text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
SELECT * FROM flowlens.scd2_merge_query('"H h"', 'SELECT ''k'' AS "the ""key""", ''x'' AS "select"', '{"the \"key\""}', valid_at => '2024-01-01');
SELECT * FROM flowlens.scd2_merge_query('"H h"', 'SELECT ''k'' AS "the ""key""", ''y'' AS "select"', '{"the \"key\""}', valid_at => '2023-01-01');
SELECT "the ""key""", "select", valid_from::date FROM "H h" ORDER BY valid_from;
-- no tracked column: only presence is recorded
CREATE TABLE presence (id int, valid_from timestamptz, valid_to timestamptz, is_current boolean);
SELECT * FROM flowlens.scd2_merge_query('presence', 'SELECT 1 AS id', '{id}', valid_at => '2024-01-01');
SELECT * FROM flowlens.scd2_merge_query('presence', 'SELECT 1 AS id', '{id}', valid_at => '2024-01-02');

-- row hashes: computed for new versions, right after late data too
CREATE TABLE wide (id int, title text, body text, seen int, row_hash bigint, valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE TABLE page (id int, title text, body text, seen int);
INSERT INTO page SELECT i, 'title ' || i, repeat('text ' || i, 2000), 1 FROM generate_series(1, 3) i;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-10');
UPDATE page SET body = body || '!', seen = 2 WHERE id = 1;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-11');
UPDATE page SET body = 'early' WHERE id = 1;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-05');
SELECT id, left(body, 8) AS body, length(body), seen, row_hash = flowlens.scd2_row_hash('{body,title}', body, title) AS hash_right, valid_from::date
FROM wide ORDER BY id, valid_from;
-- a hash that is missing or wrong is put right, and makes no version
UPDATE page SET body = (SELECT body FROM wide WHERE id = 1 AND is_current) WHERE id = 1;
UPDATE wide SET row_hash = NULL WHERE id = 2;
UPDATE wide SET row_hash = 0 WHERE id = 3;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-12');
SELECT count(*), bool_and(row_hash = flowlens.scd2_row_hash('{title,body}', title, body)) FROM wide;
-- a hash that the source brings is stored and trusted
ALTER TABLE page ADD row_hash bigint;
UPDATE page SET row_hash = 1000 + id;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-13');
SELECT id, row_hash FROM wide WHERE is_current ORDER BY id;
UPDATE page SET body = 'not looked at, because the hash is the same' WHERE id = 2;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-14');
UPDATE page SET row_hash = 2002 WHERE id = 2;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body}', '2024-01-15');

-- NULL that means "not observed" keeps the current value
CREATE TABLE kept (id int, name text, readme text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE FUNCTION observe(name text, readme text, at date) RETURNS text LANGUAGE sql AS $$
    SELECT m::text FROM flowlens.scd2_merge_query('kept', format('SELECT 1 AS id, %L::text AS name, %L::text AS readme', name, readme), '{id}',
        valid_at => at, keep_on_null => '{readme}') m $$;
SELECT observe('a', NULL, '2024-01-01'), observe('a', 'one', '2024-01-02'), observe('a', NULL, '2024-01-03'),
    observe('b', NULL, '2024-01-04'), observe('b', 'two', '2024-01-05');
-- late: it keeps what was known then
SELECT observe('c', NULL, '2024-01-03');
SELECT name, readme, valid_from::date FROM kept ORDER BY valid_from;

-- a column that is tracked later makes versions only where it has a value
ALTER TABLE wide ADD language text;
ALTER TABLE page DROP row_hash, ADD language text;
UPDATE page p SET title = w.title, body = w.body FROM wide w WHERE w.id = p.id AND w.is_current;
UPDATE wide w SET row_hash = flowlens.scd2_row_hash('{title,body}', title, body);
UPDATE page SET language = 'en' WHERE id = 3;
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title,body,language}', '2024-02-01');
SELECT id, language, valid_from::date FROM wide WHERE is_current ORDER BY id;
-- one that is no longer tracked makes none
SELECT * FROM flowlens.scd2_merge('wide', 'page', '{id}', '{title}', '2024-02-02');

-- renames, transfers, reused names: one history per number
CREATE TABLE repo (github_id bigint, full_name text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
SELECT * FROM flowlens.scd2_merge_query('repo', 'SELECT 1::bigint AS github_id, ''old/name'' AS full_name', '{github_id}', valid_at => '2024-01-01');
SELECT * FROM flowlens.scd2_merge_query('repo', 'SELECT 1::bigint AS github_id, ''new/name'' AS full_name', '{github_id}', valid_at => '2024-01-02');
SELECT * FROM flowlens.scd2_merge_query('repo', 'SELECT 2::bigint AS github_id, ''old/name'' AS full_name', '{github_id}', valid_at => '2024-01-03');
SELECT github_id, full_name, valid_from::date, valid_to::date, is_current FROM repo ORDER BY github_id, valid_from;
DROP SCHEMA scd2_test CASCADE;

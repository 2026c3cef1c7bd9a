-- deletions on request, returns, and absence that means nothing
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;
CREATE TABLE h (id int NOT NULL, v text, is_deleted boolean NOT NULL DEFAULT false, valid_from timestamptz NOT NULL, valid_to timestamptz,
    is_current boolean NOT NULL, UNIQUE (id, valid_from), CHECK (valid_from < valid_to));
CREATE UNIQUE INDEX ON h (id) WHERE is_current;
CREATE TABLE s (id int, v text);
CREATE VIEW history AS SELECT id, v, is_deleted, valid_from::date AS "from", valid_to::date AS "to", is_current FROM h ORDER BY id, valid_from;
INSERT INTO s VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-01');
-- absence closes nothing by itself
DELETE FROM s WHERE id > 1;
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-02');
-- but it does in a source said to be complete; again, it changes nothing
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-03', close_missing => true);
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-04', close_missing => true);
-- a return opens a version, after a gap, also with the same values
INSERT INTO s VALUES (2, 'b');
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-05', close_missing => true);
-- a return at the moment of the deletion undoes it
INSERT INTO s VALUES (3, 'c');
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-03');
TABLE history;
-- deletions that the source reports
ALTER TABLE s ADD is_deleted boolean;
UPDATE s SET is_deleted = true WHERE id = 1;
INSERT INTO s VALUES (9, 'never seen', true);
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-06');
SELECT * FROM flowlens.scd2_merge('h', 's', '{id}', valid_at => '2024-01-07');
TABLE history;
-- late ones: in the middle of a history, and exactly at the start of a version
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 2 AS id, ''b'' AS v, true AS is_deleted', '{id}', valid_at => '2024-01-02');
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 2 AS id, ''b'' AS v, true AS is_deleted', '{id}', valid_at => '2024-01-05');
SELECT * FROM history WHERE id = 2;
-- a late complete source closes what was valid then
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT 3 AS id, ''c'' AS v', '{id}', valid_at => '2024-01-02', close_missing => true);
TABLE history;
-- an empty, complete source closes everything
SELECT * FROM flowlens.scd2_merge_query('h', 'SELECT id, v FROM s WHERE false', '{id}', valid_at => '2024-02-01', close_missing => true);
SELECT count(*) FROM h WHERE is_current;
DROP SCHEMA scd2_test CASCADE;

-- targets and sources of every build: partitions, dropped and generated columns, triggers, row security, other indexes
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA scd2_test;
SET search_path = scd2_test;
CREATE TABLE s (gone int, id int, gone_too text, v text, region text);
ALTER TABLE s DROP gone, DROP gone_too;
INSERT INTO s SELECT i, 'v' || i, CASE i % 2 WHEN 0 THEN 'even' ELSE 'odd' END FROM generate_series(1, 4) i;

-- every way to find changes gives the same, on every kind of table
CREATE PROCEDURE try(target regclass, detector text) LANGUAGE plpgsql AS $$
DECLARE
    m record;
    result text := '';
BEGIN
    PERFORM set_config('flowlens.scd2_detector', detector, true);
    EXECUTE format('TRUNCATE %s', target);
    SELECT * INTO m FROM flowlens.scd2_merge(target, 's', '{id}', '{v}', '2024-01-01');
    result := m::text;
    UPDATE s SET v = v || '!' WHERE id = 1;
    UPDATE s SET region = 'moved' WHERE id = 2;
    SELECT * INTO m FROM flowlens.scd2_merge(target, 's', '{id}', '{v}', '2024-01-05');
    result := result || m::text;
    UPDATE s SET v = v || '?' WHERE id = 1;
    SELECT * INTO m FROM flowlens.scd2_merge(target, 's', '{id}', '{v}', '2024-01-03');
    result := result || m::text;
    SELECT * INTO m FROM flowlens.scd2_merge_query(target, 'SELECT * FROM s WHERE id < 4', '{id}', '{v}', '2024-01-07', close_missing => true);
    result := result || m::text;
    RAISE NOTICE '% %: %', target, detector, result;
    EXECUTE format('SELECT string_agg(format(''%%s %%s %%s %%s-%%s %%s'', id, v, region, extract(day FROM valid_from), extract(day FROM valid_to),
        is_current), '', '' ORDER BY id, valid_from) FROM %s', target) INTO result;
    RAISE NOTICE '%', result;
    UPDATE s SET v = 'v' || id, region = CASE id % 2 WHEN 0 THEN 'even' ELSE 'odd' END;
END $$;
SET client_min_messages = notice;

-- plain, with columns that were dropped
CREATE TABLE plain (x int, id int NOT NULL, y text, v text, region text, valid_from timestamptz, z int, valid_to timestamptz, is_current boolean);
ALTER TABLE plain DROP x, DROP y, DROP z;
CALL try('plain', 'hash');
CALL try('plain', 'join');

-- partitioned by key, by value, and by what the merge itself changes: rows move between partitions
CREATE TABLE by_key (id int NOT NULL, v text, region text, valid_from timestamptz, valid_to timestamptz, is_current boolean, UNIQUE (id, valid_from))
    PARTITION BY HASH (id);
CREATE TABLE by_key_0 PARTITION OF by_key FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_key_1 (valid_to timestamptz, is_current boolean, dropped int, id int NOT NULL, v text, region text, valid_from timestamptz);
ALTER TABLE by_key_1 DROP dropped;
ALTER TABLE by_key ATTACH PARTITION by_key_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CALL try('by_key', 'hash');
CALL try('by_key', 'join');
CREATE TABLE by_current (id int NOT NULL, v text, region text, valid_from timestamptz, valid_to timestamptz, is_current boolean NOT NULL)
    PARTITION BY LIST (is_current);
CREATE TABLE by_current_now PARTITION OF by_current FOR VALUES IN (true);
CREATE TABLE by_current_past PARTITION OF by_current FOR VALUES IN (false) PARTITION BY LIST (region);
CREATE TABLE by_current_past_any PARTITION OF by_current_past DEFAULT;
CALL try('by_current', 'hash');
CALL try('by_current', 'join');

-- generated and identity columns, an exclusion of overlaps, an index of somebody else
CREATE TABLE constrained (history_id bigint GENERATED ALWAYS AS IDENTITY, id int NOT NULL, v text, region text,
    shouted text GENERATED ALWAYS AS (upper(v)) STORED, valid_from timestamptz, valid_to timestamptz, is_current boolean,
    EXCLUDE USING gist (int4range(id, id, '[]') WITH &&, tstzrange(valid_from, valid_to) WITH &&), CHECK (valid_from < valid_to));
CREATE INDEX ON constrained (lower(v)) WHERE region = 'odd';
CREATE UNIQUE INDEX ON constrained (id) WHERE is_current;
CALL try('constrained', 'hash');
CALL try('constrained', 'join');
SELECT count(*) FROM constrained WHERE shouted = upper(v);

-- row triggers see every change; they run with the settings of the session
CREATE TABLE triggered (id int NOT NULL, v text, region text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE TABLE seen (what text, hash_joins text, path text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (TG_OP, current_setting('enable_hashjoin'), current_setting('search_path'));
    RETURN NEW;
END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION note();
CALL try('triggered', 'hash');
SELECT what, hash_joins, path, count(*) FROM seen GROUP BY 1, 2, 3 ORDER BY 1;
-- a source in which a child table has rows, and a view
CREATE TABLE child () INHERITS (s);
INSERT INTO child VALUES (5, 'v5', 'odd');
CREATE VIEW sv AS SELECT region, v, id FROM s;
SET flowlens.scd2_detector = hash;
SELECT * FROM flowlens.scd2_merge('plain', 's', '{id}', '{v}', '2024-02-01');
SELECT * FROM flowlens.scd2_merge('plain', 'sv', '{id}', '{v}', '2024-02-02');
DROP TABLE child;

-- row security: the merge sees and writes what the user may
CREATE ROLE scd2_odd;
GRANT USAGE ON SCHEMA scd2_test, flowlens TO scd2_odd;
GRANT SELECT ON s TO scd2_odd;
GRANT SELECT, INSERT, UPDATE ON plain TO scd2_odd;
GRANT EXECUTE ON FUNCTION flowlens.scd2_merge TO scd2_odd;
TRUNCATE plain;
SELECT * FROM flowlens.scd2_merge('plain', 's', '{id}', '{v}', '2024-01-01');
ALTER TABLE s ENABLE ROW LEVEL SECURITY;
ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON s TO scd2_odd USING (id % 2 = 1);
CREATE POLICY odd ON plain TO scd2_odd USING (id % 2 = 1);
UPDATE s SET v = 'changed';
SET ROLE scd2_odd;
SELECT * FROM flowlens.scd2_merge('plain', 's', '{id}', '{v}', '2024-01-02');
RESET ROLE;
SELECT id, v, is_current FROM plain ORDER BY id, valid_from;
REVOKE USAGE ON SCHEMA flowlens FROM scd2_odd;
REVOKE EXECUTE ON FUNCTION flowlens.scd2_merge FROM scd2_odd;
SET client_min_messages = warning;
DROP SCHEMA scd2_test CASCADE;
DROP ROLE scd2_odd;

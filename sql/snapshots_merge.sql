-- where a day cannot be exchanged as a partition it is merged row by row, and what is the user's stays
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE FUNCTION store(id bigint, stars integer, at timestamptz) RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z'), NULL, at) $$;
CREATE VIEW facts AS SELECT snapshot_date, github_id, stars, round(star_velocity::numeric, 3) AS velocity, rank_overall, is_stale FROM flowlens.fact_repo_snapshots ORDER BY 1, 5;

-- a column of the user's keeps its values when a day is loaded again; rows that did not change are not written
ALTER TABLE flowlens.fact_repo_snapshots ADD COLUMN note text;
SELECT store(1, 10, '2024-03-01 10:00'), store(2, 20, '2024-03-01 10:00'), store(3, 0, '2024-03-01 10:00'), store(1, 15, '2024-03-02 10:00'), store(2, 20, '2024-03-02 10:00'), store(3, 1, '2024-03-02 10:00');
CALL flowlens.run_pipeline('2024-03-02');
UPDATE flowlens.fact_repo_snapshots SET note = 'mine ' || github_id;
SELECT * FROM facts;
CREATE TABLE before AS SELECT github_id, snapshot_date, xmin::text AS version, ctid::text AS place FROM flowlens.fact_repo_snapshots;
SELECT store(3, 2, '2024-03-02 11:00');
CALL flowlens.run_pipeline('2024-03-02');
SELECT * FROM facts;
SELECT count(*) AS rows, count(note) AS notes FROM flowlens.fact_repo_snapshots;
SELECT f.github_id, f.snapshot_date FROM flowlens.fact_repo_snapshots f JOIN before b USING (github_id, snapshot_date) WHERE f.xmin::text <> b.version OR f.ctid::text <> b.place ORDER BY 1, 2;
ALTER TABLE flowlens.fact_repo_snapshots DROP COLUMN note;

-- a trigger of the user's sees every row
CREATE TABLE seen (github_id bigint, operation text);
CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (coalesce(new.github_id, old.github_id), tg_op); RETURN NULL; END $$;
CREATE TRIGGER note_row AFTER INSERT OR UPDATE OR DELETE ON flowlens.fact_repo_snapshots FOR EACH ROW EXECUTE FUNCTION note_row();
SELECT store(1, 16, '2024-03-03 10:00'), store(4, 50, '2024-03-03 10:00');
CALL flowlens.run_pipeline('2024-03-03');
SELECT * FROM seen ORDER BY 1;
SELECT * FROM facts WHERE snapshot_date = '2024-03-03';
DROP TRIGGER note_row ON flowlens.fact_repo_snapshots;

-- a partition of a week holds the day: the others of the week are not touched
UPDATE flowlens.retention_policies SET partition_interval = '7 days' WHERE table_name = 'fact_repo_snapshots';
SELECT flowlens.ensure_partition('flowlens.fact_repo_snapshots', '2024-03-05');
SELECT store(1, 18, '2024-03-04 10:00'), store(1, 20, '2024-03-05 10:00'), store(4, 50, '2024-03-05 10:00');
CALL flowlens.run_pipeline('2024-03-05');
SELECT store(4, 60, '2024-03-05 11:00');
CALL flowlens.run_pipeline('2024-03-05');
SELECT tableoid::regclass, snapshot_date, github_id, stars FROM flowlens.fact_repo_snapshots WHERE snapshot_date >= '2024-03-04' ORDER BY 2, 3;
UPDATE flowlens.retention_policies SET partition_interval = '1 day' WHERE table_name = 'fact_repo_snapshots';

-- an index of the user's is on the next day's partition too, a partial one as well
CREATE INDEX mine ON flowlens.fact_repo_snapshots (stars) WHERE stars > 5;
SELECT store(1, 21, '2024-03-12 10:00');
CALL flowlens.run_pipeline('2024-03-12');
SELECT replace(indexdef, '_new', '') FROM pg_indexes WHERE tablename = 'fact_repo_snapshots_p20240312' AND indexdef LIKE '%WHERE%';
SELECT count(*) FROM pg_inherits WHERE inhparent = 'flowlens.mine'::regclass AND inhrelid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'flowlens.fact_repo_snapshots_p20240312'::regclass);
DROP INDEX flowlens.mine;
-- facts that somebody put into the default partition for a day move out of the way
SELECT store(1, 30, '2024-03-20 10:00');
INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, rank_overall, rank_in_language, observed_at, model, model_version)
VALUES (1, 4, '2024-03-20', 77, 9, 9, '2024-03-20 09:00', 'hand', 1);
CALL flowlens.run_pipeline('2024-03-20');
SELECT tableoid::regclass, github_id, stars, rank_overall, model FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2024-03-20' ORDER BY rank_overall;
DROP VIEW facts;
DROP TABLE before, seen;
DROP FUNCTION store, note_row;

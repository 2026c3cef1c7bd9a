-- a day is collected by merging tables, or by a query where a table cannot be read directly: both give the same facts
SET client_min_messages = warning;
SET TimeZone = 'UTC';
\set SHOW_CONTEXT never
SELECT clean_slate();
-- a number in [0, 1) for each pair
CREATE FUNCTION noise(a integer, b integer) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN ('x0' || substr(md5(a || ':' || b), 1, 7))::bit(32)::integer / 268435456e0;
INSERT INTO flowlens.dim_languages (language_name) VALUES ('C'), ('Rust') ON CONFLICT DO NOTHING;
-- versions in any order of github_id; some closed, deleted, of a later day, of an unknown creation or language
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, created_at, valid_from, valid_to, is_current, is_deleted)
SELECT i, 'o/r' || i, (ARRAY['C', 'Rust', 'Go', 'render', 'Unheard of', NULL])[1 + i % 6],
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN timestamptz 'infinity' ELSE timestamptz '2023-12-01' + i * interval '7 hours' END,
       CASE WHEN i % 11 = 0 THEN timestamptz '2024-01-06' ELSE timestamptz '2023-12-31' END, CASE WHEN i % 7 = 0 THEN timestamptz '2024-01-09' END, i % 7 <> 0, i % 13 = 0
FROM generate_series(1, 400) i ORDER BY noise(i, 0);
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, created_at, valid_from)
SELECT i, 'o/renamed' || i, 'Go', timestamptz '2023-12-01', timestamptz '2024-01-09' FROM generate_series(7, 400, 7) i WHERE i % 14 = 0;

-- answers of a day, those of every third day in no order
CREATE PROCEDURE stage(day date, seed integer) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flowlens.ensure_partition('flowlens.stg_repos_validated', day);
    INSERT INTO flowlens.stg_repos_validated (github_id, observed_on, repo_full_name, language, stars, forks, open_issues, created_at, updated_at, pushed_at, observed_at, effective_at, raw_id)
    SELECT i, day, 'o/r' || i, 'C', CASE WHEN noise(i, seed) < 0.05 THEN 4000000000 * seed ELSE (1000 * noise(i, 1))::integer + seed * (i % 9) END, CASE WHEN i % 3 > 0 THEN i END,
           CASE WHEN noise(i, seed + 100) < 0.7 THEN i * seed END, day, day, CASE WHEN noise(i, seed + 200) < 0.8 THEN day - (noise(i, seed + 300) * 20)::integer END,
           day + noise(i, seed + 400) * interval '1 day', day, i
    FROM generate_series(1, 400) i WHERE noise(i, seed + 500) < 0.8 AND i > 10 * seed % 37 ORDER BY CASE WHEN seed % 3 = 0 THEN noise(i, seed) END, i;
    PERFORM flowlens.mark_days(ARRAY[day]);
    UPDATE flowlens.pipeline_days SET dimensions_pending = false;
END $$;

CREATE VIEW of_day AS SELECT f.* FROM flowlens.fact_repo_snapshots f;
CREATE TABLE by_merge AS SELECT * FROM of_day LIMIT 0;
ALTER TABLE by_merge DROP snapshot_key;
CREATE TABLE by_query AS TABLE by_merge;

-- scores a day; a table that inherits from the dimension rules a merge out
CREATE PROCEDURE score(this_day date, anew boolean, merging boolean) LANGUAGE plpgsql AS $$
DECLARE
    columns text := (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'by_merge'::regclass AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF anew THEN
        DELETE FROM flowlens.fact_repo_snapshots WHERE snapshot_date = this_day;
        UPDATE flowlens.pipeline_days SET published_at = NULL WHERE day = this_day;
    END IF;
    UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = this_day;
    IF NOT merging THEN
        CREATE TABLE heir () INHERITS (flowlens.dim_repositories);
    END IF;
    PERFORM flowlens.load_snapshots(this_day);
    EXECUTE format('TRUNCATE %1$I; INSERT INTO %1$I (%2$s) SELECT %2$s FROM of_day WHERE snapshot_date = $1', CASE WHEN merging THEN 'by_merge' ELSE 'by_query' END, columns) USING this_day;
    IF NOT merging THEN
        DROP TABLE heir;
    END IF;
END $$;
CREATE TABLE result (day date, step text, rows bigint, carried bigint, outliers bigint, without_history bigint, different bigint);
CREATE PROCEDURE compare(day date, step text, anew boolean) LANGUAGE plpgsql AS $$
BEGIN
    CALL score(day, anew, false);
    CALL score(day, anew, true);
    INSERT INTO result SELECT compare.day, step, count(m.github_id), count(*) FILTER (WHERE m.is_stale), count(*) FILTER (WHERE m.is_outlier), count(*) FILTER (WHERE m.momentum_state IS NULL),
           count(*) FILTER (WHERE m IS DISTINCT FROM q) FROM by_merge m FULL JOIN by_query q USING (github_id);
END $$;

-- thirteen days: two missing; on one all facts lose their packed history, on one some repositories are new to the day before
DO $$
DECLARE n integer;
BEGIN
    FOREACH n IN ARRAY ARRAY[1, 2, 3, 4, 6, 7, 8, 9, 12, 13] LOOP
        CALL stage(date '2024-01-01' + n, n);
        IF n = 6 THEN
            UPDATE flowlens.fact_repo_snapshots SET momentum_state = NULL WHERE snapshot_date < date '2024-01-01' + n;
        ELSIF n = 8 THEN
            DELETE FROM flowlens.fact_repo_snapshots WHERE snapshot_date = date '2024-01-01' + n - 1 AND github_id % 4 = 0;
        END IF;
        -- from the ninth day on events are known, of old repositories and of new ones
        INSERT INTO flowlens.stg_repo_activity (github_id, metric_type, event_on, observed_on, events)
        SELECT i, (ARRAY['commits', 'issues', 'contributors'])[1 + i % 3], date '2024-01-01' + n - i % 40, date '2024-01-01' + n, i % 4
        FROM generate_series(1, 400) i WHERE n >= 9 AND noise(i, n + 600) < 0.5;
        CALL compare(date '2024-01-01' + n, 'first', true);
        -- again, with other answers, and without some that came before
        UPDATE flowlens.stg_repos_validated SET stars = stars + 3 WHERE observed_on = date '2024-01-01' + n AND github_id % 5 = 0;
        DELETE FROM flowlens.stg_repos_validated WHERE observed_on = date '2024-01-01' + n AND github_id % 6 = 1;
        CALL compare(date '2024-01-01' + n, 'again', false);
    END LOOP;
END $$;
-- dead rows in the index that gives the order: the first pass marks them, the others pass over them
UPDATE flowlens.stg_repos_validated SET stars = stars + 1 WHERE observed_on = '2024-01-14' AND github_id % 3 = 0;
DELETE FROM flowlens.stg_repos_validated WHERE observed_on = '2024-01-14' AND github_id % 9 = 0;
CALL compare('2024-01-14', 'dead rows', false);
CALL compare('2024-01-14', 'dead rows', true);
SELECT * FROM result ORDER BY day, step DESC, rows;
-- facts stand in the order of github_id whatever the order of the answers, so that the next day reads them one after the other
SELECT count(*) AS out_of_order FROM (
    SELECT f.github_id < lag(f.github_id) OVER (PARTITION BY f.snapshot_date ORDER BY f.ctid) AS behind FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date >= '2024-01-09') o WHERE o.behind;

-- who may not read a table does not read it by merging either
CREATE ROLE reader_of_facts;
GRANT USAGE ON SCHEMA flowlens TO reader_of_facts;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA flowlens TO reader_of_facts;
GRANT SELECT ON ALL TABLES IN SCHEMA flowlens TO reader_of_facts;
REVOKE SELECT ON flowlens.dim_repositories FROM reader_of_facts;
SET ROLE reader_of_facts;
SELECT count(*) FROM flowlens.preview_snapshots('2024-01-14', 10);
RESET ROLE;
-- a policy hides rows from the merge as from the query
GRANT SELECT ON flowlens.dim_repositories TO reader_of_facts;
ALTER TABLE flowlens.stg_repos_validated ENABLE ROW LEVEL SECURITY;
CREATE POLICY even_ids ON flowlens.stg_repos_validated FOR SELECT USING (github_id % 2 = 0);
DELETE FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2024-01-14';
SET ROLE reader_of_facts;
SELECT count(*) FILTER (WHERE NOT is_stale AND github_id % 2 = 1) AS hidden, count(*) FILTER (WHERE NOT is_stale AND github_id % 2 = 0) > 0 AS seen FROM flowlens.preview_snapshots('2024-01-14', 1000);
RESET ROLE;
DROP POLICY even_ids ON flowlens.stg_repos_validated;
ALTER TABLE flowlens.stg_repos_validated DISABLE ROW LEVEL SECURITY;
DROP OWNED BY reader_of_facts;
DROP ROLE reader_of_facts;
DROP TABLE result, by_merge, by_query;
DROP VIEW of_day;
DROP PROCEDURE compare, score, stage;
DROP FUNCTION noise;

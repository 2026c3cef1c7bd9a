-- SCD type 2 merge against its alternatives, every one in this call:
--   psql -X -v rows=1000000 -f bench/scd2.sql
-- Prints the median of the runs and the ratio to scd2_merge(). Each run ends in a rollback and a VACUUM, so that all start
-- alike. Ratios are given in elapsed time and, where the server can read it, in processor time of its process, which
-- depends less on what else the machine is doing.
\set QUIET on
\if :{?rows} \else \set rows 1000000 \endif
\if :{?runs} \else \set runs 5 \endif
\pset footer off
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET synchronous_commit = off;
CREATE EXTENSION IF NOT EXISTS flowlens_trender;
DROP SCHEMA IF EXISTS scd2_bench CASCADE;
CREATE SCHEMA scd2_bench;
SET search_path = scd2_bench;

CREATE TABLE dim (
    repo_key bigserial PRIMARY KEY, github_id bigint NOT NULL, repo_full_name varchar(255) NOT NULL, repo_url varchar(500),
    description text, readme_content text, language varchar(50), created_at timestamptz, render_category varchar(50),
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL DEFAULT true)
    WITH (autovacuum_enabled = false);
CREATE TABLE stg (LIKE dim) WITH (autovacuum_enabled = false);
ALTER TABLE stg DROP repo_key, DROP valid_from, DROP valid_to, DROP is_current;

-- fills dim with current versions; the source has 1 % of them changed, 0.1 % new, in random order
CREATE PROCEDURE fill(n bigint, readme text) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE dim, stg;
    INSERT INTO dim (github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category, valid_from)
    SELECT i, format('owner%s/repo%s', i % 65536, i), format('https://github.com/owner%s/repo%s', i % 65536, i),
           CASE WHEN i % 10 > 0 THEN 'A repository about ' || md5(i::text) || ' and its tests' END,
           CASE WHEN readme <> '' THEN md5((i * 7)::text) || readme END,
           (ARRAY['Python', 'Go', 'TypeScript', 'C', NULL])[1 + i % 5], timestamptz '2015-01-01' + i * interval '1 minute',
           CASE WHEN i % 20 = 0 THEN 'community' END, timestamptz '2024-01-01' + (i % 1000) * interval '1 hour'
    FROM generate_series(1, n) i;
    INSERT INTO stg (github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category)
    SELECT github_id, repo_full_name, repo_url, CASE WHEN github_id % 100 = 7 THEN description || '!' ELSE description END,
           readme_content, CASE WHEN github_id % 100 = 7 THEN 'Rust' ELSE language END, created_at, render_category
    FROM (SELECT * FROM dim UNION ALL
          SELECT repo_key + n, github_id + n, repo_full_name || 'n', repo_url, description, readme_content, language,
                 created_at, render_category, valid_from, valid_to, is_current
          FROM dim WHERE github_id % 1000 = 3) d
    ORDER BY hashint8(github_id);
    DROP TABLE IF EXISTS dbt;
    CREATE TABLE dbt WITH (autovacuum_enabled = false) AS
    SELECT github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category,
           md5(github_id::text || '|' || valid_from::text) AS dbt_scd_id, valid_from AS dbt_updated_at,
           valid_from AS dbt_valid_from, NULL::timestamptz AS dbt_valid_to FROM dim;
END $$;

-- dbt snapshot, check strategy without hard deletes: the three statements of its PostgreSQL adapter
CREATE PROCEDURE run_dbt() LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE dbt_tmp ON COMMIT DROP AS
    WITH snapshot_query AS (SELECT github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category FROM stg),
    snapshotted AS (SELECT *, github_id AS dbt_unique_key FROM dbt WHERE dbt_valid_to IS NULL),
    insert_source AS (SELECT *, github_id AS dbt_unique_key, now() AS dbt_updated_at, now() AS dbt_valid_from,
        nullif(now(), now()) AS dbt_valid_to, md5(coalesce(github_id::varchar, '') || '|' || coalesce(now()::varchar, '')) AS dbt_scd_id
        FROM snapshot_query),
    update_source AS (SELECT *, github_id AS dbt_unique_key, now() AS dbt_updated_at, now() AS dbt_valid_from, now() AS dbt_valid_to
        FROM snapshot_query),
    insertions AS (SELECT 'insert' AS dbt_change_type, s.* FROM insert_source s
        LEFT OUTER JOIN snapshotted d ON d.dbt_unique_key = s.dbt_unique_key
        WHERE d.dbt_unique_key IS NULL OR (d.dbt_unique_key IS NOT NULL AND (
            d.repo_full_name <> s.repo_full_name OR ((d.repo_full_name IS NULL AND NOT s.repo_full_name IS NULL) OR (NOT d.repo_full_name IS NULL AND s.repo_full_name IS NULL))
            OR d.repo_url <> s.repo_url OR ((d.repo_url IS NULL AND NOT s.repo_url IS NULL) OR (NOT d.repo_url IS NULL AND s.repo_url IS NULL))
            OR d.description <> s.description OR ((d.description IS NULL AND NOT s.description IS NULL) OR (NOT d.description IS NULL AND s.description IS NULL))
            OR d.readme_content <> s.readme_content OR ((d.readme_content IS NULL AND NOT s.readme_content IS NULL) OR (NOT d.readme_content IS NULL AND s.readme_content IS NULL))
            OR d.language <> s.language OR ((d.language IS NULL AND NOT s.language IS NULL) OR (NOT d.language IS NULL AND s.language IS NULL))
            OR d.render_category <> s.render_category OR ((d.render_category IS NULL AND NOT s.render_category IS NULL) OR (NOT d.render_category IS NULL AND s.render_category IS NULL))))),
    updates AS (SELECT 'update' AS dbt_change_type, s.*, d.dbt_scd_id FROM update_source s
        JOIN snapshotted d ON d.dbt_unique_key = s.dbt_unique_key
        WHERE (
            d.repo_full_name <> s.repo_full_name OR ((d.repo_full_name IS NULL AND NOT s.repo_full_name IS NULL) OR (NOT d.repo_full_name IS NULL AND s.repo_full_name IS NULL))
            OR d.repo_url <> s.repo_url OR ((d.repo_url IS NULL AND NOT s.repo_url IS NULL) OR (NOT d.repo_url IS NULL AND s.repo_url IS NULL))
            OR d.description <> s.description OR ((d.description IS NULL AND NOT s.description IS NULL) OR (NOT d.description IS NULL AND s.description IS NULL))
            OR d.readme_content <> s.readme_content OR ((d.readme_content IS NULL AND NOT s.readme_content IS NULL) OR (NOT d.readme_content IS NULL AND s.readme_content IS NULL))
            OR d.language <> s.language OR ((d.language IS NULL AND NOT s.language IS NULL) OR (NOT d.language IS NULL AND s.language IS NULL))
            OR d.render_category <> s.render_category OR ((d.render_category IS NULL AND NOT s.render_category IS NULL) OR (NOT d.render_category IS NULL AND s.render_category IS NULL))))
    SELECT * FROM insertions UNION ALL SELECT * FROM updates;
    UPDATE dbt SET dbt_valid_to = t.dbt_valid_to FROM dbt_tmp t
    WHERE t.dbt_scd_id::text = dbt.dbt_scd_id::text AND t.dbt_change_type::text IN ('update'::text, 'delete'::text)
      AND dbt.dbt_valid_to IS NULL;
    INSERT INTO dbt (github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category,
        dbt_updated_at, dbt_valid_from, dbt_valid_to, dbt_scd_id)
    SELECT github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category,
        dbt_updated_at, dbt_valid_from, dbt_valid_to, dbt_scd_id FROM dbt_tmp WHERE dbt_change_type::text = 'insert'::text;
END $$;

CREATE PROCEDURE run_update_insert() LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dim d SET valid_to = now(), is_current = false FROM stg s
    WHERE d.github_id = s.github_id AND d.is_current
      AND (d.repo_full_name, d.repo_url, d.description, d.readme_content, d.language, d.render_category)
          IS DISTINCT FROM (s.repo_full_name, s.repo_url, s.description, s.readme_content, s.language, s.render_category);
    INSERT INTO dim (github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category, valid_from)
    SELECT s.github_id, s.repo_full_name, s.repo_url, s.description, s.readme_content, s.language, s.created_at, s.render_category, now()
    FROM stg s WHERE NOT EXISTS (SELECT FROM dim d WHERE d.github_id = s.github_id AND d.is_current);
END $$;

CREATE PROCEDURE run_temp_delta() LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE delta ON COMMIT DROP AS SELECT s.*, d.repo_key AS old_key FROM stg s
    LEFT JOIN dim d ON d.github_id = s.github_id AND d.is_current
    WHERE d.repo_key IS NULL
       OR (d.repo_full_name, d.repo_url, d.description, d.readme_content, d.language, d.render_category)
          IS DISTINCT FROM (s.repo_full_name, s.repo_url, s.description, s.readme_content, s.language, s.render_category);
    ANALYZE delta;
    UPDATE dim d SET valid_to = now(), is_current = false FROM delta x WHERE d.repo_key = x.old_key;
    INSERT INTO dim (github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category, valid_from)
    SELECT github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category, now() FROM delta;
END $$;

-- only finds the changes, writes nothing
CREATE PROCEDURE run_detect_only() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count(*) FROM stg s LEFT JOIN dim d ON d.github_id = s.github_id AND d.is_current
    WHERE d.repo_key IS NULL
       OR (d.repo_full_name, d.repo_url, d.description, d.readme_content, d.language, d.render_category)
          IS DISTINCT FROM (s.repo_full_name, s.repo_url, s.description, s.readme_content, s.language, s.render_category);
END $$;

CREATE PROCEDURE run_merge() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flowlens.scd2_merge('dim', 'stg', '{github_id}',
        '{repo_full_name,repo_url,description,readme_content,language,render_category}');
END $$;

-- into a table that has no index, as dbt's has none
CREATE PROCEDURE run_merge_no_index() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flowlens.scd2_merge('bare_dim', 'stg', '{github_id}',
        '{repo_full_name,repo_url,description,readme_content,language,render_category}');
END $$;

-- the same table with row_hash on both sides
CREATE PROCEDURE run_merge_row_hash() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM flowlens.scd2_merge('hashed_dim', 'hashed_stg', '{github_id}',
        '{repo_full_name,repo_url,description,readme_content,language,render_category}');
END $$;

CREATE TABLE timings (variant text, setting text, ms double precision, cpu_ms double precision);

-- nanoseconds this process was on a processor; NULL where the system does not tell, or not us
CREATE FUNCTION processor_time() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- runs a variant in a transaction that is rolled back
CREATE PROCEDURE measure(variant text, setting text, counts boolean) LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz;
    cpu_started bigint;
    elapsed double precision;
    cpu double precision;
BEGIN
    BEGIN
        cpu_started := processor_time();
        started := clock_timestamp();
        EXECUTE format('CALL run_%s()', variant);
        elapsed := extract(epoch FROM clock_timestamp() - started) * 1000;
        cpu := (processor_time() - cpu_started) / 1e6;
        RAISE SQLSTATE 'BENCH';
    EXCEPTION WHEN SQLSTATE 'BENCH' THEN NULL;
    END;
    IF counts THEN INSERT INTO timings VALUES (variant, setting, elapsed, cpu); END IF;
END $$;

-- the statements that run some variants in turn and clean up after each; the first round warms up
CREATE FUNCTION measurements(variants text[], setting text, runs int, tables text[]) RETURNS SETOF text LANGUAGE sql AS $$
SELECT q FROM generate_series(0, runs) run, unnest(variants) WITH ORDINALITY v(variant, n), LATERAL (
    SELECT 0, format('CALL measure(%L, %L, %L)', variant, setting, run > 0)
    UNION ALL SELECT m, format('VACUUM %I', t) FROM unnest(tables) WITH ORDINALITY x(t, m)) s(k, q)
ORDER BY run, n, k
$$;

CREATE VIEW medians AS
SELECT setting, variant, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu_ms) AS cpu_ms, count(*) AS runs FROM timings GROUP BY 1, 2;

CREATE PROCEDURE index_dim() LANGUAGE plpgsql AS $$
BEGIN
    DROP INDEX IF EXISTS dim_current, dim_version, dim_name;
    CREATE UNIQUE INDEX dim_current ON dim (github_id) WHERE is_current;
    CREATE UNIQUE INDEX dim_version ON dim (github_id, valid_from);
    CREATE INDEX dim_name ON dim (repo_full_name) WHERE is_current;
END $$;

\echo Merge of :rows current rows, 1 % changed, 0.1 % new
CALL fill(:rows, '');
CALL index_dim();
VACUUM ANALYZE dim;
VACUUM ANALYZE stg;
VACUUM ANALYZE dbt;
SELECT pg_size_pretty(pg_table_size('dim')) AS target, pg_size_pretty(pg_table_size('stg')) AS source;
CREATE TABLE bare_dim (LIKE dim INCLUDING DEFAULTS) WITH (autovacuum_enabled = false);
INSERT INTO bare_dim TABLE dim;
VACUUM ANALYZE bare_dim;
SET work_mem = '256MB';
SELECT measurements('{dbt,update_insert,temp_delta,detect_only,merge,merge_no_index}', '256MB', :runs, '{dim,dbt,bare_dim}') \gexec
SET work_mem = '4MB';
SELECT measurements('{dbt,update_insert,temp_delta,detect_only,merge,merge_no_index}', '4MB', :runs, '{dim,dbt,bare_dim}') \gexec
SELECT m.setting AS work_mem, m.variant, round(m.ms) AS ms, round((m.ms / o.ms)::numeric, 2) AS "times scd2_merge",
    round(m.cpu_ms) AS "cpu ms", round((m.cpu_ms / nullif(o.cpu_ms, 0))::numeric, 2) AS "in cpu time",
    round((m.cpu_ms / nullif(b.cpu_ms, 0))::numeric, 2) AS "without index",
    CASE m.variant WHEN 'dbt' THEN '>= 8' WHEN 'update_insert' THEN '>= 2.2' WHEN 'temp_delta' THEN '>= 1.3' WHEN 'detect_only' THEN '>= 1.25' END AS target
FROM medians m JOIN medians o ON o.setting = m.setting AND o.variant = 'merge'
JOIN medians b ON b.setting = m.setting AND b.variant = 'merge_no_index' ORDER BY 1, 3 DESC;
DROP TABLE bare_dim;

\echo A README of 4 KB tracked, 100,000 rows: contents compared, and row_hash
-- text of words, which compresses to 40 %, and digits that do not compress, which the server finds out for each new version
\set readme_title words
SELECT left(string_agg(words[1 + (hashint4(i) & 2147483647) % cardinality(words)] || CASE WHEN i % 11 = 0 THEN E'.\n' ELSE ' ' END, '' ORDER BY i), 4064) AS readme
FROM generate_series(1, 900) i, string_to_array('the a to of and is in for with this that you can be on use from it as are install run build test file code '
    'project library command line option default value type function module data server client request response error log config path directory '
    'version release license contributing usage example documentation support linux windows macos docker python github issue pull change feature '
    'fast simple tool list map set string number object', ' ') words \gset
\ir scd2_readme.sql
\set readme_title digits
SELECT string_agg(md5(i::text), '') AS readme FROM generate_series(1, 127) i \gset
\ir scd2_readme.sql
SELECT m.setting AS source, m.variant, round(m.ms) AS ms, round((m.ms / o.ms)::numeric, 2) AS "times with row_hash",
    round(m.cpu_ms) AS "cpu ms", round((m.cpu_ms / nullif(o.cpu_ms, 0))::numeric, 2) AS "in cpu time", CASE m.variant WHEN 'merge' THEN '>= 10' END AS target
FROM medians m JOIN medians o ON o.setting = m.setting AND o.variant = 'merge_row_hash' ORDER BY 1, 3 DESC;

\echo Growth
SET maintenance_work_mem = '512MB';
SELECT :rows / 10 AS small, :rows * 5 AS large \gset
CALL fill(:small, '');
CALL index_dim();
VACUUM ANALYZE dim;
VACUUM ANALYZE stg;
SELECT measurements('{merge}', :'small', :runs, '{dim}') \gexec
CALL fill(:rows, '');
CALL index_dim();
VACUUM ANALYZE dim;
VACUUM ANALYZE stg;
SELECT measurements('{merge}', :'rows', :runs, '{dim}') \gexec
CALL fill(:large, '');
CALL index_dim();
VACUUM ANALYZE dim;
VACUUM ANALYZE stg;
SELECT measurements('{merge}', :'large', :runs, '{dim}') \gexec
SELECT setting AS rows, round(ms) AS ms, round((ms * 1000 / setting::bigint)::numeric, 3) AS "microseconds a row",
    round((cpu_ms * 1000 / setting::bigint)::numeric, 3) AS "of cpu time"
FROM medians WHERE variant = 'merge' AND setting ~ '^[0-9]+$' ORDER BY setting::bigint;

DROP SCHEMA scd2_bench CASCADE;

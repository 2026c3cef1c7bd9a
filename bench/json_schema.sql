-- Timings of JSON Schema validation; bench/json_schema.sh runs this with the path of the examples in :examples.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
\ir json_schema_plpgsql.sql

CREATE TEMP TABLE examples (number integer, event text, schema jsonb, payload jsonb, ajv boolean);
\set copy '\\copy examples FROM ' :'examples'
:copy
ANALYZE examples;
CREATE TEMP TABLE timings (what text, valid boolean, us_per_document double precision);

-- Times a validation of all payloads of each event, the schema being a literal as in a CHECK constraint; the best of some rounds
CREATE PROCEDURE pg_temp.time_events(what text, expression text, only_valid boolean, repetitions integer, rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    event record;
    started timestamptz;
    best double precision;
    total double precision := 0;
    ignored bigint;
BEGIN
    FOR event IN SELECT e.event, min(e.schema::text) AS schema, count(*) FROM examples e WHERE e.ajv = only_valid GROUP BY 1 LOOP
        CREATE TEMP TABLE payloads AS SELECT e.schema, e.payload FROM examples e WHERE e.event = event.event AND e.ajv = only_valid;
        best := 'infinity';
        FOR round IN 1 .. rounds LOOP
            started := clock_timestamp();
            EXECUTE format('SELECT count(' || expression || ') FROM payloads, generate_series(1, %s) g', event.schema, repetitions) INTO ignored;
            best := least(best, extract(epoch FROM clock_timestamp() - started) * 1e6 / repetitions);
        END LOOP;
        DROP TABLE payloads;
        total := total + best;
    END LOOP;
    INSERT INTO timings SELECT what, only_valid, total / count(*) FROM examples e WHERE e.ajv = only_valid;
END
$$;

SELECT ajv AS valid, count(*), round(avg(length(payload::text))) AS bytes,
       count(*) FILTER (WHERE flowlens.jsonb_matches_schema(schema, payload) = ajv) AS same_as_ajv,
       count(*) FILTER (WHERE pg_temp.plpgsql_matches(schema, payload, schema) = ajv) AS plpgsql_same_as_ajv
FROM examples GROUP BY ajv ORDER BY ajv DESC;

DO $$
BEGIN
    FOR round IN 1 .. 2 LOOP    -- valid and invalid ones
        CALL pg_temp.time_events('detoast document', 'jsonb_typeof(payload) || %L', round = 1, 10, 4);
        CALL pg_temp.time_events('detoast document and schema', 'jsonb_typeof(payload) || jsonb_typeof(schema) || left(%L, 1)', round = 1, 10, 4);
        CALL pg_temp.time_events('jsonb_matches_schema', 'flowlens.jsonb_matches_schema(%L::jsonb, payload)', round = 1, 10, 4);
        CALL pg_temp.time_events('PL/pgSQL', 'pg_temp.plpgsql_matches(%1$L::jsonb, payload, %1$L::jsonb)', round = 1, 1, 1);
        IF to_regprocedure('is_jsonb_valid_draft_v7(jsonb, jsonb)') IS NOT NULL THEN
            CALL pg_temp.time_events('is_jsonb_valid', 'is_jsonb_valid_draft_v7(%L::jsonb, payload)', round = 1, 2, 3);
        END IF;
        IF to_regprocedure('jsonb_matches_schema(json, jsonb)') IS NOT NULL THEN
            CALL pg_temp.time_events('pg_jsonschema', 'jsonb_matches_schema(%L::json, payload)', round = 1, 2, 3);
        END IF;
    END LOOP;
END
$$;

\echo Webhook payloads, microseconds per document
SELECT t.what, t.valid, round(t.us_per_document::numeric, 1) AS us,
       round((t.us_per_document / o.us_per_document)::numeric, 2) AS ratio_to_ours
FROM timings t JOIN timings o ON o.what = 'jsonb_matches_schema' AND o.valid = t.valid
ORDER BY t.valid DESC, t.us_per_document;

-- A CHECK constraint on small rows: the same INSERT without and with it, in turn, into ordinary tables; the documents
-- come as text, as an application sends them, or are copied from another table
\set schema '{"type": "object", "required": ["id", "name"], "additionalProperties": false, "properties": {"id": {"type": "integer", "minimum": 1}, "name": {"type": "string", "minLength": 1, "maxLength": 100}, "tags": {"type": "array", "items": {"type": "string"}}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}}'
CREATE SCHEMA json_schema_bench;
CREATE TABLE json_schema_bench.without_check (document jsonb);
CREATE TABLE json_schema_bench.with_check (document jsonb CHECK (flowlens.jsonb_matches_schema(:'schema', document)));
CREATE TABLE json_schema_bench.with_assert (document jsonb CHECK (flowlens.jsonb_assert_schema(:'schema', document)));
CREATE TEMP TABLE copied AS
SELECT jsonb_build_object('id', g, 'name', 'user ' || g, 'tags', jsonb_build_array('a', 'b'), 'age', g % 90) AS document
FROM generate_series(1, 20000) g;
CREATE TEMP TABLE sent AS SELECT document::text AS text FROM copied;
CREATE TEMP TABLE inserts (source text, target text, ms double precision);

DO $$
DECLARE
    source text;
    target text;
    started timestamptz;
BEGIN
    FOR round IN 1 .. 12 LOOP
        FOREACH source IN ARRAY ARRAY[
            'SELECT text::jsonb FROM sent', 'SELECT document FROM copied'] LOOP
            FOREACH target IN ARRAY ARRAY['without_check', 'with_check', 'with_assert'] LOOP
                EXECUTE format('TRUNCATE json_schema_bench.%I', target);
                started := clock_timestamp();
                EXECUTE format('INSERT INTO json_schema_bench.%I %s', target, source);
                INSERT INTO inserts VALUES (substring(source FROM 'FROM (.*)'), target,
                                            extract(epoch FROM clock_timestamp() - started) * 1e3);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

\echo INSERT of 20000 small documents, milliseconds (best and median of 12)
SELECT i.source, i.target, round(min(i.ms)::numeric, 1) AS best,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY i.ms))::numeric, 1) AS median,
       round((min(i.ms) / min(o.ms))::numeric, 2) AS ratio_to_none
FROM inserts i JOIN (SELECT source, min(ms) AS ms FROM inserts WHERE target = 'without_check' GROUP BY 1) o USING (source)
GROUP BY 1, 2 ORDER BY 1, 3;
DROP SCHEMA json_schema_bench CASCADE;

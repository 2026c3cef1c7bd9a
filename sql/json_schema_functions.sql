-- the type jsonschema, its casts, and calls in all the ways people write them
SET search_path = flowlens, public;

-- text and binary form are those of jsonb
SELECT '{"b": 1, "a": 2}'::jsonschema, 'false'::jsonschema;
SELECT '[]'::jsonschema;
SELECT '{'::jsonschema;
SELECT ('{"type": "string"}'::jsonschema)::jsonb, '{"type": "string"}'::jsonb::jsonschema, '{"type":  "string"}'::json::jsonschema;
SELECT '1'::json::jsonschema;
SELECT jsonschema_send('{"a": 1}') = jsonb_send('{"a": 1}') AS same_bytes;

-- one function for every type of schema; names of arguments as in pg_jsonschema
SELECT jsonb_matches_schema('{"type": "string"}', '"x"') AS literals,
       jsonb_matches_schema('{"type": "string"}'::json, '"x"') AS json,
       jsonb_matches_schema('{"type": "string"}'::jsonb, '"x"') AS jsonb,
       jsonb_matches_schema('{"type": "string"}'::jsonschema, '"x"'::jsonb) AS jsonschema,
       jsonb_matches_schema(schema := '{"type": "string"}', instance := '"x"') AS named,
       json_matches_schema('{"type": "string"}', '"x"') AS json_literals,
       json_matches_schema(schema => '{"type": "string"}'::json, instance => '"x"'::json) AS json_named;
SELECT json_matches_schema('{"type": "string"}', '1'), json_matches_schema('{}', NULL), jsonb_matches_schema(NULL, '1');
-- comparisons of json still do not exist
SELECT '{}'::json = '{}'::json;

-- what jsonb cannot hold is an error, not a verdict
SELECT json_matches_schema('{}', '"\u0000"');

-- a constraint
CREATE TEMP TABLE orders (id integer, body jsonb CHECK (jsonb_matches_schema('{"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}', body)));
INSERT INTO orders VALUES (1, '{"total": 1}'), (2, '{"total": 2.5}');
INSERT INTO orders VALUES (3, '{"total": "3"}');
INSERT INTO orders VALUES (3, NULL);
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass;
CREATE TEMP TABLE strict_orders (body jsonb CHECK (jsonb_assert_schema('{"properties": {"total": {"type": "number"}}}', body)));
INSERT INTO strict_orders VALUES ('{"total": "3"}');

-- one call site, many schemas: small and large ones, in line and out of line, each the right one
CREATE TEMP TABLE schemas AS
SELECT g AS id, jsonb_build_object('const', g, 'description', repeat(md5(g::text), g % 3 * 2000)) AS schema FROM generate_series(1, 70) g;
SELECT count(*) FILTER (WHERE jsonb_matches_schema(schema, to_jsonb(id))) AS right_one,
       count(*) FILTER (WHERE jsonb_matches_schema(schema, to_jsonb(id + 1))) AS wrong_one FROM schemas;
SELECT count(*) FROM schemas s, generate_series(1, 70) g WHERE jsonb_matches_schema(s.schema, to_jsonb(g));
SELECT count(*) FROM (SELECT s.* FROM schemas s, generate_series(1, 3) ORDER BY md5(id::text), id OFFSET 0) s WHERE jsonb_matches_schema(schema, to_jsonb(id));

-- a variable of PL/pgSQL changes between calls of the same expression
DO $$
DECLARE
    schema jsonb;
    verdicts text := '';
BEGIN
    FOR i IN 1 .. 4 LOOP
        schema := jsonb_build_object('const', i % 2);
        verdicts := verdicts || jsonb_matches_schema(schema, '1')::text || ' ';
    END LOOP;
    RAISE NOTICE '%', verdicts;
END
$$;

-- an error does not spoil the call after it
DO $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        BEGIN
            PERFORM jsonb_matches_schema(CASE i WHEN 2 THEN '{"type": "text"}'::jsonb ELSE '{"type": "string"}' END, '"x"');
            RAISE NOTICE 'call % returned', i;
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE NOTICE 'call % failed: %', i, SQLERRM;
        END;
    END LOOP;
END
$$;

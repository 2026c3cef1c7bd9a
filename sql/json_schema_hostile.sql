-- schemas and documents that mean harm
SET search_path = flowlens, public;

SET statement_timeout = '60s';

-- 2^40 ways through the schema
CREATE TEMP TABLE fans AS
SELECT keyword, jsonb_build_object('$ref', '#/$defs/a0', '$defs', jsonb_object_agg('a' || g, CASE g WHEN 40 THEN '{"type": "string"}'::jsonb
    ELSE jsonb_build_object(keyword, jsonb_build_array(jsonb_build_object('$ref', '#/$defs/a' || g + 1), jsonb_build_object('$ref', '#/$defs/a' || g + 1))) END)) AS schema
FROM generate_series(0, 40) g, unnest('{allOf,anyOf,oneOf}'::text[]) keyword GROUP BY keyword;
SELECT keyword, jsonb_matches_schema(schema, '"x"') AS string, jsonb_matches_schema(schema, '1') AS number FROM fans ORDER BY keyword;
SELECT count(*) FROM fans f, jsonb_schema_errors(f.schema, '1', 10) WHERE f.keyword = 'allOf';
SELECT count(*) < 10000 AS bounded FROM fans f, jsonb_schema_errors(f.schema, '1') WHERE f.keyword = 'allOf';

-- the same where it must be known what was looked at
SELECT jsonb_matches_schema(s, '{"x": 1}') AS known, jsonb_matches_schema(s, '{"x": 1, "y": 1}') AS unknown
FROM (SELECT jsonb_build_object('$ref', '#/$defs/a0', 'unevaluatedProperties', false, '$defs', jsonb_object_agg('a' || g, CASE g WHEN 40 THEN '{"properties": {"x": true}}'::jsonb
          ELSE jsonb_build_object('anyOf', jsonb_build_array(jsonb_build_object('$ref', '#/$defs/a' || g + 1), jsonb_build_object('$ref', '#/$defs/a' || g + 1))) END)) AS s
      FROM generate_series(0, 40) g) AS fan;

-- 2^60 ways through schema and document together
SELECT jsonb_matches_schema(s, (repeat('{"x":', 60) || '{}' || repeat('}', 60))::jsonb) AS valid,
       jsonb_matches_schema(s, (repeat('{"x":', 60) || '1' || repeat('}', 60))::jsonb) AS invalid
FROM (SELECT '{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "allOf": [{"properties": {"x": {"$ref": "#/$defs/n"}}}, {"properties": {"x": {"$ref": "#/$defs/n"}}}]}}}'::jsonb AS s) AS twice;

-- depth; jsonb itself refuses what is too deep to read
SELECT jsonb_matches_schema('{"items": {"$ref": "#"}, "type": "array"}', (repeat('[', 2000) || repeat(']', 2000))::jsonb);
SELECT jsonb_matches_schema((repeat('{"items":', 1500) || 'false' || repeat('}', 1500))::jsonb, (repeat('[', 1500) || repeat(']', 1500))::jsonb) AS one_too_few,
       jsonb_matches_schema((repeat('{"items":', 1500) || 'false' || repeat('}', 1500))::jsonb, (repeat('[', 1501) || repeat(']', 1501))::jsonb) AS one_too_many;
\set VERBOSITY sqlstate
SELECT jsonb_matches_schema('{"items": {"$ref": "#"}}', (repeat('[', 100000) || repeat(']', 100000))::jsonb);
SELECT json_matches_schema('{"items": {"$ref": "#"}}', (repeat('[', 100000) || repeat(']', 100000))::json);
SELECT jsonb_matches_schema((repeat('{"items":', 100000) || '{}' || repeat('}', 100000))::jsonb, '1');
-- a reference to itself that is only known to be one when it runs
SELECT jsonb_matches_schema('{"$dynamicAnchor": "a", "$dynamicRef": "#a"}', '1');
\set VERBOSITY default

-- long chains of references
SELECT jsonb_matches_schema(s, '"x"'), jsonb_matches_schema(s, '1')
FROM (SELECT jsonb_build_object('$ref', '#/$defs/a0', '$defs', jsonb_object_agg('a' || g, CASE g WHEN 1000 THEN '{"type": "string"}'::jsonb
          ELSE jsonb_build_object('$ref', '#/$defs/a' || g + 1) END)) AS s FROM generate_series(0, 1000) g) AS chain;

-- many items to compare with each other
SELECT jsonb_matches_schema('{"uniqueItems": true}', jsonb_agg(jsonb_build_array(repeat('x', 50), g))) FROM generate_series(1, 20000) g;

-- numbers of any size
SELECT jsonb_matches_schema('{"multipleOf": 1e-300}', '1e300'), jsonb_matches_schema('{"multipleOf": 7}', '1e1000'), jsonb_matches_schema('{"maximum": 1e1000}', '9e999');

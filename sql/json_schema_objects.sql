-- keywords about objects
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

SELECT schema, pg_temp.verdicts(schema, '[{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": "x"}, {"a": 1, "c": 1}, []]')
    AS "{} a b ab a:string ac []"
FROM (VALUES ('{"properties": {"a": {"type": "integer"}}}'::jsonb),
             ('{"required": ["a"]}'),
             ('{"required": ["a", "b", "a"]}'),
             ('{"required": ["b"], "properties": {"a": {"type": "integer"}}}'),
             ('{"properties": {"a": {"type": "integer"}}, "additionalProperties": false}'),
             ('{"required": ["b"], "additionalProperties": {"type": "integer"}}'),
             ('{"properties": {"a": false}}'),
             ('{"patternProperties": {"^[ab]$": {"type": "integer"}}}'),
             ('{"patternProperties": {"^a": true}, "additionalProperties": false}'),
             ('{"propertyNames": {"enum": ["a", "b"]}}'),
             ('{"propertyNames": {"maxLength": 0}}'),
             ('{"propertyNames": false}'),
             ('{"minProperties": 1}'), ('{"minProperties": 2}'), ('{"maxProperties": 0}'), ('{"maxProperties": 1}'),
             ('{"dependentRequired": {"a": ["b"]}}'),
             ('{"dependentSchemas": {"a": {"required": ["b"]}}}'),
             ('{"dependentSchemas": {"c": false}}')) AS v(schema);

-- the older way to say both
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"], "c": {"required": ["d"]}, "e": []}}',
    '[{}, {"a": 1}, {"a": 1, "b": 1}, {"c": 1}, {"c": 1, "d": 1}, {"e": 1}]');
-- 2020-12 has split it in two, but still allows it
SELECT pg_temp.verdicts('{"dependencies": {"a": ["b"]}}', '[{"a": 1}, {"a": 1, "b": 1}]');

-- JSONB sorts keys by length first: properties on both sides of each other, with gaps
SELECT pg_temp.verdicts('{"properties": {"zz": {"const": 1}, "b": {"const": 2}, "aaa": {"const": 3}}, "required": ["zz", "y"], "additionalProperties": {"type": "null"}}',
    '[{"zz": 1, "y": null}, {"b": 2, "zz": 1, "y": null, "aaa": 3, "aaaa": null}, {"b": 3, "zz": 1, "y": null},
      {"zz": 1, "y": null, "aaa": 2}, {"zz": 1, "y": 1}, {"zz": 1}, {"y": null}, {"a": 1, "zz": 1, "y": null}, {"zz": 1, "y": null, "zzz": 1}]');

-- few properties described of many: searched for, not walked through
SELECT pg_temp.verdicts('{"properties": {"p500": {"const": 500}}, "required": ["p7"]}',
    jsonb_build_array(o, o - 'p7', o || '{"p500": 1}', o - 'p500'))
FROM (SELECT jsonb_object_agg('p' || g, g) AS o FROM generate_series(1, 1000) g) AS objects;
SELECT count(*) FROM jsonb_schema_errors('{"properties": {"p500": {"const": 1}}, "required": ["q"]}',
    (SELECT jsonb_object_agg('p' || g, g) FROM generate_series(1, 1000) g));

-- additionalProperties sees the keywords beside it only
SELECT pg_temp.verdicts('{"allOf": [{"properties": {"a": true}}], "additionalProperties": false}', '[{}, {"a": 1}]');

-- what is no schema
SELECT jsonb_matches_schema('{"properties": []}', '{}');
SELECT jsonb_matches_schema('{"properties": {"a": 1}}', '{}');
SELECT jsonb_matches_schema('{"required": "a"}', '{}');
SELECT jsonb_matches_schema('{"required": [1]}', '{}');
SELECT jsonb_matches_schema('{"minProperties": -1}', '{}');
SELECT jsonb_matches_schema('{"dependentRequired": {"a": "b"}}', '{}');
SELECT jsonb_matches_schema('{"additionalProperties": null}', '{}');

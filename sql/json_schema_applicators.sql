-- keywords that apply other schemas to the same value
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

SELECT schema, pg_temp.verdicts(schema, '[1, 5, 10, 1.5, "x", null]') AS "1 5 10 1.5 x null"
FROM (VALUES ('{"allOf": [{"type": "integer"}, {"minimum": 5}]}'::jsonb),
             ('{"anyOf": [{"type": "integer"}, {"minimum": 5}]}'),
             ('{"oneOf": [{"type": "integer"}, {"minimum": 5}]}'),
             ('{"oneOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}'),
             ('{"not": {"type": "integer"}}'), ('{"not": {"not": {"type": "integer"}}}'), ('{"not": true}'), ('{"not": {}}'),
             ('{"if": {"type": "integer"}, "then": {"minimum": 5}, "else": {"type": "string"}}'),
             ('{"if": {"type": "integer"}, "then": {"minimum": 5}}'),
             ('{"if": {"type": "integer"}, "else": {"type": "string"}}'),
             ('{"then": false, "else": false}'), ('{"if": false}'),
             ('{"anyOf": [false, false]}'), ('{"oneOf": [true, true]}'), ('{"oneOf": [true, false]}'), ('{"allOf": [true, false]}')) AS v(schema);

-- branches that a property tells apart: the result is as if all were tried
SELECT schema, pg_temp.verdicts(schema, '[{"kind": "a", "n": 1}, {"kind": "a", "n": "x"}, {"kind": "b", "n": "x"}, {"kind": "c", "n": "x"},
                                          {"kind": "d", "n": 1}, {"n": 1}, {"n": "x"}, {"kind": 1, "n": 1}, "a"]')
    AS "a:1 a:x b:x c:x d:1 -:1 -:x 1:1 string"
FROM (VALUES ('{"oneOf": [{"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind"]},
                          {"properties": {"kind": {"enum": ["b", "c"]}, "n": {"type": "string"}}, "required": ["kind"]}]}'::jsonb),
             ('{"oneOf": [{"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}},
                          {"properties": {"kind": {"enum": ["b", "c"]}, "n": {"type": "string"}}}]}'),
             ('{"anyOf": [{"$ref": "#/$defs/a"}, {"allOf": [{"$ref": "#/$defs/b"}]}],
                "$defs": {"a": {"type": "object", "properties": {"kind": {"const": "a"}}},
                          "b": {"type": "object", "properties": {"kind": {"$ref": "#/$defs/kinds"}}},
                          "kinds": {"enum": ["b", "c"]}}}'),
             ('{"oneOf": [{"properties": {"kind": {"enum": ["a", "b"]}}, "type": "object"},
                          {"properties": {"kind": {"enum": ["b", "c"]}}, "type": "object"}]}')) AS v(schema);

-- then and if came with draft 07
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-06/schema#", "if": true, "then": false}', '[1]');

-- what is no schema
SELECT jsonb_matches_schema('{"allOf": []}', '1');
SELECT jsonb_matches_schema('{"anyOf": {}}', '1');
SELECT jsonb_matches_schema('{"oneOf": [1]}', '1');
SELECT jsonb_matches_schema('{"not": 1}', '1');

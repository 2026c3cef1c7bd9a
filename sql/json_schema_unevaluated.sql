-- unevaluatedProperties and unevaluatedItems
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

SELECT schema, pg_temp.verdicts(schema, '[{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": "x", "b": 1}, {"c": 1}, 1]') AS "{} a b ab a:x,b c 1"
FROM (VALUES ('{"unevaluatedProperties": false}'::jsonb), ('{"unevaluatedProperties": {"type": "integer"}}'),
             ('{"properties": {"a": true}, "unevaluatedProperties": false}'),
             ('{"allOf": [{"properties": {"a": true}}, {"properties": {"b": true}}], "unevaluatedProperties": false}'),
             ('{"anyOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": true}, "required": ["b"]}], "unevaluatedProperties": false}'),
             ('{"oneOf": [{"properties": {"a": true}, "required": ["a"]}, {"properties": {"b": true}, "required": ["b"]}], "unevaluatedProperties": false}'),
             ('{"not": {"not": {"properties": {"a": true}}}, "unevaluatedProperties": false}'),
             ('{"if": {"required": ["a"], "properties": {"a": true}}, "then": {"properties": {"b": true}}, "else": {"properties": {"c": true}}, "unevaluatedProperties": false}'),
             ('{"$ref": "#/$defs/p", "unevaluatedProperties": false, "$defs": {"p": {"properties": {"a": true}}}}'),
             ('{"dependentSchemas": {"a": {"properties": {"a": true, "b": true}}}, "unevaluatedProperties": false}'),
             ('{"patternProperties": {"^[ab]": true}, "unevaluatedProperties": false}'),
             ('{"additionalProperties": true, "unevaluatedProperties": false}'),
             ('{"allOf": [{"unevaluatedProperties": true}], "unevaluatedProperties": false}'),
             ('{"allOf": [{"properties": {"a": true}}, {"unevaluatedProperties": false}]}')) AS v(schema);

SELECT schema, pg_temp.verdicts(schema, '[[], [1], [1, 2], [1, "x"], ["x", 1], 1]') AS "[] [1] [1,2] [1,x] [x,1] 1"
FROM (VALUES ('{"unevaluatedItems": false}'::jsonb), ('{"unevaluatedItems": {"type": "string"}}'),
             ('{"prefixItems": [true], "unevaluatedItems": false}'),
             ('{"prefixItems": [true], "items": true, "unevaluatedItems": false}'),
             ('{"contains": {"type": "string"}, "unevaluatedItems": {"type": "integer"}}'),
             ('{"contains": {"type": "string"}, "minContains": 0, "unevaluatedItems": false}'),
             ('{"allOf": [{"prefixItems": [true]}], "anyOf": [{"prefixItems": [true, {"type": "string"}]}, true], "unevaluatedItems": false}'),
             ('{"if": {"prefixItems": [{"const": 1}]}, "then": {"prefixItems": [true, true]}, "unevaluatedItems": false}')) AS v(schema);

-- more members than the set of them has room for without allocating
SELECT pg_temp.verdicts('{"patternProperties": {"^p": true}, "anyOf": [{"properties": {"q": true}}], "unevaluatedProperties": false}',
    jsonb_build_array(o, o || '{"q": 1}', o || '{"r": 1}'))
FROM (SELECT jsonb_object_agg('p' || g, g) AS o FROM generate_series(1, 300) g) AS objects;

-- the violations: nothing about the rest when another keyword has failed, which would be misleading
SELECT instance_location, keyword, error FROM jsonb_schema_errors('{"properties": {"a": true}, "unevaluatedProperties": false}', '{"a": 1, "b": 2, "c": 3}');
SELECT instance_location, keyword, error FROM jsonb_schema_errors('{"allOf": [{"properties": {"a": {"type": "string"}}}], "unevaluatedProperties": false}', '{"a": 1, "b": 2}');

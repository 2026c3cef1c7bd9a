-- drafts, vocabularies, metaschemas of one's own
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

-- the same words in all drafts
SELECT draft, pg_temp.verdicts(jsonb_build_object('$schema', draft, 'prefixItems', '[{"type": "string"}]'::jsonb, 'if', true, 'then', '{"maxItems": 1}'::jsonb), '[["a"], [1], ["a", "b"]]')
    AS "[a] [1] [a,b]"
FROM unnest('{http://json-schema.org/draft-04/schema#,http://json-schema.org/draft-06/schema#,http://json-schema.org/draft-07/schema#,http://json-schema.org/draft-07/schema,https://json-schema.org/draft/2019-09/schema,https://json-schema.org/draft/2020-12/schema,https://json-schema.org/draft/2020-12/schema#}'::text[]) AS draft;
-- without $schema it is 2020-12, or what jsonschema_compile() is told
SELECT pg_temp.verdicts('{"prefixItems": [{"type": "string"}]}', '[[1]]'), pg_temp.verdicts(jsonschema_compile('{"prefixItems": [{"type": "string"}]}', dialect => 'draft-07'), '[[1]]');
-- resources in one document may be of different drafts
SELECT pg_temp.verdicts('{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/new", "properties": {"a": {"$ref": "old"}}, "$defs": {
        "old": {"$id": "old", "$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "dependencies": {"b": ["c"]}}}}',
    '[{"a": ["x"]}, {"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1, "c": 1}}]');

-- draft 04: exclusive limits are flags, identifiers have another name, some keywords do not exist yet
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true, "maximum": 3, "exclusiveMaximum": false, "const": 9, "$id": 5}', '[1, 2, 3, 4]');
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://example.com/root", "items": {"$ref": "item"},
                          "definitions": {"i": {"id": "item", "type": "integer"}}}', '[[1], ["x"]]');
SELECT jsonb_matches_schema('{"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": 1}', '1');
-- 2019-09: tuples as before, contains does not count for unevaluatedItems, and a reference that only knows the root
SELECT pg_temp.verdicts('{"$schema": "https://json-schema.org/draft/2019-09/schema", "items": [{"type": "string"}], "additionalItems": {"type": "integer"}}', '[["a"], [1], ["a", 1], ["a", "b"]]');
SELECT pg_temp.verdicts('{"$schema": "https://json-schema.org/draft/2019-09/schema", "contains": {"type": "string"}, "unevaluatedItems": false}', '[["a"], []]');
SELECT pg_temp.verdicts('{"$schema": "https://json-schema.org/draft/2019-09/schema", "$id": "https://example.com/strict-tree", "$recursiveAnchor": true, "$ref": "tree", "unevaluatedProperties": false, "$defs": {
        "tree": {"$id": "tree", "$recursiveAnchor": true, "type": "object",
                 "properties": {"data": true, "children": {"type": "array", "items": {"$recursiveRef": "#"}}}}}}',
    '[{"data": 1}, {"daat": 1}, {"children": [{"data": 1}]}, {"children": [{"daat": 1}]}]');
SELECT jsonb_matches_schema('{"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveRef": "#/$defs"}', '1');

-- drafts that are not supported
SELECT jsonb_matches_schema('{"$schema": "http://json-schema.org/draft-03/schema#"}', '1');
SELECT jsonb_matches_schema('{"$schema": "https://example.com/own"}', '1');
SELECT jsonb_matches_schema('{"$schema": 7}', '1');

-- a metaschema that leaves out the vocabulary of assertions
SELECT pg_temp.verdicts(jsonschema_compile('{"$schema": "https://example.com/own", "properties": {"a": false}, "minProperties": 9}',
    '{"https://example.com/own": {"$id": "https://example.com/own", "$schema": "https://json-schema.org/draft/2020-12/schema",
      "$vocabulary": {"https://json-schema.org/draft/2020-12/vocab/core": true, "https://json-schema.org/draft/2020-12/vocab/applicator": true, "https://example.com/other": false}}}'),
    '[{}, {"a": 1}]');
-- one that asks for checked formats
SELECT pg_temp.verdicts(jsonschema_compile('{"$schema": "https://example.com/own", "format": "ipv4"}',
    '{"https://example.com/own": {"$id": "https://example.com/own", "$schema": "https://json-schema.org/draft/2020-12/schema",
      "$vocabulary": {"https://json-schema.org/draft/2020-12/vocab/core": true, "https://json-schema.org/draft/2020-12/vocab/format-assertion": true}}}'),
    '["127.0.0.1", "127.0.0.256"]');
-- one that asks for what is unknown
SELECT jsonschema_compile('{"$schema": "https://example.com/own"}',
    '{"https://example.com/own": {"$id": "https://example.com/own", "$schema": "https://json-schema.org/draft/2020-12/schema", "$vocabulary": {"https://example.com/other": true}}}');

-- unknown keywords are annotations
SELECT pg_temp.verdicts('{"title": "t", "description": "d", "default": 1, "examples": [1], "deprecated": true, "readOnly": true, "contentMediaType": "application/json", "x": 1}', '["x", 1]');

-- schemas checked against the metaschema of their draft
SELECT jsonschema_is_valid('{"type": "object", "minLength": 0}');
SELECT jsonschema_is_valid('true'), jsonschema_is_valid('{}');
SELECT jsonschema_is_valid('{"properties": {"a": {"type": "text"}}}');
SELECT jsonschema_is_valid('{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"minLength": -1}]}');
SELECT jsonschema_is_valid('{"$schema": "http://json-schema.org/draft-06/schema#", "required": [1]}');
SELECT jsonschema_is_valid('{"$schema": "http://json-schema.org/draft-03/schema#"}');
SELECT jsonschema_is_valid('12');

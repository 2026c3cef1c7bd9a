-- references, identifiers, anchors
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

SELECT schema, pg_temp.verdicts(schema, '[1, "x", [1], ["x"], [[1]], {"a": 1}]') AS "1 x [1] [x] [[1]] {a}"
FROM (VALUES ('{"$ref": "#/$defs/i", "$defs": {"i": {"type": "integer"}}}'::jsonb),
             ('{"items": {"$ref": "#/$defs/a~1b~0c%25"}, "$defs": {"a/b~c%": {"type": "integer"}}}'),
             ('{"items": {"$ref": "#"}, "type": ["array", "integer"]}'),
             ('{"prefixItems": [{"type": "integer"}, {"$ref": "#/prefixItems/0"}], "items": {"$ref": "#/prefixItems/1"}}'),
             ('{"$ref": "#here", "$defs": {"i": {"$anchor": "here", "type": "integer"}}}'),
             ('{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/c"}, "c": {"type": "string"}}}'),
             ('{"$id": "https://example.com/dir/root", "$ref": "item", "$defs": {"i": {"$id": "/dir/item", "type": "integer"}}}'),
             ('{"$id": "https://example.com/dir/root", "$ref": "../other/item#x", "$defs": {"i": {"$id": "https://example.com/other/item", "$defs": {"q": {"$anchor": "x", "type": "string"}}}}}'),
             ('{"$id": "urn:example:root", "$ref": "urn:example:root#/$defs/i", "$defs": {"i": {"type": "integer"}}}'),
             ('{"$ref": "#/$defs/i", "type": "string", "$defs": {"i": {"type": "integer"}}}')) AS v(schema);

-- up to draft 07, $ref hides what stands beside it, and $id may be an anchor
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/i", "maximum": 1}},
                          "definitions": {"i": {"type": "integer"}}}', '[{"a": 1}, {"a": 2}, {"a": "x"}]');
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-07/schema#", "items": {"$ref": "#i"}, "definitions": {"i": {"$id": "#i", "type": "integer"}}}', '[[1], ["x"]]');

-- recursive data
SELECT pg_temp.verdicts('{"$id": "https://example.com/tree", "type": "object", "required": ["value"],
                          "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "tree"}}}}',
    '[{"value": 1}, {"value": 1, "children": [{"value": 2, "children": []}]}, {"value": 1, "children": [{"value": 2, "children": [{"value": "x"}]}]}]');

-- a reference is a keyword, a property of that name is not
SELECT pg_temp.verdicts('{"properties": {"$ref": {"type": "string"}}}', '[{"$ref": "x"}, {"$ref": 1}]');
SELECT pg_temp.verdicts('{"const": {"$ref": "#/nowhere"}}', '[{"$ref": "#/nowhere"}, 1]');

-- metaschemas are built in
SELECT pg_temp.verdicts('{"$ref": "https://json-schema.org/draft/2020-12/schema"}', '[{"minLength": 1}, {"minLength": -1}, {"properties": {"a": {"type": "x"}}}, true, 1]');
SELECT pg_temp.verdicts('{"$ref": "http://json-schema.org/draft-07/schema#"}', '[{"minLength": 1}, {"minLength": -1}, {"items": [{"type": "x"}]}, true, 1]');
SELECT pg_temp.verdicts('{"$ref": "http://json-schema.org/draft-06/schema#/definitions/nonNegativeInteger"}', '[0, -1, 1.5]');

-- references that lead nowhere, in a part that is used and in one that is not
SELECT jsonb_matches_schema('{"$ref": "#/$defs/missing"}', '1');
SELECT jsonb_matches_schema('{"$ref": "#missing"}', '1');
SELECT jsonb_matches_schema('{"$ref": "https://example.com/schema"}', '1');
SELECT jsonb_matches_schema('{"$ref": "#/$defs/a", "$defs": {"a": 1}}', '1');
SELECT jsonb_matches_schema('{"$ref": 1}', '1');
SELECT jsonb_matches_schema('{"$defs": {"unused": {"$ref": "https://example.com/schema"}}}', '1');

-- one name for two anchors; a fragment in $id
SELECT jsonb_matches_schema('{"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}', '1');
SELECT jsonb_matches_schema('{"$id": "https://example.com/a#b"}', '1');

-- references without end
SELECT jsonb_matches_schema('{"$ref": "#"}', '1');
SELECT jsonb_matches_schema('{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}', '1');

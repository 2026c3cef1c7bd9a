-- references that depend on the way to them
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

-- a list whose items are decided by who refers to it
SELECT pg_temp.verdicts('{"$id": "https://example.com/strings", "$ref": "list", "$defs": {
        "items": {"$dynamicAnchor": "items", "type": "string"},
        "list": {"$id": "list", "type": "array", "items": {"$dynamicRef": "#items"},
                 "$defs": {"items": {"$dynamicAnchor": "items"}}}}}',
    '[["a"], [1], ["a", 1], []]');
-- without an anchor of its own the reference is a plain one
SELECT pg_temp.verdicts('{"$id": "https://example.com/strings", "$ref": "list", "$defs": {
        "items": {"$dynamicAnchor": "items", "type": "string"},
        "list": {"$id": "list", "type": "array", "items": {"$dynamicRef": "#items"},
                 "$defs": {"items": {"$anchor": "items"}}}}}',
    '[["a"], [1]]');

-- a tree that an extension makes strict at every level
SELECT pg_temp.verdicts('{"$id": "https://example.com/strict-tree", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false, "$defs": {
        "tree": {"$id": "tree", "$dynamicAnchor": "node", "type": "object",
                 "properties": {"data": true, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}}}}}',
    '[{"data": 1}, {"daat": 1}, {"children": [{"data": 1}]}, {"children": [{"daat": 1}]}, {"children": [{"children": [{"daat": 1}]}]}]');
SELECT pg_temp.verdicts('{"$ref": "tree", "$defs": {
        "tree": {"$id": "tree", "$dynamicAnchor": "node", "type": "object",
                 "properties": {"data": true, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}}}}}',
    '[{"daat": 1}, {"children": [{"daat": 1}]}, {"children": [1]}]');

-- the same part reached in two ways within one document
SELECT pg_temp.verdicts('{"$id": "https://example.com/two", "properties": {"n": {"$ref": "numbers"}, "s": {"$ref": "strings"}}, "$defs": {
        "list": {"$id": "list", "items": {"$dynamicRef": "#t"}, "$defs": {"t": {"$dynamicAnchor": "t"}}},
        "numbers": {"$id": "numbers", "$ref": "list", "$defs": {"t": {"$dynamicAnchor": "t", "type": "number"}}},
        "strings": {"$id": "strings", "$ref": "list", "$defs": {"t": {"$dynamicAnchor": "t", "type": "string"}}}}}',
    '[{"n": [1], "s": ["a"]}, {"n": ["a"]}, {"s": [1]}, {"s": ["a"], "n": ["a"]}]');

-- the way stands in the location of an error
SELECT instance_location, keyword_location, absolute_keyword_location
FROM jsonb_schema_errors('{"$id": "https://example.com/strings", "$ref": "list", "$defs": {
        "items": {"$dynamicAnchor": "items", "type": "string"},
        "list": {"$id": "list", "type": "array", "items": {"$dynamicRef": "#items"},
                 "$defs": {"items": {"$dynamicAnchor": "items"}}}}}', '["a", 1]');

-- jsonschema_compile(): resources and options in one document
SET search_path = flowlens, public;

-- the dialect is written down, and nothing else added when nothing is needed
SELECT jsonschema_compile('{"type": "string"}');
SELECT jsonschema_compile('{"type": "string"}', dialect => 'draft-07');
SELECT jsonschema_compile('{"type": "string"}', dialect => 'http://json-schema.org/draft-06/schema#');
SELECT jsonschema_compile('{"$schema": "http://json-schema.org/draft-07/schema#"}', dialect => '2020-12');
SELECT jsonschema_compile('true');
SELECT jsonschema_compile(NULL) IS NULL;

-- resources that are needed, also by each other, come in; others do not
CREATE TEMP TABLE bundled AS
SELECT jsonschema_compile('{"$id": "https://example.com/order", "properties": {"item": {"$ref": "item"}}, "$defs": {"own": true}}',
    '{"https://example.com/item": {"properties": {"price": {"$ref": "price#/$defs/positive"}}},
      "https://example.com/price": {"$id": "https://example.com/price", "$defs": {"positive": {"exclusiveMinimum": 0}}},
      "https://example.com/unused": {"type": "string"}}') AS schema;
SELECT jsonb_pretty(schema::jsonb) FROM bundled;
SELECT jsonb_matches_schema(schema, '{"item": {"price": 1}}'), jsonb_matches_schema(schema, '{"item": {"price": 0}}') FROM bundled;
-- the text is all there is: what a dump keeps works the same
SELECT jsonb_matches_schema(schema::text::jsonschema, '{"item": {"price": 0}}') FROM bundled;
-- and it can be compiled again, with more
SELECT jsonschema_compile(schema::jsonb)::text = schema::text AS unchanged,
       (jsonschema_compile(schema::jsonb, format_assertion => true)::jsonb)->'x-flowlens' AS options FROM bundled;

-- a resource found by its key although it calls itself something else, a boolean one, and one of an older draft
SELECT jsonb_matches_schema(s, '{"a": "x"}') AS a, jsonb_matches_schema(s, '{"a": 1}') AS not_a, jsonb_matches_schema(s, '{"b": 1}') AS not_b,
       jsonb_matches_schema(s, '{"c": ["x"]}') AS c, jsonb_matches_schema(s, '{"c": [1]}') AS not_c
FROM (SELECT jsonschema_compile('{"properties": {"a": {"$ref": "https://example.com/a"}, "b": {"$ref": "https://example.com/b"}, "c": {"$ref": "https://example.com/c"}}}',
    '{"https://example.com/a": {"$id": "https://example.com/real-a", "$ref": "#/$defs/s", "$defs": {"s": {"type": "string"}}},
      "https://example.com/b": false,
      "https://example.com/c": {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"$ref": "#/definitions/s"}], "definitions": {"s": {"type": "string"}}}}') AS s) AS compiled;
-- a resource found by what it calls itself
SELECT jsonb_matches_schema(jsonschema_compile('{"$ref": "https://example.com/real"}', '{"key": {"$id": "https://example.com/real", "type": "string"}}'), '1');

-- under draft 07 they go among the definitions
SELECT jsonschema_compile('{"items": {"$ref": "https://example.com/a"}}', '{"https://example.com/a": {"type": "string"}}', true, 'draft-07');

-- what is wrong is said at once
SELECT jsonschema_compile('{"$ref": "https://example.com/missing"}', '{"https://example.com/other": true}');
SELECT jsonschema_compile('{"items": {"$ref": "https://example.com/a"}}', '{"https://example.com/a": {"type": "text"}}');
SELECT jsonschema_compile('{"$ref": "https://example.com/a", "$defs": {"https://example.com/a": true}}', '{"https://example.com/a": true}');
SELECT jsonschema_compile('{}', '[]');
SELECT jsonschema_compile('{}', dialect => 'draft-03');
SELECT jsonschema_compile('{"x-flowlens": {"resources": ["https://example.com/a"]}}');
SELECT jsonschema_compile('"{}"');

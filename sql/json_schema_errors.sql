-- violations and their locations
SET search_path = flowlens, public;

\set schema '{"$id": "https://example.com/order", "type": "object", "required": ["id", "tags"], "additionalProperties": false, "properties": {"id": {"type": "integer", "minimum": 1}, "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 3, "uniqueItems": true}, "state": {"enum": ["open", "closed", null]}, "a/b~c": {"const": 1}, "when": {"$ref": "date"}}, "$defs": {"tag": {"type": "string", "maxLength": 3, "pattern": "^[a-z]"}, "date": {"$id": "date", "minLength": 10}}}'
SELECT * FROM jsonb_schema_errors(:'schema', '{"id": 1, "tags": ["a"]}');
SELECT instance_location, keyword_location, keyword, error
FROM jsonb_schema_errors(:'schema', '{"id": 0, "tags": [1, "long", "ok", "Upper"], "state": "lost", "a/b~c": 2, "extra": true, "when": "x"}');
SELECT absolute_keyword_location
FROM jsonb_schema_errors(:'schema', '{"id": 0, "tags": [1, "long", "ok", "Upper"], "state": "lost", "a/b~c": 2, "extra": true, "when": "x"}');
SELECT instance_location, error FROM jsonb_schema_errors(:'schema', '{}');
SELECT instance_location, error FROM jsonb_schema_errors(:'schema', '[]');

-- bounded
SELECT count(*) FROM jsonb_schema_errors(:'schema', '{"tags": [1, 2, 3, 4]}');
SELECT count(*) FROM jsonb_schema_errors(:'schema', '{"tags": [1, 2, 3, 4]}', 2);
SELECT count(*) FROM jsonb_schema_errors(:'schema', '{"tags": [1, 2, 3, 4]}', max_errors => 1);
SELECT count(*) FROM jsonb_schema_errors(:'schema', '{"tags": [1, 2, 3, 4]}', 0);
SELECT count(*) FROM jsonb_schema_errors(NULL, '{}');
SELECT count(*) FROM jsonb_schema_errors(:'schema', NULL);

-- one message of each keyword
SELECT keyword, instance_location, error
FROM (VALUES ('{"type": ["string", "null"]}'::jsonb, '1'::jsonb), ('{"type": "integer"}', '1.5'), ('{"enum": [1, true, {"a": 1}, [], "x"]}', '2'), ('{"const": "x"}', '2'),
             ('{"enum": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]}', '2'),
             ('{"maximum": 1.50}', '2'), ('{"exclusiveMinimum": 2, "exclusiveMaximum": 2}', '2'), ('{"multipleOf": 0.3}', '2'),
             ('{"minLength": 2}', '"x"'), ('{"maxLength": 2}', '"xxx"'), ('{"pattern": "^a"}', '"x"'),
             ('{"$schema": "http://json-schema.org/draft-07/schema#", "format": "ipv4"}', '"x"'),
             ('{"minItems": 2}', '[1]'), ('{"maxItems": 0}', '[1]'), ('{"uniqueItems": true}', '[1, 1.0]'), ('{"contains": {"type": "string"}}', '[1]'),
             ('{"contains": true, "minContains": 2, "maxContains": 0}', '[1]'), ('{"items": false}', '[1]'), ('{"prefixItems": [false]}', '[1]'),
             ('{"minProperties": 2, "maxProperties": 0}', '{"a": 1}'), ('{"properties": {"a": false}}', '{"a": 1}'), ('{"additionalProperties": false}', '{"a": 1}'),
             ('{"propertyNames": {"maxLength": 0}}', '{"a": 1}'), ('{"dependentRequired": {"a": ["b"]}}', '{"a": 1}'), ('{"dependentSchemas": {"a": false}}', '{"a": 1}'),
             ('{"not": {}}', '1'), ('{"anyOf": [false, {"type": "null"}]}', '1'), ('{"oneOf": [{"type": "null"}, {"type": "string"}]}', '1'), ('{"oneOf": [true, false, {}]}', '1'),
             ('{"if": true, "then": {"minimum": 5}}', '1'), ('false', '1'), ('{"$ref": "#/$defs/f", "$defs": {"f": false}}', '1')) AS v(schema, instance),
     jsonb_schema_errors(schema, instance);

-- when one of several schemas was clearly meant, what it misses is said too
SELECT instance_location, keyword_location, error FROM jsonb_schema_errors('{"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"]}]}', '{}');
SELECT instance_location, keyword_location, error
FROM jsonb_schema_errors('{"oneOf": [{"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}}, {"properties": {"kind": {"const": "b"}, "n": {"type": "string"}}}]}', '{"kind": "b", "n": 1}');

-- as texts
SELECT jsonschema_validation_errors(:'schema', '{"id": 0, "tags": [1]}');
SELECT jsonschema_validation_errors(:'schema', '{"id": 1, "tags": []}');
SELECT jsonschema_validation_errors('{"type": "string"}', '1');

-- as an error, for CHECK constraints
SELECT jsonb_assert_schema(:'schema', '{"id": 1, "tags": []}');
SELECT jsonb_assert_schema(:'schema', '{"id": 0, "tags": [1]}');
SELECT jsonb_assert_schema(:'schema', '{"tags": [1, 2, 3, 4, 5, 6, 7]}');

-- keywords about arrays
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

SELECT schema, pg_temp.verdicts(schema, '[[], [1], ["x"], [1, "x"], [1, 1], [1, 2, 3], {}]') AS "[] [1] [x] [1,x] [1,1] [1,2,3] {}"
FROM (VALUES ('{"items": {"type": "integer"}}'::jsonb), ('{"items": false}'),
             ('{"prefixItems": [{"type": "integer"}, {"type": "string"}]}'),
             ('{"prefixItems": [true], "items": false}'),
             ('{"prefixItems": [true], "items": {"type": "string"}}'),
             ('{"minItems": 1}'), ('{"minItems": 2}'), ('{"maxItems": 1}'), ('{"maxItems": 2}'),
             ('{"uniqueItems": true}'), ('{"uniqueItems": false}'),
             ('{"contains": {"const": 1}}'), ('{"contains": {"const": 1}, "minContains": 2}'),
             ('{"contains": {"const": 1}, "maxContains": 1}'), ('{"contains": {"const": 1}, "minContains": 0}'),
             ('{"minContains": 5, "maxContains": 0}')) AS v(schema);

-- the older way to describe a tuple
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}], "additionalItems": {"type": "string"}}',
    '[[], [1], ["x"], [1, "x"], [1, 2]]');
SELECT pg_temp.verdicts('{"$schema": "http://json-schema.org/draft-07/schema#", "items": {"type": "integer"}, "additionalItems": false}', '[[1, 2]]');
SELECT jsonb_matches_schema('{"items": [true]}', '[]');

-- uniqueItems: by value and at any depth, few and many items
SELECT pg_temp.verdicts('{"uniqueItems": true}',
    '[[1, 1.0], [1, true], [0, false, null, ""], [{"a": 1, "b": 2}, {"b": 2.0, "a": 1}], [[1, 2], [2, 1]], [[[1]], [[1.0]]], ["a", "A"], [{}, []], [{}, {}]]');
SELECT pg_temp.verdicts('{"uniqueItems": true}', jsonb_build_array(a, a || '[64]', a || '[65]', a || '[1.0]'))
FROM (SELECT jsonb_agg(g) AS a FROM generate_series(1, 64) g) AS arrays;

-- what is no schema
SELECT jsonb_matches_schema('{"prefixItems": {}}', '[]');
SELECT jsonb_matches_schema('{"uniqueItems": 1}', '[]');
SELECT jsonb_matches_schema('{"minItems": "1"}', '[]');
SELECT jsonb_matches_schema('{"contains": 1}', '[]');

-- type, enum and const
SET search_path = flowlens, public;

-- the verdicts on some instances, in order: y for conforming, - for not
CREATE FUNCTION pg_temp.verdicts(schema jsonschema, instances jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN jsonb_matches_schema(schema, value) THEN 'y' ELSE '-' END, '' ORDER BY ordinality)
    FROM jsonb_array_elements(instances) WITH ORDINALITY
$$;

-- each type against one value of each kind; 1.0 is an integer, 1.5 is not
SELECT type, pg_temp.verdicts(jsonb_build_object('type', type), '[null, true, 1, 1.0, 1.5, "1", [], {}]') AS "null true 1 1.0 1.5 string [] {}"
FROM unnest('{"null",boolean,integer,number,string,array,object}'::text[]) AS type;
SELECT pg_temp.verdicts('{"type": ["integer", "null"]}', '[null, 1, 1e3, 0.5, 1e-1, "1"]');
SELECT pg_temp.verdicts('{"type": ["integer", "number"]}', '[1, 1.5, null]');

-- enum and const compare as JSON does: numbers by value, objects without order of keys, arrays with it
SELECT pg_temp.verdicts('{"enum": ["b", "a", 1, null, true, [1, 2], {"x": 1, "y": [2.0]}]}',
    '["a", "b", "ab", "", 1, 1.0, 2, null, true, false, [1, 2], [2, 1], [1], {"y": [2], "x": 1.0}, {"x": 1}]');
SELECT pg_temp.verdicts('{"enum": []}', '[null, 1]');
SELECT pg_temp.verdicts('{"const": "a"}', '["a", "b", "A", 1]');
SELECT pg_temp.verdicts('{"const": 0}', '[0, 0.0, -0, false, "", null]');
SELECT pg_temp.verdicts('{"const": false}', '[false, 0, null, [false]]');
SELECT pg_temp.verdicts('{"const": {"a": false}}', '[{"a": false}, {"a": 0}, {"a": [false]}, {}]');
SELECT pg_temp.verdicts('{"const": null}', '[null, 0]');

-- a schema that is a boolean
SELECT pg_temp.verdicts('true', '[1, null]'), pg_temp.verdicts('false', '[1, null]'), pg_temp.verdicts('{}', '[1, null]');

-- what is no schema
SELECT jsonb_matches_schema('{"type": "text"}', '1');
SELECT jsonb_matches_schema('{"type": 1}', '1');
SELECT jsonb_matches_schema('{"enum": 1}', '1');
SELECT jsonb_matches_schema('12', '1');
SELECT jsonb_matches_schema('[]'::jsonb, '1');

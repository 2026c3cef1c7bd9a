
-- JSON Schema -------------------------------------------------------------------
CREATE TYPE flowlens.jsonschema;

CREATE FUNCTION flowlens.jsonschema_in(cstring)
RETURNS flowlens.jsonschema AS 'MODULE_PATHNAME', 'flowlens_jsonschema_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.jsonschema_in(cstring) IS 'I/O of the type jsonschema';

CREATE FUNCTION flowlens.jsonschema_out(flowlens.jsonschema)
RETURNS cstring AS 'MODULE_PATHNAME', 'flowlens_jsonschema_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.jsonschema_out(flowlens.jsonschema) IS 'I/O of the type jsonschema';

CREATE FUNCTION flowlens.jsonschema_recv(internal)
RETURNS flowlens.jsonschema AS 'MODULE_PATHNAME', 'flowlens_jsonschema_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.jsonschema_recv(internal) IS 'I/O of the type jsonschema';

CREATE FUNCTION flowlens.jsonschema_send(flowlens.jsonschema)
RETURNS bytea AS 'MODULE_PATHNAME', 'flowlens_jsonschema_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.jsonschema_send(flowlens.jsonschema) IS 'I/O of the type jsonschema';

CREATE TYPE flowlens.jsonschema (
    INPUT = flowlens.jsonschema_in,
    OUTPUT = flowlens.jsonschema_out,
    RECEIVE = flowlens.jsonschema_recv,
    SEND = flowlens.jsonschema_send,
    LIKE = pg_catalog.jsonb
);
COMMENT ON TYPE flowlens.jsonschema IS
'A JSON Schema (drafts 04, 06, 07, 2019-09, 2020-12), stored as jsonb. It is compiled where it is used, never on disk.';

CREATE FUNCTION flowlens.jsonschema(json)
RETURNS flowlens.jsonschema AS 'MODULE_PATHNAME', 'flowlens_jsonschema_from_json' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.jsonschema(json) IS 'Cast of json to jsonschema; raises unless it is an object or a boolean.';

-- Implicit, so that one signature serves json, jsonb, jsonschema and untyped literals. For the same reason the
-- type has no operators: with these casts "json = json" would begin to mean something.
CREATE CAST (json AS flowlens.jsonschema) WITH FUNCTION flowlens.jsonschema(json) AS IMPLICIT;
CREATE CAST (jsonb AS flowlens.jsonschema) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (flowlens.jsonschema AS jsonb) WITHOUT FUNCTION;

CREATE FUNCTION flowlens.jsonb_matches_schema(schema flowlens.jsonschema, instance jsonb)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_jsonb_matches_schema' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION flowlens.jsonb_matches_schema(flowlens.jsonschema, jsonb) IS
'Whether the document conforms to the schema. Raises when the schema itself is wrong, of an unknown draft, or refers to what it does not contain.';

CREATE FUNCTION flowlens.json_matches_schema(schema flowlens.jsonschema, instance json)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_json_matches_schema' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 200;
COMMENT ON FUNCTION flowlens.json_matches_schema(flowlens.jsonschema, json) IS
'jsonb_matches_schema() for json; raises for documents that jsonb cannot hold.';

CREATE FUNCTION flowlens.jsonb_assert_schema(schema flowlens.jsonschema, instance jsonb)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_jsonb_assert_schema' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION flowlens.jsonb_assert_schema(flowlens.jsonschema, jsonb) IS
'True when the document conforms, else raises check_violation with the first violations in its detail: for CHECK constraints that explain themselves.';

CREATE FUNCTION flowlens.jsonb_schema_errors(schema flowlens.jsonschema, instance jsonb, max_errors integer DEFAULT NULL,
    OUT instance_location text, OUT keyword_location text, OUT absolute_keyword_location text, OUT keyword text, OUT error text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'flowlens_jsonb_schema_errors' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 500; -- not strict: max_errors may be NULL
COMMENT ON FUNCTION flowlens.jsonb_schema_errors(flowlens.jsonschema, jsonb, integer) IS
'The violations of a document, at most max_errors (NULL: all); no rows when it conforms or an argument is NULL. Locations are JSON Pointers (RFC 6901), named as in section 12 of JSON Schema 2020-12; the absolute one is a URI.';

CREATE FUNCTION flowlens.jsonschema_is_valid(schema json)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_jsonschema_is_valid' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 200;
COMMENT ON FUNCTION flowlens.jsonschema_is_valid(json) IS
'Whether a document is a schema by the metaschema of its draft; a NOTICE says what is wrong first.';

CREATE FUNCTION flowlens.jsonschema_validation_errors(schema json, instance json)
RETURNS text[] AS 'MODULE_PATHNAME', 'flowlens_jsonschema_validation_errors' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION flowlens.jsonschema_validation_errors(json, json) IS
'The violations of a document as texts "location: error"; an empty array when it conforms.';

CREATE FUNCTION flowlens.jsonschema_compile(schema jsonb, resources jsonb DEFAULT NULL, format_assertion boolean DEFAULT NULL, dialect text DEFAULT NULL)
RETURNS flowlens.jsonschema AS 'MODULE_PATHNAME', 'flowlens_jsonschema_compile' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000; -- not strict: only the schema is needed
COMMENT ON FUNCTION flowlens.jsonschema_compile(jsonb, jsonb, boolean, text) IS
'Checks a schema and returns it with what it needs: resources {uri: schema} that it refers to go among its definitions; format_assertion says whether "format" is checked (NULL: up to draft 07 only); dialect (draft-04, draft-06, draft-07, 2019-09, 2020-12 or a URI) is for schemas without $schema. The result is a plain JSON Schema; nothing is ever fetched.';

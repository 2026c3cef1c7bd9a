-- A validator in PL/pgSQL for the keywords that GitHub's webhook schemas use (draft 07), to compare with: what one
-- writes without an extension. It stops at the first violation, as jsonb_matches_schema() does.
CREATE OR REPLACE FUNCTION pg_temp.plpgsql_type(instance jsonb, wanted text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE wanted WHEN 'integer' THEN jsonb_typeof(instance) = 'number' AND instance::numeric % 1 = 0
                       ELSE jsonb_typeof(instance) = wanted END
$$;

CREATE OR REPLACE FUNCTION pg_temp.plpgsql_format(instance text, format text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE format
        WHEN 'uri' THEN instance ~ '^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`]*$'
        WHEN 'uri-template' THEN instance ~ '^([^\s<>"{}|\\^`]|\{[^{}\s]+\})*$'
        WHEN 'date-time' THEN instance ~ '^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$'
        ELSE true END;
END
$$;

CREATE OR REPLACE FUNCTION pg_temp.plpgsql_matches(schema jsonb, instance jsonb, root jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    property text;
    subschema jsonb;
    item jsonb;
    matches integer;
BEGIN
    IF jsonb_typeof(schema) = 'boolean' THEN
        RETURN schema::boolean;
    END IF;
    IF schema ? '$ref' THEN
        RETURN pg_temp.plpgsql_matches(root #> string_to_array(substr(schema->>'$ref', 3), '/'), instance, root);
    END IF;
    IF schema ? 'type' AND NOT EXISTS (
        SELECT FROM jsonb_array_elements_text(CASE jsonb_typeof(schema->'type') WHEN 'array' THEN schema->'type'
                                                   ELSE jsonb_build_array(schema->'type') END) t
        WHERE pg_temp.plpgsql_type(instance, t)) THEN
        RETURN false;
    END IF;
    IF schema ? 'const' AND instance <> schema->'const' THEN
        RETURN false;
    END IF;
    IF schema ? 'enum' AND NOT EXISTS (SELECT FROM jsonb_array_elements(schema->'enum') e WHERE e = instance) THEN
        RETURN false;
    END IF;
    IF jsonb_typeof(instance) = 'string' THEN
        IF schema ? 'format' AND NOT pg_temp.plpgsql_format(instance #>> '{}', schema->>'format')
           OR schema ? 'maxLength' AND length(instance #>> '{}') > (schema->>'maxLength')::integer THEN
            RETURN false;
        END IF;
    ELSIF jsonb_typeof(instance) = 'number' THEN
        IF schema ? 'minimum' AND instance::numeric < (schema->>'minimum')::numeric
           OR schema ? 'maximum' AND instance::numeric > (schema->>'maximum')::numeric THEN
            RETURN false;
        END IF;
    ELSIF jsonb_typeof(instance) = 'array' THEN
        IF schema ? 'minItems' AND jsonb_array_length(instance) < (schema->>'minItems')::integer
           OR schema ? 'maxItems' AND jsonb_array_length(instance) > (schema->>'maxItems')::integer THEN
            RETURN false;
        END IF;
        IF schema ? 'items' THEN
            FOR item IN SELECT value FROM jsonb_array_elements(instance) LOOP
                IF NOT pg_temp.plpgsql_matches(schema->'items', item, root) THEN
                    RETURN false;
                END IF;
            END LOOP;
        END IF;
    ELSIF jsonb_typeof(instance) = 'object' THEN
        IF schema ? 'required' AND EXISTS (SELECT FROM jsonb_array_elements_text(schema->'required') r WHERE NOT instance ? r) THEN
            RETURN false;
        END IF;
        FOR property, item IN SELECT key, value FROM jsonb_each(instance) LOOP
            subschema := schema->'properties'->property;
            IF subschema IS NULL THEN
                subschema := schema->'additionalProperties';
            END IF;
            IF subschema IS NOT NULL AND NOT pg_temp.plpgsql_matches(subschema, item, root) THEN
                RETURN false;
            END IF;
        END LOOP;
    END IF;
    FOR subschema IN SELECT value FROM jsonb_array_elements(schema->'allOf') LOOP
        IF NOT pg_temp.plpgsql_matches(subschema, instance, root) THEN
            RETURN false;
        END IF;
    END LOOP;
    IF schema ? 'oneOf' THEN
        matches := 0;
        FOR subschema IN SELECT value FROM jsonb_array_elements(schema->'oneOf') LOOP
            matches := matches + pg_temp.plpgsql_matches(subschema, instance, root)::integer;
            EXIT WHEN matches > 1;
        END LOOP;
        RETURN matches = 1;
    END IF;
    RETURN true;
END
$$;

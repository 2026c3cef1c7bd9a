-- install ---------------------------------------------------------------------
CREATE FUNCTION flowlens.schema_files(OUT "position" integer, OUT file_name text, OUT ddl text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'flowlens_schema_files' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.schema_files() IS
'The DDL files that install() runs, in order: the text of database/schema/*.sql of this version.';

CREATE FUNCTION flowlens.schema_objects(OUT kind text, OUT name text, OUT present boolean)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT m[1], m[2],
           CASE m[1] WHEN 'FUNCTION' THEN EXISTS (SELECT 1 FROM pg_proc p WHERE p.pronamespace = 'flowlens'::regnamespace AND p.proname = m[2])
                     ELSE to_regclass(format('flowlens.%I', m[2])) IS NOT NULL END
    FROM flowlens.schema_files() f,
         regexp_matches(f.ddl, '^CREATE (?:OR REPLACE )?(TABLE|VIEW|FUNCTION) (?:IF NOT EXISTS )?flowlens\.(\w+)\M(?! PARTITION OF)', 'gn')
             WITH ORDINALITY AS r (m, n)
    ORDER BY f."position", n
$$;
COMMENT ON FUNCTION flowlens.schema_objects() IS
'The tables, views and functions over them that install() creates (kind TABLE, VIEW or FUNCTION), in order, and whether each is there. Partitions are not listed.';

CREATE FUNCTION flowlens.extension_version()
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT extversion FROM pg_extension WHERE extname = 'flowlens_trender' $$;
COMMENT ON FUNCTION flowlens.extension_version() IS 'Version of the installed extension.';

CREATE FUNCTION flowlens.install()
RETURNS text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    wanted text := flowlens.extension_version();
    old_version text;
    strangers text;
    file record;
BEGIN
    PERFORM flowlens.hold_lock('install');    -- two installs at once: the second waits and finds it done
    IF to_regclass('flowlens.schema_version') IS NULL THEN
        SELECT string_agg(format('"%s"', o.name), ', ' ORDER BY o.name) INTO strangers
        FROM flowlens.schema_objects() o WHERE o.present;
        IF strangers IS NOT NULL THEN
            RAISE EXCEPTION 'relations that flowlens_trender did not create are in its way' USING
                ERRCODE = 'duplicate_table',
                DETAIL = format('Schema "flowlens" already holds %s.', strangers),
                HINT = 'Rename them or move them to another schema, then call flowlens.install() again.';
        END IF;
    ELSE
        PERFORM 1 FROM pg_class c WHERE c.oid = 'flowlens.schema_version'::regclass AND pg_has_role(c.relowner, 'USAGE');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'must be owner of the tables in schema "flowlens"' USING
                ERRCODE = 'insufficient_privilege',
                HINT = 'Call flowlens.install() as the role that called it first, or as a member of that role.';
        END IF;
        SELECT v.version INTO old_version FROM flowlens.schema_version v ORDER BY v.installed_at DESC, v.version DESC LIMIT 1;
        IF old_version = wanted AND NOT EXISTS (SELECT 1 FROM flowlens.schema_objects() o WHERE NOT o.present)
           -- DROP EXTENSION ... CASCADE takes the triggers along
           AND NOT EXISTS (SELECT 1 FROM pg_proc p WHERE p.pronamespace = 'flowlens'::regnamespace
                           AND p.proname IN ('mark_unprocessed', 'sync_work_queue')
                           AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgfoid = p.oid)) THEN
            RETURN 'up to date';
        END IF;
    END IF;

    FOR file IN SELECT * FROM flowlens.schema_files() LOOP
        -- the schema is there; creating it again would take rights on the database
        EXECUTE replace(file.ddl, 'CREATE SCHEMA IF NOT EXISTS flowlens;', '');
    END LOOP;
    -- what this version brings is open to those who had access before
    PERFORM flowlens.grant_access(l.role, l.access) FROM flowlens.access_list() l WHERE l.access <> 'admin';

    INSERT INTO flowlens.schema_version AS v (version, installed_at) VALUES (wanted, clock_timestamp())
    ON CONFLICT (version) DO UPDATE SET installed_at = excluded.installed_at;
    IF old_version IS NULL OR old_version = wanted THEN
        RETURN 'installed ' || wanted;
    END IF;
    RETURN format('migrated %s → %s', old_version, wanted);
END
$$;
COMMENT ON FUNCTION flowlens.install() IS
'Creates the tables, indexes and views in schema flowlens as ordinary objects of the calling role, or brings them to this version of the extension. Returns ''installed V'', ''migrated A → V'' or ''up to date''. Refuses relations of the same names that it did not create (duplicate_table).';
-- creates objects: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.install() FROM PUBLIC;

CREATE FUNCTION flowlens.check_installed()
RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF to_regclass('flowlens.schema_version') IS NULL THEN
        RAISE EXCEPTION 'the tables of flowlens_trender do not exist in this database' USING
            ERRCODE = 'undefined_table', HINT = 'Call flowlens.install() to create them.';
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.check_installed() IS 'Raises undefined_table, with the way out, where install() was not called yet.';

CREATE FUNCTION flowlens.uninstall(confirm text)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    relations text;
BEGIN
    IF confirm IS DISTINCT FROM 'drop all data' THEN
        RAISE EXCEPTION 'uninstall was not confirmed' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It drops all tables of flowlens_trender with their rows.',
            HINT = 'Call flowlens.uninstall(''drop all data'') to go on.';
    END IF;
    -- functions and views first and one at a time, tables together: only objects of other people stop it
    FOR relations IN SELECT CASE o.kind WHEN 'VIEW' THEN format('VIEW flowlens.%I', o.name) ELSE format('FUNCTION %s', p.oid::regprocedure) END
                     FROM flowlens.schema_objects() WITH ORDINALITY AS o (kind, name, present, n)
                     LEFT JOIN pg_proc p ON o.kind = 'FUNCTION' AND p.pronamespace = 'flowlens'::regnamespace AND p.proname = o.name
                     WHERE o.present AND o.kind <> 'TABLE' ORDER BY o.n DESC
    LOOP
        EXECUTE 'DROP ' || relations;
    END LOOP;
    SELECT string_agg(format('flowlens.%I', o.name), ', ') INTO relations
    FROM flowlens.schema_objects() o WHERE o.present AND o.kind = 'TABLE';
    IF relations IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || relations;
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.uninstall(text) IS
'Drops the tables and views that install() created, with all rows. "confirm" has to be ''drop all data''. Objects of others that depend on them stop it (dependent_objects_still_exist).';
-- destroys data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.uninstall(text) FROM PUBLIC;


-- scd2 ------------------------------------------------------------------------
-- Neither function has a search_path of its own: every name in the statements they generate is qualified, and the
-- views, functions and triggers of the user that these reach keep the caller's.

-- not strict: most arguments may be NULL
CREATE FUNCTION flowlens.scd2_merge(
    target regclass, source regclass, key_columns name[], tracked_columns name[] DEFAULT NULL,
    valid_at timestamptz DEFAULT now(), close_missing boolean DEFAULT false, valid_at_column name DEFAULT NULL,
    keep_on_null name[] DEFAULT NULL, observations regclass DEFAULT NULL,
    valid_from_column name DEFAULT 'valid_from', valid_to_column name DEFAULT 'valid_to',
    is_current_column name DEFAULT 'is_current', row_hash_column name DEFAULT 'row_hash',
    is_deleted_column name DEFAULT 'is_deleted',
    OUT inserted bigint, OUT versioned bigint, OUT closed bigint, OUT unchanged bigint)
AS 'MODULE_PATHNAME', 'flowlens_scd2_merge' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.scd2_merge(regclass, regclass, name[], name[], timestamptz, boolean, name, name[], regclass,
    name, name, name, name, name) IS
'Merges the rows of source, as observations made at valid_at, into target, a table with a history per key (SCD type 2).
A version covers [valid_from, valid_to); the open one has valid_to NULL and is_current true. A new version appears only
when a tracked column is distinct; other common columns are written in place. Counts observations: inserted, versioned,
closed (deleted), unchanged.';
-- writes to the target and locks it; the caller needs rights on the target too
REVOKE ALL ON FUNCTION flowlens.scd2_merge(regclass, regclass, name[], name[], timestamptz, boolean, name, name[],
    regclass, name, name, name, name, name) FROM PUBLIC;

-- not strict: most arguments may be NULL
CREATE FUNCTION flowlens.scd2_merge_query(
    target regclass, query text, key_columns name[], tracked_columns name[] DEFAULT NULL,
    valid_at timestamptz DEFAULT now(), close_missing boolean DEFAULT false, valid_at_column name DEFAULT NULL,
    keep_on_null name[] DEFAULT NULL, observations regclass DEFAULT NULL,
    valid_from_column name DEFAULT 'valid_from', valid_to_column name DEFAULT 'valid_to',
    is_current_column name DEFAULT 'is_current', row_hash_column name DEFAULT 'row_hash',
    is_deleted_column name DEFAULT 'is_deleted',
    OUT inserted bigint, OUT versioned bigint, OUT closed bigint, OUT unchanged bigint)
AS 'MODULE_PATHNAME', 'flowlens_scd2_merge_query' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.scd2_merge_query(regclass, text, name[], name[], timestamptz, boolean, name, name[], regclass,
    name, name, name, name, name) IS
'As scd2_merge(), with the rows of a SELECT as source. The query runs with the rights and the search_path of the caller;
never build it from text that comes from outside.';
-- runs any query and writes to the target; the caller needs rights on the target too
REVOKE ALL ON FUNCTION flowlens.scd2_merge_query(regclass, text, name[], name[], timestamptz, boolean, name, name[],
    regclass, name, name, name, name, name) FROM PUBLIC;

CREATE FUNCTION flowlens.scd2_versioning()
RETURNS trigger AS 'MODULE_PATHNAME', 'flowlens_scd2_versioning' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.scd2_versioning() IS
'Trigger AFTER INSERT, UPDATE, DELETE or TRUNCATE FOR EACH STATEMENT, with transition tables, that merges what the
statement did into a table with history. Arguments: that table, its key columns, optionally the tracked columns. One
transaction makes one version; its time is that of its first change.';
-- writes to the target named in the trigger
REVOKE ALL ON FUNCTION flowlens.scd2_versioning() FROM PUBLIC;

-- not strict: a NULL value adds nothing to the hash
CREATE FUNCTION flowlens.scd2_row_hash(columns name[], VARIADIC "values" "any")
RETURNS bigint AS 'MODULE_PATHNAME', 'flowlens_scd2_row_hash' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.scd2_row_hash(name[], "any") IS
'64-bit hash of values under their column names, as scd2_merge() stores it in row_hash: the sum of one hash per value,
so that the order of the columns does not matter and a NULL adds nothing. Equal values of a type have equal hashes only
if their bytes are equal; the merge compares the values when hashes differ.';

CREATE FUNCTION flowlens.scd2_range_view(target regclass, view_name text, valid_from_column name DEFAULT 'valid_from',
    valid_to_column name DEFAULT 'valid_to')
RETURNS regclass LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    names text[] := parse_ident(view_name);
    target_schema name;
    target_name name;
    column_list text;
BEGIN
    SELECT n.nspname, c.relname INTO target_schema, target_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    IF cardinality(names) = 1 THEN
        names := ARRAY[target_schema::text] || names;
    END IF;
    -- the range first: columns that the table gets later are added at the end when the view is created again
    SELECT string_agg(format(', t.%I', a.attname), '' ORDER BY a.attnum) INTO column_list
    FROM pg_attribute a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE format('CREATE OR REPLACE VIEW %I.%I WITH (security_invoker = true) AS '
                   'SELECT tstzrange(t.%I, t.%I, ''[)'') AS valid_during%s FROM %I.%I t',
                   names[1], names[2], valid_from_column, valid_to_column, column_list, target_schema, target_name);
    RETURN format('%I.%I', names[1], names[2])::regclass;
END
$$;
COMMENT ON FUNCTION flowlens.scd2_range_view(regclass, text, name, name) IS
'Creates a view over a table with history: its columns, after "valid_during", the period [valid_from, valid_to) as a
tstzrange. Without a schema the view stands beside the table. Run again after columns were added to the table.';
-- creates a view
REVOKE ALL ON FUNCTION flowlens.scd2_range_view(regclass, text, name, name) FROM PUBLIC;


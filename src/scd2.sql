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

-- not strict: a NULL value adds nothing to the hash
CREATE FUNCTION flowlens.scd2_row_hash(columns name[], VARIADIC "values" "any")
RETURNS bigint AS 'MODULE_PATHNAME', 'flowlens_scd2_row_hash' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.scd2_row_hash(name[], "any") IS
'64-bit hash of values under their column names, as scd2_merge() stores it in row_hash: the sum of one hash per value,
so that the order of the columns does not matter and a NULL adds nothing. Equal values of a type have equal hashes only
if their bytes are equal; the merge compares the values when hashes differ.';


-- snapshots -------------------------------------------------------------------
CREATE FUNCTION flowlens.load_snapshots(snapshot_date date DEFAULT NULL, OUT scored bigint, OUT stale bigint)
RETURNS record AS 'MODULE_PATHNAME', 'flowlens_load_snapshots' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp
SET enable_hashjoin = off    -- days are stored in the order of github_id: merging them beats hashing them
SET jit = off                -- compiling takes longer than it saves
SET default_statistics_target = 10;    -- a small sample is enough for the plans of the next day
COMMENT ON FUNCTION flowlens.load_snapshots(date) IS
'Scores, ranks and publishes a UTC day (NULL = today) in one transaction: "scored" repositories were observed that day, "stale" ones carried from the last published day (for as long as setting "stale_after"). Again with nothing new it writes nothing. Errors: datetime_field_overflow, undefined_object for a model that does not exist. Not strict: NULL means today.';
-- writes facts: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_snapshots(date) FROM PUBLIC;


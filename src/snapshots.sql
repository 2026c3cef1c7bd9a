-- snapshots -------------------------------------------------------------------
CREATE FUNCTION flowlens.load_snapshots(snapshot_date date DEFAULT NULL, OUT scored bigint, OUT stale bigint)
RETURNS record AS 'MODULE_PATHNAME', 'flowlens_load_snapshots' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp
SET enable_hashjoin = off    -- days are stored in the order of github_id: merging them beats hashing them
SET jit = off                -- compiling takes longer than it saves
SET default_statistics_target = 10;    -- a small sample is enough for the plans of the next day
COMMENT ON FUNCTION flowlens.load_snapshots(date) IS
'Scores, ranks and publishes a UTC day (NULL = today) in one transaction: "scored" repositories were observed that day, "stale" ones carried from the last published day (for as long as setting "stale_after"). Again with nothing new it writes nothing. Errors: datetime_field_overflow, invalid_parameter_value for a day that has not begun, undefined_object for a model that does not exist. Not strict: NULL means today.';
-- writes facts: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_snapshots(date) FROM PUBLIC;

CREATE FUNCTION flowlens.preview_snapshots(snapshot_date date DEFAULT NULL, size integer DEFAULT 100)
RETURNS TABLE (rank_overall integer, rank_in_language integer, github_id bigint, stars bigint, star_velocity double precision,
               momentum_score double precision, is_stale boolean)
AS 'MODULE_PATHNAME', 'flowlens_preview_snapshots' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp
SET enable_hashjoin = off    -- as in load_snapshots()
SET jit = off;
COMMENT ON FUNCTION flowlens.preview_snapshots(date, integer) IS
'The board of a UTC day (NULL = today) as load_snapshots() would rank it now, first "size" places in any order; writes nothing. Errors: invalid_parameter_value for a negative size, otherwise as load_snapshots(). Not strict: NULL means today.';
-- sorts a whole day: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.preview_snapshots(date, integer) FROM PUBLIC;


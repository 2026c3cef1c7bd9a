-- locks -----------------------------------------------------------------------
CREATE FUNCTION flowlens.hold_lock(lock_name text)
RETURNS void AS 'MODULE_PATHNAME', 'flowlens_hold_lock' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.hold_lock(text) IS
'Waits for one of our own locks (dimensions, install, pipeline, retention, snapshots, staging) and holds it until the transaction ends. They share no keys with pg_advisory_lock().';
-- holding a lock stops the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.hold_lock(text) FROM PUBLIC;


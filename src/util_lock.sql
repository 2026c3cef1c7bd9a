-- locks -----------------------------------------------------------------------
CREATE FUNCTION flowlens.hold_lock(lock_name text)
RETURNS void AS 'MODULE_PATHNAME', 'flowlens_hold_lock' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.hold_lock(text) IS
'Waits for one of our own locks (dimensions, install, pipeline, retention, snapshots, staging) and holds it until the transaction ends. They share no keys with pg_advisory_lock().';
-- holding a lock stops the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.hold_lock(text) FROM PUBLIC;


CREATE FUNCTION flowlens.try_procedure_lock(lock_name text)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_try_procedure_lock' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.try_procedure_lock(text) IS
'Takes one of our own locks for a procedure that commits on its way: it is held over commits, until release_procedure_lock(), an error, or the end of the session. Returns false when somebody has it.';
-- holding a lock stops the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.try_procedure_lock(text) FROM PUBLIC;

CREATE FUNCTION flowlens.release_procedure_lock(lock_name text)
RETURNS void AS 'MODULE_PATHNAME', 'flowlens_release_procedure_lock' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.release_procedure_lock(text) IS
'Gives back a lock of try_procedure_lock(); nothing happens when this session does not hold it.';
-- part of the procedures that hold locks: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.release_procedure_lock(text) FROM PUBLIC;

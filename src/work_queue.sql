-- work queue ------------------------------------------------------------------
CREATE FUNCTION flowlens.mark_unprocessed()
RETURNS trigger AS 'MODULE_PATHNAME', 'flowlens_mark_unprocessed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION flowlens.mark_unprocessed() IS
'Trigger BEFORE INSERT OR UPDATE of each row: sets "processed" to false on insert and on every update that changes another column. An update that sets it to true and changes nothing else but updated_at stands.';
-- a trigger on our tables only: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.mark_unprocessed() FROM PUBLIC;

CREATE FUNCTION flowlens.sync_work_queue()
RETURNS trigger AS 'MODULE_PATHNAME', 'flowlens_sync_work_queue' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.sync_work_queue() IS
'Trigger AFTER each statement (with transition tables): queues rows whose "processed" is false, removes those whose "processed" became true or that were deleted. Writes work_queue as the owner of the table.';
-- a trigger on our tables only: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.sync_work_queue() FROM PUBLIC;

CREATE FUNCTION flowlens.claim(queue regclass, batch integer DEFAULT 10, lease interval DEFAULT '1 minute',
    OUT id uuid, OUT version bigint, OUT attempts integer)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'flowlens_claim' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.claim(regclass, integer, interval) IS
'Leases up to "batch" rows of a queue, oldest first, for the time of "lease"; other workers pass over them. "attempts" counts this one. A row that was claimed flowlens.queue_max_attempts times without ack becomes a dead letter instead. Errors: wrong_object_type for a table that is no queue, invalid_parameter_value.';
-- changes the queue: the owner decides who works on it
REVOKE ALL ON FUNCTION flowlens.claim(regclass, integer, interval) FROM PUBLIC;

CREATE FUNCTION flowlens.ack(queue regclass, id uuid, version bigint)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_ack' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.ack(regclass, uuid, bigint) IS
'Takes a claimed row off the queue and sets its "processed" to true. Returns false when the version is older: the row changed meanwhile and can be claimed again at once, or the lease ended and another worker has it.';
-- changes the queue: the owner decides who works on it
REVOKE ALL ON FUNCTION flowlens.ack(regclass, uuid, bigint) FROM PUBLIC;

CREATE FUNCTION flowlens.ack_batch(queue regclass, ids uuid[], versions bigint[])
RETURNS SETOF uuid AS 'MODULE_PATHNAME', 'flowlens_ack_batch' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.ack_batch(regclass, uuid[], bigint[]) IS
'ack() for many rows in one statement; returns the ids that were acknowledged. Errors: invalid_parameter_value when the arrays differ in length.';
-- changes the queue: the owner decides who works on it
REVOKE ALL ON FUNCTION flowlens.ack_batch(regclass, uuid[], bigint[]) FROM PUBLIC;

-- not STRICT: "error" and "retry_in" may be NULL
CREATE FUNCTION flowlens.nack(queue regclass, id uuid, version bigint, error text, retry_in interval DEFAULT NULL)
RETURNS text AS 'MODULE_PATHNAME', 'flowlens_nack' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.nack(regclass, uuid, bigint, text, interval) IS
'Gives a claimed row back with an error. Returns ''retry'' (ready again after "retry_in", by default 5 seconds doubled by every attempt, at most an hour), ''dead'' after flowlens.queue_max_attempts attempts, ''changed'' when the row changed meanwhile (ready at once), ''stale'' when somebody else has it.';
-- changes the queue: the owner decides who works on it
REVOKE ALL ON FUNCTION flowlens.nack(regclass, uuid, bigint, text, interval) FROM PUBLIC;

-- not STRICT: without "id" it takes all dead letters
CREATE FUNCTION flowlens.requeue(queue regclass, id uuid DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE flowlens.work_queue q
    SET ready_at = clock_timestamp(), attempts = 0, version = DEFAULT, leased_until = NULL, leased_version = NULL
    WHERE q.queue = requeue.queue
      AND CASE WHEN requeue.id IS NULL THEN q.ready_at = 'infinity' ELSE q.id = requeue.id AND (q.leased_until IS NULL OR q.leased_until <= clock_timestamp()) END;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 OR requeue.id IS NULL OR EXISTS (SELECT FROM flowlens.work_queue q WHERE q.queue = requeue.queue AND q.id = requeue.id) THEN
        RETURN changed;
    END IF;
    IF requeue.queue = to_regclass('flowlens.raw_github_events') THEN
        INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at, group_key)
        SELECT requeue.queue, e.delivery_id, clock_timestamp(), e.received_at, e.github_id
        FROM flowlens.raw_github_events e WHERE e.delivery_id = requeue.id ORDER BY e.received_at DESC LIMIT 1;
    ELSIF (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = requeue.queue AND NOT a.attisdropped
           AND (a.attname, a.atttypid) IN (('id', 'uuid'::regtype), ('processed', 'boolean'::regtype))) < 2 THEN
        RAISE EXCEPTION '"%" is not a queue', requeue.queue USING ERRCODE = 'wrong_object_type';
    ELSE
        EXECUTE format('UPDATE %s SET processed = false WHERE id = $1 AND processed', requeue.queue) USING requeue.id;
    END IF;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION flowlens.requeue(regclass, uuid) IS
'Makes dead letters ready again with no attempts counted: all of the queue, or one row. With an id, a row in backoff is ready at once and a processed row is queued again; a leased row stays with its worker. Returns the number of rows.';
-- changes the queue: the owner decides who works on it
REVOKE ALL ON FUNCTION flowlens.requeue(regclass, uuid) FROM PUBLIC;

CREATE FUNCTION flowlens.queue_stats(OUT queue regclass, OUT pending bigint, OUT leased bigint, OUT dead bigint, OUT oldest_age interval)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT t.queue,
           count(*) FILTER (WHERE q.ready_at < 'infinity' AND (q.leased_until IS NULL OR q.leased_until <= clock_timestamp())),
           count(*) FILTER (WHERE q.leased_until > clock_timestamp()),
           count(*) FILTER (WHERE q.ready_at = 'infinity'),
           clock_timestamp() - min(q.enqueued_at) FILTER (WHERE q.ready_at < 'infinity')
    FROM (SELECT to_regclass('flowlens.' || n) FROM unnest(ARRAY['raw_github_events', 'pull_requests', 'pipeline_runs', 'insights']) n
          UNION SELECT DISTINCT w.queue FROM flowlens.work_queue w) AS t (queue)
    LEFT JOIN flowlens.work_queue q ON q.queue = t.queue
    WHERE t.queue IS NOT NULL
    GROUP BY t.queue
    ORDER BY t.queue::text
$$;
COMMENT ON FUNCTION flowlens.queue_stats() IS
'Rows per queue: pending (ready, in backoff or with a lease that ended), leased, dead, and how long the oldest that is not dead has waited (NULL when nothing waits).';


/*
 * webhook_process.c
 *		process_webhooks(): takes deliveries off the queue, a batch per call.
 *
 * Workers divide the work by repository: a batch holds a lock per repository
 * until its transaction ends, so that the events of one repository are applied
 * one after the other.  The work is done and the queue rows are removed in the
 * same transaction: whatever kills it, the events are still waiting.
 *
 * All events of a batch are applied by one set of statements.  Should these
 * fail, the batch is rolled back and each event tried alone, so that a bad one
 * harms nobody but itself.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/instrument.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "partitions.h"
#include "util_lock.h"
#include "util_spi.h"
#include "webhook.h"
#include "work_queue.h"
#include "work_queue_internal.h"

#define MAX_EVENTS 10000

/* Locks of one batch: the server's lock table is shared by everybody */
#define MAX_REPOSITORIES 256

/* What locking a row reads beside the index */
#define BLOCKS_PER_LOCK 3

/* Whether this batch may work on a repository */
typedef struct RepositoryLock
{
	uint32		key;			/* hash of the repository's id */
	bool		held;
} RepositoryLock;

static SpiStep claim_step = {
	.sql = "SELECT q.id, q.enqueued_at, q.group_key, q.attempts, q.ready_at FROM flowlens.work_queue q"
	" WHERE q.queue = 'flowlens.raw_github_events'::regclass AND q.ready_at <= $1 AND q.ready_at >= $3"
	" AND (q.leased_until IS NULL OR q.leased_until <= $1)"
	" ORDER BY q.ready_at LIMIT $2 FOR UPDATE SKIP LOCKED",
	.nargs = 3, .argtypes = {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID},
	.expected = SPI_OK_SELECT
};

/* The time of arrival leads to the partition; the id alone would have to look into all of them */
static SpiStep read_step = {
	.sql = "SELECT c.id, c.received_at, e.event, e.payload, e.body_error, c.attempts"
	" FROM unnest($1, $2, $3) WITH ORDINALITY AS c (id, received_at, attempts, n)"
	" LEFT JOIN flowlens.raw_github_events e ON e.delivery_id = c.id AND e.received_at = c.received_at ORDER BY c.n",
	.nargs = 3, .argtypes = {UUIDARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID},
	.expected = SPI_OK_SELECT
};

static SpiStep done_step = {
	.sql = "DELETE FROM flowlens.work_queue q WHERE q.queue = 'flowlens.raw_github_events'::regclass AND q.id = ANY ($1)",
	.nargs = 1, .argtypes = {UUIDARRAYOID},
	.expected = SPI_OK_DELETE
};

static SpiStep failed_step = {
	.sql = "UPDATE flowlens.work_queue q SET attempts = f.attempts, ready_at = f.ready_at, last_error = f.error, version = DEFAULT,"
	" leased_until = NULL, leased_version = NULL"
	" FROM unnest($1, $2, $3, $4) AS f (id, attempts, ready_at, error)"
	" WHERE q.queue = 'flowlens.raw_github_events'::regclass AND q.id = f.id",
	.nargs = 4, .argtypes = {UUIDARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID},
	.expected = SPI_OK_UPDATE
};

/* Creates the table of this batch's locks */
static HTAB *
create_locks(void)
{
	HASHCTL		control;

	control.keysize = sizeof(uint32);
	control.entrysize = sizeof(RepositoryLock);
	control.hcxt = CurrentMemoryContext;
	return hash_create("repositories of a batch", MAX_REPOSITORIES, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Tells whether this batch may work on a repository; the first event of one takes the lock */
static bool
lock_repository(HTAB *locks, int64 github_id)
{
	uint32		key = hash_bytes((unsigned char *) &github_id, sizeof(github_id));
	bool		found;
	RepositoryLock *lock = hash_search(locks, &key, HASH_ENTER, &found);

	if (!found)
		lock->held = hash_get_num_entries(locks) <= MAX_REPOSITORIES &&
			flowlens_try_lock(FLOWLENS_LOCK_EVENTS, key);
	return lock->held;
}

/* Locks the oldest rows that are ready and that nobody else has; leaves them in SPI_tuptable */
static uint64
lock_rows(int32 batch)
{
	QueueScan	scan;
	TimestampTz now = GetCurrentTimestamp();
	int64		before = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
	Datum		values[3];
	bool		isnull;

	work_queue_begin_scan(&scan, get_relname_relid("raw_github_events", get_namespace_oid("flowlens", false)), now);
	values[0] = TimestampTzGetDatum(now);
	values[1] = Int32GetDatum(batch);
	values[2] = TimestampTzGetDatum(scan.from);
	scan.rows = spi_step_run(&claim_step, values, NULL);
	if (scan.rows > 0)
		scan.first = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5, &isnull));
	scan.blocks = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read - before - BLOCKS_PER_LOCK * scan.rows;
	work_queue_end_scan(&scan);
	return scan.rows;
}

/* Tells whether a delivery of the queue was not found by the statement that read it */
static bool
misses_delivery(uint64 count)
{
	uint64		i;
	bool		isnull;

	for (i = 0; i < count; i++)
	{
		(void) SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3, &isnull);
		if (isnull)
			return true;
	}
	return false;
}

/*
 * Reads claimed deliveries into SPI_tuptable
 *
 * While rows move from the default partition into one of their own, a statement
 * may know the new partition and not yet see what was moved there.  The next
 * statement does.
 */
static uint64
read_deliveries(Datum *values)
{
	uint64		count = spi_step_run(&read_step, values, NULL);

	if (misses_delivery(count))
		count = spi_step_run(&read_step, values, NULL);
	return count;
}

/* Picks the claimed rows whose repositories are free, and reads their deliveries */
static uint64
claim_events(int32 batch)
{
	HTAB	   *locks = create_locks();
	ArrayBuildState *ids = NULL;
	ArrayBuildState *times = NULL;
	ArrayBuildState *attempts = NULL;
	Datum		values[3];
	uint64		count;
	uint64		i;

	count = lock_rows(batch);
	for (i = 0; i < count; i++)
	{
		Datum		row[5];
		bool		nulls[5];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, row, nulls);
		if (!nulls[2] && !lock_repository(locks, DatumGetInt64(row[2])))
			continue;
		ids = accumArrayResult(ids, row[0], false, UUIDOID, CurrentMemoryContext);
		times = accumArrayResult(times, row[1], false, TIMESTAMPTZOID, CurrentMemoryContext);
		attempts = accumArrayResult(attempts, row[3], false, INT4OID, CurrentMemoryContext);
	}
	hash_destroy(locks);
	if (ids == NULL)
		return 0;
	values[0] = makeArrayResult(ids, CurrentMemoryContext);
	values[1] = makeArrayResult(times, CurrentMemoryContext);
	values[2] = makeArrayResult(attempts, CurrentMemoryContext);
	return read_deliveries(values);
}

/* Describes the deliveries that claim_events() left in SPI_tuptable */
static WebhookEvent *
describe_events(uint64 count)
{
	WebhookEvent *events = palloc0(count * sizeof(WebhookEvent));
	uint64		i;

	for (i = 0; i < count; i++)
	{
		Datum		row[6];
		bool		nulls[6];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, row, nulls);
		events[i].delivery_id = *DatumGetUUIDP(row[0]);
		events[i].received_at = DatumGetTimestampTz(row[1]);
		if (nulls[2])
			events[i].error = "the delivery is no longer in raw_github_events";
		else
			events[i].event = TextDatumGetCString(row[2]);
		events[i].payload = nulls[3] ? (Datum) 0 : row[3];
		events[i].body_error = nulls[4] ? NULL : TextDatumGetCString(row[4]);
		events[i].attempts = DatumGetInt32(row[5]);
	}
	return events;
}

/* Turns events into rows; what cannot be read gets its error and no rows */
static EventRows *
read_events(WebhookEvent *events, uint64 count)
{
	EventRows  *rows = event_rows_create();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext per_event = AllocSetContextCreate(caller, "webhook event", ALLOCSET_DEFAULT_SIZES);
	uint64		i;

	for (i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (events[i].error != NULL)
			continue;
		MemoryContextSwitchTo(per_event);
		event_rows_add(rows, &events[i]);
		MemoryContextSwitchTo(caller);
		if (events[i].error != NULL)
			events[i].error = pstrdup(events[i].error);
		MemoryContextReset(per_event);
	}
	MemoryContextDelete(per_event);
	return rows;
}

/* Copies the current error; cancellation and a lack of resources are not an event's fault and go on */
static char *
take_error(MemoryContext caller)
{
	ErrorData  *error;
	char	   *message;
	int			category;

	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
	if (category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_INSUFFICIENT_RESOURCES ||
		category == ERRCODE_SYSTEM_ERROR)
		ReThrowError(error);
	FlushErrorState();
	message = pstrdup(error->message);
	FreeErrorData(error);
	return message;
}

/* Applies rows in a subtransaction; returns the error, or NULL */
static char *
try_apply(EventRows *rows)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		apply_event_rows(rows);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = take_error(caller);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Applies events together; when that fails, each alone
 *
 * A single one is tried again too: the default partition refuses a row whose
 * own partition was attached meanwhile, and only then.
 */
static void
apply_events(WebhookEvent *events, uint64 count, bool again)
{
	EventRows  *rows = read_events(events, count);
	char	   *error = try_apply(rows);
	uint64		i;

	event_rows_free(rows);
	if (error == NULL)
		return;
	if (again)
	{
		if (events[0].error == NULL)
			events[0].error = error;
		return;
	}
	for (i = 0; i < count; i++)
		apply_events(&events[i], 1, true);
}

/* Takes finished events off the queue */
static void
remove_finished(WebhookEvent *events, uint64 count)
{
	ArrayBuildState *ids = NULL;
	Datum		value;
	uint64		i;

	for (i = 0; i < count; i++)
	{
		if (events[i].error == NULL)
			ids = accumArrayResult(ids, UUIDPGetDatum(&events[i].delivery_id), false, UUIDOID, CurrentMemoryContext);
	}
	if (ids == NULL)
		return;
	value = makeArrayResult(ids, CurrentMemoryContext);
	(void) spi_step_run(&done_step, &value, NULL);
}

/* Gives failed events back to the queue: later, or as dead letters */
static void
return_failed(WebhookEvent *events, uint64 count)
{
	ArrayBuildState *columns[4] = {NULL, NULL, NULL, NULL};
	static const Oid types[4] = {UUIDOID, INT4OID, TIMESTAMPTZOID, TEXTOID};
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[4];
	uint64		i;
	int			j;

	for (i = 0; i < count; i++)
	{
		int			attempts = events[i].attempts + 1;
		bool		dead = attempts >= work_queue_max_attempts();

		if (events[i].error == NULL)
			continue;
		values[0] = UUIDPGetDatum(&events[i].delivery_id);
		values[1] = Int32GetDatum(attempts);
		values[2] = TimestampTzGetDatum(dead ? DT_NOEND : now + work_queue_backoff(attempts));
		values[3] = CStringGetTextDatum(events[i].error);
		for (j = 0; j < 4; j++)
			columns[j] = accumArrayResult(columns[j], values[j], false, types[j], CurrentMemoryContext);
	}
	if (columns[0] == NULL)
		return;
	for (j = 0; j < 4; j++)
		values[j] = makeArrayResult(columns[j], CurrentMemoryContext);
	(void) spi_step_run(&failed_step, values, NULL);
}

/* Counts events as processed, failed and ignored */
static void
count_events(WebhookEvent *events, uint64 count, Datum *counts)
{
	int64		processed = 0;
	int64		failed = 0;
	int64		ignored = 0;
	uint64		i;

	for (i = 0; i < count; i++)
	{
		if (events[i].error != NULL)
			failed++;
		else if (events[i].is_ignored)
			ignored++;
		else
			processed++;
	}
	counts[0] = Int64GetDatum(processed);
	counts[1] = Int64GetDatum(failed);
	counts[2] = Int64GetDatum(ignored);
}

PG_FUNCTION_INFO_V1(flowlens_process_webhooks);

/* SQL: processes a batch of waiting deliveries and returns (processed, failed, ignored) */
Datum
flowlens_process_webhooks(PG_FUNCTION_ARGS)
{
	int32		batch = PG_GETARG_INT32(0);
	TupleDesc	desc;
	Datum		counts[3];
	bool		nulls[3] = {false, false, false};
	HeapTuple	result;
	uint64		count;
	WebhookEvent *events;

	if (batch < 1 || batch > MAX_EVENTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"batch\" must be between 1 and %d", MAX_EVENTS)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);

	SPI_connect();
	count = claim_events(batch);
	events = describe_events(count);
	if (count > 0)
	{
		apply_events(events, count, false);
		remove_finished(events, count);
		return_failed(events, count);
	}
	count_events(events, count, counts);
	SPI_finish();

	result = heap_form_tuple(desc, counts, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(result));
}

/*
 * work_queue.c
 *		Claiming, acknowledging and retrying what waits in flowlens.work_queue.
 *
 * A claim is a lease: it moves the row's ready_at to the end of the lease, so
 * that work of a killed worker comes back without anybody cleaning up.  Every
 * claim and every change of the row behind it make a new version, drawn from
 * one sequence so that none comes twice, and ack() has to name it: a change during processing, or a second claim after the
 * lease ended, makes the earlier ack() return false.
 *
 * Lock order: the row of the queue's table first, its work_queue row second,
 * as its triggers do.  ack() therefore sets "processed" before it removes the
 * work_queue row, and takes it back in the rare case that the version moved.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/instrument.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "util_spi.h"
#include "work_queue.h"

#define DEFAULT_MAX_ATTEMPTS 5
#define MAX_BATCH 100000
#define BACKOFF_FIRST INT64CONST(5000000)		/* 5 s, doubled by every attempt */
#define BACKOFF_LONGEST INT64CONST(3600000000)	/* 1 h */

/* A scan from the oldest entry is dear when many dead ones lie in front */
#define DEAR_SCAN_BLOCKS 1000
#define BLOCKS_PER_ROW 20
#define DEAR_SCAN_SHARE 20

#define QUEUE_SLOTS 8

/* What this backend knows about a queue */
typedef struct QueueSlot
{
	Oid			queue;
	char	   *table;			/* qualified name that the plans were made for */
	SPIPlanPtr	mark;			/* sets "processed" of acknowledged rows */
	SPIPlanPtr	unmark;			/* takes it back */
	TimestampTz oldest;			/* ready_at of the first row found last time */
	TimestampTz scanned_at;		/* when the last full scan ended */
	double		scan_ms;		/* what it took */
	bool		is_dear;		/* it read many blocks beside those of its rows */
} QueueSlot;

static int	max_attempts = DEFAULT_MAX_ATTEMPTS;
static bool notify_enabled = false;
static bool acknowledging = false;
static QueueSlot queue_slots[QUEUE_SLOTS];

static SpiStep claim_step = {
	.sql = "WITH ready AS MATERIALIZED ("
	" SELECT q.ctid AS tid, q.ready_at FROM flowlens.work_queue q"
	" WHERE q.queue = $1 AND q.ready_at <= $2 AND q.ready_at >= $3"
	" ORDER BY q.ready_at LIMIT $4 FOR UPDATE SKIP LOCKED"
	"), leased AS ("
	" UPDATE flowlens.work_queue q SET version = DEFAULT,"
	"  attempts = q.attempts + (q.attempts < $6)::int,"
	"  leased = q.attempts < $6, leased_version = NULL,"
	"  ready_at = CASE WHEN q.attempts < $6 THEN $5 ELSE 'infinity'::timestamptz END,"
	"  last_error = CASE WHEN q.attempts < $6 THEN q.last_error"
	"   ELSE coalesce(q.last_error, 'the lease ended without an answer') END"
	" WHERE q.ctid = ANY (ARRAY(SELECT tid FROM ready))"
	" RETURNING q.id, q.version, q.attempts, q.ready_at, q.enqueued_at"
	") SELECT l.id, l.version, l.attempts, l.ready_at = 'infinity'::timestamptz, (SELECT min(r.ready_at) FROM ready r)"
	" FROM leased l ORDER BY l.enqueued_at, l.id",
	.nargs = 6, .argtypes = {REGCLASSOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, INT4OID},
	.expected = SPI_OK_SELECT
};

static SpiStep remove_step = {
	.sql = "DELETE FROM flowlens.work_queue q USING unnest($2, $3) AS a (id, version)"
	" WHERE q.queue = $1 AND q.id = a.id AND q.version = a.version RETURNING q.id",
	.nargs = 3, .argtypes = {REGCLASSOID, UUIDARRAYOID, INT8ARRAYOID},
	.expected = SPI_OK_DELETE_RETURNING
};

/* The row changed while it was leased: its new version can be claimed at once */
static SpiStep release_step = {
	.sql = "UPDATE flowlens.work_queue q SET ready_at = least(q.ready_at, $4), leased = false, leased_version = NULL, attempts = 0"
	" FROM unnest($2, $3) AS a (id, version)"
	" WHERE q.queue = $1 AND q.id = a.id AND q.leased AND q.leased_version = a.version",
	.nargs = 4, .argtypes = {REGCLASSOID, UUIDARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID},
	.expected = SPI_OK_UPDATE
};

static SpiStep retry_step = {
	.sql = "UPDATE flowlens.work_queue q SET leased = false, leased_version = NULL, last_error = $4,"
	" ready_at = CASE WHEN q.attempts >= $6 THEN 'infinity'::timestamptz"
	"  ELSE $5 + coalesce($7, least(interval '1 hour', interval '5 seconds' * power(2, least(greatest(q.attempts, 1) - 1, 20)))) END"
	" WHERE q.queue = $1 AND q.id = $2 AND q.version = $3"
	" RETURNING CASE WHEN q.ready_at = 'infinity'::timestamptz THEN 'dead' ELSE 'retry' END",
	.nargs = 7, .argtypes = {REGCLASSOID, UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT4OID, INTERVALOID},
	.expected = SPI_OK_UPDATE_RETURNING
};

/* Rejects a relation that is no queue; returns whether it has the column "processed" */
static bool
check_queue(Oid queue)
{
	char	   *name = get_rel_name(queue);
	bool		has_flag;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", queue)));
	has_flag = get_attnum(queue, "processed") != InvalidAttrNumber &&
		get_attnum(queue, "id") != InvalidAttrNumber;
	if (!has_flag && get_attnum(queue, "delivery_id") == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a queue", name),
				 errdetail("A queue is a table with the columns \"id\" and \"processed\", or raw_github_events.")));
	return has_flag;
}

/* Rejects a batch that is not between 1 and MAX_BATCH */
static void
check_batch(int32 batch)
{
	if (batch < 1 || batch > MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"batch\" must be between 1 and %d", MAX_BATCH)));
}

/* Returns the end of a lease that starts now */
static TimestampTz
lease_end(TimestampTz now, Datum lease)
{
	TimestampTz until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
																TimestampTzGetDatum(now), lease));

	if (until <= now || TIMESTAMP_NOT_FINITE(until))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"lease\" must be longer than nothing")));
	return until;
}

/* Finds what this backend remembers about a queue; the least recent makes room */
static QueueSlot *
queue_slot(Oid queue)
{
	static int	next = 0;
	QueueSlot  *slot;
	int			i;

	for (i = 0; i < QUEUE_SLOTS; i++)
	{
		if (queue_slots[i].queue == queue)
			return &queue_slots[i];
	}
	slot = &queue_slots[next];
	next = (next + 1) % QUEUE_SLOTS;
	if (slot->mark != NULL)
		SPI_freeplan(slot->mark);
	if (slot->unmark != NULL)
		SPI_freeplan(slot->unmark);
	if (slot->table != NULL)
		pfree(slot->table);
	memset(slot, 0, sizeof(QueueSlot));
	slot->queue = queue;
	slot->oldest = DT_NOBEGIN;
	return slot;
}

/* Prepares a statement for the backend's life */
static SPIPlanPtr
prepare_kept(const char *sql, int nargs, Oid *argtypes)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, argtypes);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare statement: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* Makes sure that a slot's plans are for the table's present name */
static void
prepare_flag_plans(QueueSlot *slot)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(slot->queue)),
												   get_rel_name(slot->queue));
	Oid			argtypes[] = {REGCLASSOID, UUIDARRAYOID, INT8ARRAYOID};

	if (slot->table != NULL && strcmp(slot->table, table) == 0)
		return;
	if (slot->mark != NULL)
		SPI_freeplan(slot->mark);
	if (slot->unmark != NULL)
		SPI_freeplan(slot->unmark);
	if (slot->table != NULL)
		pfree(slot->table);
	memset(&slot->table, 0, offsetof(QueueSlot, oldest) - offsetof(QueueSlot, table));
	slot->mark = prepare_kept(psprintf("UPDATE %s t SET processed = true"
									   " FROM unnest($2, $3) AS a (id, version)"
									   " JOIN flowlens.work_queue q ON q.queue = $1 AND q.id = a.id AND q.version = a.version"
									   " WHERE t.id = a.id AND t.processed IS DISTINCT FROM true", table), 3, argtypes);
	slot->unmark = prepare_kept(psprintf("UPDATE %s t SET processed = false"
										 " WHERE t.id = ANY ($2) AND t.processed"
										 " AND EXISTS (SELECT FROM flowlens.work_queue q WHERE q.queue = $1 AND q.id = t.id)",
										 table), 2, argtypes);
	slot->table = MemoryContextStrdup(TopMemoryContext, table);
}

/* Runs an UPDATE of the flag that its triggers leave alone; returns the number of rows */
static uint64
run_flag_plan(SPIPlanPtr plan, Datum *values)
{
	int			result = 0;

	acknowledging = true;
	PG_TRY();
	{
		result = SPI_execute_plan(plan, values, NULL, false, 0);
	}
	PG_FINALLY();
	{
		acknowledging = false;
	}
	PG_END_TRY();
	if (result != SPI_OK_UPDATE)
		elog(ERROR, "update of \"processed\" returned %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* Tells whether a scan from the oldest entry is due */
static bool
full_scan_due(QueueSlot *slot, TimestampTz now)
{
	if (slot->oldest == DT_NOBEGIN || !slot->is_dear)
		return true;
	return now - slot->scanned_at >= (TimestampTz) (slot->scan_ms * 1000.0 * DEAR_SCAN_SHARE);
}

/*
 * Claims rows, with their result left in SPI_tuptable.
 *
 * While somebody holds an old snapshot, removed entries stay in the index and
 * a scan from its start reads them all.  When that gets dear the claim starts
 * where the last one found its first row, and from the very start only as often
 * as costs a twentieth of the time: older rows are then found a little later.
 */
static uint64
claim_rows(QueueSlot *slot, int32 batch, TimestampTz now, TimestampTz until)
{
	bool		full = full_scan_due(slot, now);
	instr_time	start;
	instr_time	end;
	int64		blocks = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
	Datum		values[6];
	uint64		count;

	values[0] = ObjectIdGetDatum(slot->queue);
	values[1] = TimestampTzGetDatum(now);
	values[2] = TimestampTzGetDatum(full ? DT_NOBEGIN : slot->oldest);
	values[3] = Int32GetDatum(batch);
	values[4] = TimestampTzGetDatum(until);
	values[5] = Int32GetDatum(max_attempts);

	INSTR_TIME_SET_CURRENT(start);
	count = spi_step_run(&claim_step, values, NULL);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	if (full)
	{
		/* a batch pays for its own rows; what is dear is what lies in front */
		slot->scan_ms = Max(0.0, INSTR_TIME_GET_MILLISEC(end) - 0.03 * count);
		slot->scanned_at = GetCurrentTimestamp();
		/* blocks and not time, so that a busy machine does not pass for a long scan */
		blocks = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read - blocks;
		slot->is_dear = blocks > DEAR_SCAN_BLOCKS + (int64) (BLOCKS_PER_ROW * count);
	}
	return count;
}

PG_FUNCTION_INFO_V1(flowlens_claim);

/* SQL: leases the oldest ready rows of a queue and returns (id, version, attempts) */
Datum
flowlens_claim(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			queue = PG_GETARG_OID(0);
	int32		batch = PG_GETARG_INT32(1);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = lease_end(now, PG_GETARG_DATUM(2));
	QueueSlot  *slot;
	uint64		count;
	uint64		i;

	(void) check_queue(queue);
	check_batch(batch);
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	slot = queue_slot(queue);
	count = claim_rows(slot, batch, now, until);
	for (i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		row[5];
		bool		nulls[5];

		heap_deform_tuple(tuple, desc, row, nulls);
		if (!nulls[4])
			slot->oldest = DatumGetTimestampTz(row[4]);
		if (!DatumGetBool(row[3]))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/* Acknowledges rows; leaves the ids that were acknowledged in SPI_tuptable and returns their number */
static uint64
acknowledge(Oid queue, Datum ids, Datum versions)
{
	bool		has_flag = check_queue(queue);
	QueueSlot  *slot = queue_slot(queue);
	Datum		values[4];
	uint64		marked = 0;
	uint64		removed;
	SPITupleTable *result;

	values[0] = ObjectIdGetDatum(queue);
	values[1] = ids;
	values[2] = versions;
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (has_flag)
	{
		prepare_flag_plans(slot);
		marked = run_flag_plan(slot->mark, values);
	}
	removed = spi_step_run(&remove_step, values, NULL);
	result = SPI_tuptable;
	if (marked > removed)
		(void) run_flag_plan(slot->unmark, values);
	if (removed < (uint64) ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(ids)), ARR_DIMS(DatumGetArrayTypeP(ids))))
		(void) spi_step_run(&release_step, values, NULL);
	SPI_tuptable = result;
	return removed;
}

PG_FUNCTION_INFO_V1(flowlens_ack);

/* SQL: acknowledges one row; false when it changed meanwhile or somebody else has it */
Datum
flowlens_ack(PG_FUNCTION_ARGS)
{
	Datum		id = PG_GETARG_DATUM(1);
	Datum		version = PG_GETARG_DATUM(2);
	ArrayType  *ids = construct_array(&id, 1, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
	ArrayType  *versions = construct_array(&version, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	uint64		removed;

	SPI_connect();
	removed = acknowledge(PG_GETARG_OID(0), PointerGetDatum(ids), PointerGetDatum(versions));
	SPI_finish();
	PG_RETURN_BOOL(removed == 1);
}

PG_FUNCTION_INFO_V1(flowlens_ack_batch);

/* SQL: acknowledges many rows at once and returns the ids that were */
Datum
flowlens_ack_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType  *ids = PG_GETARG_ARRAYTYPE_P(1);
	ArrayType  *versions = PG_GETARG_ARRAYTYPE_P(2);
	uint64		removed;
	uint64		i;

	if (ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids)) != ArrayGetNItems(ARR_NDIM(versions), ARR_DIMS(versions)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"ids\" and \"versions\" must have the same length")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	SPI_connect();
	removed = acknowledge(PG_GETARG_OID(0), PointerGetDatum(ids), PointerGetDatum(versions));
	for (i = 0; i < removed; i++)
	{
		bool		isnull;
		Datum		id = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &id, &isnull);
	}
	SPI_finish();
	return (Datum) 0;
}

/* Hands a row whose lease is over, or whose content changed, back to the queue */
static char *
retry_row(FunctionCallInfo fcinfo)
{
	Datum		id = PG_GETARG_DATUM(1);
	Datum		version = PG_GETARG_DATUM(2);
	Datum		values[7];
	char		nulls[8] = "       ";

	values[0] = PG_GETARG_DATUM(0);
	values[1] = id;
	values[2] = version;
	values[3] = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[5] = Int32GetDatum(max_attempts);
	values[6] = PG_ARGISNULL(4) ? (Datum) 0 : PG_GETARG_DATUM(4);
	if (PG_ARGISNULL(3))
		nulls[3] = 'n';
	if (PG_ARGISNULL(4))
		nulls[6] = 'n';
	if (spi_step_run(&retry_step, values, nulls) == 1)
		return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

	values[1] = PointerGetDatum(construct_array(&id, 1, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[2] = PointerGetDatum(construct_array(&version, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[3] = values[4];
	return spi_step_run(&release_step, values, NULL) == 1 ? "changed" : "stale";
}

PG_FUNCTION_INFO_V1(flowlens_nack);

/* SQL: gives a claimed row back with an error: 'retry', 'dead', 'changed' or 'stale' */
Datum
flowlens_nack(PG_FUNCTION_ARGS)
{
	text	   *outcome;
	MemoryContext caller = CurrentMemoryContext;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	(void) check_queue(PG_GETARG_OID(0));
	if (!PG_ARGISNULL(4))
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
																	TimestampTzGetDatum(now), PG_GETARG_DATUM(4)));

		if (until < now)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"retry_in\" must not be negative")));
	}
	SPI_connect();
	{
		char	   *word = retry_row(fcinfo);
		MemoryContext spi = MemoryContextSwitchTo(caller);

		outcome = cstring_to_text(word);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	PG_RETURN_TEXT_P(outcome);
}

/* Returns how long to wait after that many failed attempts, in microseconds */
int64
work_queue_backoff(int attempts)
{
	int			doublings = Min(Max(attempts, 1) - 1, 20);

	return Min(BACKOFF_FIRST << doublings, BACKOFF_LONGEST);
}

/* Returns after how many attempts a row is a dead letter */
int
work_queue_max_attempts(void)
{
	return max_attempts;
}

/* Tells the triggers that an UPDATE of "processed" comes from ack() */
bool
work_queue_is_acknowledging(void)
{
	return acknowledging;
}

/* Announces new work on channel flowlens_work_queue, if that is switched on */
void
work_queue_notify(Oid queue)
{
	if (notify_enabled)
		Async_Notify("flowlens_work_queue", get_rel_name(queue));
}

/* Defines the settings of the queue */
void
work_queue_init(void)
{
	DefineCustomIntVariable("flowlens.queue_max_attempts",
							"Attempts after which a row of the work queue is a dead letter.",
							NULL,
							&max_attempts,
							DEFAULT_MAX_ATTEMPTS,
							1,
							1000,
							PGC_USERSET,
							0,
							NULL,	/* check_hook */
							NULL,	/* assign_hook */
							NULL);	/* show_hook */
	DefineCustomBoolVariable("flowlens.queue_notify",
							 "Sends NOTIFY flowlens_work_queue when rows are queued.",
							 "The payload is the table's name; one per statement.",
							 &notify_enabled,
							 false,
							 PGC_USERSET,
							 0,
							 NULL,	/* check_hook */
							 NULL,	/* assign_hook */
							 NULL); /* show_hook */
}

/*
 * work_queue.c
 *		Claiming and giving back what waits in flowlens.work_queue.
 *
 * A claim is a lease: it writes the lease's end into leased_until, so that work
 * of a killed worker comes back without anybody cleaning up.  That column is in
 * no index, and pages are kept half empty, so that the new row version stays
 * on its page and needs no index entries; the row keeps its place in the order
 * (queue, ready_at), and other claims pass over it.
 *
 * Every claim and every change of the row behind it make a new version, drawn
 * from one sequence so that none comes twice for a row, and ack() has to name
 * it: a change during processing, or a second claim after the lease ended,
 * makes the earlier ack() return false.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "util_spi.h"
#include "work_queue.h"
#include "work_queue_internal.h"

#define DEFAULT_MAX_ATTEMPTS 5
#define MAX_BATCH 100000
#define BACKOFF_FIRST INT64CONST(5000000)		/* 5 s, doubled by every attempt */
#define BACKOFF_LONGEST INT64CONST(3600000000)	/* 1 h */

/* One call of claim() */
typedef struct Claim
{
	Oid			queue;
	int32		batch;
	TimestampTz now;
	TimestampTz until;			/* end of the lease */
	int64		version;		/* one for all its rows; 0: none drawn yet */
	QueueScan	scan;
} Claim;

static int	max_attempts = DEFAULT_MAX_ATTEMPTS;
static bool notify_enabled = false;
/* The row changed while it was leased: its new version can be claimed at once */
static SpiStep release_step = {
	.sql = "UPDATE flowlens.work_queue q SET ready_at = least(q.ready_at, $4), leased_until = NULL, leased_version = NULL, attempts = 0"
	" FROM unnest($2, $3) AS a (id, version)"
	" WHERE q.queue = $1 AND q.id = a.id AND q.leased_version = a.version",
	.nargs = 4, .argtypes = {REGCLASSOID, UUIDARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID},
	.expected = SPI_OK_UPDATE
};

static SpiStep retry_step = {
	.sql = "UPDATE flowlens.work_queue q SET leased_until = NULL, leased_version = NULL, last_error = $4,"
	" ready_at = CASE WHEN q.attempts >= $6 THEN 'infinity'::timestamptz"
	"  ELSE $5 + coalesce($7, least(interval '1 hour', interval '5 seconds' * power(2, least(greatest(q.attempts, 1) - 1, 20)))) END"
	" WHERE q.queue = $1 AND q.id = $2 AND q.version = $3"
	" RETURNING CASE WHEN q.ready_at = 'infinity'::timestamptz THEN 'dead' ELSE 'retry' END",
	.nargs = 7, .argtypes = {REGCLASSOID, UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT4OID, INTERVALOID},
	.expected = SPI_OK_UPDATE_RETURNING
};

/* Rejects a relation that is no queue; returns whether it has the column "processed" */
bool
work_queue_check(Oid queue)
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

/* Writes the lease of the row that was found, or buries it when it was claimed too often */
static TM_Result
lease_row(RowWriter *writer, QueueColumns *columns, int64 version, TimestampTz until, int32 attempts)
{
	bool		dead = attempts > max_attempts;
	Datum	   *values = writer->changed->tts_values;
	bool	   *nulls = writer->changed->tts_isnull;

	row_writer_copy(writer);
	values[columns->version - 1] = Int64GetDatum(version);
	nulls[columns->leased_version - 1] = true;
	values[columns->leased_until - 1] = TimestampTzGetDatum(until);
	nulls[columns->leased_until - 1] = dead;
	if (!dead)
		values[columns->attempts - 1] = Int32GetDatum(attempts);
	else
		values[columns->ready_at - 1] = TimestampTzGetDatum(DT_NOEND);
	if (dead && nulls[columns->last_error - 1])
	{
		values[columns->last_error - 1] = CStringGetTextDatum("the lease ended without an answer");
		nulls[columns->last_error - 1] = false;
	}
	return row_writer_update(writer, false);
}

/* Tells whether somebody has a lease on the row that was found */
static bool
is_leased(RowWriter *writer, QueueColumns *columns, TimestampTz now)
{
	bool		isnull;
	Datum		until = slot_getattr(writer->row, columns->leased_until, &isnull);

	return !isnull && DatumGetTimestampTz(until) > now;
}

/* Leases the row that was found and returns it; false when another session was faster, or the row is dead now */
static bool
claim_row(RowWriter *writer, QueueColumns *columns, Claim *claim, ReturnSetInfo *rsinfo)
{
	Datum		row[3];
	bool		nulls[3] = {false, false, false};
	int32		attempts = DatumGetInt32(slot_getattr(writer->row, columns->attempts, &nulls[2])) + 1;

	if (claim->version == 0)
		claim->version = work_queue_next_version(writer, columns);
	if (lease_row(writer, columns, claim->version, claim->until, attempts) != TM_Ok || attempts > max_attempts)
		return false;
	row[0] = slot_getattr(writer->row, columns->id, &nulls[0]);
	row[1] = Int64GetDatum(claim->version);
	row[2] = Int32GetDatum(attempts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, nulls);
	work_queue_remember(claim->queue, DatumGetUUIDP(row[0]), &writer->changed->tts_tid);
	return true;
}

/* Leases rows, oldest first, passing over those that others have leased */
static void
claim_rows(RowWriter *writer, QueueColumns *columns, Claim *claim, ReturnSetInfo *rsinfo)
{
	QueueScan  *scan = &claim->scan;
	ScanKeyData keys[3];
	bool		isnull;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(claim->queue));
	ScanKeyInit(&keys[1], 2, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(claim->now));
	ScanKeyInit(&keys[2], 2, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(scan->from));
	row_writer_find(writer, keys, 3);
	while (scan->rows < claim->batch && row_writer_next(writer, &scan->blocks))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_leased(writer, columns, claim->now))
			scan->passed++;
		else if (claim_row(writer, columns, claim, rsinfo))
		{
			if (scan->rows++ == 0)
				scan->first = DatumGetTimestampTz(slot_getattr(writer->row, columns->ready_at, &isnull));
		}
	}
}

PG_FUNCTION_INFO_V1(flowlens_claim);

/* SQL: leases the oldest ready rows of a queue and returns (id, version, attempts) */
Datum
flowlens_claim(PG_FUNCTION_ARGS)
{
	Claim		claim = {0};
	QueueColumns columns;
	RowWriter  *writer;

	claim.queue = PG_GETARG_OID(0);
	claim.batch = PG_GETARG_INT32(1);
	claim.now = GetCurrentTimestamp();
	claim.until = lease_end(claim.now, PG_GETARG_DATUM(2));
	(void) work_queue_check(claim.queue);
	check_batch(claim.batch);
	InitMaterializedSRF(fcinfo, 0);
	writer = work_queue_open(QUEUE_BY_TIME, ACL_SELECT | ACL_UPDATE, &columns);
	work_queue_begin_scan(&claim.scan, claim.queue, claim.now);
	claim_rows(writer, &columns, &claim, (ReturnSetInfo *) fcinfo->resultinfo);
	work_queue_end_scan(&claim.scan);
	work_queue_close(writer);
	return (Datum) 0;
}

/* Lets rows that changed while they were leased be claimed at once */
void
work_queue_release(Oid queue, Datum ids, Datum versions)
{
	Datum		values[4];

	values[0] = ObjectIdGetDatum(queue);
	values[1] = ids;
	values[2] = versions;
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	(void) spi_step_run(&release_step, values, NULL);
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
	(void) work_queue_check(PG_GETARG_OID(0));
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

/*
 * work_queue_trigger.c
 *		Triggers that keep "processed" and flowlens.work_queue true to each other.
 *
 * mark_unprocessed() sets the flag before a row is written; sync_work_queue()
 * brings the queue in line after a statement, with one INSERT and one DELETE
 * for all its rows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "util_spi.h"
#include "work_queue.h"

/* Where the columns of a queue's table are */
typedef struct FlagColumns
{
	int			id;
	int			processed;
	int			updated_at;		/* 0: the table has none */
} FlagColumns;

/* What a statement means for the queue */
typedef struct QueueChanges
{
	ArrayBuildState *queued;	/* ids that wait from now on, or changed again */
	ArrayBuildState *done;		/* ids that wait no longer */
} QueueChanges;

static SpiStep enqueue_step = {
	.sql = "INSERT INTO flowlens.work_queue AS q (queue, id, ready_at, enqueued_at)"
	" SELECT $1, u.id, $3, $3 FROM unnest($2) AS u (id) ORDER BY u.id"
	" ON CONFLICT (queue, id) DO UPDATE SET version = excluded.version, last_error = NULL,"
	"  attempts = CASE WHEN q.leased_until > $3 THEN q.attempts ELSE 0 END,"
	"  leased_until = CASE WHEN q.leased_until > $3 THEN q.leased_until END,"
	"  leased_version = CASE WHEN q.leased_until > $3 THEN coalesce(q.leased_version, q.version) END,"
	"  ready_at = least(q.ready_at, $3)",
	.nargs = 3, .argtypes = {REGCLASSOID, UUIDARRAYOID, TIMESTAMPTZOID},
	.expected = SPI_OK_INSERT
};

static SpiStep done_step = {
	.sql = "DELETE FROM flowlens.work_queue q WHERE q.queue = $1 AND q.id = ANY ($2)",
	.nargs = 2, .argtypes = {REGCLASSOID, UUIDARRAYOID},
	.expected = SPI_OK_DELETE
};

static SpiStep clear_step = {
	.sql = "DELETE FROM flowlens.work_queue q WHERE q.queue = $1",
	.nargs = 1, .argtypes = {REGCLASSOID},
	.expected = SPI_OK_DELETE
};

/* Tells whether a function is one of the two trigger functions */
bool
work_queue_owns_trigger(Oid function)
{
	char	   *name = get_func_name(function);

	return name != NULL && (strcmp(name, "mark_unprocessed") == 0 || strcmp(name, "sync_work_queue") == 0) &&
		get_func_namespace(function) == get_namespace_oid("flowlens", true);
}

/* Rejects a call that does not come from a trigger of the right kind */
static TriggerData *
check_trigger(FunctionCallInfo fcinfo, const char *name, bool for_row)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || (TRIGGER_FIRED_FOR_ROW(trigger->tg_event) != 0) != for_row ||
		(TRIGGER_FIRED_BEFORE(trigger->tg_event) != 0) != for_row)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("\"%s\" must be called by a trigger %s", name,
						for_row ? "before each row" : "after each statement")));
	return trigger;
}

/* Finds the columns by name */
static FlagColumns
flag_columns(Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	FlagColumns columns = {0, 0, 0};
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char *name = NameStr(attribute->attname);

		if (attribute->attisdropped)
			continue;
		if (attribute->atttypid == UUIDOID && strcmp(name, "id") == 0)
			columns.id = i + 1;
		else if (attribute->atttypid == BOOLOID && strcmp(name, "processed") == 0)
			columns.processed = i + 1;
		else if (strcmp(name, "updated_at") == 0)
			columns.updated_at = i + 1;
	}
	if (columns.id == 0 || columns.processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" cannot be a queue", RelationGetRelationName(relation)),
				 errdetail("It needs the columns \"id\" of type uuid and \"processed\" of type boolean.")));
	return columns;
}

/* Tells whether a column differs, byte by byte after detoasting */
static bool
column_differs(Form_pg_attribute attribute, Datum old_value, bool old_null, Datum new_value, bool new_null)
{
	if (old_null != new_null)
		return true;
	return !old_null && !datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen);
}

/* Compares two rows without "processed"; *touched says whether updated_at differs */
static bool
rows_differ(TupleDesc desc, FlagColumns columns, Datum *old_values, bool *old_nulls,
			Datum *new_values, bool *new_nulls, bool *touched)
{
	bool		differ = false;
	int			i;

	*touched = false;
	for (i = 0; i < desc->natts && !differ; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || attribute->attgenerated != '\0' || i + 1 == columns.processed)
			continue;
		if (!column_differs(attribute, old_values[i], old_nulls[i], new_values[i], new_nulls[i]))
			continue;
		if (i + 1 == columns.updated_at)
			*touched = true;
		else
			differ = true;
	}
	return differ;
}

/* Returns the tuple with "processed" set to false */
static HeapTuple
with_unprocessed(HeapTuple tuple, TupleDesc desc, FlagColumns columns)
{
	Datum		value = BoolGetDatum(false);
	bool		isnull = false;

	return heap_modify_tuple_by_cols(tuple, desc, 1, &columns.processed, &value, &isnull);
}

/*
 * Tells whether an update leaves work to do.  A consumer that finishes a row and
 * stamps updated_at in the same statement has finished it all the same.
 */
static bool
update_is_work(TriggerData *trigger, FlagColumns columns, bool finishes)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Datum	   *old_values = palloc(desc->natts * sizeof(Datum));
	Datum	   *new_values = palloc(desc->natts * sizeof(Datum));
	bool	   *old_nulls = palloc(desc->natts * sizeof(bool));
	bool	   *new_nulls = palloc(desc->natts * sizeof(bool));
	bool		touched;
	bool		differ;

	heap_deform_tuple(trigger->tg_trigtuple, desc, old_values, old_nulls);
	heap_deform_tuple(trigger->tg_newtuple, desc, new_values, new_nulls);
	differ = rows_differ(desc, columns, old_values, old_nulls, new_values, new_nulls, &touched);
	if (touched && !finishes)
		differ = true;
	return differ;
}

/* Reads "processed"; NULL counts as false */
static bool
is_processed(HeapTuple tuple, TupleDesc desc, FlagColumns columns)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, columns.processed, desc, &isnull);

	return !isnull && DatumGetBool(value);
}

PG_FUNCTION_INFO_V1(flowlens_mark_unprocessed);

/* Trigger before each row: a new or changed row is not processed */
Datum
flowlens_mark_unprocessed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "mark_unprocessed", true);
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	HeapTuple	tuple = update ? trigger->tg_newtuple : trigger->tg_trigtuple;
	FlagColumns columns;
	bool		isnull;

	if (update && work_queue_is_acknowledging(RelationGetRelid(trigger->tg_relation)))
		return PointerGetDatum(tuple);
	columns = flag_columns(trigger->tg_relation);
	(void) heap_getattr(tuple, columns.processed, desc, &isnull);
	if (isnull)
		return PointerGetDatum(with_unprocessed(tuple, desc, columns));
	if (!is_processed(tuple, desc, columns))
		return PointerGetDatum(tuple);
	if (!update || update_is_work(trigger, columns, !is_processed(trigger->tg_trigtuple, desc, columns)))
		tuple = with_unprocessed(tuple, desc, columns);
	return PointerGetDatum(tuple);
}

/* Starts reading a transition table from its first row */
static TupleTableSlot *
open_transition_table(Tuplestorestate *rows, TupleDesc desc)
{
	int			pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

/* Adds a row's id to a list */
static ArrayBuildState *
add_id(ArrayBuildState *ids, TupleTableSlot *slot, FlagColumns columns)
{
	bool		isnull;
	Datum		id = slot_getattr(slot, columns.id, &isnull);

	return accumArrayResult(ids, id, isnull, UUIDOID, CurrentMemoryContext);
}

/* Tells whether the row in a slot is processed; NULL counts as false */
static bool
slot_is_processed(TupleTableSlot *slot, FlagColumns columns)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, columns.processed, &isnull);

	return !isnull && DatumGetBool(value);
}

/* Collects the ids of all rows of one transition table; unprocessed_only leaves out the others */
static ArrayBuildState *
collect_ids(Tuplestorestate *rows, TupleDesc desc, FlagColumns columns, bool unprocessed_only)
{
	TupleTableSlot *slot = open_transition_table(rows, desc);
	ArrayBuildState *ids = NULL;

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (!unprocessed_only || !slot_is_processed(slot, columns))
			ids = add_id(ids, slot, columns);
	}
	ExecDropSingleTupleTableSlot(slot);
	return ids;
}

/* Sorts one updated row into the lists */
static void
sort_update(QueueChanges *changes, TupleTableSlot *old_slot, TupleTableSlot *new_slot, FlagColumns columns)
{
	TupleDesc	desc = old_slot->tts_tupleDescriptor;
	bool		was_processed = slot_is_processed(old_slot, columns);
	bool		touched;
	bool		differ;
	bool		moved;

	slot_getallattrs(old_slot);
	slot_getallattrs(new_slot);
	moved = column_differs(TupleDescAttr(desc, columns.id - 1),
						   old_slot->tts_values[columns.id - 1], false,
						   new_slot->tts_values[columns.id - 1], false);
	if (moved || (slot_is_processed(new_slot, columns) && !was_processed))
		changes->done = add_id(changes->done, old_slot, columns);
	if (slot_is_processed(new_slot, columns))
		return;
	differ = rows_differ(desc, columns, old_slot->tts_values, old_slot->tts_isnull,
						 new_slot->tts_values, new_slot->tts_isnull, &touched);
	if (was_processed || differ || touched)
		changes->queued = add_id(changes->queued, new_slot, columns);
}

/* Reads old and new rows side by side: both tables hold them in the order of the updates */
static void
collect_updates(QueueChanges *changes, TriggerData *trigger, FlagColumns columns)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	TupleTableSlot *old_slot = open_transition_table(trigger->tg_oldtable, desc);
	TupleTableSlot *new_slot = open_transition_table(trigger->tg_newtable, desc);

	while (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, old_slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (!tuplestore_gettupleslot(trigger->tg_newtable, true, false, new_slot))
			elog(ERROR, "transition tables of \"%s\" differ in length", RelationGetRelationName(trigger->tg_relation));
		sort_update(changes, old_slot, new_slot, columns);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

/* Writes the changes to the queue */
static void
apply_changes(Oid queue, QueueChanges *changes, bool truncated)
{
	Datum		values[3];

	values[0] = ObjectIdGetDatum(queue);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (truncated)
		(void) spi_step_run(&clear_step, values, NULL);
	if (changes->done != NULL)
	{
		values[1] = makeArrayResult(changes->done, CurrentMemoryContext);
		(void) spi_step_run(&done_step, values, NULL);
	}
	if (changes->queued != NULL)
	{
		values[1] = makeArrayResult(changes->queued, CurrentMemoryContext);
		(void) spi_step_run(&enqueue_step, values, NULL);
		work_queue_notify(queue);
	}
}

PG_FUNCTION_INFO_V1(flowlens_sync_work_queue);

/*
 * Trigger after each statement: brings work_queue in line with "processed".
 *
 * It writes as the owner of the table, like a foreign key does, so that a
 * writer needs no rights on the queue.
 */
Datum
flowlens_sync_work_queue(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "sync_work_queue", false);
	Relation	relation = trigger->tg_relation;
	TupleDesc	desc = RelationGetDescr(relation);
	QueueChanges changes = {NULL, NULL};
	bool		truncated = TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event);
	FlagColumns columns;
	Oid			caller;
	int			security_context;

	if (work_queue_is_acknowledging(RelationGetRelid(relation)))
		return PointerGetDatum(NULL);
	columns = flag_columns(relation);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		changes.queued = collect_ids(trigger->tg_newtable, desc, columns, true);
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		changes.done = collect_ids(trigger->tg_oldtable, desc, columns, false);
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		collect_updates(&changes, trigger, columns);
	if (!truncated && changes.queued == NULL && changes.done == NULL)
		return PointerGetDatum(NULL);

	GetUserIdAndSecContext(&caller, &security_context);
	SetUserIdAndSecContext(relation->rd_rel->relowner, security_context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	apply_changes(RelationGetRelid(relation), &changes, truncated);
	SPI_finish();
	SetUserIdAndSecContext(caller, security_context);
	return PointerGetDatum(NULL);
}

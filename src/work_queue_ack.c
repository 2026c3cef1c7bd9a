/*
 * work_queue_ack.c
 *		Acknowledging: off the queue, and "processed" true.
 *
 * Lock order: the row of the queue's table first, its work_queue row second,
 * as the triggers do.  ack() therefore sets "processed" before it removes the
 * work_queue row, and takes it back in the rare case that the version moved.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/reltrigger.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "compat.h"
#include "util_spi.h"
#include "work_queue.h"
#include "work_queue_internal.h"

/* A row that somebody acknowledges */
typedef struct Acknowledged
{
	pg_uuid_t	id;
	int64		version;
	ItemPointerData tid;		/* of its row in work_queue */
	bool		found;			/* it waits, with this version */
	bool		removed;
} Acknowledged;

typedef struct Batch
{
	Acknowledged *rows;			/* by id, so that two batches lock rows in the same order */
	int			count;
	int			found;
	int			removed;
} Batch;

/* The table whose "processed" ack() is setting by an UPDATE, and how deep in triggers its own triggers run */
static Oid	acknowledged_table = InvalidOid;
static int	acknowledged_depth;

/* Returns how many triggers we are in */
static int
trigger_depth(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetInt32(pg_trigger_depth(fcinfo));
}

/* Compares two rows by id */
static int
compare_ids(const void *a, const void *b)
{
	return memcmp(&((const Acknowledged *) a)->id, &((const Acknowledged *) b)->id, UUID_LEN);
}

/* Reads the two arrays; a pair with a NULL names no row */
static Batch *
read_batch(ArrayType *ids, ArrayType *versions)
{
	Batch	   *batch = palloc0(sizeof(Batch));
	Datum	   *id_values;
	Datum	   *version_values;
	bool	   *id_nulls;
	bool	   *version_nulls;
	int			id_count;
	int			version_count;
	int			i;

	deconstruct_array(ids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &id_values, &id_nulls, &id_count);
	deconstruct_array(versions, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &version_values, &version_nulls, &version_count);
	if (id_count != version_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"ids\" and \"versions\" must have the same length")));
	batch->rows = palloc0(Max(id_count, 1) * sizeof(Acknowledged));
	for (i = 0; i < id_count; i++)
	{
		if (id_nulls[i] || version_nulls[i])
			continue;
		batch->rows[batch->count].id = *DatumGetUUIDP(id_values[i]);
		batch->rows[batch->count].version = DatumGetInt64(version_values[i]);
		batch->count++;
	}
	qsort(batch->rows, batch->count, sizeof(Acknowledged), compare_ids);
	return batch;
}

/* Goes to where this session's last claim left a row; false when that row is not there any more */
static bool
find_remembered(RowWriter *writer, QueueColumns *columns, Oid queue, Acknowledged *row, BlockNumber blocks)
{
	ItemPointerData tid;
	bool		isnull;

	return work_queue_remembers(queue, &row->id, &tid) && ItemPointerGetBlockNumber(&tid) < blocks &&
		table_tuple_fetch_row_version(writer->relation, &tid, GetActiveSnapshot(), writer->row) &&
		DatumGetObjectId(slot_getattr(writer->row, columns->queue, &isnull)) == queue &&
		memcmp(DatumGetUUIDP(slot_getattr(writer->row, columns->id, &isnull)), &row->id, UUID_LEN) == 0 &&
		DatumGetInt64(slot_getattr(writer->row, columns->version, &isnull)) == row->version;
}

/* Goes to a row of work_queue; false when it is not there with this version */
static bool
find_row(RowWriter *writer, QueueColumns *columns, Oid queue, Acknowledged *row)
{
	ScanKeyData keys[2];
	bool		isnull;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(queue));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(&row->id));
	row_writer_find(writer, keys, 2);
	return row_writer_next(writer, NULL) &&
		DatumGetInt64(slot_getattr(writer->row, columns->version, &isnull)) == row->version;
}

/* Looks up the rows of a batch */
static void
find_rows(RowWriter *writer, QueueColumns *columns, Oid queue, Batch *batch)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(writer->relation);
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		Acknowledged *row = &batch->rows[i];

		CHECK_FOR_INTERRUPTS();
		row->found = find_remembered(writer, columns, queue, row, blocks) || find_row(writer, columns, queue, row);
		if (row->found)
		{
			row->tid = writer->row->tts_tid;
			batch->found++;
		}
	}
}

/* Removes a row, unless its version moved since it was looked up */
static bool
remove_row(RowWriter *writer, QueueColumns *columns, Oid queue, Acknowledged *row)
{
	TM_Result	result = row_writer_delete(writer, &row->tid);

	while (result == TM_Updated)
	{
		row_writer_refresh(writer);
		if (!find_row(writer, columns, queue, row))
			return false;
		row->tid = writer->row->tts_tid;
		result = row_writer_delete(writer, &row->tid);
	}
	return result == TM_Ok;
}

/* Removes the rows that were found */
static void
remove_rows(RowWriter *writer, QueueColumns *columns, Oid queue, Batch *batch)
{
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		Acknowledged *row = &batch->rows[i];

		CHECK_FOR_INTERRUPTS();
		row->removed = row->found && remove_row(writer, columns, queue, row);
		if (row->removed)
			batch->removed++;
	}
}

/* Tells whether all triggers of a queue's table are ours, or check what "processed" has no part in */
static bool
has_own_triggers_only(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;
	int			i;

	for (i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (!TRIGGER_FOR_UPDATE(trigger->tgtype) || trigger->tgisinternal)
			continue;
		if (!work_queue_owns_trigger(trigger->tgfoid))
			return false;
	}
	return true;
}

/* Tells whether the caller may set "processed" */
static bool
may_set_flag(Oid table, AttrNumber flag)
{
	return pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		(pg_class_aclcheck(table, GetUserId(), ACL_UPDATE) == ACLCHECK_OK ||
		 pg_attribute_aclcheck(table, flag, GetUserId(), ACL_UPDATE) == ACLCHECK_OK);
}

/* Returns the index over the column "id" alone if a queue's table can be written row by row, else InvalidOid */
static Oid
direct_index(Relation relation, AttrNumber flag)
{
	static const char *const id[] = {"id"};
	Oid			table = RelationGetRelid(relation);

	if (get_atttype(table, flag) != BOOLOID || get_atttype(table, get_attnum(table, "id")) != UUIDOID ||
		!row_writer_suits(relation) || !has_own_triggers_only(relation) ||
		!may_set_flag(table, flag) ||
		bms_is_member(flag - FirstLowInvalidHeapAttributeNumber,
					  RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_KEY)))
		return InvalidOid;
	return row_writer_index(relation, 1, id, true);
}

/* Sets "processed" of one row */
static void
mark_row(RowWriter *writer, AttrNumber flag, pg_uuid_t *id)
{
	ScanKeyData key;
	TM_Result	result = TM_Updated;
	bool		isnull;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	while (result == TM_Updated)
	{
		row_writer_find(writer, &key, 1);
		if (!row_writer_next(writer, NULL))
			return;
		if (DatumGetBool(slot_getattr(writer->row, flag, &isnull)) && !isnull)
			return;
		row_writer_copy(writer);
		writer->changed->tts_values[flag - 1] = BoolGetDatum(true);
		writer->changed->tts_isnull[flag - 1] = false;
		result = row_writer_update(writer, true);
		if (result == TM_Updated)
			row_writer_refresh(writer);
	}
}

/* Sets "processed" row by row */
static void
mark_directly(Relation relation, Oid index, AttrNumber flag, Batch *batch)
{
	RowWriter  *writer = row_writer_open(relation, index);
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (batch->rows[i].found)
			mark_row(writer, flag, &batch->rows[i].id);
	}
	row_writer_close(writer);
}

/* Runs an UPDATE of the flag that our triggers leave alone, to false for rows that still wait; returns the number of rows */
static int
set_flag(Relation relation, Datum ids, bool processed)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												   RelationGetRelationName(relation));
	const char *sql = processed
		? "UPDATE %s t SET processed = true WHERE t.id = ANY ($1)"
		: "UPDATE %s t SET processed = false WHERE t.id = ANY ($1) AND t.processed"
		" AND EXISTS (SELECT FROM flowlens.work_queue q WHERE q.queue = $2 AND q.id = t.id)";
	Oid			argtypes[] = {UUIDARRAYOID, REGCLASSOID};
	Datum		values[2];
	int			result = 0;

	values[0] = ids;
	values[1] = ObjectIdGetDatum(RelationGetRelid(relation));
	acknowledged_table = RelationGetRelid(relation);
	acknowledged_depth = trigger_depth() + 1;
	PG_TRY();
	{
		result = SPI_execute_with_args(psprintf(sql, table), 2, argtypes, values, NULL, false, 0);
	}
	PG_FINALLY();
	{
		acknowledged_table = InvalidOid;
	}
	PG_END_TRY();
	if (result != SPI_OK_UPDATE)
		elog(ERROR, "update of \"processed\" returned %s", SPI_result_code_string(result));
	return (int) SPI_processed;
}

/* Sets "processed" by a statement; what row security hides cannot be acknowledged */
static void
mark_by_statement(Relation relation, Datum ids, int count)
{
	if (set_flag(relation, ids, true) < count &&
		check_enable_rls(RelationGetRelid(relation), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security of \"%s\" hides rows that are to be acknowledged", RelationGetRelationName(relation)),
				 errhint("Acknowledge them as a role that may update them.")));
}

/* Returns the ids and the versions of found or of not removed rows as arrays */
static int
collect_rows(Batch *batch, bool found, Datum *ids, Datum *versions)
{
	ArrayBuildState *id_array = initArrayResult(UUIDOID, CurrentMemoryContext, false);
	ArrayBuildState *version_array = initArrayResult(INT8OID, CurrentMemoryContext, false);
	int			count = 0;
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		Acknowledged *row = &batch->rows[i];

		if (found ? !row->found : row->removed)
			continue;
		id_array = accumArrayResult(id_array, UUIDPGetDatum(&row->id), false, UUIDOID, CurrentMemoryContext);
		version_array = accumArrayResult(version_array, Int64GetDatum(row->version), false, INT8OID, CurrentMemoryContext);
		count++;
	}
	*ids = makeArrayResult(id_array, CurrentMemoryContext);
	*versions = makeArrayResult(version_array, CurrentMemoryContext);
	return count;
}

/* Sets "processed" of the rows that were found, in the fastest way that their table allows */
static void
mark_rows(Relation relation, Batch *batch)
{
	AttrNumber	flag = get_attnum(RelationGetRelid(relation), "processed");
	Oid			index = direct_index(relation, flag);
	Datum		ids;
	Datum		versions;

	if (batch->found == 0)
		return;
	if (OidIsValid(index))
		mark_directly(relation, index, flag, batch);
	else
	{
		int			count = collect_rows(batch, true, &ids, &versions);

		mark_by_statement(relation, ids, count);
	}
}

/* Gives rows that were not acknowledged back: they changed while they were leased */
static void
release_rows(Oid queue, Relation relation, Batch *batch)
{
	Datum		ids;
	Datum		versions;

	if (collect_rows(batch, false, &ids, &versions) == 0)
		return;
	if (relation != NULL && batch->found > batch->removed)
		(void) set_flag(relation, ids, false);
	work_queue_release(queue, ids, versions);
}

/* Acknowledges a batch */
static void
acknowledge(Oid queue, Batch *batch)
{
	Relation	relation = work_queue_check(queue) ? table_open(queue, RowExclusiveLock) : NULL;
	QueueColumns columns;
	RowWriter  *writer = work_queue_open(QUEUE_BY_ID, ACL_SELECT | ACL_DELETE, &columns);

	find_rows(writer, &columns, queue, batch);
	if (relation != NULL)
		mark_rows(relation, batch);
	remove_rows(writer, &columns, queue, batch);
	work_queue_close(writer);
	release_rows(queue, relation, batch);
	if (relation != NULL)
		table_close(relation, NoLock);
}

PG_FUNCTION_INFO_V1(flowlens_ack);

/* SQL: acknowledges one row; false when it changed meanwhile or somebody else has it */
Datum
flowlens_ack(PG_FUNCTION_ARGS)
{
	Acknowledged row = {0};
	Batch		batch = {&row, 1, 0, 0};

	row.id = *PG_GETARG_UUID_P(1);
	row.version = PG_GETARG_INT64(2);
	SPI_connect();
	acknowledge(PG_GETARG_OID(0), &batch);
	SPI_finish();
	PG_RETURN_BOOL(row.removed);
}

PG_FUNCTION_INFO_V1(flowlens_ack_batch);

/* SQL: acknowledges many rows at once and returns the ids that were */
Datum
flowlens_ack_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Batch	   *batch = read_batch(PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_ARRAYTYPE_P(2));
	int			i;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	SPI_connect();
	acknowledge(PG_GETARG_OID(0), batch);
	SPI_finish();
	for (i = 0; i < batch->count; i++)
	{
		Datum		id = UUIDPGetDatum(&batch->rows[i].id);
		bool		isnull = false;

		if (batch->rows[i].removed)
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &id, &isnull);
	}
	return (Datum) 0;
}

/* Tells a trigger of a table whether its statement is ack()'s UPDATE of "processed" */
bool
work_queue_is_acknowledging(Oid table)
{
	return OidIsValid(acknowledged_table) && table == acknowledged_table && trigger_depth() == acknowledged_depth;
}

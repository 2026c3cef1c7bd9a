/*
 * row_writer.c
 *		Finds rows by an index, and updates and deletes them one by one.
 *
 * An UPDATE statement for a hundred rows spends more on its plan, its join and
 * its transition tables than on the rows.  This does what the executor does
 * for a row, and nothing that a plain table has no use for: row_writer_suits()
 * says whether a table is one.  The caller has checked the privileges.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "row_writer.h"

/* Tells whether all indexes check at once; a deferred check needs the executor's triggers */
static bool
indexes_are_immediate(Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	bool		immediate = true;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		immediate = immediate && index->rd_index->indimmediate;
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return immediate;
}

/* Tells whether a table's rows may be written here, triggers apart: those are the caller's business */
bool
row_writer_suits(Relation relation)
{
	TupleConstr *constraints = RelationGetDescr(relation)->constr;

	return relation->rd_rel->relkind == RELKIND_RELATION && !relation->rd_rel->relhassubclass &&
		!relation->rd_rel->relispartition &&
		(constraints == NULL || !constraints->has_generated_stored) &&
		check_enable_rls(RelationGetRelid(relation), InvalidOid, true) != RLS_ENABLED &&
		indexes_are_immediate(relation);
}

/* Tells whether an index has all rows that a snapshot of this transaction sees; one built over changing rows may not yet */
static bool
index_is_complete(Relation index)
{
	return index->rd_index->indisvalid && heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		(!index->rd_index->indcheckxmin ||
		 TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin));
}

/* Tells whether an index is a complete btree whose first columns are these */
static bool
index_leads_with(Relation index, Relation relation, int ncolumns, const char *const *columns, bool unique)
{
	Form_pg_index form = index->rd_index;
	int			i;

	if (index->rd_rel->relam != BTREE_AM_OID || !index_is_complete(index) || form->indnkeyatts < ncolumns ||
		(unique && (!form->indisunique || form->indnkeyatts != ncolumns)))
		return false;
	for (i = 0; i < ncolumns; i++)
	{
		int			column = form->indkey.values[i];

		if (column <= 0 || (index->rd_indoption[i] & INDOPTION_DESC) != 0 ||
			strcmp(NameStr(TupleDescAttr(RelationGetDescr(relation), column - 1)->attname), columns[i]) != 0)
			return false;
	}
	return true;
}

/* Finds an index by the columns that it begins with; InvalidOid when there is none */
Oid
row_writer_index(Relation relation, int ncolumns, const char *const *columns, bool unique)
{
	List	   *indexes = RelationGetIndexList(relation);
	Oid			found = InvalidOid;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index_leads_with(index, relation, ncolumns, columns, unique))
			found = lfirst_oid(cell);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(indexes);
	return found;
}

/*
 * Starts writing a table that the caller has opened.  It sees what the
 * transaction has done so far and, under READ COMMITTED, what others committed
 * until now, as a statement would.
 */
RowWriter *
row_writer_open(Relation relation, Oid index)
{
	RowWriter  *writer = palloc0(sizeof(RowWriter));

	CheckCmdReplicaIdentity(relation, CMD_UPDATE);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	writer->relation = relation;
	writer->index = index_open(index, RowExclusiveLock);
	writer->estate = CreateExecutorState();
	writer->result = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result, relation, 0, NULL, 0);
	ExecOpenIndices(writer->result, false);
	writer->row = table_slot_create(relation, NULL);
	writer->changed = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
	return writer;
}

/* Looks for the rows of some index keys */
void
row_writer_find(RowWriter *writer, ScanKey keys, int nkeys)
{
	if (writer->scan == NULL)
		writer->scan = begin_index_scan(writer->relation, writer->index, GetActiveSnapshot(), nkeys);
	index_rescan(writer->scan, keys, nkeys, NULL, 0);
}

/* Goes to the next row, and adds the blocks that it took; false when there is none */
bool
row_writer_next(RowWriter *writer, int64 *blocks)
{
	int64		before = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
	bool		found = index_getnext_slot(writer->scan, ForwardScanDirection, writer->row);

	if (blocks != NULL)
		*blocks += pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read - before;
	return found;
}

/* Makes the changed row a copy of the one that was found */
void
row_writer_copy(RowWriter *writer)
{
	int			natts = RelationGetDescr(writer->relation)->natts;

	slot_getallattrs(writer->row);
	ExecClearTuple(writer->changed);
	memcpy(writer->changed->tts_values, writer->row->tts_values, natts * sizeof(Datum));
	memcpy(writer->changed->tts_isnull, writer->row->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(writer->changed);
}

/* Tells whether another transaction, or a lock of this one, holds the row that was found */
static bool
row_is_held(RowWriter *writer)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) writer->row;
	TM_Result	result;

	if (!TTS_IS_BUFFERTUPLE(writer->row) || !BufferIsValid(slot->buffer))
		return false;
	LockBuffer(slot->buffer, BUFFER_LOCK_SHARE);
	result = HeapTupleSatisfiesUpdate(slot->base.tuple, GetCurrentCommandId(true), slot->buffer);
	LockBuffer(slot->buffer, BUFFER_LOCK_UNLOCK);
	return result == TM_BeingModified;
}

/*
 * Replaces the row that was found; without wait a row that somebody holds stays as it is
 *
 * An update that does not wait is for rows that nobody holds: the server's own
 * check of that is an assertion, so we look first.  If somebody comes in between,
 * it still does not wait.
 */
TM_Result
row_writer_update(RowWriter *writer, bool wait)
{
	TM_FailureData failure;
	LockTupleMode lock_mode;
	TU_UpdateIndexes indexes;
	TM_Result	result;

	if (!wait && row_is_held(writer))
		return TM_BeingModified;
	writer->changed->tts_tableOid = RelationGetRelid(writer->relation);
	if (RelationGetDescr(writer->relation)->constr != NULL)
		ExecConstraints(writer->result, writer->changed, writer->estate);
	result = table_tuple_update(writer->relation, &writer->row->tts_tid, writer->changed,
								GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot,
								wait, &failure, &lock_mode, &indexes);
	if (result == TM_Ok && indexes != TU_None)
		(void) insert_index_tuples(writer->result, writer->changed, writer->estate, indexes);
	ResetPerTupleExprContext(writer->estate);
	return result;
}

/* Deletes a row that was found before; waits for whoever holds it */
TM_Result
row_writer_delete(RowWriter *writer, ItemPointer tid)
{
	TM_FailureData failure;

	return table_tuple_delete(writer->relation, tid, GetCurrentCommandId(true), GetActiveSnapshot(),
							  InvalidSnapshot, true, &failure, false);
}

/* Lets the writer see what others committed meanwhile; where the transaction has one snapshot, that is an error */
void
row_writer_refresh(RowWriter *writer)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	if (writer->scan != NULL)
		index_endscan(writer->scan);
	writer->scan = NULL;
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* Ends the writing; the table stays locked to the end of the transaction */
void
row_writer_close(RowWriter *writer)
{
	if (writer->scan != NULL)
		index_endscan(writer->scan);
	ExecDropSingleTupleTableSlot(writer->row);
	ExecDropSingleTupleTableSlot(writer->changed);
	ExecCloseIndices(writer->result);
	FreeExecutorState(writer->estate);
	index_close(writer->index, NoLock);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

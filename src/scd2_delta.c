/*
 * scd2_delta.c
 *		The observations that were found to change something.
 *
 * Both detectors put them into one tuplestore, which goes to disk when it
 * outgrows work_mem; the statements that write read it like a table.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "scd2_internal.h"

/* Prepares an empty delta */
void
scd2_create_delta(Scd2Merge *merge)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);
	TupleDesc	desc;
	int			i;

	if (merge->delta != NULL)
		tuplestore_end(merge->delta);
	desc = CreateTemplateTupleDesc(SCD2_DELTA_FIXED + merge->ncolumns);
	TupleDescInitEntry(desc, SCD2_DELTA_ACTION, "action", CHAROID, -1, 0);
	TupleDescInitEntry(desc, SCD2_DELTA_RELATION, "relation", OIDOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_DELTA_TID, "tid", TIDOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_DELTA_FROM, "old_from", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_DELTA_AT, "at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_DELTA_DELETED, "deleted", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_DELTA_HASH, "hash", INT8OID, -1, 0);
	for (i = 0; i < merge->ncolumns; i++)
	{
		TupleDescInitEntry(desc, SCD2_DELTA_FIXED + i + 1, psprintf("c%d", i + 1), merge->columns[i].type, -1, 0);
		TupleDescInitEntryCollation(desc, SCD2_DELTA_FIXED + i + 1, merge->columns[i].collation);
	}
	merge->delta_desc = desc;
	merge->delta = tuplestore_begin_heap(false, false, work_mem);
	memset(merge->actions, 0, sizeof(merge->actions));
	MemoryContextSwitchTo(old_context);
}

/* Adds a row; computes the row hash of a new version if the source did not bring one */
void
scd2_put_delta(Scd2Merge *merge, Datum *values, bool *nulls)
{
	char		action = DatumGetChar(values[SCD2_DELTA_ACTION - 1]);

	if (merge->hash_attno != InvalidAttrNumber && nulls[SCD2_DELTA_HASH - 1] && action != SCD2_IN_PLACE)
	{
		values[SCD2_DELTA_HASH - 1] = Int64GetDatum(scd2_hash_tracked(merge, values + SCD2_DELTA_FIXED,
																	  nulls + SCD2_DELTA_FIXED));
		nulls[SCD2_DELTA_HASH - 1] = false;
	}
	merge->actions[(unsigned char) action]++;
	tuplestore_putvalues(merge->delta, merge->delta_desc, values, nulls);
}

/* Adds a row that a query laid out like the delta */
bool
scd2_put_delta_slot(void *state, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	scd2_put_delta((Scd2Merge *) state, slot->tts_values, slot->tts_isnull);
	return true;
}

/*
 * scd2_detect_rows.c
 *		Reading rows of source and target: where the columns are, and their hashes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_detect.h"

/* Tells whether the value hash covers a column */
static inline bool
is_hashed(Scd2Detector *detector, Scd2Column *column)
{
	if (column->keep_on_null)
		return false;
	return column->role == SCD2_UNTRACKED || (column->role == SCD2_TRACKED && !detector->by_row_hash);
}

/* Returns where a column of the target is in a leaf relation; 0 stays 0 */
static AttrNumber
attno_in_leaf(Scd2Merge *merge, Relation leaf, AttrNumber attno)
{
	if (attno == 0)
		return 0;
	return get_attnum(RelationGetRelid(leaf), NameStr(TupleDescAttr(merge->target_desc, attno - 1)->attname));
}

/* Lays out the rows of a leaf relation */
void
scd2_lay_out_leaf(Scd2Detector *detector, Relation leaf, Scd2Layout *layout)
{
	Scd2Merge  *merge = detector->merge;
	int			i;

	layout->from = attno_in_leaf(merge, leaf, merge->from_attno);
	layout->to = attno_in_leaf(merge, leaf, merge->to_attno);
	layout->current = attno_in_leaf(merge, leaf, merge->current_attno);
	layout->hash = attno_in_leaf(merge, leaf, merge->hash_attno);
	layout->last = Max(Max(layout->from, layout->to), layout->current);
	if (detector->by_row_hash)
		layout->last = Max(layout->last, layout->hash);
	layout->data = palloc0(merge->ncolumns * sizeof(AttrNumber));
	for (i = 0; i < merge->ncolumns; i++)
	{
		layout->data[i] = attno_in_leaf(merge, leaf, merge->columns[i].target_attno);
		if (i < merge->nkeys || is_hashed(detector, &merge->columns[i]))
			layout->last = Max(layout->last, layout->data[i]);
	}
}

/* Returns where a column of the source's row type is in the table, which may have dropped columns */
static AttrNumber
attno_in_table(Scd2Merge *merge, AttrNumber attno)
{
	if (attno == 0)
		return 0;
	return get_attnum(merge->request->source, NameStr(TupleDescAttr(merge->source_desc, attno - 1)->attname));
}

/* Lays out the rows of the source: its own, or those of the stream */
void
scd2_lay_out_source(Scd2Detector *detector, bool scannable)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	int			i;

	layout->at = scannable ? attno_in_table(merge, merge->source_at) : SCD2_SOURCE_AT;
	layout->deleted = scannable ? attno_in_table(merge, merge->source_deleted) : SCD2_SOURCE_DELETED;
	layout->hash = scannable ? attno_in_table(merge, merge->source_hash) : SCD2_SOURCE_HASH;
	layout->data = palloc0(merge->ncolumns * sizeof(AttrNumber));
	layout->last = Max(Max(layout->at, layout->deleted), layout->hash);
	for (i = 0; i < merge->ncolumns; i++)
	{
		layout->data[i] = scannable ? attno_in_table(merge, merge->columns[i].source_attno) :
			merge->stream_attno[i];
		layout->last = Max(layout->last, layout->data[i]);
	}
}

/* Hashes the key of a row so that equal keys have equal hashes */
static uint64
hash_key(Scd2Detector *detector, Scd2Layout *layout, TupleTableSlot *slot)
{
	Scd2Merge  *merge = detector->merge;
	uint64		hash = detector->seed;
	int			i;

	for (i = 0; i < merge->nkeys; i++)
	{
		Scd2Column *column = &merge->columns[i];
		Datum		value = slot->tts_values[layout->data[i] - 1];

		if (!column->image_is_equality)
			value = FunctionCall2Coll(&column->hash_function, column->collation, value,
									  Int64GetDatum((int64) hash));
		hash = scd2_hash_value(value, column->image_is_equality ? column->typlen : (int) sizeof(uint64),
							   column->image_is_equality ? column->typbyval : true, hash);
	}
	return hash;
}

/* Hashes the compared columns of a row by their bytes */
static uint64
hash_values(Scd2Detector *detector, Scd2Layout *layout, TupleTableSlot *slot)
{
	Scd2Merge  *merge = detector->merge;
	uint64		hash = detector->seed;
	int			i;

	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		int			at = layout->data[i] - 1;

		if (!is_hashed(detector, column))
			continue;
		if (slot->tts_isnull[at])
			hash = scd2_hash_word(i, hash);
		else if (column->typbyval)
			hash = scd2_hash_word((uint64) slot->tts_values[at], ~hash);
		else
			hash = scd2_hash_value(slot->tts_values[at], column->typlen, false, hash);
	}
	return hash;
}

/* Returns the row hash that a row of the source brings, or the one its values have */
uint64
scd2_source_row_hash(Scd2Detector *detector, TupleTableSlot *slot)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	uint64		sum = 0;
	int			i;

	if (layout->hash != 0 && !slot->tts_isnull[layout->hash - 1])
		return (uint64) DatumGetInt64(slot->tts_values[layout->hash - 1]);
	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		int			at = layout->data[i] - 1;

		if (column->role == SCD2_TRACKED && !slot->tts_isnull[at])
			sum += scd2_hash_value(slot->tts_values[at], column->typlen, column->typbyval, column->name_hash);
	}
	return sum;
}

/* Reads one version of the target */
void
scd2_read_version(Scd2Detector *detector, TupleTableSlot *slot, int leaf)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->layouts[leaf];
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	Scd2Entry		entry;
	int			i;

	slot_getsomeattrs(slot, layout->last);
	if (nulls[layout->current - 1] || !DatumGetBool(values[layout->current - 1]))
	{
		if (!nulls[layout->to - 1])
			detector->latest_to = Max(detector->latest_to, DatumGetTimestampTz(values[layout->to - 1]));
		return;
	}
	for (i = 0; i < merge->nkeys; i++)
	{
		if (nulls[layout->data[i] - 1])
			return;				/* no observation can meet it */
	}
	entry.key_hash = hash_key(detector, layout, slot);
	entry.value_hash = hash_values(detector, layout, slot);
	if (detector->by_row_hash)
	{
		/* without a stored hash nothing matches, and the values are compared */
		entry.value_hash += nulls[layout->hash - 1] ? detector->seed : (uint64) DatumGetInt64(values[layout->hash - 1]);
	}
	entry.valid_from = nulls[layout->from - 1] ? DT_NOBEGIN : DatumGetTimestampTz(values[layout->from - 1]);
	entry.tid = slot->tts_tid;
	entry.leaf = leaf | SCD2_ENTRY_USED;
	detector->latest_from = Max(detector->latest_from, entry.valid_from);
	scd2_add_pending(detector, &entry);
}

/* Checks and hashes a row of the source */
void
scd2_prepare_probe(Scd2Detector *detector, Scd2Probe *probe, TupleTableSlot *slot)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	int			i;

	slot_getsomeattrs(slot, layout->last);
	for (i = 0; i < merge->nkeys; i++)
	{
		if (slot->tts_isnull[layout->data[i] - 1])
			scd2_null_key_error(merge, i);
	}
	probe->slot = slot;
	probe->at = merge->request->valid_at;
	if (layout->at != 0 && !slot->tts_isnull[layout->at - 1])
	{
		probe->at = DatumGetTimestampTz(slot->tts_values[layout->at - 1]);
		scd2_check_time(merge, probe->at);
	}
	probe->deleted = layout->deleted != 0 && !slot->tts_isnull[layout->deleted - 1] &&
		DatumGetBool(slot->tts_values[layout->deleted - 1]);
	probe->certain = true;
	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].keep_on_null && !slot->tts_isnull[layout->data[i] - 1])
			probe->certain = false;
	}
	probe->key_hash = hash_key(detector, layout, slot);
	probe->value_hash = hash_values(detector, layout, slot);
	if (detector->by_row_hash)
		probe->value_hash += scd2_source_row_hash(detector, slot);
	merge->source_rows++;
}

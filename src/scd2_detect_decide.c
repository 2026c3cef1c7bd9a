/*
 * scd2_detect_decide.c
 *		What an observation asks for, once its hashes have been looked up.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_detect.h"

/* Fetches the version that a slot stands for */
static Scd2Version *
fetch_version(Scd2Detector *detector, Scd2Slot *entry)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Version *version = &detector->version;
	Scd2Layout *layout;
	TupleTableSlot *slot;
	int			i;

	scd2_find_place(detector, entry, &version->leaf, &version->tid);
	layout = &detector->layouts[version->leaf];
	slot = detector->slots[version->leaf];
	if (!table_tuple_fetch_row_version(detector->leaves[version->leaf], &version->tid, detector->snapshot, slot))
		elog(ERROR, "could not fetch a version of %s", merge->target);
	slot_getallattrs(slot);
	for (i = 0; i < merge->ncolumns; i++)
	{
		version->values[i] = slot->tts_values[layout->data[i] - 1];
		version->nulls[i] = slot->tts_isnull[layout->data[i] - 1];
	}
	version->valid_from = slot->tts_isnull[layout->from - 1] ? DT_NOBEGIN :
		DatumGetTimestampTz(slot->tts_values[layout->from - 1]);
	if (layout->hash != 0)
	{
		version->hash = slot->tts_values[layout->hash - 1];
		version->hash_null = slot->tts_isnull[layout->hash - 1];
	}
	return version;
}

/* Fetches the row of the source that a probe was made of, unless it is still there */
static void
fetch_source_row(Scd2Detector *detector, Scd2Probe *probe)
{
	TupleTableSlot *slot = detector->source_slot;

	if (detector->source_relation == NULL)
		return;
	if (!table_tuple_fetch_row_version(detector->source_relation, &probe->tid, detector->snapshot, slot))
		elog(ERROR, "could not fetch a row of the source");
	slot_getallattrs(slot);
	detector->source_row.values = slot->tts_values;
	detector->source_row.nulls = slot->tts_isnull;
}

/*
 * Sets the row hash to write in place.  The tracked values stay, even where
 * the observation has the same ones in other bytes, and so does their hash.
 */
static void
set_hash_in_place(Scd2Detector *detector, Scd2Version *version)
{
	Datum	   *value = &detector->values[SCD2_DELTA_HASH - 1];
	bool	   *null = &detector->nulls[SCD2_DELTA_HASH - 1];

	if (!detector->by_row_hash)
	{
		*value = version->hash;
		*null = version->hash_null;
	}
	else if (*null)
	{
		*value = Int64GetDatum(scd2_hash_tracked(detector->merge, version->values, version->nulls));
		*null = false;
	}
}

/* Puts an observation into the delta, completed from the current version if there is one */
static void
put_observation(Scd2Detector *detector, Scd2Probe *probe, char action, Scd2Version *version)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	Datum	   *values = detector->values;
	bool	   *nulls = detector->nulls;
	int			i;

	memset(nulls, 0, (SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(bool));
	values[SCD2_DELTA_ACTION - 1] = CharGetDatum(action);
	nulls[SCD2_DELTA_RELATION - 1] = nulls[SCD2_DELTA_TID - 1] = nulls[SCD2_DELTA_FROM - 1] = version == NULL;
	if (version != NULL)
	{
		values[SCD2_DELTA_RELATION - 1] = ObjectIdGetDatum(RelationGetRelid(detector->leaves[version->leaf]));
		values[SCD2_DELTA_TID - 1] = PointerGetDatum(&version->tid);
		values[SCD2_DELTA_FROM - 1] = TimestampTzGetDatum(version->valid_from);
	}
	values[SCD2_DELTA_AT - 1] = TimestampTzGetDatum(probe->at);
	values[SCD2_DELTA_DELETED - 1] = BoolGetDatum(probe->deleted);
	nulls[SCD2_DELTA_HASH - 1] = layout->hash == 0 || detector->source_row.nulls[layout->hash - 1];
	if (!nulls[SCD2_DELTA_HASH - 1])
		values[SCD2_DELTA_HASH - 1] = detector->source_row.values[layout->hash - 1];
	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		Datum	   *value = &values[SCD2_DELTA_FIXED + i];
		bool	   *null = &nulls[SCD2_DELTA_FIXED + i];
		int			at = layout->data[i] - 1;

		*null = at < 0 || detector->source_row.nulls[at];
		if (!*null)
			*value = detector->source_row.values[at];
		else if (action != SCD2_HISTORY && version != NULL && (at < 0 || column->keep_on_null))
		{
			*null = version->nulls[i];
			*value = version->values[i];
			if (column->role == SCD2_TRACKED)
				nulls[SCD2_DELTA_HASH - 1] = true;
		}
	}
	if (action == SCD2_IN_PLACE && merge->hash_attno != InvalidAttrNumber)
		set_hash_in_place(detector, version);
	scd2_put_delta(merge, values, nulls);
}

/* Compares the columns with a role of an observation and the current version */
static bool
is_changed(Scd2Detector *detector, Scd2Version *version, Scd2Role role)
{
	Scd2Merge  *merge = detector->merge;
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		int			source = detector->source.data[i] - 1;

		if (column->role != role || (column->keep_on_null && detector->source_row.nulls[source]))
			continue;
		if (!scd2_values_equal(column, detector->source_row.values[source], detector->source_row.nulls[source],
							   version->values[i], version->nulls[i]))
			return true;
	}
	return false;
}

/*
 * Tells whether the row hash of a version is not what it should be: the one
 * that the source brings, or else that of the values it stores.
 */
static bool
has_wrong_hash(Scd2Detector *detector, Scd2Version *version)
{
	AttrNumber	source = detector->source.hash;
	int64		right;

	if (!detector->by_row_hash)
		return false;
	if (source != 0 && !detector->source_row.nulls[source - 1])
		right = DatumGetInt64(detector->source_row.values[source - 1]);
	else
		right = scd2_hash_tracked(detector->merge, version->values, version->nulls);
	return version->hash_null || DatumGetInt64(version->hash) != right;
}

/* Decides about an observation of a key without a current version */
static void
decide_new(Scd2Detector *detector, Scd2Probe *probe)
{
	if (!scd2_add_new_key(detector, probe->key_hash))
	{
		detector->impossible = true;
		return;
	}
	fetch_source_row(detector, probe);
	if (probe->at <= detector->latest_to)
		put_observation(detector, probe, SCD2_HISTORY, NULL);
	else if (!probe->deleted)
		put_observation(detector, probe, SCD2_INSERT, NULL);
}

/* Decides about an observation that does not agree, or may not, with the current version of its key */
static void
decide_existing(Scd2Detector *detector, Scd2Probe *probe, Scd2Version *version)
{
	bool		changed;

	if (probe->at < version->valid_from)
	{
		put_observation(detector, probe, SCD2_HISTORY, version);
		return;
	}
	changed = is_changed(detector, version, SCD2_TRACKED);
	if (probe->at == version->valid_from && (probe->deleted || changed))
		put_observation(detector, probe, SCD2_HISTORY, version);
	else if (probe->deleted)
		put_observation(detector, probe, SCD2_CLOSE, version);
	else if (changed)
		put_observation(detector, probe, SCD2_VERSION, version);
	else if (is_changed(detector, version, SCD2_UNTRACKED) || has_wrong_hash(detector, version))
		put_observation(detector, probe, SCD2_IN_PLACE, version);
}

/* Tells whether an observation with the row hash of a version is settled by that */
static inline bool
is_unchanged(Scd2Detector *detector, Scd2Probe *probe, Scd2Slot *slot)
{
	return slot->row_hash == probe->row_hash && probe->certain && !probe->deleted &&
		!scd2_begins_after(&detector->table, slot, probe->at);
}

/* Looks an observation up */
void
scd2_decide(Scd2Detector *detector, Scd2Probe *probe)
{
	Scd2Table  *table = &detector->table;
	Scd2Slot   *slot = scd2_home_of(table, probe->key_hash);
	Scd2Version *version = NULL;

	for (; slot->mark != 0; slot = scd2_next_slot(table, slot))
	{
		if (!scd2_has_tag(table, slot, probe->key_hash))
			continue;
		if (is_unchanged(detector, probe, slot))
			break;
		fetch_source_row(detector, probe);
		version = fetch_version(detector, slot);
		if (!is_changed(detector, version, SCD2_KEY))
			break;
		version = NULL;			/* of another key whose mark is the same */
	}
	if (slot->mark == 0)
		decide_new(detector, probe);
	else if (scd2_mark_seen(table, slot))
		detector->impossible = true;	/* a key that comes twice */
	else if (version != NULL)
		decide_existing(detector, probe, version);
}

/*
 * scd2_detect.c
 *		Finding what changed with a hash table of the current versions.
 *
 * One pass over the target puts a 64-bit hash of the key and one of the values
 * of each current version into the table, 32 bytes a row.  One pass over the
 * source looks each row up.  Equal hashes are unchanged rows, nearly all of
 * them, and nothing more is done about those.  For the others the version is
 * fetched by its ctid and compared column by column.  The hashes start from a
 * random number, new for each merge, so that nobody can prepare values that
 * collide.
 *
 * What this cannot decide alone is left to the join (scd2_join.c): a key that
 * comes twice, two keys with one hash, more versions than memory allows, noted
 * times of observation.  Nothing has been written by then.
 */
#include "postgres.h"

#ifndef WIN32
#include <sys/mman.h>
#endif

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_internal.h"

/* Values of flowlens.scd2_detector */
enum
{
	DETECTOR_AUTO,
	DETECTOR_HASH,
	DETECTOR_JOIN
};

static const struct config_enum_entry detector_options[] = {
	{"auto", DETECTOR_AUTO, false},
	{"hash", DETECTOR_HASH, false},
	{"join", DETECTOR_JOIN, false},
	{NULL, 0, false}
};

static int	scd2_detector = DETECTOR_AUTO;

/* A source this much smaller than the target is joined, by an index if there is one */
#define SMALL_SOURCE		8

/* Rows in flight between computing a hash and using it, so that memory has time to answer */
#define LOOKAHEAD			16

/* Rows after which scratch memory is given back */
#define SCRATCH_ROWS		512

#define LARGE_PAGE			(2 * 1024 * 1024)

#define MAX_LEAVES			0x3fff	/* what fits beside the flags */
#define ENTRY_USED			0x8000
#define ENTRY_SEEN			0x4000	/* the source has the key */

/* A current version, or a new key of the source */
typedef struct Entry
{
	uint64		key_hash;
	uint64		value_hash;
	TimestampTz valid_from;
	ItemPointerData tid;		/* invalid for a new key */
	uint16		leaf;			/* number of the leaf relation, and flags */
} Entry;

/* Where the columns are in a row */
typedef struct Layout
{
	AttrNumber	at;				/* 0: the time of the merge */
	AttrNumber	deleted;		/* 0: never */
	AttrNumber	hash;			/* 0: none */
	AttrNumber	from;			/* of a version only, as the next two */
	AttrNumber	to;
	AttrNumber	current;
	AttrNumber *data;			/* per data column; 0: not in the row */
	AttrNumber	last;			/* the last one that hashing needs */
} Layout;

/* A current version, its data columns in the order of the merge */
typedef struct Version
{
	Datum	   *values;
	bool	   *nulls;
	Datum		hash;
	bool		hash_null;
} Version;

/* A row of the source with its hashes */
typedef struct Probe
{
	TupleTableSlot *slot;
	uint64		key_hash;
	uint64		value_hash;
	TimestampTz at;
	bool		deleted;
	bool		certain;		/* equal hashes mean equal values */
} Probe;

typedef struct Detector
{
	Scd2Merge  *merge;
	MemoryContext scratch;		/* what functions of the types leave behind */
	uint64		seed;
	bool		by_row_hash;	/* tracked columns are compared by their stored hash */
	bool		impossible;		/* left to the join */

	/* hash table with linear probing */
	void	   *memory;
	Entry	   *entries;			/* in it, aligned */
	uint64		size;
	uint64		used;
	uint64		max_used;		/* that memory allows */

	/* target; arrays are per leaf relation, whose columns may stand in another order */
	Relation   *leaves;
	Layout	   *layouts;
	TupleTableSlot **slots;		/* for fetching by ctid */
	Version		version;		/* the one fetched last */
	Snapshot	snapshot;
	TimestampTz latest_from;	/* of a current version */
	TimestampTz latest_to;		/* of a closed version */
	Entry		pending[LOOKAHEAD];
	uint64		npending;

	/* source */
	Layout		source;
	Probe		probes[LOOKAHEAD];
	Datum	   *values;			/* a row of the delta */
	bool	   *nulls;
} Detector;

/* Registers the setting that chooses the detector */
void
scd2_detect_init(void)
{
	DefineCustomEnumVariable("flowlens.scd2_detector",
							 "Chooses how scd2_merge() finds what changed.",
							 "\"hash\" reads source and target once and needs memory for every current version, "
							 "\"join\" is plain SQL, \"auto\" decides by size.",
							 &scd2_detector,
							 DETECTOR_AUTO,
							 detector_options,
							 PGC_USERSET,
							 0,
							 NULL,	/* check hook */
							 NULL,	/* assign hook */
							 NULL); /* show hook */
}

/* hashing ----------------------------------------------------------------- */

/* Hashes the key of a row so that equal keys have equal hashes */
static uint64
hash_key(Detector *detector, Layout *layout, TupleTableSlot *slot)
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
		hash = scd2_hash_value(value, column->image_is_equality ? column->typlen : sizeof(uint64),
							   column->image_is_equality ? column->typbyval : true, hash);
	}
	return hash;
}

/* Tells whether the value hash covers a column */
static inline bool
is_hashed(Detector *detector, Scd2Column *column)
{
	if (column->keep_on_null)
		return false;
	return column->role == SCD2_UNTRACKED || (column->role == SCD2_TRACKED && !detector->by_row_hash);
}

/* Hashes the compared columns of a row by their bytes */
static uint64
hash_values(Detector *detector, Layout *layout, TupleTableSlot *slot)
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
static uint64
source_row_hash(Detector *detector, TupleTableSlot *slot)
{
	Scd2Merge  *merge = detector->merge;
	Layout	   *layout = &detector->source;
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

/* the table --------------------------------------------------------------- */

/* Returns the place where the search for a hash begins */
static inline uint64
home_of(Detector *detector, uint64 hash)
{
	return scd2_scale_hash(hash, detector->size);
}

/* Finds the entry with a hash, or the empty one where it belongs */
static inline Entry *
find_entry(Detector *detector, uint64 key_hash)
{
	uint64		i = home_of(detector, key_hash);

	while ((detector->entries[i].leaf & ENTRY_USED) != 0 && detector->entries[i].key_hash != key_hash)
	{
		if (++i == detector->size)
			i = 0;
	}
	return &detector->entries[i];
}

/*
 * Allocates an empty table for some number of entries.  It is read at random:
 * on large pages the processor finds its way with a few address translations
 * instead of one per page of 4 KB.
 */
static void
allocate_entries(Detector *detector, uint64 capacity)
{
	Size		bytes;

	detector->size = capacity + capacity / 3 + 16;
	bytes = detector->size * sizeof(Entry);
	detector->memory = MemoryContextAllocHuge(detector->merge->context, bytes + LARGE_PAGE);
	detector->entries = (Entry *) TYPEALIGN(LARGE_PAGE, detector->memory);
#ifdef MADV_HUGEPAGE
	/* advice only; without it the table works the same */
	(void) madvise(detector->entries, TYPEALIGN_DOWN(LARGE_PAGE, bytes), MADV_HUGEPAGE);
#endif
	memset(detector->entries, 0, bytes);
}

/* Makes room for more entries; gives up where memory ends */
static void
enlarge_table(Detector *detector)
{
	Entry	   *old = detector->entries;
	void	   *old_memory = detector->memory;
	uint64		old_size = detector->size;
	uint64		i;

	if (detector->used >= detector->max_used)
	{
		detector->impossible = true;
		return;
	}
	allocate_entries(detector, Min(detector->used * 2, detector->max_used));
	for (i = 0; i < old_size; i++)
	{
		if ((old[i].leaf & ENTRY_USED) != 0)
			*find_entry(detector, old[i].key_hash) = old[i];
	}
	pfree(old_memory);
}

/* Adds an entry; a hash that is there already is a second version or a collision */
static void
add_entry(Detector *detector, Entry *entry)
{
	Entry	   *place;

	if (detector->used >= detector->size - detector->size / 4)
		enlarge_table(detector);
	if (detector->impossible)
		return;
	place = find_entry(detector, entry->key_hash);
	if ((place->leaf & ENTRY_USED) != 0)
	{
		detector->impossible = true;
		return;
	}
	*place = *entry;
	detector->used++;
}

/* Gives scratch memory back and lets a user cancel */
static void
tidy_up(Detector *detector)
{
	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(detector->scratch);
}

/* target ------------------------------------------------------------------ */

/* Adds the version whose memory was asked for the longest time ago */
static void
add_pending(Detector *detector, Entry *entry)
{
	Entry	   *oldest = &detector->pending[detector->npending % LOOKAHEAD];

	if (detector->npending >= LOOKAHEAD)
		add_entry(detector, oldest);
	*oldest = *entry;
	detector->npending++;
	scd2_prefetch(&detector->entries[home_of(detector, entry->key_hash)]);
}

/* Adds the versions that are still waiting */
static void
flush_pending(Detector *detector)
{
	uint64		i = detector->npending > LOOKAHEAD ? detector->npending - LOOKAHEAD : 0;

	for (; i < detector->npending && !detector->impossible; i++)
		add_entry(detector, &detector->pending[i % LOOKAHEAD]);
	detector->npending = 0;
}

/* Reads one version of the target */
static void
read_version(Detector *detector, TupleTableSlot *slot, int leaf)
{
	Scd2Merge  *merge = detector->merge;
	Layout	   *layout = &detector->layouts[leaf];
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	Entry		entry;
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
	entry.leaf = leaf | ENTRY_USED;
	detector->latest_from = Max(detector->latest_from, entry.valid_from);
	add_pending(detector, &entry);
}

/* Reads the target into the table */
static void
read_target(Detector *detector)
{
	Scd2Merge  *merge = detector->merge;
	int			leaf;

	for (leaf = 0; leaf < list_length(merge->leaves) && !detector->impossible; leaf++)
	{
		TupleTableSlot *slot = table_slot_create(detector->leaves[leaf], NULL);
		TableScanDesc scan = table_beginscan(detector->leaves[leaf], detector->snapshot, 0, NULL);
		MemoryContext old_context = MemoryContextSwitchTo(detector->scratch);
		uint64		rows = 0;

		while (!detector->impossible && table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			if (++rows % SCRATCH_ROWS == 0)
				tidy_up(detector);
			read_version(detector, slot, leaf);
		}
		MemoryContextSwitchTo(old_context);
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
	}
	flush_pending(detector);
}

/* source ------------------------------------------------------------------ */

/* Fetches the version that an entry stands for */
static Version *
fetch_version(Detector *detector, Entry *entry)
{
	Scd2Merge  *merge = detector->merge;
	int			leaf = entry->leaf & MAX_LEAVES;
	Layout	   *layout = &detector->layouts[leaf];
	TupleTableSlot *slot = detector->slots[leaf];
	Version    *version = &detector->version;
	int			i;

	if (!table_tuple_fetch_row_version(detector->leaves[leaf], &entry->tid, detector->snapshot, slot))
		elog(ERROR, "could not fetch a version of %s", merge->target);
	slot_getallattrs(slot);
	for (i = 0; i < merge->ncolumns; i++)
	{
		version->values[i] = slot->tts_values[layout->data[i] - 1];
		version->nulls[i] = slot->tts_isnull[layout->data[i] - 1];
	}
	if (layout->hash != 0)
	{
		version->hash = slot->tts_values[layout->hash - 1];
		version->hash_null = slot->tts_isnull[layout->hash - 1];
	}
	return version;
}

/*
 * Sets the row hash to write in place.  The tracked values stay, even where
 * the observation has the same ones in other bytes, and so does their hash.
 */
static void
set_hash_in_place(Detector *detector, Version *version)
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
put_observation(Detector *detector, Probe *probe, char action, Entry *entry, Version *version)
{
	Scd2Merge  *merge = detector->merge;
	Layout	   *layout = &detector->source;
	Datum	   *values = detector->values;
	bool	   *nulls = detector->nulls;
	int			i;

	memset(nulls, 0, (SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(bool));
	values[SCD2_DELTA_ACTION - 1] = CharGetDatum(action);
	nulls[SCD2_DELTA_RELATION - 1] = nulls[SCD2_DELTA_TID - 1] = nulls[SCD2_DELTA_FROM - 1] = entry == NULL;
	if (entry != NULL)
	{
		values[SCD2_DELTA_RELATION - 1] = ObjectIdGetDatum(RelationGetRelid(detector->leaves[entry->leaf & MAX_LEAVES]));
		values[SCD2_DELTA_TID - 1] = PointerGetDatum(&entry->tid);
		values[SCD2_DELTA_FROM - 1] = TimestampTzGetDatum(entry->valid_from);
	}
	values[SCD2_DELTA_AT - 1] = TimestampTzGetDatum(probe->at);
	values[SCD2_DELTA_DELETED - 1] = BoolGetDatum(probe->deleted);
	nulls[SCD2_DELTA_HASH - 1] = layout->hash == 0 || probe->slot->tts_isnull[layout->hash - 1];
	if (!nulls[SCD2_DELTA_HASH - 1])
		values[SCD2_DELTA_HASH - 1] = probe->slot->tts_values[layout->hash - 1];
	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		Datum	   *value = &values[SCD2_DELTA_FIXED + i];
		bool	   *null = &nulls[SCD2_DELTA_FIXED + i];
		int			at = layout->data[i] - 1;

		*null = at < 0 || probe->slot->tts_isnull[at];
		if (!*null)
			*value = probe->slot->tts_values[at];
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
is_changed(Detector *detector, Probe *probe, Version *version, Scd2Role role)
{
	Scd2Merge  *merge = detector->merge;
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		int			source = detector->source.data[i] - 1;

		if (column->role != role || (column->keep_on_null && probe->slot->tts_isnull[source]))
			continue;
		if (!scd2_values_equal(column, probe->slot->tts_values[source], probe->slot->tts_isnull[source],
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
has_wrong_hash(Detector *detector, Probe *probe, Version *version)
{
	AttrNumber	source = detector->source.hash;
	int64		right;

	if (!detector->by_row_hash)
		return false;
	if (source != 0 && !probe->slot->tts_isnull[source - 1])
		right = DatumGetInt64(probe->slot->tts_values[source - 1]);
	else
		right = scd2_hash_tracked(detector->merge, version->values, version->nulls);
	return version->hash_null || DatumGetInt64(version->hash) != right;
}

/* Decides about an observation of a key without a current version */
static void
decide_new(Detector *detector, Probe *probe)
{
	Entry		entry = {.key_hash = probe->key_hash, .leaf = ENTRY_USED | ENTRY_SEEN};

	ItemPointerSetInvalid(&entry.tid);
	add_entry(detector, &entry);
	if (detector->impossible)
		return;
	if (probe->at <= detector->latest_to)
		put_observation(detector, probe, SCD2_HISTORY, NULL, NULL);
	else if (!probe->deleted)
		put_observation(detector, probe, SCD2_INSERT, NULL, NULL);
}

/* Decides about an observation that does not agree, or may not, with the current version */
static void
decide_existing(Detector *detector, Probe *probe, Entry *entry)
{
	Version    *version;
	bool		changed;

	if (probe->at < entry->valid_from)
	{
		put_observation(detector, probe, SCD2_HISTORY, entry, NULL);
		return;
	}
	version = fetch_version(detector, entry);
	if (is_changed(detector, probe, version, SCD2_KEY))
	{
		detector->impossible = true;	/* two keys, one hash */
		return;
	}
	changed = is_changed(detector, probe, version, SCD2_TRACKED);
	if (probe->at == entry->valid_from && (probe->deleted || changed))
		put_observation(detector, probe, SCD2_HISTORY, entry, version);
	else if (probe->deleted)
		put_observation(detector, probe, SCD2_CLOSE, entry, version);
	else if (changed)
		put_observation(detector, probe, SCD2_VERSION, entry, version);
	else if (is_changed(detector, probe, version, SCD2_UNTRACKED) || has_wrong_hash(detector, probe, version))
		put_observation(detector, probe, SCD2_IN_PLACE, entry, version);
}

/* Looks an observation up */
static void
decide(Detector *detector, Probe *probe)
{
	Entry	   *entry = find_entry(detector, probe->key_hash);

	if ((entry->leaf & ENTRY_USED) == 0)
	{
		decide_new(detector, probe);
		return;
	}
	if ((entry->leaf & ENTRY_SEEN) != 0)
	{
		detector->impossible = true;	/* a key that comes twice */
		return;
	}
	entry->leaf |= ENTRY_SEEN;
	if (entry->value_hash != probe->value_hash || !probe->certain || probe->deleted || probe->at < entry->valid_from)
		decide_existing(detector, probe, entry);
}

/* Checks and hashes a row of the source */
static void
prepare_probe(Detector *detector, Probe *probe, TupleTableSlot *slot)
{
	Scd2Merge  *merge = detector->merge;
	Layout	   *layout = &detector->source;
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
		probe->value_hash += source_row_hash(detector, slot);
	merge->source_rows++;
}

/* Takes a row of a source that only SQL can read */
static bool
take_source_row(void *state, TupleTableSlot *slot)
{
	Detector   *detector = state;
	MemoryContext old_context = MemoryContextSwitchTo(detector->scratch);
	Probe		probe;

	if (detector->merge->source_rows % SCRATCH_ROWS == 0)
		tidy_up(detector);
	prepare_probe(detector, &probe, slot);
	decide(detector, &probe);
	MemoryContextSwitchTo(old_context);
	return !detector->impossible;
}

/* Reads a plain table, a few rows ahead of the one to decide about */
static void
scan_source(Detector *detector)
{
	Relation	relation = table_open(detector->merge->request->source, AccessShareLock);
	TableScanDesc scan = table_beginscan(relation, detector->snapshot, 0, NULL);
	MemoryContext old_context;
	uint64		next = 0;
	uint64		done = 0;
	int			i;

	for (i = 0; i < LOOKAHEAD; i++)
		detector->probes[i].slot = table_slot_create(relation, NULL);
	old_context = MemoryContextSwitchTo(detector->scratch);
	for (;;)
	{
		Probe	   *probe = &detector->probes[next % LOOKAHEAD];

		if (next % SCRATCH_ROWS == 0)
			tidy_up(detector);
		if (detector->impossible || !table_scan_getnextslot(scan, ForwardScanDirection, probe->slot))
			break;
		prepare_probe(detector, probe, probe->slot);
		scd2_prefetch(&detector->entries[home_of(detector, probe->key_hash)]);
		if (++next - done == LOOKAHEAD)
			decide(detector, &detector->probes[done++ % LOOKAHEAD]);
	}
	while (done < next && !detector->impossible)
		decide(detector, &detector->probes[done++ % LOOKAHEAD]);
	MemoryContextSwitchTo(old_context);

	for (i = 0; i < LOOKAHEAD; i++)
		ExecDropSingleTupleTableSlot(detector->probes[i].slot);
	table_endscan(scan);
	table_close(relation, NoLock);
}

/* Puts the versions into the delta whose key the source lacks */
static void
put_missing(Detector *detector)
{
	Scd2Merge  *merge = detector->merge;
	uint64		i;

	memset(detector->nulls, true, (SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(bool));
	for (i = 0; i < detector->size; i++)
	{
		Entry	   *entry = &detector->entries[i];

		if ((entry->leaf & (ENTRY_USED | ENTRY_SEEN)) != ENTRY_USED)
			continue;
		CHECK_FOR_INTERRUPTS();
		detector->values[SCD2_DELTA_ACTION - 1] = CharGetDatum(SCD2_MISSING);
		detector->values[SCD2_DELTA_RELATION - 1] =
			ObjectIdGetDatum(RelationGetRelid(detector->leaves[entry->leaf & MAX_LEAVES]));
		detector->values[SCD2_DELTA_TID - 1] = PointerGetDatum(&entry->tid);
		detector->values[SCD2_DELTA_AT - 1] = TimestampTzGetDatum(merge->request->valid_at);
		detector->values[SCD2_DELTA_DELETED - 1] = BoolGetDatum(true);
		detector->nulls[SCD2_DELTA_ACTION - 1] = detector->nulls[SCD2_DELTA_RELATION - 1] = false;
		detector->nulls[SCD2_DELTA_TID - 1] = detector->nulls[SCD2_DELTA_AT - 1] = false;
		detector->nulls[SCD2_DELTA_DELETED - 1] = false;
		scd2_put_delta(merge, detector->values, detector->nulls);
	}
}

/* preparation ------------------------------------------------------------- */

/* Tells whether the source is a plain table whose rows the caller sees without SQL */
static bool
is_source_scannable(Scd2Merge *merge)
{
	Oid			source = merge->request->source;
	int			i;

	if (!OidIsValid(source) || get_rel_relkind(source) != RELKIND_RELATION || has_subclass(source) ||
		pg_class_aclcheck(source, GetUserId(), ACL_SELECT) != ACLCHECK_OK ||
		check_enable_rls(source, InvalidOid, true) == RLS_ENABLED)
		return false;
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].coerce)
			return false;
	}
	return true;
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
static void
lay_out_leaf(Detector *detector, Relation leaf, Layout *layout)
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
static void
lay_out_source(Detector *detector, bool scannable)
{
	Scd2Merge  *merge = detector->merge;
	Layout	   *layout = &detector->source;
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

/*
 * Tells whether the tracked columns can be compared by the stored row hash.
 * Not if NULL may mean "not observed": the hash covers all of them.
 */
static bool
can_use_row_hash(Scd2Merge *merge)
{
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].role == SCD2_TRACKED && merge->columns[i].keep_on_null)
			return false;
	}
	return merge->hash_attno != InvalidAttrNumber;
}

/* Estimates the number of rows of the target's leaves */
static double
estimate_target(Detector *detector)
{
	double		rows = 0;
	int			i;

	for (i = 0; i < list_length(detector->merge->leaves); i++)
	{
		Relation	leaf = detector->leaves[i];

		if (leaf->rd_rel->reltuples >= 0 && leaf->rd_rel->relpages > 0)
			rows += leaf->rd_rel->reltuples / leaf->rd_rel->relpages * RelationGetNumberOfBlocks(leaf);
		else
			rows += 50.0 * RelationGetNumberOfBlocks(leaf);
	}
	return rows;
}

/* Tells whether the table of hashes fits this merge, apart from size */
static bool
is_applicable(Scd2Merge *merge)
{
	int			i;

	if (scd2_detector == DETECTOR_JOIN || !merge->scannable || OidIsValid(merge->request->observations) ||
		list_length(merge->leaves) > MAX_LEAVES)
		return false;
	for (i = 0; i < merge->nkeys; i++)
	{
		if (!merge->columns[i].image_is_equality && !OidIsValid(merge->columns[i].hash_function.fn_oid))
			return false;
	}
	return true;
}

/* Opens the leaves and decides by size; allocates the table */
static void
prepare_table(Detector *detector)
{
	Scd2Merge  *merge = detector->merge;
	double		rows;
	int			i;

	for (i = 0; i < list_length(merge->leaves); i++)
	{
		detector->leaves[i] = table_open(list_nth_oid(merge->leaves, i), NoLock);
		detector->slots[i] = table_slot_create(detector->leaves[i], NULL);
		lay_out_leaf(detector, detector->leaves[i], &detector->layouts[i]);
	}
	rows = estimate_target(detector);
	detector->max_used = (uint64) maintenance_work_mem * 1024 / sizeof(Entry) * 3 / 4;
	if (scd2_detector == DETECTOR_AUTO && (merge->source_estimate * SMALL_SOURCE < rows || rows > 4.0 * detector->max_used))
		detector->impossible = true;
	else
		allocate_entries(detector, Min((uint64) rows + 1024, detector->max_used));
}

/* Runs both passes */
static void
detect(Detector *detector, bool scannable)
{
	Scd2Merge  *merge = detector->merge;

	read_target(detector);
	if (detector->impossible)
		return;
	/* what a late, complete extract lacks may be in the middle of a history */
	if (merge->request->close_missing &&
		merge->request->valid_at <= Max(detector->latest_from, detector->latest_to))
	{
		detector->impossible = true;
		return;
	}
	if (scannable)
		scan_source(detector);
	else
		scd2_stream_source(merge, take_source_row, detector);
	if (merge->request->close_missing && !detector->impossible)
		put_missing(detector);
}

/* Fills the delta; returns false if that has to be left to the join */
bool
scd2_detect_by_hash(Scd2Merge *merge)
{
	MemoryContext old_context;
	Detector   *detector;
	bool		scannable;
	int			i;

	if (!is_applicable(merge))
		return false;
	old_context = MemoryContextSwitchTo(merge->context);
	scannable = is_source_scannable(merge);
	detector = palloc0(sizeof(Detector));
	detector->merge = merge;
	detector->scratch = AllocSetContextCreate(merge->context, "scd2 scratch", ALLOCSET_DEFAULT_SIZES);
	detector->seed = pg_prng_uint64(&pg_global_prng_state);
	detector->by_row_hash = can_use_row_hash(merge);
	detector->latest_from = detector->latest_to = DT_NOBEGIN;
	detector->leaves = palloc0(list_length(merge->leaves) * sizeof(Relation));
	detector->layouts = palloc0(list_length(merge->leaves) * sizeof(Layout));
	detector->version.values = palloc(merge->ncolumns * sizeof(Datum));
	detector->version.nulls = palloc(merge->ncolumns * sizeof(bool));
	detector->slots = palloc0(list_length(merge->leaves) * sizeof(TupleTableSlot *));
	detector->values = palloc0((SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(Datum));
	detector->nulls = palloc0((SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(bool));
	lay_out_source(detector, scannable);
	scd2_create_delta(merge);
	merge->source_rows = 0;

	CommandCounterIncrement();
	detector->snapshot = RegisterSnapshot(GetTransactionSnapshot());
	prepare_table(detector);
	if (!detector->impossible)
		detect(detector, scannable);
	for (i = 0; i < list_length(merge->leaves); i++)
	{
		ExecDropSingleTupleTableSlot(detector->slots[i]);
		table_close(detector->leaves[i], NoLock);
	}
	UnregisterSnapshot(detector->snapshot);
	if (detector->memory != NULL)
		pfree(detector->memory);
	MemoryContextSwitchTo(old_context);
	return !detector->impossible;
}

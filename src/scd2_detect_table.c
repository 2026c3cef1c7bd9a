/*
 * scd2_detect_table.c
 *		The hash table of current versions: open addressing, 16 bytes a slot.
 *
 * A search goes through the slots of one cache line, and rarely a second one:
 * what it costs is to wait for that line.  So that four slots fit, a slot
 * holds neither the key's hash nor the row's ctid as they are.  The line a key
 * belongs to tells the high bits of its hash, and the slot has room for some
 * low ones: for a million rows about 57 of 64 bits are known.  Two keys that
 * agree in those are told apart by reading the key again from its table.  A
 * ctid becomes a number that counts the places of all leaf relations.
 *
 * The slots cannot be put into a larger table, as the hashes are gone.  When
 * there are more versions than estimated, the target is read once more.
 */
#include "postgres.h"

#ifndef WIN32
#include <sys/mman.h>
#endif

#include "access/htup_details.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "compat.h"
#include "scd2_detect.h"

#define LARGE_PAGE			(2 * 1024 * 1024)

/* Numbers that a page takes: offsets begin with 1 */
#define PLACES_PER_PAGE		(MaxHeapTuplesPerPage + 1)

/* What a mark needs at least of the key's hash, or nearly every search would read tables */
#define MIN_TAG_BITS		16

/* Numbers the places of the leaf relations; returns false if there are too many for a mark */
bool
scd2_number_places(Scd2Detector *detector)
{
	uint64		places = 0;
	int			bits;
	int			i;

	for (i = 0; i < list_length(detector->merge->leaves); i++)
	{
		detector->first_place[i] = places;
		places += (uint64) RelationGetNumberOfBlocks(detector->leaves[i]) * PLACES_PER_PAGE;
	}
	bits = pg_leftmost_one_pos64(places + 1) + 1;
	detector->table.place_bits = Max(bits, 63 - SCD2_TAG_BITS);
	return bits <= 63 - MIN_TAG_BITS;
}

/* Returns the number of a row's place, which is never 0 */
uint64
scd2_number_of_place(Scd2Detector *detector, int leaf, ItemPointer tid)
{
	return detector->first_place[leaf] + (uint64) ItemPointerGetBlockNumberNoCheck(tid) * PLACES_PER_PAGE +
		ItemPointerGetOffsetNumberNoCheck(tid);
}

/* Turns the number in a mark back into a leaf relation and a ctid */
void
scd2_find_place(Scd2Detector *detector, Scd2Slot *slot, int *leaf, ItemPointer tid)
{
	uint64		place = slot->mark & ((UINT64CONST(1) << detector->table.place_bits) - 1);
	int			low = 0;
	int			high = list_length(detector->merge->leaves);

	while (high - low > 1)
	{
		int			middle = low + (high - low) / 2;

		if (detector->first_place[middle] < place)
			low = middle;
		else
			high = middle;
	}
	*leaf = low;
	place -= detector->first_place[low];
	ItemPointerSet(tid, (BlockNumber) (place / PLACES_PER_PAGE), (OffsetNumber) (place % PLACES_PER_PAGE));
}

/* Tells whether each version's valid_from has to be known, not only whether this merge comes before it */
static bool
needs_valid_from(Scd2Detector *detector)
{
	return detector->merge->source_at != 0;
}

/* Returns how many versions the table can hold at most */
uint64
scd2_table_capacity(Scd2Detector *detector)
{
	return detector->memory / (sizeof(Scd2Slot) + (needs_valid_from(detector) ? sizeof(TimestampTz) : 0)) / 4 * 3;
}

/*
 * Creates an empty table for some number of versions.  It is read at random:
 * on large pages the processor finds its way with a few address translations
 * instead of one per page of 4 KB.
 */
void
scd2_create_table(Scd2Detector *detector, uint64 capacity)
{
	Scd2Table  *table = &detector->table;
	MemoryContext context = detector->merge->context;
	uint64		size;
	Size		bytes;

	table->lines = (capacity + capacity / 3) / SCD2_LINE_SLOTS + 4;
	size = table->lines * SCD2_LINE_SLOTS;
	bytes = size * sizeof(Scd2Slot) + (size / 64 + 1) * sizeof(uint64);
	table->memory = MemoryContextAllocHuge(context, bytes + LARGE_PAGE);
	table->slots = (Scd2Slot *) TYPEALIGN(LARGE_PAGE, table->memory);
	table->end = table->slots + size;
	table->seen = (uint64 *) table->end;
	table->used = 0;
	table->max_used = size - size / 4;
	table->full = false;
	table->npending = 0;
#ifdef MADV_HUGEPAGE
	/* advice only; without it the table works the same */
	(void) madvise(table->slots, TYPEALIGN_DOWN(LARGE_PAGE, bytes), MADV_HUGEPAGE);
#endif
	memset(table->slots, 0, bytes);
	if (needs_valid_from(detector))
		table->valid_from = MemoryContextAllocHuge(context, size * sizeof(TimestampTz));
}

/* Gives the memory of the table back */
void
scd2_free_table(Scd2Detector *detector)
{
	Scd2Table  *table = &detector->table;

	if (table->memory == NULL)
		return;
	pfree(table->memory);
	if (table->valid_from != NULL)
		pfree(table->valid_from);
	table->memory = NULL;
	table->valid_from = NULL;
}

/* Tells whether the version of a slot has the key with a hash, by reading it again */
static bool
is_same_key(Scd2Detector *detector, Scd2Slot *slot, uint64 key_hash)
{
	ItemPointerData tid;
	TupleTableSlot *version;
	HeapRow		row;
	bool		same;
	int			leaf;

	scd2_find_place(detector, slot, &leaf, &tid);
	version = detector->slots[leaf];
	if (!table_tuple_fetch_row_version(detector->leaves[leaf], &tid, detector->snapshot, version))
		elog(ERROR, "could not fetch a version of %s", detector->merge->target);
	slot_getallattrs(version);
	row.values = version->tts_values;
	row.nulls = version->tts_isnull;
	same = scd2_hash_key(detector, &detector->layouts[leaf], &row) == key_hash;
	ExecClearTuple(version);
	return same;
}

/* Adds a version; a second one of its key is left to the join to report */
static void
add_version(Scd2Detector *detector, Scd2Arrival *arrival)
{
	Scd2Table  *table = &detector->table;
	Scd2Slot   *slot = scd2_home_of(table, arrival->key_hash);
	uint64		late = arrival->valid_from > detector->merge->request->valid_at;

	if (table->used >= table->max_used)
	{
		table->full = true;
		return;
	}
	for (; slot->mark != 0; slot = scd2_next_slot(table, slot))
	{
		if (scd2_has_tag(table, slot, arrival->key_hash) && is_same_key(detector, slot, arrival->key_hash))
		{
			detector->impossible = true;
			return;
		}
	}
	slot->row_hash = arrival->row_hash;
	slot->mark = arrival->key_hash << (table->place_bits + 1) | late << table->place_bits | arrival->place;
	if (table->valid_from != NULL)
		table->valid_from[slot - table->slots] = arrival->valid_from;
	table->used++;
}

/* Adds the version whose memory was asked for the longest time ago */
void
scd2_add_pending(Scd2Detector *detector, Scd2Arrival *arrival)
{
	Scd2Table  *table = &detector->table;
	Scd2Arrival *oldest = &table->pending[table->npending % SCD2_LOOKAHEAD];

	if (table->npending >= SCD2_LOOKAHEAD)
		add_version(detector, oldest);
	*oldest = *arrival;
	table->npending++;
	prefetch_to_write(scd2_home_of(table, arrival->key_hash));
}

/* Adds the versions that are still waiting */
void
scd2_flush_pending(Scd2Detector *detector)
{
	Scd2Table  *table = &detector->table;
	uint64		i = table->npending > SCD2_LOOKAHEAD ? table->npending - SCD2_LOOKAHEAD : 0;

	for (; i < table->npending && !detector->impossible; i++)
		add_version(detector, &table->pending[i % SCD2_LOOKAHEAD]);
	table->npending = 0;
}

/* Puts a hash into a set that has room; returns false if it is there already */
static bool
put_key(Scd2KeySet *set, uint64 hash)
{
	uint64		i = hash & (set->size - 1);

	for (; set->hashes[i] != 0; i = (i + 1) & (set->size - 1))
	{
		if (set->hashes[i] == hash)
			return false;
	}
	set->hashes[i] = hash;
	set->used++;
	return true;
}

/* Doubles a set of keys; returns false where memory ends */
static bool
enlarge_set(Scd2Detector *detector)
{
	Scd2KeySet *set = &detector->new_keys;
	Scd2KeySet	larger = {.size = Max(set->size * 2, 1024)};
	uint64		i;

	if ((uint64) ((char *) detector->table.end - (char *) detector->table.slots) +
		(set->size + larger.size) * sizeof(uint64) > detector->memory)
		return false;
	larger.hashes = MemoryContextAllocHuge(detector->merge->context, larger.size * sizeof(uint64));
	memset(larger.hashes, 0, larger.size * sizeof(uint64));
	for (i = 0; i < set->size; i++)
	{
		if (set->hashes[i] != 0)
			put_key(&larger, set->hashes[i]);
	}
	if (set->hashes != NULL)
		pfree(set->hashes);
	*set = larger;
	return true;
}

/* Notes a key that only the source has; returns false if it came before, or where memory ends */
bool
scd2_add_new_key(Scd2Detector *detector, uint64 key_hash)
{
	Scd2KeySet *set = &detector->new_keys;

	if (set->used >= set->size / 4 * 3 && !enlarge_set(detector))
		return false;
	return put_key(set, Max(key_hash, 1));
}

/*
 * scd2_detect_table.c
 *		The hash table of current versions: open addressing, 32 bytes an entry.
 */
#include "postgres.h"

#ifndef WIN32
#include <sys/mman.h>
#endif

#include "utils/memutils.h"

#include "compat.h"
#include "scd2_detect.h"

#define LARGE_PAGE			(2 * 1024 * 1024)

/*
 * Allocates an empty table for some number of entries.  It is read at random:
 * on large pages the processor finds its way with a few address translations
 * instead of one per page of 4 KB.
 */
void
scd2_allocate_entries(Scd2Detector *detector, uint64 capacity)
{
	Size		bytes;

	detector->size = capacity + capacity / 3 + 16;
	bytes = detector->size * sizeof(Scd2Entry);
	detector->memory = MemoryContextAllocHuge(detector->merge->context, bytes + LARGE_PAGE);
	detector->entries = (Scd2Entry *) TYPEALIGN(LARGE_PAGE, detector->memory);
#ifdef MADV_HUGEPAGE
	/* advice only; without it the table works the same */
	(void) madvise(detector->entries, TYPEALIGN_DOWN(LARGE_PAGE, bytes), MADV_HUGEPAGE);
#endif
	memset(detector->entries, 0, bytes);
	detector->seen = MemoryContextAllocHuge(detector->merge->context, (detector->size / 64 + 1) * sizeof(uint64));
	memset(detector->seen, 0, (detector->size / 64 + 1) * sizeof(uint64));
}

/* Makes room for more entries; gives up where memory ends */
static void
enlarge_table(Scd2Detector *detector)
{
	Scd2Entry	   *old = detector->entries;
	uint64	   *old_seen = detector->seen;
	void	   *old_memory = detector->memory;
	uint64		old_size = detector->size;
	uint64		i;

	if (detector->used >= detector->max_used)
	{
		detector->impossible = true;
		return;
	}
	scd2_allocate_entries(detector, Min(detector->used * 2, detector->max_used));
	for (i = 0; i < old_size; i++)
	{
		Scd2Entry  *place;

		if ((old[i].leaf & SCD2_ENTRY_USED) == 0)
			continue;
		place = scd2_find_entry(detector, old[i].key_hash);
		*place = old[i];
		if ((old_seen[i / 64] >> (i % 64) & 1) != 0)
			scd2_mark_seen(detector, place);
	}
	pfree(old_memory);
	pfree(old_seen);
}

/*
 * Adds an entry and returns its place.  A hash that is there already is a
 * second version or a collision; then, and when memory is used up, NULL.
 */
Scd2Entry *
scd2_add_entry(Scd2Detector *detector, Scd2Entry *entry)
{
	Scd2Entry	   *place;

	if (detector->used >= detector->size - detector->size / 4)
		enlarge_table(detector);
	if (detector->impossible)
		return NULL;
	place = scd2_find_entry(detector, entry->key_hash);
	if ((place->leaf & SCD2_ENTRY_USED) != 0)
	{
		detector->impossible = true;
		return NULL;
	}
	*place = *entry;
	detector->used++;
	return place;
}

/* Adds the version whose memory was asked for the longest time ago */
void
scd2_add_pending(Scd2Detector *detector, Scd2Entry *entry)
{
	Scd2Entry	   *oldest = &detector->pending[detector->npending % SCD2_LOOKAHEAD];

	if (detector->npending >= SCD2_LOOKAHEAD)
		scd2_add_entry(detector, oldest);
	*oldest = *entry;
	detector->npending++;
	scd2_prefetch_to_write(&detector->entries[scd2_home_of(detector, entry->key_hash)]);
}

/* Adds the versions that are still waiting */
void
scd2_flush_pending(Scd2Detector *detector)
{
	uint64		i = detector->npending > SCD2_LOOKAHEAD ? detector->npending - SCD2_LOOKAHEAD : 0;

	for (; i < detector->npending && !detector->impossible; i++)
		scd2_add_entry(detector, &detector->pending[i % SCD2_LOOKAHEAD]);
	detector->npending = 0;
}

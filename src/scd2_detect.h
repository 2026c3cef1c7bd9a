/*
 * scd2_detect.h
 *		What the files of the detection with a hash table share.
 *
 *	scd2_detect.c			the two passes
 *	scd2_detect_table.c		the hash table
 *	scd2_detect_rows.c		where columns are in a row, and its hashes
 *	scd2_detect_decide.c	what an observation asks for
 */
#ifndef FLOWLENS_SCD2_DETECT_H
#define FLOWLENS_SCD2_DETECT_H

#include "utils/snapshot.h"

#include "scd2_internal.h"

/* Rows in flight between computing a hash and using it, so that memory has time to answer */
#define SCD2_LOOKAHEAD			16

#define SCD2_MAX_LEAVES			0x3fff	/* what fits beside the flags */
#define SCD2_ENTRY_USED			0x8000
#define SCD2_ENTRY_SEEN			0x4000	/* the source has the key */

/* A current version, or a new key of the source */
typedef struct Scd2Entry
{
	uint64		key_hash;
	uint64		value_hash;
	TimestampTz valid_from;
	ItemPointerData tid;		/* invalid for a new key */
	uint16		leaf;			/* number of the leaf relation, and flags */
} Scd2Entry;

/* Where the columns are in a row */
typedef struct Scd2Layout
{
	AttrNumber	at;				/* 0: the time of the merge */
	AttrNumber	deleted;		/* 0: never */
	AttrNumber	hash;			/* 0: none */
	AttrNumber	from;			/* of a version only, as the next two */
	AttrNumber	to;
	AttrNumber	current;
	AttrNumber *data;			/* per data column; 0: not in the row */
	AttrNumber	last;			/* the last one that hashing needs */
} Scd2Layout;

/* A current version, its data columns in the order of the merge */
typedef struct Scd2Version
{
	Datum	   *values;
	bool	   *nulls;
	Datum		hash;
	bool		hash_null;
} Scd2Version;

/* A row of the source with its hashes */
typedef struct Scd2Probe
{
	TupleTableSlot *slot;
	uint64		key_hash;
	uint64		value_hash;
	TimestampTz at;
	bool		deleted;
	bool		certain;		/* equal hashes mean equal values */
} Scd2Probe;

typedef struct Scd2Detector
{
	Scd2Merge  *merge;
	MemoryContext scratch;		/* what functions of the types leave behind */
	uint64		seed;
	bool		by_row_hash;	/* tracked columns are compared by their stored hash */
	bool		impossible;		/* left to the join */

	/* hash table with linear probing */
	void	   *memory;
	Scd2Entry	   *entries;			/* in it, aligned */
	uint64		size;
	uint64		used;
	uint64		max_used;		/* that memory allows */

	/* target; arrays are per leaf relation, whose columns may stand in another order */
	Relation   *leaves;
	Scd2Layout	   *layouts;
	TupleTableSlot **slots;		/* for fetching by ctid */
	Scd2Version		version;		/* the one fetched last */
	Snapshot	snapshot;
	TimestampTz latest_from;	/* of a current version */
	TimestampTz latest_to;		/* of a closed version */
	Scd2Entry		pending[SCD2_LOOKAHEAD];
	uint64		npending;

	/* source */
	Scd2Layout		source;
	Scd2Probe		probes[SCD2_LOOKAHEAD];
	Datum	   *values;			/* a row of the delta */
	bool	   *nulls;
} Scd2Detector;

/* Returns the place where the search for a hash begins */
static inline uint64
scd2_home_of(Scd2Detector *detector, uint64 hash)
{
	return scd2_scale_hash(hash, detector->size);
}

/* Finds the entry with a hash, or the empty one where it belongs */
static inline Scd2Entry *
scd2_find_entry(Scd2Detector *detector, uint64 key_hash)
{
	uint64		i = scd2_home_of(detector, key_hash);

	while ((detector->entries[i].leaf & SCD2_ENTRY_USED) != 0 && detector->entries[i].key_hash != key_hash)
	{
		if (++i == detector->size)
			i = 0;
	}
	return &detector->entries[i];
}

/* scd2_detect_table.c */
extern void scd2_allocate_entries(Scd2Detector *detector, uint64 capacity);
extern void scd2_add_entry(Scd2Detector *detector, Scd2Entry *entry);
extern void scd2_add_pending(Scd2Detector *detector, Scd2Entry *entry);
extern void scd2_flush_pending(Scd2Detector *detector);

/* scd2_detect_rows.c */
extern void scd2_lay_out_leaf(Scd2Detector *detector, Relation leaf, Scd2Layout *layout);
extern void scd2_lay_out_source(Scd2Detector *detector, bool scannable);
extern void scd2_read_version(Scd2Detector *detector, TupleTableSlot *slot, int leaf);
extern void scd2_prepare_probe(Scd2Detector *detector, Scd2Probe *probe, TupleTableSlot *slot);
extern uint64 scd2_source_row_hash(Scd2Detector *detector, TupleTableSlot *slot);

/* scd2_detect_decide.c */
extern void scd2_decide(Scd2Detector *detector, Scd2Probe *probe);

#endif							/* FLOWLENS_SCD2_DETECT_H */

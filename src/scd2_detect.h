/*
 * scd2_detect.h
 *		What the files of the detection with a hash table share.
 *
 *	scd2_detect.c			the two passes
 *	scd2_detect_table.c		the hash table
 *	scd2_detect_scan.c		rows of a heap table, taken apart
 *	scd2_detect_rows.c		where columns are in a row, and its hashes
 *	scd2_detect_decide.c	what an observation asks for
 */
#ifndef FLOWLENS_SCD2_DETECT_H
#define FLOWLENS_SCD2_DETECT_H

#include "access/tableam.h"
#include "utils/snapshot.h"

#include "scd2_internal.h"

/* Rows in flight between computing a hash and using it, so that memory has time to answer */
#define SCD2_LOOKAHEAD			16

#define SCD2_MAX_LEAVES			0x7fff	/* what fits beside the flag */
#define SCD2_ENTRY_USED			0x8000

/* A current version, or a new key of the source */
typedef struct Scd2Entry
{
	uint64		key_hash;
	uint64		value_hash;
	TimestampTz valid_from;
	ItemPointerData tid;		/* invalid for a new key */
	uint16		leaf;			/* number of the leaf relation, and the flag */
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

/* A row taken apart, by attribute number */
typedef struct Scd2Row
{
	Datum	   *values;
	bool	   *nulls;
} Scd2Row;

/* What the walk over a row needs to know about an attribute */
typedef struct Scd2Attribute
{
	int16		length;
	bool		by_value;
	uint8		align;			/* in bytes */
} Scd2Attribute;

/* A scan of a heap table */
typedef struct Scd2Scan
{
	TableScanDesc scan;
	TupleDesc	desc;
	int			natts;			/* how many attributes of a row are wanted */
	Scd2Attribute *attributes;
	ItemPointerData tid;		/* of the current row */
	Scd2Row		row;
} Scd2Scan;

/* Random numbers that the hashes of one merge depend on */
typedef struct Scd2Secret
{
	uint64		word;
	uint64		state;
	uint64		length;
	uint64		null;
} Scd2Secret;

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
	uint64		key_hash;
	uint64		value_hash;
	TimestampTz at;
	ItemPointerData tid;		/* of a row of a table, for fetching it again */
	bool		deleted;
	bool		certain;		/* equal hashes mean equal values */
} Scd2Probe;

typedef struct Scd2Detector
{
	Scd2Merge  *merge;
	MemoryContext scratch;		/* what functions of the types leave behind */
	Scd2Secret	secret;
	bool		by_row_hash;	/* tracked columns are compared by their stored hash */
	Scd2Column **hashed;		/* columns that the value hash covers */
	int			nhashed;
	bool		keeps;			/* NULL in some column means "not observed" */
	bool		impossible;		/* left to the join */

	/* hash table with linear probing */
	void	   *memory;
	Scd2Entry  *entries;		/* in it, aligned */
	uint64	   *seen;			/* a bit per entry: the source has the key */
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
	Relation	source_relation;	/* if it is scanned, else NULL */
	TupleTableSlot *source_slot;	/* for fetching its rows by ctid */
	Scd2Row		source_row;		/* the one in work, or the one fetched last */
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

/*
 * Notes that the source has the key of an entry; returns whether that was
 * known.  The bits are apart from the entries, which stay as they are while
 * the source is read: memory that is only read costs half.
 */
static inline bool
scd2_mark_seen(Scd2Detector *detector, Scd2Entry *entry)
{
	uint64		place = entry - detector->entries;
	uint64		bit = UINT64CONST(1) << (place % 64);
	bool		seen = (detector->seen[place / 64] & bit) != 0;

	detector->seen[place / 64] |= bit;
	return seen;
}

/* scd2_detect_table.c */
extern void scd2_allocate_entries(Scd2Detector *detector, uint64 capacity);
extern Scd2Entry *scd2_add_entry(Scd2Detector *detector, Scd2Entry *entry);
extern void scd2_add_pending(Scd2Detector *detector, Scd2Entry *entry);
extern void scd2_flush_pending(Scd2Detector *detector);

/* scd2_detect_scan.c */
extern void scd2_begin_scan(Scd2Scan *scan, Relation relation, Snapshot snapshot, int natts);
extern bool scd2_next_row(Scd2Scan *scan);
extern void scd2_end_scan(Scd2Scan *scan);

/* scd2_detect_rows.c */
extern void scd2_choose_secret(Scd2Secret *secret);
extern void scd2_choose_hashed_columns(Scd2Detector *detector);
extern void scd2_lay_out_leaf(Scd2Detector *detector, Relation leaf, Scd2Layout *layout);
extern void scd2_lay_out_source(Scd2Detector *detector, bool scannable);
extern void scd2_read_version(Scd2Detector *detector, Scd2Row *row, ItemPointer tid, int leaf);
extern void scd2_prepare_probe(Scd2Detector *detector, Scd2Probe *probe, Scd2Row *row);

/* scd2_detect_decide.c */
extern void scd2_decide(Scd2Detector *detector, Scd2Probe *probe);

#endif							/* FLOWLENS_SCD2_DETECT_H */

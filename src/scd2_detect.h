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

#include "access/tableam.h"
#include "utils/snapshot.h"

#include "scd2_internal.h"
#include "util_heap_rows.h"
#include "util_prefetch.h"

/* Rows in flight between computing a hash and using it, so that memory has time to answer */
#define SCD2_LOOKAHEAD			16

/* Fewer in builds that test what happens when the marks of two keys meet */
#ifndef SCD2_TAG_BITS
#define SCD2_TAG_BITS			64
#endif

/*
 * A current version in the table: the sum of the hashes of its key and its
 * values, and a mark.  From above the mark is as many low bits of the key's
 * hash as there is room for, a bit that says that the version begins after
 * this merge's time, and the number of the row's place; an empty slot has 0.
 */
typedef struct Scd2Slot
{
	uint64		row_hash;
	uint64		mark;
} Scd2Slot;

#define SCD2_LINE_SLOTS			(MEMORY_LINE / sizeof(Scd2Slot))

/* A version on its way into the table */
typedef struct Scd2Arrival
{
	uint64		key_hash;
	uint64		row_hash;
	uint64		place;
	TimestampTz valid_from;
} Scd2Arrival;

/* The table of current versions, see scd2_detect_table.c */
typedef struct Scd2Table
{
	void	   *memory;
	Scd2Slot   *slots;			/* in it, aligned */
	Scd2Slot   *end;
	uint64	   *seen;			/* behind them, a bit per slot: the source has the key */
	TimestampTz *valid_from;	/* per slot; NULL: one bit of the mark will do */
	uint64		lines;			/* groups of slots, where searches begin */
	uint64		used;
	uint64		max_used;		/* that the slots allow */
	bool		full;			/* and there were more */
	int			place_bits;		/* of a mark */
	Scd2Arrival pending[SCD2_LOOKAHEAD];
	uint64		npending;
} Scd2Table;

/* Hashes of keys that only the source has */
typedef struct Scd2KeySet
{
	uint64	   *hashes;			/* 0: empty */
	uint64		size;			/* a power of two, or 0 */
	uint64		used;
} Scd2KeySet;

/* A column to hash, with what is needed for that side by side */
typedef struct Scd2HashedColumn
{
	int16		index;			/* in a row */
	int16		typlen;
	bool		typbyval;
} Scd2HashedColumn;

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
	Scd2HashedColumn *hashed;	/* the columns that the value hash covers */
} Scd2Layout;

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
	int			leaf;
	ItemPointerData tid;
	TimestampTz valid_from;
	Datum	   *values;
	bool	   *nulls;
	Datum		hash;
	bool		hash_null;
} Scd2Version;

/* A row of the source with its hashes */
typedef struct Scd2Probe
{
	uint64		key_hash;
	uint64		row_hash;
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
	int			nhashed;		/* columns that the value hash covers */
	bool		keeps;			/* NULL in some column means "not observed" */
	bool		impossible;		/* left to the join */

	Scd2Table	table;
	Scd2KeySet	new_keys;
	uint64		memory;			/* bytes that both may take */

	/* target; arrays are per leaf relation, whose columns may stand in another order */
	Relation   *leaves;
	Scd2Layout	   *layouts;
	uint64	   *first_place;	/* number before that of the first row */
	TupleTableSlot **slots;		/* for fetching by ctid */
	Scd2Version		version;		/* the one fetched last */
	Snapshot	snapshot;
	TimestampTz latest_from;	/* of a current version */
	TimestampTz latest_to;		/* of a closed version */

	/* source */
	Scd2Layout		source;
	Relation	source_relation;	/* if it is scanned, else NULL */
	TupleTableSlot *source_slot;	/* for fetching its rows by ctid */
	HeapRow		source_row;		/* the one in work, or the one fetched last */
	Scd2Probe		probes[SCD2_LOOKAHEAD];
	Datum	   *values;			/* a row of the delta */
	bool	   *nulls;
} Scd2Detector;

/* Returns the slot where the search for a key begins: the first of a cache line */
static inline Scd2Slot *
scd2_home_of(Scd2Table *table, uint64 key_hash)
{
	return table->slots + scd2_scale_hash(key_hash, table->lines) * SCD2_LINE_SLOTS;
}

/* Returns the slot where the search goes on */
static inline Scd2Slot *
scd2_next_slot(Scd2Table *table, Scd2Slot *slot)
{
	return ++slot == table->end ? table->slots : slot;
}

/* Tells whether a slot that is used may be the one of a key: no other has its mark, as a rule */
static inline bool
scd2_has_tag(Scd2Table *table, Scd2Slot *slot, uint64 key_hash)
{
	int			shift = table->place_bits + 1;

	return (slot->mark ^ key_hash << shift) >> shift == 0;
}

/* Tells whether a version begins after a time of the source */
static inline bool
scd2_begins_after(Scd2Table *table, Scd2Slot *slot, TimestampTz at)
{
	if (table->valid_from != NULL)
		return table->valid_from[slot - table->slots] > at;
	return (slot->mark >> table->place_bits & 1) != 0;
}

/*
 * Notes that the source has the key of a slot; returns whether that was
 * known.  The bits are apart from the slots, which stay as they are while
 * the source is read: memory that is only read costs half.
 */
static inline bool
scd2_mark_seen(Scd2Table *table, Scd2Slot *slot)
{
	uint64		number = slot - table->slots;
	uint64		bit = UINT64CONST(1) << (number % 64);
	bool		seen = (table->seen[number / 64] & bit) != 0;

	table->seen[number / 64] |= bit;
	return seen;
}

/* scd2_detect_table.c */
extern bool scd2_number_places(Scd2Detector *detector);
extern uint64 scd2_number_of_place(Scd2Detector *detector, int leaf, ItemPointer tid);
extern void scd2_find_place(Scd2Detector *detector, Scd2Slot *slot, int *leaf, ItemPointer tid);
extern uint64 scd2_table_capacity(Scd2Detector *detector);
extern void scd2_create_table(Scd2Detector *detector, uint64 capacity);
extern void scd2_free_table(Scd2Detector *detector);
extern void scd2_add_pending(Scd2Detector *detector, Scd2Arrival *arrival);
extern void scd2_flush_pending(Scd2Detector *detector);
extern bool scd2_add_new_key(Scd2Detector *detector, uint64 key_hash);

/* scd2_detect_rows.c */
extern void scd2_choose_secret(Scd2Secret *secret);
extern void scd2_count_hashed_columns(Scd2Detector *detector);
extern void scd2_lay_out_leaf(Scd2Detector *detector, Relation leaf, Scd2Layout *layout);
extern void scd2_lay_out_source(Scd2Detector *detector, bool scannable);
extern uint64 scd2_hash_key(Scd2Detector *detector, Scd2Layout *layout, HeapRow *row);
extern void scd2_read_version(Scd2Detector *detector, HeapRow *row, ItemPointer tid, int leaf);
extern void scd2_prepare_probe(Scd2Detector *detector, Scd2Probe *probe, HeapRow *row);

/* scd2_detect_decide.c */
extern void scd2_decide(Scd2Detector *detector, Scd2Probe *probe);

#endif							/* FLOWLENS_SCD2_DETECT_H */

/*
 * util_heap_rows.h
 *		Rows of a heap table, taken apart without slots.
 */
#ifndef FLOWLENS_UTIL_HEAP_ROWS_H
#define FLOWLENS_UTIL_HEAP_ROWS_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* What the walk over a row needs to know about an attribute */
typedef struct HeapRowsAttribute
{
	int16		length;
	bool		by_value;
	uint8		align;			/* in bytes */
} HeapRowsAttribute;

/* A row taken apart, by attribute number; it points into its page */
typedef struct HeapRow
{
	Datum	   *values;
	bool	   *nulls;
} HeapRow;

/* A scan of a heap table, and the row it stands on */
typedef struct HeapRows
{
	TupleDesc	desc;
	int			natts;			/* how many attributes of a row are wanted, the first ones */
	HeapRowsAttribute *attributes;
	TableScanDesc scan;			/* of the pages, or ... */
	IndexScanDesc index_scan;	/* ... in the order of an index */
	Relation	index;
	TupleTableSlot *slot;		/* keeps the page of an index scan's row */
	BlockNumber page;			/* in work */
	Buffer		next_page;		/* the one after it, pinned, or InvalidBuffer */
	int			asked;			/* how many bytes of it have been asked for */
	ItemPointerData tid;		/* of the row */
	HeapRow		row;
} HeapRows;

extern bool heap_rows_suit(Relation relation);
extern void heap_rows_begin(HeapRows *rows, Relation relation, Snapshot snapshot, int natts);
extern void heap_rows_begin_in_order(HeapRows *rows, Relation relation, Snapshot snapshot, int natts);
extern void heap_rows_begin_index(HeapRows *rows, Relation relation, Oid index, Snapshot snapshot, int natts);
extern bool heap_rows_next(HeapRows *rows);
extern void heap_rows_end(HeapRows *rows);

#endif							/* FLOWLENS_UTIL_HEAP_ROWS_H */

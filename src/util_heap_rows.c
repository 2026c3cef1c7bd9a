/*
 * util_heap_rows.c
 *		Reading a heap table and taking its rows apart.
 *
 * Most of the time of a scan would go by waiting for memory.  So while it works
 * on the rows of a page, it asks for the next page, a few bytes with each row.
 * Rows are not put into slots, and only as many attributes are looked at as
 * are wanted.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/tupmacs.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"

#include "compat.h"
#include "util_heap_rows.h"
#include "util_prefetch.h"

/* Where the next page is not known, rows of the same page to ask for, and how much of each */
#define ROWS_AHEAD			6
#define ROW_BYTES			256

/* Describes an attribute for the walk */
static void
describe_attribute(HeapRowsAttribute *attribute, Form_pg_attribute form)
{
	attribute->length = form->attlen;
	attribute->by_value = form->attbyval;
	switch (form->attalign)
	{
		case TYPALIGN_DOUBLE:
			attribute->align = ALIGNOF_DOUBLE;
			break;
		case TYPALIGN_INT:
			attribute->align = ALIGNOF_INT;
			break;
		case TYPALIGN_SHORT:
			attribute->align = ALIGNOF_SHORT;
			break;
		default:
			attribute->align = 1;
	}
}

/* Prepares for taking rows apart */
static void
describe_rows(HeapRows *rows, Relation relation, int natts)
{
	int			i;

	memset(rows, 0, sizeof(*rows));
	rows->desc = RelationGetDescr(relation);
	rows->natts = natts;
	rows->attributes = palloc(natts * sizeof(HeapRowsAttribute));
	for (i = 0; i < natts; i++)
		describe_attribute(&rows->attributes[i], TupleDescAttr(rows->desc, i));
	rows->row.values = palloc0(natts * sizeof(Datum));
	rows->row.nulls = palloc0(natts * sizeof(bool));
	rows->page = InvalidBlockNumber;
	rows->next_page = InvalidBuffer;
}

/* Tells whether a relation is a heap table from which no other inherits */
bool
heap_rows_suit(Relation relation)
{
	/* relhassubclass stays set after the last heir is gone */
	return relation->rd_rel->relkind == RELKIND_RELATION && relation->rd_rel->relam == HEAP_TABLE_AM_OID &&
		(!relation->rd_rel->relhassubclass ||
		 find_inheritance_children(RelationGetRelid(relation), NoLock) == NIL);
}

/* Starts a scan that gives the first attributes of each row, in any order */
void
heap_rows_begin(HeapRows *rows, Relation relation, Snapshot snapshot, int natts)
{
	describe_rows(rows, relation, natts);
	rows->scan = table_beginscan(relation, snapshot, 0, NULL);
}

/* Starts the same from the first page to the last: not beside another scan, which may be in the middle */
void
heap_rows_begin_in_order(HeapRows *rows, Relation relation, Snapshot snapshot, int natts)
{
	describe_rows(rows, relation, natts);
	rows->scan = table_beginscan_strat(relation, snapshot, 0, NULL, true, false);
}

/* Starts a scan that gives the first attributes of each row, in the order of an index */
void
heap_rows_begin_index(HeapRows *rows, Relation relation, Oid index, Snapshot snapshot, int natts)
{
	describe_rows(rows, relation, natts);
	rows->index = index_open(index, AccessShareLock);
	rows->slot = table_slot_create(relation, NULL);
	rows->index_scan = begin_index_scan(relation, rows->index, snapshot, 0);
	index_rescan(rows->index_scan, NULL, 0, NULL, 0);
}

/* Lets go of the page ahead */
static void
release_next_page(HeapRows *rows)
{
	if (BufferIsValid(rows->next_page))
		ReleaseBuffer(rows->next_page);
	rows->next_page = InvalidBuffer;
}

/* Notes that the scan has come to another page, and pins the one after it */
static void
turn_page(HeapRows *rows, HeapScanDesc heap)
{
	BlockNumber next = heap->rs_cblock + 1;

	release_next_page(rows);
	rows->page = heap->rs_cblock;
	if (next >= heap->rs_nblocks)
		next = 0;				/* the scan may have begun in the middle, beside another one */
	if (next == heap->rs_startblock || (SCAN_READS_AHEAD && heap->rs_strategy != NULL))
		return;
	rows->next_page = ReadBufferExtended(heap->rs_base.rs_rd, MAIN_FORKNUM, next, RBM_NORMAL, heap->rs_strategy);
	rows->asked = 0;
}

/* Asks for as much of the next page as has been done of this one */
static inline void
prefetch_next_page(HeapRows *rows, int index, int count)
{
	const char *page = BufferGetPage(rows->next_page);
	int			wanted = BLCKSZ * (index + 1) / count;

	for (; rows->asked < wanted; rows->asked += MEMORY_LINE)
		prefetch_to_read(page + rows->asked);
}

/* Asks for the memory of a row of the page in work */
static inline void
prefetch_row(HeapScanDesc heap, int index)
{
	Page		page = BufferGetPage(heap->rs_cbuf);
	ItemId		id = PageGetItemId(page, heap->rs_vistuples[index]);
	const char *row = (const char *) PageGetItem(page, id);
	int			bytes = Min(ItemIdGetLength(id), ROW_BYTES);
	int			i;

	for (i = 0; i < bytes; i += MEMORY_LINE)
		prefetch_to_read(row + i);
	prefetch_to_read(row + bytes - 1);
}

/* Asks for what comes after the current row */
static inline void
prefetch(HeapRows *rows, HeapScanDesc heap)
{
	int			index = (int) heap->rs_cindex;
	int			count = (int) heap->rs_ntuples;
	int			i;

	/* row by row visibility checks: rows to come are not known */
	if ((heap->rs_base.rs_flags & SO_ALLOW_PAGEMODE) == 0)
		return;
	if (rows->page != heap->rs_cblock)
		turn_page(rows, heap);
	if (BufferIsValid(rows->next_page))
	{
		prefetch_next_page(rows, index, count);
		return;
	}
	for (i = index == 0 ? 1 : ROWS_AHEAD; i <= ROWS_AHEAD && index + i < count; i++)
		prefetch_row(heap, index + i);
}

/* Fills in attributes that were added to the table after the row was written */
static void
add_missing_attributes(HeapRows *rows, int natts)
{
	int			i;

	for (i = natts; i < rows->natts; i++)
		rows->row.values[i] = getmissingattr(rows->desc, i + 1, &rows->row.nulls[i]);
}

/* Takes the wanted attributes out of a row; they point into it */
static void
take_apart(HeapRows *rows, HeapTupleHeader header)
{
	int			natts = Min((int) HeapTupleHeaderGetNatts(header), rows->natts);
	bits8	   *present = (header->t_infomask & HEAP_HASNULL) != 0 ? header->t_bits : NULL;
	char	   *at = (char *) header + header->t_hoff;
	Datum	   *values = rows->row.values;
	bool	   *nulls = rows->row.nulls;
	int			i;

	for (i = 0; i < natts; i++)
	{
		HeapRowsAttribute attribute = rows->attributes[i];

		nulls[i] = present != NULL && att_isnull(i, present);
		if (nulls[i])
			continue;
		/* a short varlena is not aligned, and padding before a long one is zero */
		if (attribute.length != -1 || !VARATT_NOT_PAD_BYTE(at))
			at = (char *) TYPEALIGN(attribute.align, at);
		values[i] = fetch_att(at, attribute.by_value, attribute.length);
		at += attribute.length > 0 ? (Size) attribute.length :
			attribute.length == -1 ? (Size) VARSIZE_ANY(at) : strlen(at) + 1;
	}
	if (natts < rows->natts)
		add_missing_attributes(rows, natts);
}

/* Moves to the next row of an index scan */
static bool
next_of_index(HeapRows *rows)
{
	if (!index_getnext_slot(rows->index_scan, ForwardScanDirection, rows->slot))
		return false;
	rows->tid = rows->slot->tts_tid;
	take_apart(rows, ((HeapTupleTableSlot *) rows->slot)->tuple->t_data);
	return true;
}

/* Moves to the next row; returns false after the last */
bool
heap_rows_next(HeapRows *rows)
{
	HeapTuple	tuple;

	if (rows->index_scan != NULL)
		return next_of_index(rows);
	tuple = heap_getnext(rows->scan, ForwardScanDirection);
	if (tuple == NULL)
		return false;
	prefetch(rows, (HeapScanDesc) rows->scan);
	rows->tid = tuple->t_self;
	take_apart(rows, tuple->t_data);
	return true;
}

/* Ends a scan; values taken from its rows are no longer valid */
void
heap_rows_end(HeapRows *rows)
{
	release_next_page(rows);
	if (rows->scan != NULL)
		table_endscan(rows->scan);
	if (rows->index_scan != NULL)
	{
		index_endscan(rows->index_scan);
		index_close(rows->index, NoLock);
		ExecDropSingleTupleTableSlot(rows->slot);
	}
	pfree(rows->attributes);
	pfree(rows->row.values);
	pfree(rows->row.nulls);
}

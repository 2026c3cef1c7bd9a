/*
 * scd2_detect_scan.c
 *		Reading a heap table and taking its rows apart.
 *
 * Most of the time of a scan would go by waiting for memory.  So while it works
 * on the rows of a page, it asks for the next page, a few bytes with each row.
 * Rows are not put into slots, and only as many attributes are looked at as
 * are wanted.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/tupmacs.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"

#include "compat.h"
#include "scd2_detect.h"

/* Where the next page is not known, rows of the same page to ask for, and how much of each */
#define ROWS_AHEAD			6
#define ROW_BYTES			256

/* Describes an attribute for the walk */
static void
describe_attribute(Scd2Attribute *attribute, Form_pg_attribute form)
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

/* Starts a scan that gives the first attributes of each row */
void
scd2_begin_scan(Scd2Scan *scan, Relation relation, Snapshot snapshot, int natts)
{
	int			i;

	scan->desc = RelationGetDescr(relation);
	scan->natts = natts;
	scan->attributes = palloc(natts * sizeof(Scd2Attribute));
	for (i = 0; i < natts; i++)
		describe_attribute(&scan->attributes[i], TupleDescAttr(scan->desc, i));
	scan->row.values = palloc0(natts * sizeof(Datum));
	scan->row.nulls = palloc0(natts * sizeof(bool));
	scan->page = InvalidBlockNumber;
	scan->next_page = InvalidBuffer;
	scan->scan = table_beginscan(relation, snapshot, 0, NULL);
}

/* Lets go of the page ahead */
static void
release_next_page(Scd2Scan *scan)
{
	if (BufferIsValid(scan->next_page))
		ReleaseBuffer(scan->next_page);
	scan->next_page = InvalidBuffer;
}

/* Notes that the scan has come to another page, and pins the one after it */
static void
turn_page(Scd2Scan *scan, HeapScanDesc heap)
{
	BlockNumber next = heap->rs_cblock + 1;

	release_next_page(scan);
	scan->page = heap->rs_cblock;
	if (next >= heap->rs_nblocks)
		next = 0;				/* the scan may have begun in the middle, beside another one */
	if (next == heap->rs_startblock || (SCAN_READS_AHEAD && heap->rs_strategy != NULL))
		return;
	scan->next_page = ReadBufferExtended(heap->rs_base.rs_rd, MAIN_FORKNUM, next, RBM_NORMAL, heap->rs_strategy);
	scan->asked = 0;
}

/* Asks for as much of the next page as has been done of this one */
static inline void
prefetch_next_page(Scd2Scan *scan, int index, int count)
{
	const char *page = BufferGetPage(scan->next_page);
	int			wanted = BLCKSZ * (index + 1) / count;

	for (; scan->asked < wanted; scan->asked += SCD2_CACHE_LINE)
		scd2_prefetch_to_read(page + scan->asked);
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

	for (i = 0; i < bytes; i += SCD2_CACHE_LINE)
		scd2_prefetch_to_read(row + i);
	scd2_prefetch_to_read(row + bytes - 1);
}

/* Asks for what comes after the current row */
static inline void
prefetch(Scd2Scan *scan, HeapScanDesc heap)
{
	int			index = (int) heap->rs_cindex;
	int			count = (int) heap->rs_ntuples;
	int			i;

	/* row by row visibility checks: rows to come are not known */
	if ((heap->rs_base.rs_flags & SO_ALLOW_PAGEMODE) == 0)
		return;
	if (scan->page != heap->rs_cblock)
		turn_page(scan, heap);
	if (BufferIsValid(scan->next_page))
	{
		prefetch_next_page(scan, index, count);
		return;
	}
	for (i = index == 0 ? 1 : ROWS_AHEAD; i <= ROWS_AHEAD && index + i < count; i++)
		prefetch_row(heap, index + i);
}

/* Fills in attributes that were added to the table after the row was written */
static void
add_missing_attributes(Scd2Scan *scan, int natts)
{
	int			i;

	for (i = natts; i < scan->natts; i++)
		scan->row.values[i] = getmissingattr(scan->desc, i + 1, &scan->row.nulls[i]);
}

/* Takes the wanted attributes out of a row; they point into it */
static void
take_apart(Scd2Scan *scan, HeapTupleHeader header)
{
	int			natts = Min((int) HeapTupleHeaderGetNatts(header), scan->natts);
	bits8	   *present = (header->t_infomask & HEAP_HASNULL) != 0 ? header->t_bits : NULL;
	char	   *at = (char *) header + header->t_hoff;
	Datum	   *values = scan->row.values;
	bool	   *nulls = scan->row.nulls;
	int			i;

	for (i = 0; i < natts; i++)
	{
		Scd2Attribute attribute = scan->attributes[i];

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
	if (natts < scan->natts)
		add_missing_attributes(scan, natts);
}

/* Moves to the next row; returns false after the last */
bool
scd2_next_row(Scd2Scan *scan)
{
	HeapTuple	tuple = heap_getnext(scan->scan, ForwardScanDirection);

	if (tuple == NULL)
		return false;
	prefetch(scan, (HeapScanDesc) scan->scan);
	scan->tid = tuple->t_self;
	take_apart(scan, tuple->t_data);
	return true;
}

/* Ends a scan; values taken from its rows are no longer valid */
void
scd2_end_scan(Scd2Scan *scan)
{
	release_next_page(scan);
	table_endscan(scan->scan);
	pfree(scan->attributes);
	pfree(scan->row.values);
	pfree(scan->row.nulls);
}

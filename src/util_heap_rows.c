/*
 * util_heap_rows.c
 *		Reading a heap table and taking its rows apart.
 *
 * Most of the time of a scan goes by waiting for memory: each row is somewhere
 * else.  The scan knows which rows of the page it will return, so it asks for
 * the next ones while it works on the current one.  Rows are not put into
 * slots, and only as many attributes are looked at as are wanted.
 */
#include "postgres.h"

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

/* Rows of a page to ask for before they are needed */
#define ROWS_AHEAD			6

/* A memory cache answers in units of this size; of a wide row the beginning will do */
#define CACHE_LINE			64
#define PREFETCH_BYTES		256

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
	rows->values = palloc0(natts * sizeof(Datum));
	rows->nulls = palloc0(natts * sizeof(bool));
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

/* Starts a scan that gives the first attributes of each row, from the first page to the last */
void
heap_rows_begin(HeapRows *rows, Relation relation, Snapshot snapshot, int natts)
{
	describe_rows(rows, relation, natts);
	/* not beside another scan, which would begin in the middle */
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

/* Asks for the memory of a row of the page in work */
static inline void
prefetch_row(HeapScanDesc scan, int index)
{
	Page		page = BufferGetPage(scan->rs_cbuf);
	ItemId		id = PageGetItemId(page, scan->rs_vistuples[index]);
	const char *row = (const char *) PageGetItem(page, id);
	int			bytes = Min(ItemIdGetLength(id), PREFETCH_BYTES);
	int			i;

	for (i = 0; i < bytes; i += CACHE_LINE)
		prefetch_to_read(row + i);
	prefetch_to_read(row + bytes - 1);
}

/* Asks for the rows that come after the current one */
static inline void
prefetch_rows(HeapScanDesc scan)
{
	int			index = (int) scan->rs_cindex;
	int			count = (int) scan->rs_ntuples;
	int			i;

	/* row by row visibility checks: rows to come are not known */
	if ((scan->rs_base.rs_flags & SO_ALLOW_PAGEMODE) == 0)
		return;
	for (i = index == 0 ? 1 : ROWS_AHEAD; i <= ROWS_AHEAD && index + i < count; i++)
		prefetch_row(scan, index + i);
}

/* Fills in attributes that were added to the table after the row was written */
static void
add_missing_attributes(HeapRows *rows, int natts)
{
	int			i;

	for (i = natts; i < rows->natts; i++)
		rows->values[i] = getmissingattr(rows->desc, i + 1, &rows->nulls[i]);
}

/* Takes the wanted attributes out of a row; they point into it */
static void
take_apart(HeapRows *rows, HeapTupleHeader header)
{
	int			natts = Min((int) HeapTupleHeaderGetNatts(header), rows->natts);
	bits8	   *present = (header->t_infomask & HEAP_HASNULL) != 0 ? header->t_bits : NULL;
	char	   *at = (char *) header + header->t_hoff;
	Datum	   *values = rows->values;
	bool	   *nulls = rows->nulls;
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
	HeapTuple	tuple;

	if (!index_getnext_slot(rows->index_scan, ForwardScanDirection, rows->slot))
		return false;
	tuple = ((HeapTupleTableSlot *) rows->slot)->tuple;
	rows->tid = rows->slot->tts_tid;
	take_apart(rows, tuple->t_data);
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
	prefetch_rows((HeapScanDesc) rows->scan);
	rows->tid = tuple->t_self;
	take_apart(rows, tuple->t_data);
	return true;
}

/* Ends a scan; values taken from its rows are no longer valid */
void
heap_rows_end(HeapRows *rows)
{
	if (rows->scan != NULL)
		table_endscan(rows->scan);
	if (rows->index_scan != NULL)
	{
		index_endscan(rows->index_scan);
		index_close(rows->index, NoLock);
		ExecDropSingleTupleTableSlot(rows->slot);
	}
	pfree(rows->attributes);
	pfree(rows->values);
	pfree(rows->nulls);
}

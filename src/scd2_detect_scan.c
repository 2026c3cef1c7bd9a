/*
 * scd2_detect_scan.c
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
#include "storage/bufmgr.h"
#include "storage/bufpage.h"

#include "compat.h"
#include "scd2_detect.h"

/* Rows of a page to ask for before they are needed */
#define ROWS_AHEAD			6

/* A memory cache answers in units of this size; of a wide row the beginning will do */
#define CACHE_LINE			64
#define PREFETCH_BYTES		256

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
	scan->scan = table_beginscan(relation, snapshot, 0, NULL);
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
		scd2_prefetch_to_read(row + i);
	scd2_prefetch_to_read(row + bytes - 1);
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
	prefetch_rows((HeapScanDesc) scan->scan);
	scan->tid = tuple->t_self;
	take_apart(scan, tuple->t_data);
	return true;
}

/* Ends a scan; values taken from its rows are no longer valid */
void
scd2_end_scan(Scd2Scan *scan)
{
	table_endscan(scan->scan);
	pfree(scan->attributes);
	pfree(scan->row.values);
	pfree(scan->row.nulls);
}

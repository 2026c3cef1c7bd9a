/*
 * snapshots_pages.c
 *		Fills a new table page by page, each page logged as one image.
 *
 * A multi-insert logs every row, which wal_compression does not touch.  So a
 * day's rows are logged as images of full pages instead, which it makes less
 * than half as large; where it is off, we choose a method for our own pages.  Everything else is as in COPY FREEZE into a table of
 * this transaction: pages pass through the buffer manager, rows are frozen, and
 * the visibility map says so.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "compat.h"
#include "snapshots.h"
#include "snapshots_pages.h"

static bool compress_snapshots = true;

/* A table being filled */
struct PageWriter
{
	Relation	relation;
	BufferAccessStrategy strategy;
	TransactionId xid;
	CommandId	cid;
	BlockNumber block;			/* of the page being filled */
	Buffer		map;			/* of the visibility map, pinned */
	int64		rows;
	PGAlignedBlock page;		/* being filled: no lock is held while rows are made */
};

/* Returns what compresses the pages of a day where the server compresses none: fast for rows, small for their indexes */
static int
chosen_compression(PageKind kind)
{
#ifdef USE_ZSTD
	if (kind == PAGES_OF_INDEXES)
		return WAL_COMPRESSION_ZSTD;
#endif
#ifdef USE_LZ4
	return WAL_COMPRESSION_LZ4;
#else
	return WAL_COMPRESSION_NONE;
#endif
}

/*
 * Compresses the page images that this backend writes to the WAL from now on,
 * unless the server does so by itself; returns what the caller has to put back
 * into wal_compression, whatever happens
 */
int
compress_page_images(PageKind kind)
{
	int			before = wal_compression;

	if (before == WAL_COMPRESSION_NONE && compress_snapshots)
		wal_compression = chosen_compression(kind);
	return before;
}

/* Defines the settings of snapshots */
void
snapshots_init(void)
{
	DefineCustomBoolVariable("flowlens.compress_snapshots",
							 "Compresses the pages of a day of facts in the WAL where wal_compression is off.",
							 "Rows with lz4 and their indexes with zstd, as far as the server was built with them; standbys need the same.",
							 &compress_snapshots,
							 true,
							 PGC_SUSET,
							 0,
							 NULL,	/* check_hook */
							 NULL,	/* assign_hook */
							 NULL); /* show_hook */
}

/*
 * Tells whether page images are what to write: rows of a table that nobody else
 * sees yet, on which no decoder waits for single rows, and whose images are
 * compressed; uncompressed ones are larger than rows.
 */
bool
page_writer_applies(Relation relation)
{
	return wal_compression != WAL_COMPRESSION_NONE && relation->rd_rel->relam == HEAP_TABLE_AM_OID &&
		relation->rd_createSubid != InvalidSubTransactionId &&
		RelationNeedsWAL(relation) && !RelationIsLogicallyLogged(relation);
}

/* Prepares a table, empty and of this transaction, for filling */
PageWriter *
page_writer_open(Relation relation)
{
	PageWriter *writer = palloc0(sizeof(PageWriter));

	writer->relation = relation;
	writer->strategy = GetAccessStrategy(BAS_BULKWRITE);
	writer->xid = GetCurrentTransactionId();
	writer->cid = GetCurrentCommandId(true);
	writer->block = RelationGetNumberOfBlocks(relation);
	writer->map = InvalidBuffer;
	PageInit(writer->page.data, BLCKSZ, 0);
	return writer;
}

/* Stores and logs the page that is full, and begins the next one */
static void
finish_page(PageWriter *writer)
{
	Buffer		buffer = ReadBufferExtended(writer->relation, MAIN_FORKNUM, P_NEW, RBM_NORMAL, writer->strategy);

	if (BufferGetBlockNumber(buffer) != writer->block)
		elog(ERROR, "somebody else has written to a table of this transaction");
	/* pinned before the lock, because it may have to be read */
	visibilitymap_pin(writer->relation, writer->block, &writer->map);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	START_CRIT_SECTION();
	PageSetAllVisible(writer->page.data);
	memcpy(BufferGetPage(buffer), writer->page.data, BLCKSZ);
	MarkBufferDirty(buffer);
	log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	visibilitymap_set(writer->relation, writer->block, buffer, InvalidXLogRecPtr,
					  writer->map, InvalidTransactionId, VISIBILITYMAP_ALL_VISIBLE | VISIBILITYMAP_ALL_FROZEN);
	UnlockReleaseBuffer(buffer);
	PageInit(writer->page.data, BLCKSZ, 0);
	writer->block++;
}

/* Makes the header of a row that this transaction wrote, frozen */
static void
set_header(const PageWriter *writer, HeapTupleHeader header)
{
	header->t_infomask &= ~HEAP_XACT_MASK;
	header->t_infomask2 &= ~HEAP2_XACT_MASK;
	header->t_infomask |= HEAP_XMAX_INVALID;
	HeapTupleHeaderSetXmin(header, writer->xid);
	HeapTupleHeaderSetXminFrozen(header);
	HeapTupleHeaderSetCmin(header, writer->cid);
	HeapTupleHeaderSetXmax(header, InvalidTransactionId);
}

/* Adds a row and notes its place in it */
void
page_writer_add(PageWriter *writer, HeapTuple tuple)
{
	Size		size = MAXALIGN(tuple->t_len);
	Size		spare = RelationGetTargetPageFreeSpace(writer->relation, HEAP_DEFAULT_FILLFACTOR);
	OffsetNumber offset;
	Page		page = writer->page.data;

	/* facts are far smaller; nothing of them is ever stored out of line */
	if (size > MaxHeapTupleSize)
		elog(ERROR, "row of %zu bytes does not fit into a page", tuple->t_len + (Size) 0);
	if (PageGetHeapFreeSpace(page) < size + spare && !PageIsEmpty(page))
		finish_page(writer);
	set_header(writer, tuple->t_data);
	offset = PageAddItem(page, (Item) tuple->t_data, tuple->t_len, InvalidOffsetNumber, false, true);
	if (offset == InvalidOffsetNumber)
		elog(ERROR, "could not add a row to a page");
	ItemPointerSet(&tuple->t_self, writer->block, offset);
	((HeapTupleHeader) PageGetItem(page, PageGetItemId(page, offset)))->t_ctid = tuple->t_self;
	writer->rows++;
}

/* Writes what is left and releases the writer */
void
page_writer_close(PageWriter *writer)
{
	if (!PageIsEmpty(writer->page.data))
		finish_page(writer);
	if (BufferIsValid(writer->map))
		ReleaseBuffer(writer->map);
	FreeAccessStrategy(writer->strategy);
	pgstat_count_heap_insert(writer->relation, writer->rows);
	pfree(writer);
}

/*
 * snapshots_pages.h
 *		Filling a new table page by page.
 */
#ifndef FLOWLENS_SNAPSHOTS_PAGES_H
#define FLOWLENS_SNAPSHOTS_PAGES_H

#include "postgres.h"

#include "access/htup.h"
#include "utils/relcache.h"

typedef struct PageWriter PageWriter;

/* What is on pages that go to the WAL */
typedef enum PageKind
{
	PAGES_OF_ROWS,
	PAGES_OF_INDEXES
} PageKind;

extern int	compress_page_images(PageKind kind);

extern bool page_writer_applies(Relation relation);
extern PageWriter *page_writer_open(Relation relation);
extern void page_writer_add(PageWriter *writer, HeapTuple tuple);
extern void page_writer_close(PageWriter *writer);

#endif							/* FLOWLENS_SNAPSHOTS_PAGES_H */

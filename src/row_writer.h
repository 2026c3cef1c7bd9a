/*
 * row_writer.h
 *		Updates and deletes of single rows without SQL around them.
 */
#ifndef FLOWLENS_ROW_WRITER_H
#define FLOWLENS_ROW_WRITER_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

/* A table under write, and the row it stands on */
typedef struct RowWriter
{
	Relation	relation;
	Relation	index;			/* the one that finds rows */
	IndexScanDesc scan;
	EState	   *estate;
	ResultRelInfo *result;
	TupleTableSlot *row;		/* what was found */
	TupleTableSlot *changed;	/* what it becomes */
} RowWriter;

extern bool row_writer_suits(Relation relation);
extern Oid	row_writer_index(Relation relation, int ncolumns, const char *const *columns, bool unique);
extern RowWriter *row_writer_open(Relation relation, Oid index);
extern void row_writer_find(RowWriter *writer, ScanKey keys, int nkeys);
extern bool row_writer_next(RowWriter *writer, int64 *blocks);
extern void row_writer_copy(RowWriter *writer);
extern TM_Result row_writer_update(RowWriter *writer, bool wait);
extern TM_Result row_writer_delete(RowWriter *writer, ItemPointer tid);
extern void row_writer_refresh(RowWriter *writer);
extern void row_writer_close(RowWriter *writer);

#endif							/* FLOWLENS_ROW_WRITER_H */

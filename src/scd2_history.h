/*
 * scd2_history.h
 *		Operations that turn an old history into a new one.
 *
 * scd2_history.c finds them, scd2_history_write.c carries them out.
 */
#ifndef FLOWLENS_SCD2_HISTORY_H
#define FLOWLENS_SCD2_HISTORY_H

#include "scd2_internal.h"

/* Columns that stand before the data columns in rows of the operations */
#define OPERATION_OLD_FROM	1
#define OPERATION_INNER_FROM 2	/* what old and new period have in common */
#define OPERATION_INNER_TO	3
#define OPERATION_FROM		4
#define OPERATION_TO		5
#define OPERATION_DELETED	6
#define OPERATION_REMOVE	7	/* delete the version */
#define OPERATION_SHRINK	8	/* bring it to the inner period */
#define OPERATION_MOVE		9	/* then to its final period */
#define OPERATION_WRITE		10	/* the same, and write its values */
#define OPERATION_HASH		11
#define OPERATION_FIXED		11

/* What to do, a row per version, and how often each */
typedef struct Scd2Operations
{
	Tuplestorestate *store;
	TupleDesc	desc;
	int64		deletes;
	int64		shrinks;
	int64		moves;
	int64		writes;
	int64		inserts;
} Scd2Operations;

extern void scd2_create_operations(Scd2Merge *merge, Scd2Operations *operations);
extern void scd2_write_operations(Scd2Merge *merge, Scd2Operations *operations);

#endif							/* FLOWLENS_SCD2_HISTORY_H */

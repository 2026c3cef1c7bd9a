/*
 * scd2.h
 *		Calling the SCD type 2 merge from C.
 */
#ifndef FLOWLENS_SCD2_H
#define FLOWLENS_SCD2_H

#include "commands/trigger.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* What a merge did, in observations */
typedef struct Scd2Counts
{
	int64		inserted;		/* opened a version where there was none */
	int64		versioned;		/* replaced the values of a version */
	int64		closed;			/* ended a version by a deletion */
	int64		unchanged;		/* agreed with the history as it is */
} Scd2Counts;

/*
 * One merge.  Start from scd2_request_init(), which fills in the default names;
 * lists hold C strings.
 */
typedef struct Scd2Request
{
	Oid			target;

	/* where the observations come from: a relation, or else a text */
	Oid			source;			/* relation, or InvalidOid */
	const char *source_sql;		/* qualified relation name or parenthesised SELECT */
	TriggerData *trigger_data;	/* its transition tables are visible to source_sql */

	/* columns */
	List	   *key_columns;
	List	   *tracked_columns;	/* NIL: every common column */
	List	   *keep_on_null;	/* NULL in the source means "not observed" */
	const char *valid_at_column;	/* of the source, or NULL */
	const char *source_deleted_column;	/* if it is not called is_deleted_column */

	/* time and deletions */
	TimestampTz valid_at;
	bool		close_missing;
	Oid			observations;	/* table of observation times, or InvalidOid */

	/* names of the columns the merge maintains */
	const char *valid_from_column;
	const char *valid_to_column;
	const char *is_current_column;
	const char *row_hash_column;
	const char *is_deleted_column;
} Scd2Request;

extern void scd2_request_init(Scd2Request *request, Oid target, TimestampTz valid_at);
extern void scd2_merge_run(const Scd2Request *request, Scd2Counts *counts);
extern void scd2_merge_internal(Oid target, const char *source_sql, List *key_columns, List *tracked_columns,
								TimestampTz valid_at, const char *valid_at_column, List *keep_on_null,
								bool close_missing, Scd2Counts *counts);
extern void scd2_init(void);

#endif							/* FLOWLENS_SCD2_H */

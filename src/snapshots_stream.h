/*
 * snapshots_stream.h
 *		The rows of a table that belong to one day, in the order of github_id.
 */
#ifndef FLOWLENS_SNAPSHOTS_STREAM_H
#define FLOWLENS_SNAPSHOTS_STREAM_H

#include "postgres.h"

#include "access/attnum.h"
#include "utils/date.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "util_heap_rows.h"

/* Columns of a stream; each table has some of them */
typedef enum StreamColumn
{
	STREAM_GITHUB_ID,
	STREAM_DAY,
	STREAM_STARS,
	STREAM_FORKS,
	STREAM_OPEN_ISSUES,
	STREAM_OBSERVED_AT,
	STREAM_PUSHED_AT,
	STREAM_IS_STALE,
	STREAM_ACTIVITY,
	STREAM_STATE,
	STREAM_COLUMNS
} StreamColumn;

/* A day's rows on their way, and the one that is next */
typedef struct SnapshotStream
{
	Relation	relation;		/* NULL = there are no rows */
	DateADT		day;
	bool		fresh_only;		/* rows that were carried do not count */
	bool		is_open;
	int			columns[STREAM_COLUMNS];	/* position in a row, -1 = not in this table */
	HeapRows	rows;
	bool		has_row;
	int64		github_id;		/* of the next row */
} SnapshotStream;

extern bool snapshot_may_read(Oid relation);
extern AttrNumber snapshot_column(Relation relation, const char *name, Oid type);
extern bool stream_prepare(SnapshotStream *stream, const char *parent_name, DateADT day, const char *const *names);
extern bool stream_open(SnapshotStream *stream, Snapshot snapshot);
extern void stream_advance(SnapshotStream *stream);
extern void stream_close(SnapshotStream *stream);

/* Moves to the first row that is not before an id; tells whether it is that id's */
static inline bool
stream_seek(SnapshotStream *stream, int64 github_id)
{
	while (stream->has_row && stream->github_id < github_id)
		stream_advance(stream);
	return stream->has_row && stream->github_id == github_id;
}

/* Tells whether a column of the row has no value */
static inline bool
stream_isnull(const SnapshotStream *stream, StreamColumn column)
{
	return stream->rows.row.nulls[stream->columns[column]];
}

/* Returns a column of the row; it points into the page */
static inline Datum
stream_value(const SnapshotStream *stream, StreamColumn column)
{
	return stream->rows.row.values[stream->columns[column]];
}

#endif							/* FLOWLENS_SNAPSHOTS_STREAM_H */

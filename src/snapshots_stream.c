/*
 * snapshots_stream.c
 *		Reads the rows of one day from a partition, in the order of github_id.
 *
 * Facts are written in that order, and so are answers when they come in once a
 * day: then the pages are read one after the other.  Whether they are in order
 * is found out by a look at the ids first, which costs a fraction of the join;
 * where they are not, an index gives the order.  A stream reads only what a
 * plain SELECT of the caller's would see; for tables of any other kind
 * stream_prepare() says no.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "compat.h"
#include "partitions.h"
#include "row_writer.h"
#include "sharding.h"
#include "snapshots.h"
#include "snapshots_stream.h"

/* Types of the columns of a stream */
static const Oid stream_types[STREAM_COLUMNS] = {
	[STREAM_GITHUB_ID] = INT8OID,
	[STREAM_DAY] = DATEOID,
	[STREAM_STARS] = INT8OID,
	[STREAM_FORKS] = INT8OID,
	[STREAM_OPEN_ISSUES] = INT8OID,
	[STREAM_OBSERVED_AT] = TIMESTAMPTZOID,
	[STREAM_PUSHED_AT] = TIMESTAMPTZOID,
	[STREAM_IS_STALE] = BOOLOID,
	[STREAM_ACTIVITY] = FLOAT8OID,
	[STREAM_STATE] = BYTEAOID,
};

/* Finds a column by name and type; 0 when the table has it otherwise */
AttrNumber
snapshot_column(Relation relation, const char *name, Oid type)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);

	if (number <= 0 || TupleDescAttr(RelationGetDescr(relation), number - 1)->atttypid != type)
		return 0;
	return number;
}

/* Finds the columns of a stream and how many attributes of a row it needs; 0 when one is missing */
static int
find_columns(SnapshotStream *stream, const char *const *names)
{
	int			last = 0;
	int			i;

	for (i = 0; i < STREAM_COLUMNS; i++)
	{
		AttrNumber	number = names[i] == NULL ? 0 : snapshot_column(stream->relation, names[i], stream_types[i]);

		if (names[i] != NULL && number == 0)
			return 0;
		stream->columns[i] = number - 1;
		last = Max(last, number);
	}
	return last;
}

/* Tells whether the caller sees all rows of a table in a plain SELECT, on this server */
bool
snapshot_may_read(Oid relation)
{
	return pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED && !is_distributed(relation);
}

/* Finds the partition that holds the rows of a day, perhaps the default one; its names are in the order of StreamColumn */
bool
stream_prepare(SnapshotStream *stream, const char *parent_name, DateADT day, const char *const *names)
{
	Oid			parent = flowlens_relation(parent_name);
	bool		single_day;
	Oid			partition;

	stream->day = day;
	if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE || !snapshot_may_read(parent))
		return false;
	partition = partition_of_day(parent, day, &single_day);
	if (!OidIsValid(partition))
		partition = get_default_partition_oid(parent);
	if (!OidIsValid(partition))
		return true;
	stream->relation = table_open(partition, AccessShareLock);
	stream->rows.natts = find_columns(stream, names);
	return heap_rows_suit(stream->relation) && stream->rows.natts > 0;
}

/* Tells whether the row belongs to the stream */
static inline bool
is_of_stream(const SnapshotStream *stream)
{
	return DatumGetDateADT(stream_value(stream, STREAM_DAY)) == stream->day &&
		!(stream->fresh_only && DatumGetBool(stream_value(stream, STREAM_IS_STALE)));
}

/* Tells whether the rows of the day stand in the table in the order of github_id */
static bool
is_in_order(SnapshotStream *stream, Snapshot snapshot)
{
	int			id = stream->columns[STREAM_GITHUB_ID];
	int			day = stream->columns[STREAM_DAY];
	int64		last = PG_INT64_MIN;
	bool		in_order = true;
	uint32		n = 0;
	HeapRows	rows;

	heap_rows_begin_in_order(&rows, stream->relation, snapshot, Max(id, day) + 1);
	while (in_order && heap_rows_next(&rows))
	{
		if ((++n & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		if (DatumGetDateADT(rows.row.values[day]) != stream->day)
			continue;
		in_order = DatumGetInt64(rows.row.values[id]) > last;
		last = DatumGetInt64(rows.row.values[id]);
	}
	heap_rows_end(&rows);
	return in_order;
}

/* Starts reading; false when the order cannot be had */
bool
stream_open(SnapshotStream *stream, Snapshot snapshot)
{
	static const char *const columns[] = {"github_id"};
	int			natts = stream->rows.natts;
	Oid			index;

	if (stream->relation == NULL)
		return true;
	if (is_in_order(stream, snapshot))
		heap_rows_begin_in_order(&stream->rows, stream->relation, snapshot, natts);
	else
	{
		index = row_writer_index(stream->relation, 1, columns, false);
		if (!OidIsValid(index))
			return false;
		heap_rows_begin_index(&stream->rows, stream->relation, index, snapshot, natts);
	}
	stream->is_open = true;
	stream_advance(stream);
	return true;
}

/* Moves to the next row of the day */
void
stream_advance(SnapshotStream *stream)
{
	while ((stream->has_row = heap_rows_next(&stream->rows)))
	{
		if (is_of_stream(stream))
		{
			stream->github_id = DatumGetInt64(stream_value(stream, STREAM_GITHUB_ID));
			return;
		}
	}
}

/* Ends reading */
void
stream_close(SnapshotStream *stream)
{
	if (stream->is_open)
		heap_rows_end(&stream->rows);
	if (stream->relation != NULL)
		table_close(stream->relation, NoLock);
}

/*
 * scd2_history_write.c
 *		Carrying out the operations that turn an old history into a new one.
 *
 * Versions are named by key and valid_from.  The order of the statements keeps
 * every constraint on the table true at each moment: versions that go are
 * deleted, the others shrink to what old and new period have in common, then
 * grow to their new period, and the new ones are inserted into what is free.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "compat.h"
#include "scd2_history.h"

/* Describes the rows of the operations */
static TupleDesc
describe_operations(Scd2Merge *merge)
{
	TupleDesc	desc = CreateTemplateTupleDesc(OPERATION_FIXED + merge->ncolumns);
	int			i;

	TupleDescInitEntry(desc, OPERATION_OLD_FROM, "old_from", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_INNER_FROM, "inner_from", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_INNER_TO, "inner_to", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_FROM, "new_from", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_TO, "new_to", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_DELETED, "deleted", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_REMOVE, "remove", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_SHRINK, "shrink", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_MOVE, "move", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_WRITE, "write", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, OPERATION_HASH, "hash", INT8OID, -1, 0);
	for (i = 0; i < merge->ncolumns; i++)
	{
		TupleDescInitEntry(desc, OPERATION_FIXED + i + 1, psprintf("c%d", i + 1), merge->columns[i].type, -1, 0);
		TupleDescInitEntryCollation(desc, OPERATION_FIXED + i + 1, merge->columns[i].collation);
	}
	return desc;
}

/* Prepares an empty set of operations, in the memory context of the caller */
void
scd2_create_operations(Scd2Merge *merge, Scd2Operations *operations)
{
	memset(operations, 0, sizeof(*operations));
	operations->store = tuplestore_begin_heap(false, false, work_mem);
	operations->desc = describe_operations(merge);
}

/* Appends "WHERE" and the condition that finds the versions that some operations name */
static void
append_where(StringInfo sql, Scd2Merge *merge, const char *condition, const char *from)
{
	appendStringInfo(sql, " WHERE x.%s AND ", condition);
	scd2_append_keys_equal(sql, merge, "d", "x", true);
	appendStringInfo(sql, " AND d.%s OPERATOR(pg_catalog.=) x.%s",
					 scd2_control_name(merge->request->valid_from_column), from);
}

/* Removes versions that are no longer part of the history */
static void
delete_versions(Scd2Merge *merge, Scd2Operations *operations, const char *name)
{
	StringInfoData sql;

	if (operations->deletes == 0)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s d USING %s x", merge->target, name);
	append_where(&sql, merge, "remove", "old_from");
	scd2_check_written(merge, scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_DELETE), operations->deletes);
}

/* Shrinks versions to what their old and new periods have in common */
static void
shrink_versions(Scd2Merge *merge, Scd2Operations *operations, const char *name)
{
	const Scd2Request *request = merge->request;
	StringInfoData sql;

	if (operations->shrinks == 0)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s d SET %s = x.inner_from, %s = x.inner_to, %s = x.inner_to IS NULL FROM %s x",
					 merge->target, scd2_control_name(request->valid_from_column),
					 scd2_control_name(request->valid_to_column),
					 scd2_control_name(request->is_current_column), name);
	append_where(&sql, merge, "shrink", "old_from");
	scd2_check_written(merge, scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_UPDATE), operations->shrinks);
}

/* Gives versions their final period, and their values too if asked */
static void
finish_versions(Scd2Merge *merge, const char *name, const char *condition, int64 expected, bool write)
{
	const Scd2Request *request = merge->request;
	StringInfoData sql;
	int			i;

	if (expected == 0)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s d SET %s = x.new_from, %s = x.new_to, %s = x.new_to IS NULL", merge->target,
					 scd2_control_name(request->valid_from_column), scd2_control_name(request->valid_to_column),
					 scd2_control_name(request->is_current_column));
	if (merge->deleted_attno != 0)
		appendStringInfo(&sql, ", %s = x.deleted", scd2_control_name(request->is_deleted_column));
	for (i = merge->nkeys; write && i < merge->ncolumns; i++)
		appendStringInfo(&sql, ", %s = x.c%d", scd2_column_name(&merge->columns[i]), i + 1);
	if (write && merge->hash_attno != 0)
		appendStringInfo(&sql, ", %s = x.hash", scd2_control_name(request->row_hash_column));
	appendStringInfo(&sql, " FROM %s x", name);
	append_where(&sql, merge, condition, "inner_from");
	scd2_check_written(merge, scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_UPDATE), expected);
}

/* Adds versions that the history lacked */
static void
add_versions(Scd2Merge *merge, Scd2Operations *operations, const char *name)
{
	StringInfoData sql;

	if (operations->inserts == 0)
		return;
	initStringInfo(&sql);
	scd2_append_insert(&sql, merge, "x.new_from", "x.new_to", "x.deleted");
	appendStringInfo(&sql, " FROM %s x WHERE x.old_from IS NULL", name);
	scd2_check_written(merge, scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_INSERT), operations->inserts);
}

/* Carries the operations out and frees them */
void
scd2_write_operations(Scd2Merge *merge, Scd2Operations *operations)
{
	int64		rows = operations->deletes + operations->shrinks + operations->moves + operations->writes +
		operations->inserts;
	const char *name;

	if (rows > 0)
	{
		name = scd2_publish(merge, "scd2_operations", operations->desc, operations->store, rows);
		delete_versions(merge, operations, name);
		shrink_versions(merge, operations, name);
		finish_versions(merge, name, "move", operations->moves, false);
		finish_versions(merge, name, "write", operations->writes, true);
		add_versions(merge, operations, name);
		scd2_withdraw(merge, "scd2_operations");
	}
	tuplestore_end(operations->store);
}

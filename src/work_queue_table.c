/*
 * work_queue_table.c
 *		Opens flowlens.work_queue for claim() and ack(), which write it row by row.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "compat.h"
#include "work_queue_internal.h"

/* Rejects a caller without the rights that the same statements would need */
static void
check_rights(Oid relation, AclMode rights)
{
	AclMode		missing = rights & ~pg_class_aclmask(relation, GetUserId(), rights, ACLMASK_ALL);

	if (missing != 0)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relation));
}

/* Rejects what row by row access would pass over */
static void
check_plain(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;
	bool		has_triggers = triggers != NULL &&
		(triggers->trig_update_before_row || triggers->trig_update_after_row ||
		 triggers->trig_update_before_statement || triggers->trig_update_after_statement ||
		 triggers->trig_delete_before_row || triggers->trig_delete_after_row ||
		 triggers->trig_delete_before_statement || triggers->trig_delete_after_statement);

	if (has_triggers || !row_writer_suits(relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"work_queue\" must be a plain table"),
				 errdetail("claim() and ack() do not support triggers on update or delete, row security, children, generated columns and deferrable constraints."),
				 errhint("Put triggers on the table of the queue.")));
}

/* Finds a column by name, and makes sure of its type */
static AttrNumber
column_number(Relation relation, const char *name, Oid type)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);

	if (number == InvalidAttrNumber || get_atttype(RelationGetRelid(relation), number) != type)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("\"work_queue\" has no column \"%s\" of type %s", name, format_type_be(type)),
				 errhint("Give it the columns that SELECT flowlens.install() creates.")));
	return number;
}

/* Finds all columns */
static void
find_columns(Relation relation, QueueColumns *columns)
{
	columns->queue = column_number(relation, "queue", REGCLASSOID);
	columns->id = column_number(relation, "id", UUIDOID);
	columns->version = column_number(relation, "version", INT8OID);
	columns->attempts = column_number(relation, "attempts", INT4OID);
	columns->ready_at = column_number(relation, "ready_at", TIMESTAMPTZOID);
	columns->leased_until = column_number(relation, "leased_until", TIMESTAMPTZOID);
	columns->leased_version = column_number(relation, "leased_version", INT8OID);
	columns->last_error = column_number(relation, "last_error", TEXTOID);
}

/* Finds the index for an order */
static Oid
find_index(Relation relation, QueueOrder order)
{
	static const char *const by_time[] = {"queue", "ready_at"};
	static const char *const by_id[] = {"queue", "id"};
	Oid			index = row_writer_index(relation, 2, order == QUEUE_BY_TIME ? by_time : by_id, order == QUEUE_BY_ID);

	if (!OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("\"work_queue\" has no valid index on (queue, %s)", order == QUEUE_BY_TIME ? "ready_at" : "id"),
				 errhint("Run SELECT flowlens.install() to create it.")));
	return index;
}

/* Opens the queue's rows */
RowWriter *
work_queue_open(QueueOrder order, AclMode rights, QueueColumns *columns)
{
	Oid			schema = get_namespace_oid("flowlens", false);
	Oid			table = get_relname_relid("work_queue", schema);
	Relation	relation;

	PreventCommandIfReadOnly(order == QUEUE_BY_TIME ? "claim()" : "ack()");
	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"flowlens.work_queue\" does not exist"),
				 errhint("Run SELECT flowlens.install() to create it.")));
	check_rights(table, rights);
	relation = table_open(table, RowExclusiveLock);
	check_plain(relation);
	find_columns(relation, columns);
	return row_writer_open(relation, find_index(relation, order));
}

/* Ends what work_queue_open() began */
void
work_queue_close(RowWriter *writer)
{
	Relation	relation = writer->relation;

	row_writer_close(writer);
	table_close(relation, NoLock);
}

/* Draws a version */
int64
work_queue_next_version(RowWriter *writer, QueueColumns *columns)
{
	return nextval_internal(identity_sequence(writer->relation, columns->version), false);
}

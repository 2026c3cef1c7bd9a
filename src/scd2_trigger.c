/*
 * scd2_trigger.c
 *		The trigger variant: a table changed by hand keeps its history in another.
 *
 * A statement trigger hands its transition tables to the merge as a source, so
 * that one statement costs one merge, however many rows it touches.
 *
 * The time of a change is read from the clock after the target is locked:
 * whoever changes a row later has the later time, whenever the transactions
 * began.  All changes of one transaction to one target get the same time,
 * because nobody else can see the states in between.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "compat.h"
#include "scd2_internal.h"

#define DELETED_COLUMN	"scd2_deleted"	/* added to the rows of the transition tables */

/* The time at which a transaction first changed a target */
typedef struct ChangeTime
{
	TransactionId transaction;
	Oid			target;
	TimestampTz at;
} ChangeTime;

static List *change_times = NIL;

/* Returns the time of this transaction's changes to a target; the target is locked */
static TimestampTz
change_time(Oid target)
{
	TransactionId transaction = GetTopTransactionId();
	MemoryContext old_context;
	ChangeTime *entry;
	ListCell   *lc;

	if (change_times != NIL && ((ChangeTime *) linitial(change_times))->transaction != transaction)
	{
		list_free_deep(change_times);
		change_times = NIL;
	}
	foreach(lc, change_times)
	{
		entry = lfirst(lc);
		if (entry->target == target)
			return entry->at;
	}
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	entry = palloc(sizeof(ChangeTime));
	entry->transaction = transaction;
	entry->target = target;
	entry->at = GetCurrentTimestamp();
	change_times = lappend(change_times, entry);
	MemoryContextSwitchTo(old_context);
	return entry->at;
}

/* Fails unless the trigger was created as the function needs it */
static void
check_trigger(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Trigger    *trigger;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("scd2_versioning() was not called as a trigger")));
	trigger = data->tg_trigger;
	if (!TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must be AFTER ... FOR EACH STATEMENT", trigger->tgname)));
	if ((!TRIGGER_FIRED_BY_DELETE(data->tg_event) && !TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) &&
		 trigger->tgnewtable == NULL) ||
		((TRIGGER_FIRED_BY_UPDATE(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event)) &&
		 trigger->tgoldtable == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" needs transition tables", trigger->tgname),
				 errhint("INSERT needs NEW TABLE, DELETE needs OLD TABLE, UPDATE needs both in REFERENCING.")));
	if (trigger->tgnargs < 2 || trigger->tgnargs > 3)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" needs two or three arguments", trigger->tgname),
				 errhint("They are the table with the history, its key columns and, optionally, the tracked columns: "
						 "scd2_versioning('customer_history', '{customer_id}').")));
}

/* Turns the text of a name[] into a list of strings */
static List *
parse_names(char *text)
{
	Datum		array = OidInputFunctionCall(F_ARRAY_IN, text, NAMEOID, -1);
	List	   *result = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(array), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &elements, &nulls, &count);
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("column names must not be NULL")));
		result = lappend(result, pstrdup(NameStr(*DatumGetName(elements[i]))));
	}
	return result;
}

/* Appends an expression for "the row n of the table is marked as deleted" */
static void
append_deleted_mark(StringInfo sql, Relation relation, const char *column)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(relation), column);

	if (attno != InvalidAttrNumber && get_atttype(RelationGetRelid(relation), attno) == BOOLOID)
		appendStringInfo(sql, "COALESCE(n.%s, false)", quote_identifier(column));
	else
		appendStringInfoString(sql, "false");
}

/* Appends "n.key = o.key AND ..." */
static void
append_same_key(StringInfo sql, Relation relation, List *keys)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		const char *name = quote_identifier(lfirst(lc));
		AttrNumber	attno = get_attnum(RelationGetRelid(relation), lfirst(lc));
		TypeCacheEntry *type;

		if (attno == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" does not exist in table \"%s\"", (char *) lfirst(lc),
							RelationGetRelationName(relation))));
		type = lookup_type_cache(get_atttype(RelationGetRelid(relation), attno), TYPECACHE_EQ_OPR);
		if (!OidIsValid(type->eq_opr))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("type %s of key column \"%s\" has no equality", format_type_be(type->type_id),
							(char *) lfirst(lc))));
		appendStringInfo(sql, "%sn.%s %s o.%s", foreach_current_index(lc) > 0 ? " AND " : "", name,
						 scd2_operator_name(type->eq_opr), name);
	}
}

/*
 * Returns the rows a statement touched as a source: new rows as they are, old
 * ones as deleted where their key is gone.
 */
static char *
source_of(TriggerData *data, Scd2Request *request)
{
	Trigger    *trigger = data->tg_trigger;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoChar(&sql, '(');
	if (trigger->tgnewtable != NULL)
	{
		appendStringInfoString(&sql, "SELECT n.*, ");
		append_deleted_mark(&sql, data->tg_relation, request->is_deleted_column);
		appendStringInfo(&sql, " AS " DELETED_COLUMN " FROM %s n", quote_identifier(trigger->tgnewtable));
	}
	if (trigger->tgoldtable != NULL)
	{
		appendStringInfo(&sql, "%sSELECT o.*, true AS " DELETED_COLUMN " FROM %s o",
						 trigger->tgnewtable != NULL ? " UNION ALL " : "", quote_identifier(trigger->tgoldtable));
		if (trigger->tgnewtable != NULL)
		{
			appendStringInfo(&sql, " WHERE NOT EXISTS (SELECT 1 FROM %s n WHERE ",
							 quote_identifier(trigger->tgnewtable));
			append_same_key(&sql, data->tg_relation, request->key_columns);
			appendStringInfoChar(&sql, ')');
		}
	}
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		appendStringInfo(&sql, "SELECT o.*, true AS " DELETED_COLUMN " FROM %s o WHERE false",
						 scd2_qualified_name(RelationGetRelid(data->tg_relation)));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

PG_FUNCTION_INFO_V1(flowlens_scd2_versioning);

/* Merges what a statement did to a table into the table with its history */
Datum
flowlens_scd2_versioning(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Scd2Counts	counts = {0};
	Scd2Request request;
	Oid			target;

	check_trigger(fcinfo);
	target = DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(data->tg_trigger->tgargs[0])));
	/* whoever may not write the target fails in the merge, without having locked it */
	if (pg_class_aclcheck(target, GetUserId(), ACL_UPDATE) == ACLCHECK_OK)
		LockRelationOid(target, ShareRowExclusiveLock);
	scd2_request_init(&request, target, change_time(target));
	request.key_columns = parse_names(data->tg_trigger->tgargs[1]);
	if (data->tg_trigger->tgnargs == 3)
		request.tracked_columns = parse_names(data->tg_trigger->tgargs[2]);
	request.source_deleted_column = DELETED_COLUMN;
	request.close_missing = TRIGGER_FIRED_BY_TRUNCATE(data->tg_event);
	request.source_sql = source_of(data, &request);
	request.trigger_data = data;
	scd2_merge_run(&request, &counts);
	return PointerGetDatum(NULL);
}

/*
 * scd2_sql.c
 *		Pieces of generated SQL, and relations in memory that it can read.
 *
 * Every name in the generated text is qualified, operators too, so that the
 * search_path of the caller cannot change its meaning.  It stays in force for
 * the views, functions and triggers of the user that the statements reach.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/syscache.h"

#include "compat.h"
#include "scd2_internal.h"

/* Hands each row of a query to a function */
typedef struct HandlerReceiver
{
	DestReceiver pub;
	Scd2RowHandler handler;
	void	   *state;
} HandlerReceiver;

/* Returns the quoted name of a relation with its schema */
char *
scd2_qualified_name(Oid relation)
{
	char	   *name = get_rel_name(relation);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

/* Returns an operator in the OPERATOR(schema.name) notation */
char *
scd2_operator_name(Oid operator_oid)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
	Form_pg_operator form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator_oid);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)",
					  quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/* Returns the quoted name of a data column */
const char *
scd2_column_name(Scd2Column *column)
{
	return quote_identifier(NameStr(column->name));
}

/* Returns the quoted name of a column that the merge maintains */
const char *
scd2_control_name(const char *name)
{
	return quote_identifier(name);
}

/*
 * Appends "left.key = right.key AND ...".  The right side either carries the
 * target's column names or the numbered ones of a relation in memory.
 */
void
scd2_append_keys_equal(StringInfo sql, Scd2Merge *merge, const char *left, const char *right, bool right_is_numbered)
{
	int			i;

	for (i = 0; i < merge->nkeys; i++)
	{
		Scd2Column *column = &merge->columns[i];

		appendStringInfo(sql, "%s%s.%s %s %s.", i > 0 ? " AND " : "",
						 left, scd2_column_name(column), scd2_operator_name(column->eq_operator), right);
		if (right_is_numbered)
			appendStringInfo(sql, "c%d", i + 1);
		else
			appendStringInfoString(sql, scd2_column_name(column));
	}
}

/*
 * Appends a NULL-safe "differs" of two expressions.  IS DISTINCT FROM would
 * look its operator up in the search_path.
 */
void
scd2_append_distinct(StringInfo sql, Scd2Column *column, const char *left, const char *right)
{
	if (OidIsValid(column->eq_operator))
		appendStringInfo(sql, "((%s %s %s) IS NOT TRUE AND (%s IS NOT NULL OR %s IS NOT NULL))",
						 left, scd2_operator_name(column->eq_operator), right, left, right);
	else
		appendStringInfo(sql, "pg_catalog.record_image_ne(ROW(%s), ROW(%s))", left, right);
}

/* Lets the SQL of this merge read a tuplestore under a name */
static void
register_store(Scd2Merge *merge, const char *name, TupleDesc desc, Tuplestorestate *store, double rows)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	int			result;

	relation->md.name = pstrdup(name);
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = rows;
	relation->reldata = store;
	MemoryContextSwitchTo(old_context);

	result = SPI_register_relation(relation);
	if (result != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation \"%s\": %s", name, SPI_result_code_string(result));
}

/* Takes a name given by register_store() away again */
static void
unregister_store(const char *name)
{
	int			result = SPI_unregister_relation(name);

	if (result != SPI_OK_REL_UNREGISTER)
		elog(ERROR, "could not unregister relation \"%s\": %s", name, SPI_result_code_string(result));
}

/*
 * Makes a tuplestore readable in SQL and returns the name to use there.  For a
 * target on other servers it becomes a temporary table: a distributed
 * statement cannot reach into the memory of this backend.
 */
const char *
scd2_publish(Scd2Merge *merge, const char *name, TupleDesc desc, Tuplestorestate *store, double rows)
{
	char	   *table;

	register_store(merge, name, desc, store, rows);
	if (merge->local)
		return name;
	table = psprintf("pg_temp.%s_table", name);
	scd2_execute(psprintf("CREATE TEMPORARY TABLE %s_table ON COMMIT DROP AS SELECT * FROM %s", name, name),
				 0, NULL, NULL, SPI_OK_UTILITY);
	unregister_store(name);
	scd2_execute(psprintf("ANALYZE %s", table), 0, NULL, NULL, SPI_OK_UTILITY);
	return table;
}

/* Ends what scd2_publish() began */
void
scd2_withdraw(Scd2Merge *merge, const char *name)
{
	if (merge->local)
		unregister_store(name);
	else
		scd2_execute(psprintf("DROP TABLE pg_temp.%s_table", name), 0, NULL, NULL, SPI_OK_UTILITY);
}

/* Appends "c1, c2, ..." for the key columns, each after a prefix */
void
scd2_append_key_list(StringInfo sql, Scd2Merge *merge, const char *prefix)
{
	int			i;

	for (i = 0; i < merge->nkeys; i++)
		appendStringInfo(sql, "%s%sc%d", i > 0 ? ", " : "", prefix, i + 1);
}

/* Returns how many rows a statement processed: none if a rule put another in its place */
uint64
scd2_rows_written(int result, int expected)
{
	if (result == SPI_OK_REWRITTEN)
		return 0;
	if (result != expected)
		elog(ERROR, "statement of the merge failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* Runs a statement that must end with the given SPI result, returns the rows it processed */
uint64
scd2_execute(const char *sql, int nargs, Oid *types, Datum *values, int expected)
{
	return scd2_rows_written(SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0), expected);
}

/* Does nothing: the handler needs no start */
static void
handler_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/* Passes a row on */
static bool
handler_receive(TupleTableSlot *slot, DestReceiver *self)
{
	HandlerReceiver *receiver = (HandlerReceiver *) self;

	return receiver->handler(receiver->state, slot);
}

/* Does nothing: the receiver lives on the caller's stack */
static void
handler_nothing(DestReceiver *self)
{
}

/* Runs a query and hands its rows, one by one and uncollected, to a function */
void
scd2_query(const char *sql, int nargs, Oid *types, Datum *values, Scd2RowHandler handler, void *state)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);
	/* an empty list would crash Citus 13 */
	ParamListInfo params = nargs > 0 ? makeParamList(nargs) : NULL;
	SPIExecuteOptions options = {0};
	HandlerReceiver receiver = {0};
	int			result;
	int			i;

	if (plan == NULL)
		elog(ERROR, "could not prepare a query of the merge: %s", SPI_result_code_string(SPI_result));
	for (i = 0; i < nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}
	receiver.pub.receiveSlot = handler_receive;
	receiver.pub.rStartup = handler_startup;
	receiver.pub.rShutdown = handler_nothing;
	receiver.pub.rDestroy = handler_nothing;
	receiver.pub.mydest = DestNone;
	receiver.handler = handler;
	receiver.state = state;
	options.params = params;
	options.dest = &receiver.pub;

	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "query of the merge failed: %s", SPI_result_code_string(result));
	SPI_freeplan(plan);
}

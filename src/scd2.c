/*
 * scd2.c
 *		The SCD type 2 merge: arguments, and the order of its steps.
 *
 * Locking: a merge takes SHARE ROW EXCLUSIVE on its target for the rest of the
 * transaction.  A second merge waits for it and then, under READ COMMITTED,
 * takes new snapshots and sees what the first one wrote; with a snapshot from
 * before it fails with a serialization failure (scd2_check_snapshot).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_internal.h"

/* Positions of the arguments of scd2_merge() */
enum
{
	ARG_TARGET,
	ARG_SOURCE,
	ARG_KEY_COLUMNS,
	ARG_TRACKED_COLUMNS,
	ARG_VALID_AT,
	ARG_CLOSE_MISSING,
	ARG_VALID_AT_COLUMN,
	ARG_KEEP_ON_NULL,
	ARG_OBSERVATIONS,
	ARG_VALID_FROM_COLUMN,
	ARG_VALID_TO_COLUMN,
	ARG_IS_CURRENT_COLUMN,
	ARG_ROW_HASH_COLUMN,
	ARG_IS_DELETED_COLUMN
};

/* The merge that this backend is in, or NULL; a trigger may start one within another */
static Scd2Merge *innermost_merge = NULL;

/* Prepares the library for a backend: settings of this topic */
void
scd2_init(void)
{
	scd2_detect_init();
}

/* Prepares a request with the usual column names */
void
scd2_request_init(Scd2Request *request, Oid target, TimestampTz valid_at)
{
	memset(request, 0, sizeof(*request));
	request->target = target;
	request->valid_at = valid_at;
	request->valid_from_column = "valid_from";
	request->valid_to_column = "valid_to";
	request->is_current_column = "is_current";
	request->row_hash_column = "row_hash";
	request->is_deleted_column = "is_deleted";
}

/* Tells whether two merges write to the same table */
static bool
is_same_target(Scd2Merge *merge, Scd2Merge *other)
{
	ListCell   *lc;

	foreach(lc, merge->leaves)
	{
		if (list_member_oid(other->leaves, lfirst_oid(lc)))
			return true;
	}
	return merge->request->target == other->request->target;
}

/*
 * Fails if another merge into the same table has not ended yet: a trigger of
 * the table, or a function that the source calls, has started this one.  The
 * two would write what they found before the other wrote.
 */
static void
check_not_under_way(Scd2Merge *merge, Scd2Merge *outer)
{
	for (; outer != NULL; outer = outer->outer)
	{
		if (is_same_target(merge, outer))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("a merge into %s is already under way in this session", merge->target),
					 errdetail("A trigger of the table or a function in the source started another one.")));
	}
}

/* Goes through the steps of a merge */
static void
merge_in_steps(Scd2Merge *merge)
{
	scd2_open_target(merge);
	check_not_under_way(merge, merge->outer);
	scd2_check_time(merge, merge->request->valid_at);
	scd2_check_snapshot(merge);
	scd2_describe_source(merge);
	if (!scd2_detect_by_hash(merge))
		scd2_detect_by_join(merge);
	scd2_apply_delta(merge);
	tuplestore_end(merge->delta);
}

/* Merges the observations of a request into its target and adds up what it did */
void
scd2_merge_run(const Scd2Request *request, Scd2Counts *counts)
{
	Scd2Merge  *outer = innermost_merge;
	Scd2Merge  *merge;
	MemoryContext context;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (request->trigger_data != NULL && SPI_register_trigger_data(request->trigger_data) != SPI_OK_TD_REGISTER)
		elog(ERROR, "could not register transition tables");
	context = AllocSetContextCreate(CurrentMemoryContext, "scd2 merge", ALLOCSET_DEFAULT_SIZES);
	merge = MemoryContextAllocZero(context, sizeof(Scd2Merge));
	merge->request = request;
	merge->counts = counts;
	merge->context = context;
	merge->outer = outer;

	PG_TRY();
	{
		innermost_merge = merge;
		merge_in_steps(merge);
	}
	PG_FINALLY();
	{
		innermost_merge = outer;
	}
	PG_END_TRY();
	MemoryContextDelete(context);
	SPI_finish();
}

/* Merges rows of a relation or a parenthesised SELECT: the short form for other topics */
void
scd2_merge_internal(Oid target, const char *source_sql, List *key_columns, List *tracked_columns,
					TimestampTz valid_at, const char *valid_at_column, List *keep_on_null,
					bool close_missing, Scd2Counts *counts)
{
	Scd2Request request;

	scd2_request_init(&request, target, valid_at);
	request.source_sql = source_sql;
	request.key_columns = key_columns;
	request.tracked_columns = tracked_columns;
	request.valid_at_column = valid_at_column;
	request.keep_on_null = keep_on_null;
	request.close_missing = close_missing;
	scd2_merge_run(&request, counts);
}

/* Reports an argument that must not be NULL */
static void
check_not_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name)));
}

/* Turns an argument of type name[] into a list of strings */
static List *
get_names(FunctionCallInfo fcinfo, int argument)
{
	List	   *result = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	if (PG_ARGISNULL(argument))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argument), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elements, &nulls, &count);
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

/* Returns an argument of type name; NULL is allowed for optional columns */
static const char *
get_name(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : NameStr(*PG_GETARG_NAME(argument));
}

/* Reads the arguments of scd2_merge() */
static void
read_arguments(FunctionCallInfo fcinfo, Scd2Request *request)
{
	check_not_null(fcinfo, ARG_TARGET, "target");
	check_not_null(fcinfo, ARG_KEY_COLUMNS, "key_columns");
	check_not_null(fcinfo, ARG_VALID_AT, "valid_at");
	check_not_null(fcinfo, ARG_CLOSE_MISSING, "close_missing");
	check_not_null(fcinfo, ARG_VALID_FROM_COLUMN, "valid_from_column");
	check_not_null(fcinfo, ARG_VALID_TO_COLUMN, "valid_to_column");
	check_not_null(fcinfo, ARG_IS_CURRENT_COLUMN, "is_current_column");

	memset(request, 0, sizeof(*request));
	request->target = PG_GETARG_OID(ARG_TARGET);
	request->key_columns = get_names(fcinfo, ARG_KEY_COLUMNS);
	request->tracked_columns = get_names(fcinfo, ARG_TRACKED_COLUMNS);
	request->valid_at = PG_GETARG_TIMESTAMPTZ(ARG_VALID_AT);
	request->close_missing = PG_GETARG_BOOL(ARG_CLOSE_MISSING);
	request->valid_at_column = get_name(fcinfo, ARG_VALID_AT_COLUMN);
	request->keep_on_null = get_names(fcinfo, ARG_KEEP_ON_NULL);
	request->observations = PG_ARGISNULL(ARG_OBSERVATIONS) ? InvalidOid : PG_GETARG_OID(ARG_OBSERVATIONS);
	request->valid_from_column = get_name(fcinfo, ARG_VALID_FROM_COLUMN);
	request->valid_to_column = get_name(fcinfo, ARG_VALID_TO_COLUMN);
	request->is_current_column = get_name(fcinfo, ARG_IS_CURRENT_COLUMN);
	request->row_hash_column = get_name(fcinfo, ARG_ROW_HASH_COLUMN);
	request->is_deleted_column = get_name(fcinfo, ARG_IS_DELETED_COLUMN);
}

/* Runs a merge and returns its counts as a row */
static Datum
merge_and_count(FunctionCallInfo fcinfo, Scd2Request *request)
{
	Scd2Counts	counts = {0};
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	scd2_merge_run(request, &counts);
	values[0] = Int64GetDatum(counts.inserted);
	values[1] = Int64GetDatum(counts.versioned);
	values[2] = Int64GetDatum(counts.closed);
	values[3] = Int64GetDatum(counts.unchanged);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(flowlens_scd2_merge);

/* Merges a relation into a table with history */
Datum
flowlens_scd2_merge(PG_FUNCTION_ARGS)
{
	Scd2Request request;

	read_arguments(fcinfo, &request);
	check_not_null(fcinfo, ARG_SOURCE, "source");
	request.source = PG_GETARG_OID(ARG_SOURCE);
	request.source_sql = scd2_qualified_name(request.source);
	return merge_and_count(fcinfo, &request);
}

/* Makes the parser's errors point into the text of the query, not the statement that passed it */
static void
move_error_position(void *query)
{
	int			position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(query);
}

/* Parses a text without looking at what its names mean */
static List *
parse_query(char *query)
{
	ErrorContextCallback callback;
	List	   *statements;

	callback.callback = move_error_position;
	callback.arg = query;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	statements = raw_parser(query, RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;
	return statements;
}

/* Returns a text that has to be one SELECT as a sub-select, without a semicolon at its end */
static const char *
parenthesise_query(char *query)
{
	List	   *statements = parse_query(query);
	RawStmt    *statement;

	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of a merge must be one SELECT")));
	statement = linitial_node(RawStmt, statements);
	query += statement->stmt_location;
	/* the line may end in a comment */
	return psprintf("(%.*s\n)", statement->stmt_len > 0 ? statement->stmt_len : (int) strlen(query), query);
}

PG_FUNCTION_INFO_V1(flowlens_scd2_merge_query);

/* Merges the rows of a query into a table with history */
Datum
flowlens_scd2_merge_query(PG_FUNCTION_ARGS)
{
	Scd2Request request;

	read_arguments(fcinfo, &request);
	check_not_null(fcinfo, ARG_SOURCE, "query");
	request.source_sql = parenthesise_query(text_to_cstring(PG_GETARG_TEXT_PP(ARG_SOURCE)));
	return merge_and_count(fcinfo, &request);
}

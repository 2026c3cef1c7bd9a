/*
 * scd2_source.c
 *		The observations of a merge as a stream of rows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_internal.h"

/* Finds out the source's own row type and about how many rows it has */
static void
read_source_desc(Scd2Merge *merge)
{
	char	   *sql = psprintf("SELECT * FROM %s AS s", merge->request->source_sql);
	SPIPlanPtr	plan = SPI_prepare(sql, 0, NULL);
	CachedPlanSource *plan_source;
	CachedPlan *cached;
	MemoryContext old_context;

	if (plan == NULL)
		elog(ERROR, "could not prepare the source of the merge: %s", SPI_result_code_string(SPI_result));
	plan_source = linitial(SPI_plan_get_plan_sources(plan));
	old_context = MemoryContextSwitchTo(merge->context);
	merge->source_desc = CreateTupleDescCopy(plan_source->resultDesc);
	MemoryContextSwitchTo(old_context);
	cached = SPI_plan_get_cached_plan(plan);
	if (cached != NULL)
	{
		merge->source_estimate = linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
		ReleaseCachedPlan(cached, NULL);
	}
	SPI_freeplan(plan);
}

/* Lays out the rows of the stream: time, deleted, hash, then the data columns the source has */
static void
build_stream_desc(Scd2Merge *merge)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);
	AttrNumber	attno = SCD2_SOURCE_FIXED;
	TupleDesc	desc;
	int			i;

	merge->stream_attno = palloc0(merge->ncolumns * sizeof(AttrNumber));
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].source_attno != 0)
			merge->stream_attno[i] = ++attno;
	}
	desc = CreateTemplateTupleDesc(attno);
	TupleDescInitEntry(desc, SCD2_SOURCE_AT, "at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_SOURCE_DELETED, "deleted", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, SCD2_SOURCE_HASH, "hash", INT8OID, -1, 0);
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->stream_attno[i] == 0)
			continue;
		TupleDescInitEntry(desc, merge->stream_attno[i], psprintf("c%d", i + 1), merge->columns[i].type, -1, 0);
		TupleDescInitEntryCollation(desc, merge->stream_attno[i], merge->columns[i].collation);
	}
	merge->stream_desc = desc;
	MemoryContextSwitchTo(old_context);
}

/* Reads what the source offers and matches it with the target */
void
scd2_describe_source(Scd2Merge *merge)
{
	read_source_desc(merge);
	scd2_match_columns(merge);
	build_stream_desc(merge);
}

/* Returns the quoted name of a column of the source */
static const char *
source_column(Scd2Merge *merge, AttrNumber attno)
{
	return quote_identifier(NameStr(TupleDescAttr(merge->source_desc, attno - 1)->attname));
}

/* Appends one data column of the source, in the target's type modifier */
static void
append_source_column(StringInfo sql, Scd2Merge *merge, Scd2Column *column)
{
	const char *name = source_column(merge, column->source_attno);

	if (column->coerce)
		appendStringInfo(sql, ", CAST(s.%s AS %s)", name,
						 format_type_extended(column->type, column->typmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	else
		appendStringInfo(sql, ", s.%s", name);
}

/*
 * Appends the row hash that the source brings.  It says nothing where a NULL
 * stands for "not observed": the new version gets another value there.
 */
static void
append_source_hash(StringInfo sql, Scd2Merge *merge)
{
	int			i;

	appendStringInfoString(sql, ", CASE WHEN false");
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].keep_on_null && merge->columns[i].role == SCD2_TRACKED)
			appendStringInfo(sql, " OR s.%s IS NULL", source_column(merge, merge->columns[i].source_attno));
	}
	appendStringInfo(sql, " THEN NULL ELSE s.%s END", source_column(merge, merge->source_hash));
}

/* Runs the source once and passes its rows on, laid out as stream_desc says */
void
scd2_stream_source(Scd2Merge *merge, Scd2RowHandler handler, void *state)
{
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(merge->request->valid_at)};
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	if (merge->source_at != 0)
		appendStringInfo(&sql, "COALESCE(s.%s, $1)", source_column(merge, merge->source_at));
	else
		appendStringInfoString(&sql, "$1");
	if (merge->source_deleted != 0)
		appendStringInfo(&sql, ", COALESCE(s.%s, false)", source_column(merge, merge->source_deleted));
	else
		appendStringInfoString(&sql, ", false");
	if (merge->source_hash != 0)
		append_source_hash(&sql, merge);
	else
		appendStringInfoString(&sql, ", NULL::pg_catalog.int8");
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].source_attno != 0)
			append_source_column(&sql, merge, &merge->columns[i]);
	}
	appendStringInfo(&sql, " FROM %s AS s", merge->request->source_sql);
	scd2_query(sql.data, 1, types, values, handler, state);
	pfree(sql.data);
}

/* Reports a time that cannot start a version */
void
scd2_check_time(Scd2Merge *merge, TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("observations merged into %s must have a finite time", merge->target)));
}

/* Reports a source row without a key */
void
scd2_null_key_error(Scd2Merge *merge, int column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("key column \"%s\" is NULL in the source of the merge into %s",
					NameStr(merge->columns[column].name), merge->target)));
	pg_unreachable();
}

/* Returns "(a, b)=(1, 2)" for the key of a row */
static char *
describe_key(Scd2Merge *merge, Datum *values)
{
	StringInfoData names;
	StringInfoData texts;
	int			i;

	initStringInfo(&names);
	initStringInfo(&texts);
	for (i = 0; i < merge->nkeys; i++)
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(merge->columns[i].type, &output, &is_varlena);
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", scd2_column_name(&merge->columns[i]));
		appendStringInfo(&texts, "%s%s", i > 0 ? ", " : "", OidOutputFunctionCall(output, values[i]));
	}
	return psprintf("(%s)=(%s)", names.data, texts.data);
}

/* Reports two observations of one key at one time */
void
scd2_duplicate_key_error(Scd2Merge *merge, Datum *values)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("the source of the merge into %s has a key more than once", merge->target),
			 errdetail("Key %s is duplicated.", describe_key(merge, values)),
			 merge->source_at != 0 ?
			 errhint("A key may come several times only with different values of \"%s\".",
					 merge->request->valid_at_column) : 0));
	pg_unreachable();
}

/* Reports a target that was damaged before */
void
scd2_two_currents_error(Scd2Merge *merge, Datum *values)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("target %s has more than one current version of a key", merge->target),
			 errdetail("Key %s is duplicated.", describe_key(merge, values)),
			 errhint("Repair the table, then keep it right with a unique index on the key columns WHERE %s.",
					 scd2_control_name(merge->request->is_current_column))));
	pg_unreachable();
}

/*
 * scd2_join.c
 *		Finding what changed by a join in SQL.
 *
 * The way for small sources, where an index beats reading the whole target,
 * and for targets that cannot be scanned directly.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_internal.h"
#include "sharding.h"

/* The source, read once */
typedef struct SourceCopy
{
	Scd2Merge  *merge;
	Tuplestorestate *store;
	TimestampTz earliest;
} SourceCopy;

/* Checks a row of the source and keeps it */
static bool
copy_source_row(void *state, TupleTableSlot *slot)
{
	SourceCopy *copy = state;
	Scd2Merge  *merge = copy->merge;
	TimestampTz at;
	int			i;

	slot_getallattrs(slot);
	at = DatumGetTimestampTz(slot->tts_values[SCD2_SOURCE_AT - 1]);
	scd2_check_time(merge, at);
	for (i = 0; i < merge->nkeys; i++)
	{
		if (slot->tts_isnull[merge->stream_attno[i] - 1])
			scd2_null_key_error(merge, i);
	}
	copy->earliest = Min(copy->earliest, at);
	merge->source_rows++;
	tuplestore_putvalues(copy->store, merge->stream_desc, slot->tts_values, slot->tts_isnull);
	return true;
}

/* Reports the key of a row that a check found */
static bool
report_duplicate(void *state, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	scd2_duplicate_key_error(state, slot->tts_values);
}

/* Reports the key of a row that a check found */
static bool
report_two_currents(void *state, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	scd2_two_currents_error(state, slot->tts_values);
}

/*
 * Copies the versions that this merge may have to know from a target on other
 * servers, which cannot join them with the source in every way that is needed:
 * the current ones and those that end after the earliest observation.
 */
static void
fetch_versions(Scd2Merge *merge, const char *source, TimestampTz earliest)
{
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(earliest)};
	StringInfoData sql;

	if (merge->local)
		return;
	merge->versions = "pg_temp.scd2_versions_table";
	scd2_execute(psprintf("CREATE TEMPORARY TABLE scd2_versions_table ON COMMIT DROP AS SELECT * FROM %s WITH NO DATA",
						  merge->target), 0, NULL, NULL, SPI_OK_UTILITY);
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s SELECT d.* FROM %s d", merge->versions, merge->target);
	if (!merge->request->close_missing)
	{
		appendStringInfoString(&sql, " JOIN (SELECT DISTINCT ");
		scd2_append_key_list(&sql, merge, "");
		appendStringInfo(&sql, " FROM %s) s ON ", source);
		scd2_append_keys_equal(&sql, merge, "d", "s", true);
	}
	appendStringInfo(&sql, " WHERE d.%s OR d.%s OPERATOR(pg_catalog.>=) $1",
					 scd2_control_name(merge->request->is_current_column),
					 scd2_control_name(merge->request->valid_to_column));
	scd2_execute(sql.data, 1, types, values, SPI_OK_INSERT);
	scd2_execute(psprintf("ANALYZE %s", merge->versions), 0, NULL, NULL, SPI_OK_UTILITY);
}

/* Copies the times of observation after the earliest of this merge, where another server keeps them */
static void
fetch_observations(Scd2Merge *merge, TimestampTz earliest)
{
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(earliest)};

	if (!OidIsValid(merge->request->observations))
		return;
	merge->noted = scd2_qualified_name(merge->request->observations);
	if (!is_distributed(merge->request->observations))
		return;
	scd2_execute(psprintf("CREATE TEMPORARY TABLE scd2_noted_table ON COMMIT DROP AS SELECT * FROM %s WITH NO DATA",
						  merge->noted), 0, NULL, NULL, SPI_OK_UTILITY);
	scd2_execute(psprintf("INSERT INTO pg_temp.scd2_noted_table SELECT * FROM %s WHERE valid_at OPERATOR(pg_catalog.>) $1",
						  merge->noted), 1, types, values, SPI_OK_INSERT);
	merge->noted = "pg_temp.scd2_noted_table";
}

/* Forgets the copies */
static void
forget_copies(Scd2Merge *merge)
{
	if (OidIsValid(merge->request->observations) && is_distributed(merge->request->observations))
		scd2_execute(psprintf("DROP TABLE %s", merge->noted), 0, NULL, NULL, SPI_OK_UTILITY);
	if (!merge->local)
		scd2_execute(psprintf("DROP TABLE %s", merge->versions), 0, NULL, NULL, SPI_OK_UTILITY);
	merge->versions = merge->target;
}

/* Fails if the source has a key twice, or a key has two current versions */
static void
check_unique(Scd2Merge *merge, const char *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	scd2_append_key_list(&sql, merge, "");
	appendStringInfo(&sql, " FROM %s GROUP BY ", source);
	scd2_append_key_list(&sql, merge, "");
	appendStringInfo(&sql, "%s HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1",
					 merge->source_at != 0 ? ", at" : "");
	scd2_query(sql.data, 0, NULL, NULL, report_duplicate, merge);

	resetStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	scd2_append_key_list(&sql, merge, "s.");
	appendStringInfoString(&sql, " FROM (SELECT DISTINCT ");
	scd2_append_key_list(&sql, merge, "");
	appendStringInfo(&sql, " FROM %s) s JOIN %s d ON ", source, merge->versions);
	scd2_append_keys_equal(&sql, merge, "d", "s", true);
	appendStringInfo(&sql, " WHERE d.%s GROUP BY ", scd2_control_name(merge->request->is_current_column));
	scd2_append_key_list(&sql, merge, "s.");
	appendStringInfoString(&sql, " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1");
	scd2_query(sql.data, 0, NULL, NULL, report_two_currents, merge);
}

/* Appends a condition: one of the columns with a role differs between source and current version */
static void
append_changed(StringInfo sql, Scd2Merge *merge, Scd2Role role)
{
	bool		any = false;
	int			i;

	appendStringInfoChar(sql, '(');
	if (role == SCD2_TRACKED && merge->source_hash != 0 && merge->hash_attno != 0)
		appendStringInfo(sql, "(s.hash OPERATOR(pg_catalog.=) d.%s) IS NOT TRUE AND (",
						 scd2_control_name(merge->request->row_hash_column));
	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];

		if (column->role != role)
			continue;
		appendStringInfoString(sql, any ? " OR " : "");
		if (column->keep_on_null)
			appendStringInfo(sql, "s.c%d IS NOT NULL AND ", i + 1);
		scd2_append_distinct(sql, column, psprintf("s.c%d", i + 1), psprintf("d.%s", scd2_column_name(column)));
		any = true;
	}
	if (!any)
		appendStringInfoString(sql, "false");
	if (role == SCD2_TRACKED && merge->source_hash != 0 && merge->hash_attno != 0)
		appendStringInfoChar(sql, ')');
	appendStringInfoChar(sql, ')');
}

/* Appends a condition: a later time of observation is known for the key */
static void
append_observed_later(StringInfo sql, Scd2Merge *merge, const char *row, bool row_is_numbered, const char *at)
{
	if (!OidIsValid(merge->request->observations) || merge->forward)
	{
		appendStringInfoString(sql, "false");
		return;
	}
	appendStringInfo(sql, "EXISTS (SELECT 1 FROM %s o WHERE ", merge->noted);
	scd2_append_keys_equal(sql, merge, "o", row, row_is_numbered);
	appendStringInfo(sql, " AND o.valid_at OPERATOR(pg_catalog.>) %s)", at);
}

/* Appends a condition: the observation belongs before something that is known */
static void
append_is_late(StringInfo sql, Scd2Merge *merge)
{
	const char *from = scd2_control_name(merge->request->valid_from_column);

	if (merge->source_at != 0)
		appendStringInfoString(sql, "s.times OPERATOR(pg_catalog.>) 1 OR ");
	append_observed_later(sql, merge, "s", true, "s.at");
	appendStringInfo(sql, " OR s.at OPERATOR(pg_catalog.<) d.%s"
					 " OR s.at OPERATOR(pg_catalog.=) d.%s AND (s.deleted OR ", from, from);
	append_changed(sql, merge, SCD2_TRACKED);
	appendStringInfo(sql, ") OR d.%s IS NULL AND EXISTS (SELECT 1 FROM %s h WHERE ", from, merge->versions);
	scd2_append_keys_equal(sql, merge, "h", "s", true);
	appendStringInfo(sql, " AND h.%s OPERATOR(pg_catalog.>=) s.at)",
					 scd2_control_name(merge->request->valid_to_column));
}

/* Appends the data columns of source and current version that a new version may need */
static void
append_old_and_new_values(StringInfo sql, Scd2Merge *merge)
{
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];

		if (column->source_attno != 0)
			appendStringInfo(sql, ", s.c%d", i + 1);
		if (column->source_attno == 0 || column->keep_on_null)
			appendStringInfo(sql, ", d.%s AS old%d", scd2_column_name(column), i + 1);
	}
}

/*
 * Appends the data columns of a new version: from the source, or carried over
 * from the current one.  Late observations continue an earlier version, which
 * scd2_history.c will find.
 */
static void
append_new_values(StringInfo sql, Scd2Merge *merge)
{
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];

		if (column->source_attno == 0)
			appendStringInfo(sql, ", old%d", i + 1);
		else if (column->keep_on_null)
			appendStringInfo(sql, ", CASE WHEN c%d IS NULL AND action OPERATOR(pg_catalog.<>) 'h'"
							 " THEN old%d ELSE c%d END", i + 1, i + 1, i + 1);
		else
			appendStringInfo(sql, ", c%d", i + 1);
	}
}

/* Appends the place of the current version; only heap tables of this server have one */
static void
append_place(StringInfo sql, Scd2Merge *merge)
{
	appendStringInfoString(sql, merge->local ? "d.tableoid AS relation, d.ctid AS tid" :
						   "NULL::pg_catalog.oid AS relation, NULL::pg_catalog.tid AS tid");
}

/* Appends the source as a sub-select; counts how often a key comes if it may come several times */
static void
append_source(StringInfo sql, Scd2Merge *merge, const char *source)
{
	if (merge->source_at == 0)
	{
		appendStringInfoString(sql, source);
		return;
	}
	appendStringInfoString(sql, "(SELECT *, pg_catalog.count(*) OVER (PARTITION BY ");
	scd2_append_key_list(sql, merge, "");
	appendStringInfo(sql, ") AS times FROM %s)", source);
}

/* Finds the rows of the source that change something */
static void
detect_changes(Scd2Merge *merge, const char *source)
{
	const char *current = scd2_control_name(merge->request->is_current_column);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT action, relation, tid, old_from, at, deleted, "
						   "CASE WHEN action OPERATOR(pg_catalog.=) 'p' THEN old_hash ELSE hash END");
	append_new_values(&sql, merge);
	appendStringInfoString(&sql, " FROM (SELECT (CASE WHEN ");
	append_is_late(&sql, merge);
	appendStringInfo(&sql, " THEN 'h' WHEN s.deleted THEN CASE WHEN d.%s THEN 'c' END"
					 " WHEN d.%s IS NULL THEN 'i' WHEN ", current, current);
	append_changed(&sql, merge, SCD2_TRACKED);
	appendStringInfoString(&sql, " THEN 'v' WHEN ");
	append_changed(&sql, merge, SCD2_UNTRACKED);
	appendStringInfoString(&sql, " THEN 'p' END)::pg_catalog.\"char\" AS action, ");
	append_place(&sql, merge);
	appendStringInfo(&sql, ", d.%s AS old_from, s.at, s.deleted, ",
					 scd2_control_name(merge->request->valid_from_column));
	if (merge->hash_attno != 0)
		appendStringInfo(&sql, "s.hash, d.%s AS old_hash", scd2_control_name(merge->request->row_hash_column));
	else
		appendStringInfoString(&sql, "s.hash, s.hash AS old_hash");
	append_old_and_new_values(&sql, merge);
	appendStringInfoString(&sql, " FROM ");
	append_source(&sql, merge, source);
	appendStringInfo(&sql, " s LEFT JOIN %s d ON ", merge->versions);
	scd2_append_keys_equal(&sql, merge, "d", "s", true);
	appendStringInfo(&sql, " AND d.%s) changes WHERE action IS NOT NULL", current);
	scd2_query(sql.data, 0, NULL, NULL, scd2_put_delta_slot, merge);
}

/* Finds the versions that hold at the time of the merge while the source lacks their key */
static void
detect_missing(Scd2Merge *merge, const char *source)
{
	const char *from = scd2_control_name(merge->request->valid_from_column);
	const char *to = scd2_control_name(merge->request->valid_to_column);
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(merge->request->valid_at)};
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT (CASE WHEN d.%s AND d.%s OPERATOR(pg_catalog.<) $1 AND NOT ",
					 scd2_control_name(merge->request->is_current_column), from);
	append_observed_later(&sql, merge, "d", false, "$1");
	appendStringInfoString(&sql, " THEN 'm' ELSE 'n' END)::pg_catalog.\"char\", ");
	append_place(&sql, merge);
	appendStringInfo(&sql, ", d.%s, $1, true, NULL::pg_catalog.int8", from);
	for (i = 0; i < merge->ncolumns; i++)
		appendStringInfo(&sql, ", %s%s", i < merge->nkeys ? "d." : "",
						 i < merge->nkeys ? scd2_column_name(&merge->columns[i]) : "NULL");
	appendStringInfo(&sql, " FROM %s d WHERE d.%s OPERATOR(pg_catalog.<=) $1"
					 " AND (d.%s IS NULL OR d.%s OPERATOR(pg_catalog.>) $1)"
					 " AND NOT EXISTS (SELECT 1 FROM %s s WHERE ", merge->versions, from, to, to, source);
	scd2_append_keys_equal(&sql, merge, "d", "s", true);
	appendStringInfoChar(&sql, ')');
	scd2_query(sql.data, 1, types, values, scd2_put_delta_slot, merge);
}

/* Finds out whether the table of observation times knows a later one than the earliest of this merge */
static bool
is_forward(Scd2Merge *merge, TimestampTz earliest)
{
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(earliest)};

	if (!OidIsValid(merge->request->observations))
		return false;
	return scd2_execute(psprintf("SELECT 1 FROM %s WHERE valid_at OPERATOR(pg_catalog.>) $1 LIMIT 1",
								 scd2_qualified_name(merge->request->observations)),
						1, types, values, SPI_OK_SELECT) == 0;
}

/* Fills the delta, and the table of observation times if there is one */
void
scd2_detect_by_join(Scd2Merge *merge)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);
	SourceCopy	copy = {merge, tuplestore_begin_heap(false, false, work_mem), merge->request->valid_at};
	const char *source;

	MemoryContextSwitchTo(old_context);
	scd2_create_delta(merge);
	merge->source_rows = 0;
	scd2_stream_source(merge, copy_source_row, &copy);
	source = scd2_publish(merge, "scd2_source", merge->stream_desc, copy.store, merge->source_rows);
	fetch_versions(merge, source, copy.earliest);
	fetch_observations(merge, copy.earliest);
	check_unique(merge, source);
	merge->forward = is_forward(merge, copy.earliest);
	detect_changes(merge, source);
	if (merge->request->close_missing)
		detect_missing(merge, source);
	if (OidIsValid(merge->request->observations))
		scd2_log_observations(merge, source);
	forget_copies(merge);
	scd2_withdraw(merge, "scd2_source");
	tuplestore_end(copy.store);
}

/*
 * scd2_apply.c
 *		Writing what a merge found, in a handful of set-based statements.
 *
 * Plain UPDATE and INSERT, so that partitions, generated columns, triggers,
 * constraints and foreign tables behave as for everybody else.  The statement
 * that closes versions runs before the one that opens their successors: the
 * table never has two current versions of a key.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_internal.h"

/* Reports that the target did not do what a statement told it */
void
scd2_check_written(Scd2Merge *merge, uint64 written, int64 expected)
{
	if (written == (uint64) expected)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("the merge into %s could write only " UINT64_FORMAT " of " INT64_FORMAT " rows",
					merge->target, written, expected),
			 errdetail("A trigger, a rule or a row security policy of the table kept it from the others.")));
}

/*
 * Runs a statement that addresses rows by ctid.  The planner prefers to read
 * the whole table when there are many; its choice is made here, with the
 * alternatives switched off, so that triggers run under the user's settings.
 */
static uint64
execute_by_tid(const char *sql, int expected)
{
	int			level = NewGUCNestLevel();
	SPIPlanPtr	plan;
	CachedPlan *cached;
	uint64		written;
	int			result;

	set_config_option("enable_hashjoin", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("enable_mergejoin", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("enable_tidscan", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare a statement of the merge: %s", SPI_result_code_string(SPI_result));
	cached = SPI_plan_get_cached_plan(plan);
	AtEOXact_GUC(true, level);

	result = SPI_execute_plan(plan, NULL, NULL, false, 0);
	written = scd2_rows_written(result, expected);
	if (cached != NULL)
		ReleaseCachedPlan(cached, CurrentResourceOwner);
	SPI_freeplan(plan);
	return written;
}

/*
 * Runs an UPDATE of current versions joined with the delta x, of which it
 * reads some columns.  No others: the executor keeps a copy of each row of x
 * and would fetch wide values for it.
 */
static uint64
update_current(Scd2Merge *merge, const char *assignments, const char *columns, const char *actions)
{
	StringInfoData sql;
	bool		partitioned = list_length(merge->leaves) != 1;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s d SET %s FROM ", merge->target, assignments);
	if (merge->local)
	{
		appendStringInfo(&sql, "(SELECT relation, tid%s FROM %s WHERE action::pg_catalog.text OPERATOR(pg_catalog.=) ANY (%s)"
						 " ORDER BY relation, tid) x WHERE d.ctid OPERATOR(pg_catalog.=) x.tid%s",
						 columns, merge->delta_name, actions,
						 partitioned ? " AND d.tableoid OPERATOR(pg_catalog.=) x.relation" : "");
		return execute_by_tid(sql.data, SPI_OK_UPDATE);
	}
	appendStringInfo(&sql, "%s x WHERE x.action::pg_catalog.text OPERATOR(pg_catalog.=) ANY (%s) AND ",
					 merge->delta_name, actions);
	scd2_append_keys_equal(&sql, merge, "d", "x", true);
	appendStringInfo(&sql, " AND d.%s OPERATOR(pg_catalog.=) x.old_from",
					 scd2_control_name(merge->request->valid_from_column));
	return scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_UPDATE);
}

/* Ends the current versions that have a successor or whose key was deleted */
static void
close_versions(Scd2Merge *merge)
{
	const Scd2Request *request = merge->request;
	int64		expected = merge->actions[SCD2_VERSION] + merge->actions[SCD2_CLOSE] + merge->actions[SCD2_MISSING];
	StringInfoData assignments;

	if (expected == 0)
		return;
	initStringInfo(&assignments);
	appendStringInfo(&assignments, "%s = x.at, %s = false", scd2_control_name(request->valid_to_column),
					 scd2_control_name(request->is_current_column));
	if (merge->deleted_attno != 0)
		appendStringInfo(&assignments, ", %s = x.deleted", scd2_control_name(request->is_deleted_column));
	scd2_check_written(merge, update_current(merge, assignments.data, ", at, deleted", "'{v,c,m}'"), expected);
}

/* Writes untracked columns into current versions */
static void
update_in_place(Scd2Merge *merge)
{
	StringInfoData assignments;
	StringInfoData columns;
	int			i;

	if (merge->actions[SCD2_IN_PLACE] == 0)
		return;
	initStringInfo(&assignments);
	initStringInfo(&columns);
	appendStringInfoString(&columns, ", hash");
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].role != SCD2_UNTRACKED)
			continue;
		appendStringInfo(&assignments, "%s%s = x.c%d", assignments.len > 0 ? ", " : "",
						 scd2_column_name(&merge->columns[i]), i + 1);
		appendStringInfo(&columns, ", c%d", i + 1);
	}
	if (merge->hash_attno != 0)
		appendStringInfo(&assignments, "%s%s = x.hash", assignments.len > 0 ? ", " : "",
						 scd2_control_name(merge->request->row_hash_column));
	scd2_check_written(merge, update_current(merge, assignments.data, columns.data, "'{p}'"), merge->actions[SCD2_IN_PLACE]);
}

/*
 * Appends INSERT INTO target (...) SELECT ... for rows x of a relation in
 * memory that has the data columns as c1, c2, ... and a hash.
 */
void
scd2_append_insert(StringInfo sql, Scd2Merge *merge, const char *from, const char *to, const char *deleted)
{
	const Scd2Request *request = merge->request;
	int			i;

	appendStringInfo(sql, "INSERT INTO %s (%s, %s, %s", merge->target,
					 scd2_control_name(request->valid_from_column), scd2_control_name(request->valid_to_column),
					 scd2_control_name(request->is_current_column));
	if (merge->hash_attno != 0)
		appendStringInfo(sql, ", %s", scd2_control_name(request->row_hash_column));
	if (merge->deleted_attno != 0)
		appendStringInfo(sql, ", %s", scd2_control_name(request->is_deleted_column));
	for (i = 0; i < merge->ncolumns; i++)
		appendStringInfo(sql, ", %s", scd2_column_name(&merge->columns[i]));
	appendStringInfo(sql, ")%s SELECT %s, %s, %s IS NULL", merge->override_identity ? " OVERRIDING SYSTEM VALUE" : "",
					 from, to, to);
	if (merge->hash_attno != 0)
		appendStringInfoString(sql, ", x.hash");
	if (merge->deleted_attno != 0)
		appendStringInfo(sql, ", %s", deleted);
	for (i = 0; i < merge->ncolumns; i++)
		appendStringInfo(sql, ", x.c%d", i + 1);
}

/* Opens the new versions */
static void
insert_versions(Scd2Merge *merge)
{
	int64		expected = merge->actions[SCD2_INSERT] + merge->actions[SCD2_VERSION];
	StringInfoData sql;

	if (expected == 0)
		return;
	initStringInfo(&sql);
	scd2_append_insert(&sql, merge, "x.at", "NULL::pg_catalog.timestamptz", "false");
	/* in order of the key, neighbours in the indexes are written together */
	appendStringInfo(&sql, " FROM (SELECT * FROM %s WHERE action::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{i,v}')"
					 " ORDER BY ", merge->delta_name);
	scd2_append_key_list(&sql, merge, "");
	appendStringInfoString(&sql, ") x");
	scd2_check_written(merge, scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_INSERT), expected);
}

/* Writes the delta into the target and counts what it did */
void
scd2_apply_delta(Scd2Merge *merge)
{
	Scd2Counts *counts = merge->counts;
	int64	   *actions = merge->actions;
	int64		rows = 0;
	int			i;

	for (i = 0; i < (int) lengthof(merge->actions); i++)
		rows += actions[i];
	counts->inserted += actions[SCD2_INSERT];
	counts->versioned += actions[SCD2_VERSION];
	counts->closed += actions[SCD2_CLOSE] + actions[SCD2_MISSING];
	counts->unchanged += merge->source_rows - (actions[SCD2_INSERT] + actions[SCD2_VERSION] +
											   actions[SCD2_CLOSE] + actions[SCD2_HISTORY]);
	if (rows == 0)
		return;
	merge->delta_name = scd2_publish(merge, "scd2_delta", merge->delta_desc, merge->delta, rows);
	close_versions(merge);
	update_in_place(merge);
	insert_versions(merge);
	if (actions[SCD2_HISTORY] + actions[SCD2_HISTORY_MISSING] > 0)
		scd2_rebuild_histories(merge);
	scd2_withdraw(merge, "scd2_delta");
}

/* Notes which keys were observed when, for merges that bring late data */
void
scd2_log_observations(Scd2Merge *merge, const char *source)
{
	const char *observations = scd2_qualified_name(merge->request->observations);
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(merge->request->valid_at)};
	StringInfoData keys;
	StringInfoData sql;
	int			i;

	initStringInfo(&keys);
	for (i = 0; i < merge->nkeys; i++)
		appendStringInfo(&keys, "%s, ", scd2_column_name(&merge->columns[i]));

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%svalid_at) SELECT ", observations, keys.data);
	scd2_append_key_list(&sql, merge, "");
	appendStringInfo(&sql, ", at FROM %s ON CONFLICT (%svalid_at) DO NOTHING", source, keys.data);
	scd2_execute(sql.data, 0, NULL, NULL, SPI_OK_INSERT);
	if (!merge->request->close_missing)
		return;

	/* a key that is missing was observed too: it was seen to be absent */
	resetStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%svalid_at) SELECT DISTINCT ", observations, keys.data);
	for (i = 0; i < merge->nkeys; i++)
		appendStringInfo(&sql, "d.%s, ", scd2_column_name(&merge->columns[i]));
	/* not NOT EXISTS: Citus cannot send the source to the shards from there */
	appendStringInfo(&sql, "$1 FROM %s d LEFT JOIN %s s ON ", merge->target, source);
	scd2_append_keys_equal(&sql, merge, "d", "s", true);
	appendStringInfo(&sql, " WHERE s.c1 IS NULL ON CONFLICT (%svalid_at) DO NOTHING", keys.data);
	scd2_execute(sql.data, 1, types, values, SPI_OK_INSERT);
}

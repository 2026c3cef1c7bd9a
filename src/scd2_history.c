/*
 * scd2_history.c
 *		Observations that belong before what is known.
 *
 * A history says what every known observation of a key said: at the start of
 * each version its values, at the end of each version without a successor that
 * the key was gone, and at each noted time of observation what holds then.  So
 * a late observation is put among them in order of time and the history is
 * built anew: neighbours that agree are one version.  The result depends on
 * the observations only, not on the order in which they arrived, as long as
 * their times are noted; without notes an observation that changed nothing
 * when it arrived leaves no trace.
 *
 * Versions of the old history stay the same rows where they can, because
 * facts may refer to them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_history.h"

/* What a row of the event query is */
#define EVENT_OBSERVED		0	/* a new observation */
#define EVENT_VERSION		1	/* a version of the old history */
#define EVENT_NOTED			2	/* a noted time of observation */

/* Columns that stand before the data columns in rows of the event query */
#define EVENT_AT			1
#define EVENT_KIND			2
#define EVENT_TO			3
#define EVENT_DELETED		4
#define EVENT_HASH			5
#define EVENT_FIXED			5

#define FOR_EVER	DT_NOEND	/* stands for a valid_to that is NULL */

/* A row of the event query */
typedef struct Event
{
	TimestampTz at;
	int			kind;
	TimestampTz to;				/* of a version */
	bool		deleted;		/* observed deletion, or the version's mark */
	Datum		hash;
	bool		hash_null;
	Datum	   *values;
	bool	   *nulls;
	bool		claimed;		/* version that lives on as a segment */
} Event;

/* A stretch of time with the same values: a version of the new history */
typedef struct Segment
{
	TimestampTz from;
	TimestampTz to;
	Event	   *row;			/* old version that it continues, or NULL */
	bool		followed;		/* another version starts where it ends */
	Datum		hash;
	bool		hash_null;
	Datum	   *values;
	bool	   *nulls;
} Segment;

/* One key at a time */
typedef struct History
{
	Scd2Merge  *merge;
	MemoryContext context;		/* reset after each key */
	Scd2Operations operations;

	Event	   *events;			/* by time, then kind */
	int			nevents;
	int			max_events;
	Segment    *segments;
	int			nsegments;
} History;

/* Compares the tracked columns of two rows */
static bool
same_tracked(Scd2Merge *merge, Datum *left, bool *left_nulls, Datum *right, bool *right_nulls)
{
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].role == SCD2_TRACKED &&
			!scd2_values_equal(&merge->columns[i], left[i], left_nulls[i], right[i], right_nulls[i]))
			return false;
	}
	return true;
}

/* Compares the columns outside the key of two rows */
static bool
same_values(Scd2Merge *merge, Datum *left, bool *left_nulls, Datum *right, bool *right_nulls)
{
	int			i;

	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		if (!scd2_values_equal(&merge->columns[i], left[i], left_nulls[i], right[i], right_nulls[i]))
			return false;
	}
	return true;
}

/* Fails on a history whose versions overlap or end before they start */
static void
check_old_history(History *history)
{
	Event	   *before = NULL;
	int			i;

	for (i = 0; i < history->nevents; i++)
	{
		Event	   *event = &history->events[i];

		if (event->kind != EVENT_VERSION)
			continue;
		if (event->to <= event->at || (before != NULL && before->to > event->at))
			ereport(ERROR,
					(errcode(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION),
					 errmsg("target %s has versions that overlap or are empty", history->merge->target),
					 errdetail("One of them starts at %s.", timestamptz_to_str(event->at))));
		before = event;
	}
}

/* Orders times */
static int
compare_times(const void *left, const void *right)
{
	TimestampTz a = *(const TimestampTz *) left;
	TimestampTz b = *(const TimestampTz *) right;

	return (a > b) - (a < b);
}

/* Collects all times at which something is known, in order and each once */
static int
collect_times(History *history, TimestampTz **result)
{
	TimestampTz *times = palloc(2 * history->nevents * sizeof(TimestampTz));
	int			ntimes = 0;
	int			kept = 0;
	int			i;

	for (i = 0; i < history->nevents; i++)
	{
		Event	   *event = &history->events[i];

		times[ntimes++] = event->at;
		if (event->kind == EVENT_VERSION && event->to != FOR_EVER)
			times[ntimes++] = event->to;
	}
	qsort(times, ntimes, sizeof(TimestampTz), compare_times);
	for (i = 0; i < ntimes; i++)
	{
		if (kept == 0 || times[kept - 1] != times[i])
			times[kept++] = times[i];
	}
	*result = times;
	return kept;
}

/* Finds the version of the old history that holds at a time */
static Event *
version_at(History *history, TimestampTz at)
{
	int			i;

	for (i = 0; i < history->nevents; i++)
	{
		Event	   *event = &history->events[i];

		if (event->kind == EVENT_VERSION && event->at <= at && at < event->to)
			return event;
	}
	return NULL;
}

/* Finds the new observation made at a time */
static Event *
observation_at(History *history, TimestampTz at)
{
	int			i;

	for (i = 0; i < history->nevents; i++)
	{
		Event	   *event = &history->events[i];

		if (event->kind == EVENT_OBSERVED && event->at == at)
			return event;
	}
	return NULL;
}

/* Fills in what an observation leaves open: columns not in the source, NULLs that mean "not observed" */
static void
complete_observation(History *history, Event *observed, Event *old, Segment *before)
{
	Scd2Merge  *merge = history->merge;
	bool		filled = false;
	int			i;

	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		bool		carried = column->source_attno == 0;

		if (!carried && !(column->keep_on_null && observed->nulls[i]))
			continue;
		if (old != NULL && (carried || old->at == observed->at))
		{
			observed->values[i] = old->values[i];
			observed->nulls[i] = old->nulls[i];
		}
		else if (before != NULL)
		{
			observed->values[i] = before->values[i];
			observed->nulls[i] = before->nulls[i];
		}
		filled |= column->role == SCD2_TRACKED;
	}
	if (filled && merge->hash_attno != 0)
	{
		observed->hash = Int64GetDatum(scd2_hash_tracked(merge, observed->values, observed->nulls));
		observed->hash_null = false;
	}
}

/* Counts what an observation did to the history as it was */
static void
count_observation(Scd2Merge *merge, Event *observed, Event *old)
{
	Scd2Counts *counts = merge->counts;

	if (observed->deleted)
	{
		if (old != NULL)
			counts->closed++;
		else
			counts->unchanged++;
	}
	else if (old == NULL)
		counts->inserted++;
	else if (same_tracked(merge, observed->values, observed->nulls, old->values, old->nulls))
		counts->unchanged++;
	else
		counts->versioned++;
}

/* Lets an old version live on as the segment, unless either is taken */
static void
claim(Segment *segment, Event *row)
{
	if (segment->row != NULL || row->claimed)
		return;
	segment->row = row;
	row->claimed = true;
}

/* Starts a segment */
static Segment *
open_segment(History *history, TimestampTz at, Event *state)
{
	Segment    *segment = &history->segments[history->nsegments++];

	segment->from = at;
	segment->to = FOR_EVER;
	segment->row = NULL;
	segment->followed = false;
	segment->hash = state->hash;
	segment->hash_null = state->hash_null;
	segment->values = state->values;
	segment->nulls = state->nulls;
	return segment;
}

/* Takes the columns that have no history from a later state of the same segment */
static void
refresh_segment(History *history, Segment *segment, Event *state)
{
	Scd2Merge  *merge = history->merge;
	Datum	   *values;
	bool	   *nulls;
	int			i;

	if (segment->values == state->values)
		return;
	values = palloc(merge->ncolumns * sizeof(Datum));
	nulls = palloc(merge->ncolumns * sizeof(bool));
	for (i = 0; i < merge->ncolumns; i++)
	{
		bool		later = merge->columns[i].role == SCD2_UNTRACKED;

		values[i] = later ? state->values[i] : segment->values[i];
		nulls[i] = later ? state->nulls[i] : segment->nulls[i];
	}
	segment->values = values;
	segment->nulls = nulls;
}

/* Builds the new history: goes through the times and starts a segment whenever the state changes */
static void
build_segments(History *history)
{
	Scd2Merge  *merge = history->merge;
	TimestampTz *times;
	int			ntimes = collect_times(history, &times);
	Segment    *current = NULL;
	int			i;

	history->segments = palloc0(ntimes * sizeof(Segment));
	history->nsegments = 0;
	for (i = 0; i < ntimes; i++)
	{
		Event	   *old = version_at(history, times[i]);
		Event	   *observed = observation_at(history, times[i]);
		Event	   *state = observed != NULL ? (observed->deleted ? NULL : observed) : old;
		bool		same;

		if (observed != NULL && !observed->deleted)
			complete_observation(history, observed, old, current);
		if (observed != NULL)
			count_observation(merge, observed, old);
		same = state != NULL && current != NULL &&
			same_tracked(merge, state->values, state->nulls, current->values, current->nulls);
		if (current != NULL && !same)
		{
			current->to = times[i];
			current->followed = state != NULL;
			current = NULL;
		}
		if (state == NULL)
			continue;
		if (current == NULL)
			current = open_segment(history, times[i], state);
		else
			refresh_segment(history, current, state);
		if (old != NULL && same_tracked(merge, old->values, old->nulls, current->values, current->nulls))
			claim(current, old);
	}
}

/* Lets segments whose values were corrected continue the version that started with them */
static void
claim_corrected(History *history)
{
	int			i;

	for (i = 0; i < history->nsegments; i++)
	{
		Event	   *old = version_at(history, history->segments[i].from);

		if (old != NULL && old->at == history->segments[i].from)
			claim(&history->segments[i], old);
	}
}

/* Stores a time in a row, the end of time as NULL */
static void
set_time(Datum *values, bool *nulls, int attno, TimestampTz at)
{
	values[attno - 1] = TimestampTzGetDatum(at);
	nulls[attno - 1] = at == FOR_EVER;
}

/* Adds an operation to those that write the new history */
static void
put_operation(History *history, Event *row, Segment *segment, bool shrink, bool move, bool write)
{
	Scd2Merge  *merge = history->merge;
	int			natts = OPERATION_FIXED + merge->ncolumns;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *nulls = palloc0(natts * sizeof(bool));
	Datum	   *data = segment != NULL ? segment->values : row->values;
	bool		both = row != NULL && segment != NULL;
	bool	   *data_nulls = segment != NULL ? segment->nulls : row->nulls;

	set_time(values, nulls, OPERATION_OLD_FROM, row != NULL ? row->at : FOR_EVER);
	set_time(values, nulls, OPERATION_INNER_FROM, both ? Max(row->at, segment->from) : FOR_EVER);
	set_time(values, nulls, OPERATION_INNER_TO, both ? Min(row->to, segment->to) : FOR_EVER);
	set_time(values, nulls, OPERATION_FROM, segment != NULL ? segment->from : FOR_EVER);
	set_time(values, nulls, OPERATION_TO, segment != NULL ? segment->to : FOR_EVER);
	values[OPERATION_DELETED - 1] = BoolGetDatum(segment != NULL && segment->to != FOR_EVER && !segment->followed);
	values[OPERATION_REMOVE - 1] = BoolGetDatum(segment == NULL);
	values[OPERATION_SHRINK - 1] = BoolGetDatum(shrink);
	values[OPERATION_MOVE - 1] = BoolGetDatum(move);
	values[OPERATION_WRITE - 1] = BoolGetDatum(write);
	values[OPERATION_HASH - 1] = segment != NULL ? segment->hash : (Datum) 0;
	nulls[OPERATION_HASH - 1] = segment == NULL || segment->hash_null;
	memcpy(values + OPERATION_FIXED, data, merge->ncolumns * sizeof(Datum));
	memcpy(nulls + OPERATION_FIXED, data_nulls, merge->ncolumns * sizeof(bool));
	tuplestore_putvalues(history->operations.store, history->operations.desc, values, nulls);
}

/*
 * Puts the change of a version into operations.  It first shrinks to what it
 * has in common with its new period and then grows into it, so that no two
 * versions of the key overlap at any moment.
 */
static void
put_change(History *history, Segment *segment)
{
	Scd2Merge  *merge = history->merge;
	Event	   *row = segment->row;
	TimestampTz inner_from = Max(row->at, segment->from);
	TimestampTz inner_to = Min(row->to, segment->to);
	bool		deleted = segment->to != FOR_EVER && !segment->followed;
	bool		shrink = inner_from != row->at || inner_to != row->to;
	bool		move = inner_from != segment->from || inner_to != segment->to ||
		(merge->deleted_attno != 0 && deleted != row->deleted);
	bool		write = !same_values(merge, row->values, row->nulls, segment->values, segment->nulls);

	if (!shrink && !move && !write)
		return;
	put_operation(history, row, segment, shrink, move && !write, write);
	history->operations.shrinks += shrink;
	history->operations.moves += move && !write;
	history->operations.writes += write;
}

/* Turns the difference between old and new history into operations */
static void
put_operations(History *history)
{
	int			i;

	for (i = 0; i < history->nsegments; i++)
	{
		if (history->segments[i].row != NULL)
			put_change(history, &history->segments[i]);
		else
		{
			put_operation(history, NULL, &history->segments[i], false, false, false);
			history->operations.inserts++;
		}
	}
	for (i = 0; i < history->nevents; i++)
	{
		Event	   *event = &history->events[i];

		if (event->kind == EVENT_VERSION && !event->claimed)
		{
			put_operation(history, event, NULL, false, false, false);
			history->operations.deletes++;
		}
	}
}

/* Rebuilds the history of the key whose events have been collected */
static void
finish_key(History *history)
{
	MemoryContext old_context;

	if (history->nevents == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	old_context = MemoryContextSwitchTo(history->context);
	check_old_history(history);
	build_segments(history);
	claim_corrected(history);
	put_operations(history);
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(history->context);
	history->nevents = 0;
}

/* Tells whether a row of the event query belongs to the key being collected */
static bool
is_same_key(History *history, TupleTableSlot *slot)
{
	Scd2Merge  *merge = history->merge;
	Event	   *first = &history->events[0];
	int			i;

	for (i = 0; i < merge->nkeys; i++)
	{
		if (!scd2_values_equal(&merge->columns[i], first->values[i], first->nulls[i],
							   slot->tts_values[EVENT_FIXED + i], slot->tts_isnull[EVENT_FIXED + i]))
			return false;
	}
	return true;
}

/* Collects a row of the event query; a new key finishes the one before */
static bool
collect_event(void *state, TupleTableSlot *slot)
{
	History    *history = state;
	int			natts = EVENT_FIXED + history->merge->ncolumns;
	MemoryContext old_context;
	HeapTuple	tuple;
	Datum	   *values;
	bool	   *nulls;
	Event	   *event;

	slot_getallattrs(slot);
	if (history->nevents > 0 && !is_same_key(history, slot))
		finish_key(history);
	if (history->nevents == history->max_events)
	{
		history->max_events *= 2;
		history->events = repalloc(history->events, history->max_events * sizeof(Event));
	}
	old_context = MemoryContextSwitchTo(history->context);
	tuple = ExecCopySlotHeapTuple(slot);
	values = palloc(natts * sizeof(Datum));
	nulls = palloc(natts * sizeof(bool));
	heap_deform_tuple(tuple, slot->tts_tupleDescriptor, values, nulls);
	MemoryContextSwitchTo(old_context);

	event = &history->events[history->nevents++];
	event->at = DatumGetTimestampTz(values[EVENT_AT - 1]);
	event->kind = DatumGetInt32(values[EVENT_KIND - 1]);
	event->to = nulls[EVENT_TO - 1] ? FOR_EVER : DatumGetTimestampTz(values[EVENT_TO - 1]);
	event->deleted = !nulls[EVENT_DELETED - 1] && DatumGetBool(values[EVENT_DELETED - 1]);
	event->hash = values[EVENT_HASH - 1];
	event->hash_null = nulls[EVENT_HASH - 1];
	event->values = values + EVENT_FIXED;
	event->nulls = nulls + EVENT_FIXED;
	event->claimed = false;
	return true;
}

/* Appends the data columns of one branch of the event query; NULL where there is none */
static void
append_event_columns(StringInfo sql, Scd2Merge *merge, const char *alias, int limit, bool numbered)
{
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		if (i >= limit)
			appendStringInfoString(sql, ", NULL");
		else if (numbered)
			appendStringInfo(sql, ", %s.c%d", alias, i + 1);
		else
			appendStringInfo(sql, ", %s.%s", alias, scd2_column_name(&merge->columns[i]));
	}
}

/* Appends a join of a table with the keys whose history is rebuilt */
static void
append_join_with_keys(StringInfo sql, Scd2Merge *merge, const char *table, const char *alias)
{
	appendStringInfo(sql, " FROM (SELECT DISTINCT ");
	scd2_append_key_list(sql, merge, "");
	appendStringInfo(sql, " FROM %s WHERE action::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{h,n}')) k JOIN %s %s ON ",
					 merge->delta_name, table, alias);
	scd2_append_keys_equal(sql, merge, alias, "k", true);
}

/* Runs the query that returns all events of the keys to rebuild, in order */
static void
run_event_query(History *history)
{
	Scd2Merge  *merge = history->merge;
	const Scd2Request *request = merge->request;
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT x.at, %d AS kind, NULL::pg_catalog.timestamptz, x.deleted, x.hash", EVENT_OBSERVED);
	append_event_columns(&sql, merge, "x", merge->ncolumns, true);
	appendStringInfo(&sql, " FROM %s x WHERE x.action::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{h,n}')"
					 " UNION ALL SELECT d.%s, %d, d.%s, ", merge->delta_name,
					 scd2_control_name(request->valid_from_column), EVENT_VERSION,
					 scd2_control_name(request->valid_to_column));
	if (merge->deleted_attno != 0)
		appendStringInfo(&sql, "d.%s, ", scd2_control_name(request->is_deleted_column));
	else
		appendStringInfoString(&sql, "false, ");
	if (merge->hash_attno != 0)
		appendStringInfo(&sql, "d.%s", scd2_control_name(request->row_hash_column));
	else
		appendStringInfoString(&sql, "NULL");
	append_event_columns(&sql, merge, "d", merge->ncolumns, false);
	append_join_with_keys(&sql, merge, merge->target, "d");
	if (OidIsValid(request->observations))
	{
		appendStringInfo(&sql, " UNION ALL SELECT o.valid_at, %d, NULL, false, NULL", EVENT_NOTED);
		append_event_columns(&sql, merge, "o", merge->nkeys, false);
		append_join_with_keys(&sql, merge, scd2_qualified_name(request->observations), "o");
	}
	appendStringInfoString(&sql, " ORDER BY ");
	for (i = 0; i < merge->nkeys; i++)
		appendStringInfo(&sql, "%d, ", EVENT_FIXED + i + 1);
	appendStringInfoString(&sql, "1, 2");
	scd2_query(sql.data, 0, NULL, NULL, collect_event, history);
	finish_key(history);
}

/* Rebuilds the histories of the keys that the delta marks, and writes what differs */
void
scd2_rebuild_histories(Scd2Merge *merge)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);
	History		history = {.merge = merge};

	history.context = AllocSetContextCreate(merge->context, "scd2 history of a key", ALLOCSET_DEFAULT_SIZES);
	history.max_events = 64;
	history.events = palloc(history.max_events * sizeof(Event));
	scd2_create_operations(merge, &history.operations);
	MemoryContextSwitchTo(old_context);

	run_event_query(&history);
	scd2_write_operations(merge, &history.operations);
	MemoryContextDelete(history.context);
}

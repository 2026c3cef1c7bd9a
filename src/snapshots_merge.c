/*
 * snapshots_merge.c
 *		Joins a day's observations with the last scored day by merging tables.
 *
 * The dimension gives the repositories, which become the rank keys: each key
 * holds what is known from the dimension until it is scored.  Answers and facts
 * follow in the order of github_id.  A repository whose history is not packed in
 * the day before gets it from the stored days, a batch at a time.  Does the
 * same as the query of snapshots_query.c, three times as fast.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "partitions.h"
#include "snapshots.h"
#include "snapshots_events.h"
#include "snapshots_stream.h"
#include "util_days.h"
#include "util_heap_rows.h"
#include "util_spi.h"

#define BATCH_ROWS 1024

/* Columns of dim_repositories that are read */
typedef enum DimensionColumn
{
	DIMENSION_REPO_KEY,
	DIMENSION_GITHUB_ID,
	DIMENSION_LANGUAGE,
	DIMENSION_CREATED_AT,
	DIMENSION_IS_DELETED,
	DIMENSION_VALID_FROM,
	DIMENSION_VALID_TO,
	DIMENSION_COLUMNS
} DimensionColumn;

static const struct
{
	const char *name;
	Oid			type;
}			dimension_columns[DIMENSION_COLUMNS] = {
	[DIMENSION_REPO_KEY] = {"repo_key", INT8OID},
	[DIMENSION_GITHUB_ID] = {"github_id", INT8OID},
	[DIMENSION_LANGUAGE] = {"language", VARCHAROID},
	[DIMENSION_CREATED_AT] = {"created_at", TIMESTAMPTZOID},
	[DIMENSION_IS_DELETED] = {"is_deleted", BOOLOID},
	[DIMENSION_VALID_FROM] = {"valid_from", TIMESTAMPTZOID},
	[DIMENSION_VALID_TO] = {"valid_to", TIMESTAMPTZOID},
};

static const char *const answer_columns[STREAM_COLUMNS] = {
	[STREAM_GITHUB_ID] = "github_id",
	[STREAM_DAY] = "observed_on",
	[STREAM_STARS] = "stars",
	[STREAM_FORKS] = "forks",
	[STREAM_OPEN_ISSUES] = "open_issues",
	[STREAM_OBSERVED_AT] = "observed_at",
	[STREAM_PUSHED_AT] = "pushed_at",
};

static const char *const fact_columns[STREAM_COLUMNS] = {
	[STREAM_GITHUB_ID] = "github_id",
	[STREAM_DAY] = "snapshot_date",
	[STREAM_STARS] = "stars",
	[STREAM_FORKS] = "forks",
	[STREAM_OPEN_ISSUES] = "open_issues",
	[STREAM_OBSERVED_AT] = "observed_at",
	[STREAM_PUSHED_AT] = "pushed_at",
	[STREAM_IS_STALE] = "is_stale",
	[STREAM_ACTIVITY] = "activity_score",
	[STREAM_STATE] = "momentum_state",
};

/* What there is at all: most databases have no answers about commits, issues or contributors, and a first day has no history */
static SpiStep situation_step = {
	.sql = "SELECT EXISTS (SELECT FROM flowlens.stg_repo_activity a)::integer::bigint,"
	"       EXISTS (SELECT FROM flowlens.fact_repo_snapshots f"
	"               WHERE f.snapshot_date >= $1 - 30 AND f.snapshot_date < $1)::integer::bigint",
	.nargs = 1,
	.argtypes = {DATEOID},
	.expected = SPI_OK_SELECT
};

static SpiStep history_step = {
	.sql = "SELECT f.github_id, flowlens.momentum_state($1 - 1, f.snapshot_date, f.stars) FROM flowlens.fact_repo_snapshots f "
	"WHERE f.github_id = ANY ($2) AND f.snapshot_date >= $1 - 30 AND f.snapshot_date < $1 AND NOT f.is_stale "
	"GROUP BY f.github_id ORDER BY f.github_id",
	.nargs = 2,
	.argtypes = {DATEOID, INT8ARRAYOID},
	.expected = SPI_OK_SELECT
};

/* Tables being merged, and the rows that came together last */
typedef struct SnapshotMerge
{
	SnapshotDay *day;
	Relation	dimension;
	int			dimension_columns[DIMENSION_COLUMNS];	/* position in a row */
	int			dimension_natts;
	int64		repositories;	/* keys that hold what the dimension knows */
	SnapshotStream answers;		/* of the day */
	SnapshotStream before;		/* facts of the last scored day */
	SnapshotStream own;			/* facts of the day itself, if it was scored before */
	SnapshotEvents events;
	bool		has_events;		/* something is known of commits, issues or contributors */
	bool		has_history;	/* some facts are stored in the window */
	SnapshotInput *batch;
	int			used;
	int			unknown;		/* how many of the batch have no packed history, */
	int			newcomers;		/* and how many the last scored day does not know */
} SnapshotMerge;

/* --- the dimension ----------------------------------------------------------- */

/* Finds the columns of the dimension; false when one is of another kind */
static bool
find_dimension_columns(SnapshotMerge *merge)
{
	int			i;

	for (i = 0; i < DIMENSION_COLUMNS; i++)
	{
		AttrNumber	number = snapshot_column(merge->dimension, dimension_columns[i].name, dimension_columns[i].type);

		if (number == 0)
			return false;
		merge->dimension_columns[i] = number - 1;
		merge->dimension_natts = Max(merge->dimension_natts, number);
	}
	return true;
}

/* Puts a version of a repository into a key, if it is the valid one when the day ends; "stars" holds repo_key */
static void
take_version(SnapshotMerge *merge, const Datum *values, const bool *nulls)
{
	const int  *at = merge->dimension_columns;
	SnapshotDay *day = merge->day;
	SnapshotKey *key;

	if (DatumGetBool(values[at[DIMENSION_IS_DELETED]]) ||
		DatumGetTimestampTz(values[at[DIMENSION_VALID_FROM]]) >= day->day_end ||
		(!nulls[at[DIMENSION_VALID_TO]] && DatumGetTimestampTz(values[at[DIMENSION_VALID_TO]]) < day->day_end))
		return;
	key = snapshot_key(day, merge->repositories++);
	key->github_id = DatumGetInt64(values[at[DIMENSION_GITHUB_ID]]);
	key->stars = DatumGetInt64(values[at[DIMENSION_REPO_KEY]]);
	key->age = snapshot_created_on(values[at[DIMENSION_CREATED_AT]], nulls[at[DIMENSION_CREATED_AT]]);
	key->language = nulls[at[DIMENSION_LANGUAGE]] ? 0 :
		snapshot_language_number(day, DatumGetTextPP(values[at[DIMENSION_LANGUAGE]]));
}

/* Orders keys by github_id, and equal ones by repo_key */
static int
compare_keys(const SnapshotKey *a, const SnapshotKey *b)
{
	if (a->github_id != b->github_id)
		return a->github_id < b->github_id ? -1 : 1;
	return a->stars < b->stars ? -1 : a->stars > b->stars;
}

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE SnapshotKey
#define ST_COMPARE(a, b) compare_keys(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* Fills the keys with the repositories that are valid when the day ends, in the order of github_id */
static void
read_dimension(SnapshotMerge *merge, Snapshot snapshot)
{
	HeapRows	rows;
	MemoryContext old = MemoryContextSwitchTo(merge->day->row_context);
	uint32		n = 0;

	heap_rows_begin_in_order(&rows, merge->dimension, snapshot, merge->dimension_natts);
	while (heap_rows_next(&rows))
	{
		if ((++n & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		take_version(merge, rows.row.values, rows.row.nulls);
	}
	heap_rows_end(&rows);
	MemoryContextSwitchTo(old);
	sort_keys(merge->day->keys, merge->repositories);
}

/* --- batches ----------------------------------------------------------------- */

/* Tells whether the history of a repository is not packed */
static bool
lacks_history(const SnapshotInput *input)
{
	return input->state == NULL;
}

/* Takes a copy of a packed history, which lives as long as the batch */
static void
take_state(SnapshotMerge *merge, SnapshotInput *input, Datum state)
{
	MemoryContext old = MemoryContextSwitchTo(merge->day->row_context);
	bytea	   *packed = DatumGetByteaPP(state);
	uint8	   *copy;

	input->state_size = VARSIZE_ANY_EXHDR(packed);
	copy = palloc(Max(input->state_size, 1));
	memcpy(copy, VARDATA_ANY(packed), input->state_size);
	input->state = copy;
	MemoryContextSwitchTo(old);
}

/* Builds the histories of the batch that are not packed from the stored days */
static void
build_histories(SnapshotMerge *merge)
{
	Datum		values[2];
	uint64		count;
	uint64		row = 0;
	int			i;

	values[0] = DateADTGetDatum(merge->day->day);
	values[1] = snapshot_ids(merge->batch, merge->used, lacks_history);
	count = spi_step_run(&history_step, values, NULL);
	for (i = 0; i < merge->used; i++)
	{
		SnapshotInput *input = &merge->batch[i];
		bool		isnull;
		Datum		state;

		while (row < count && spi_row_int64(row, 1) < input->github_id)
			row++;
		if (input->state != NULL || row == count || spi_row_int64(row, 1) != input->github_id)
			continue;
		state = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2, &isnull);
		if (!isnull)
			take_state(merge, input, state);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Scores the batch */
static void
flush_batch(SnapshotMerge *merge)
{
	MemoryContext old = MemoryContextSwitchTo(merge->day->row_context);
	int			i;

	CHECK_FOR_INTERRUPTS();
	if (merge->unknown > 0 && merge->has_history)
		build_histories(merge);
	if (merge->newcomers > 0 && merge->has_events)
		snapshot_read_newcomers_events(merge->batch, merge->used, merge->day->day);
	for (i = 0; i < merge->used; i++)
		snapshot_collect_row(merge->day, &merge->batch[i]);
	merge->used = 0;
	merge->unknown = 0;
	merge->newcomers = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(merge->day->row_context);
}

/* --- one repository ---------------------------------------------------------- */

/* Takes an optional number of a stream's row */
static int64
optional_int64(const SnapshotStream *stream, StreamColumn column, bool *present)
{
	*present = !stream_isnull(stream, column);
	return *present ? DatumGetInt64(stream_value(stream, column)) : 0;
}

/* Takes the counts of the newest row that there is */
static void
take_counts(SnapshotInput *input, const SnapshotStream *stream)
{
	input->stars = DatumGetInt64(stream_value(stream, STREAM_STARS));
	input->forks = optional_int64(stream, STREAM_FORKS, &input->has_forks);
	input->open_issues = optional_int64(stream, STREAM_OPEN_ISSUES, &input->has_open_issues);
	input->observed_at = DatumGetTimestampTz(stream_value(stream, STREAM_OBSERVED_AT));
	input->pushed_at = optional_int64(stream, STREAM_PUSHED_AT, &input->has_pushed_at);
}

/* Takes what the last scored day has to say, beside the counts */
static void
take_before(SnapshotMerge *merge, SnapshotInput *input)
{
	const SnapshotStream *before = &merge->before;

	input->old_pushed_at = optional_int64(before, STREAM_PUSHED_AT, &input->has_old_pushed_at);
	if (!input->has_pushed_at)
	{
		input->pushed_at = input->old_pushed_at;
		input->has_pushed_at = input->has_old_pushed_at;
	}
	input->has_old_activity = !stream_isnull(before, STREAM_ACTIVITY);
	if (input->has_old_activity)
		input->old_activity = DatumGetFloat8(stream_value(before, STREAM_ACTIVITY)) / 7;
	if (!stream_isnull(before, STREAM_STATE))
		take_state(merge, input, stream_value(before, STREAM_STATE));
}

/* Brings together what the tables say of a repository, if any has a row */
static void
merge_repository(SnapshotMerge *merge, const SnapshotKey *key)
{
	bool		answered = stream_seek(&merge->answers, key->github_id);
	bool		scored = stream_seek(&merge->own, key->github_id);
	bool		known = stream_seek(&merge->before, key->github_id);
	SnapshotInput *input = &merge->batch[merge->used];

	if (!answered && !scored && !known)
		return;
	memset(input, 0, sizeof(*input));
	input->github_id = key->github_id;
	input->repo_key = key->stars;
	input->language = key->language;
	input->created_on = key->age;
	input->is_observed = answered || scored;
	take_counts(input, answered ? &merge->answers : scored ? &merge->own : &merge->before);
	input->is_new = !known;
	if (known)
	{
		take_before(merge, input);
		snapshot_take_events(&merge->events, input);
	}
	merge->newcomers += input->is_new;
	merge->unknown += lacks_history(input);
	merge->used++;
}

/*
 * Merges the streams along the keys; a scored row takes the place of a key that was read
 *
 * Not in the context of the batch: an index scan takes memory when it first
 * meets a dead entry, and keeps it to its end.
 */
static void
merge_streams(SnapshotMerge *merge)
{
	int64		i;

	merge->batch = palloc(sizeof(SnapshotInput) * BATCH_ROWS);
	for (i = 0; i < merge->repositories; i++)
	{
		merge_repository(merge, &merge->day->keys[i]);
		if (merge->used == BATCH_ROWS)
			flush_batch(merge);
	}
	flush_batch(merge);
	pfree(merge->batch);
}

/* --- the whole ---------------------------------------------------------------- */

/* Opens the tables; false when they, or what the day needs, are not for a merge */
static bool
prepare_merge(SnapshotMerge *merge)
{
	SnapshotDay *day = merge->day;
	Oid			dimension = flowlens_relation("dim_repositories");
	Datum		values[1];

	if (day->predecessor_expired || !snapshot_may_read(dimension))
		return false;
	values[0] = DateADTGetDatum(day->day);
	spi_step_run(&situation_step, values, NULL);
	merge->has_events = spi_result_int64(1) > 0;
	merge->has_history = spi_result_int64(2) > 0;
	merge->own.fresh_only = true;
	merge->dimension = table_open(dimension, AccessShareLock);
	return heap_rows_suit(merge->dimension) && find_dimension_columns(merge) &&
		stream_prepare(&merge->answers, "stg_repos_validated", day->day, answer_columns) &&
		stream_prepare(&merge->own, "fact_repo_snapshots", day->day, fact_columns) &&
		(!day->has_predecessor || stream_prepare(&merge->before, "fact_repo_snapshots", day->predecessor, fact_columns));
}

/* Reads and merges the tables as one snapshot sees them; false when a stream has no order */
static bool
run_merge(SnapshotMerge *merge)
{
	Snapshot	snapshot;
	bool		in_order;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	PushActiveSnapshot(snapshot);
	in_order = stream_open(&merge->answers, snapshot) && stream_open(&merge->own, snapshot) &&
		stream_open(&merge->before, snapshot);
	if (in_order)
	{
		if (merge->has_events && merge->day->has_predecessor)
			snapshot_read_events(&merge->events, merge->day);
		read_dimension(merge, snapshot);
		merge_streams(merge);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	return in_order;
}

/* Collects the rows of a day by merging tables; false, with nothing collected, when they are not for it */
bool
snapshot_collect_by_merge(SnapshotDay *day)
{
	SnapshotMerge merge = {.day = day};
	bool		done = prepare_merge(&merge) && run_merge(&merge);

	stream_close(&merge.answers);
	stream_close(&merge.own);
	stream_close(&merge.before);
	if (merge.dimension != NULL)
		table_close(merge.dimension, NoLock);
	return done;
}

/*
 * snapshots_collect.c
 *		Scores what is known of each repository on a day.
 *
 * A fact carries the star counts of its last 30 days in a few bytes, so a day
 * is scored from the day before and today's counts.  What is known of a
 * repository comes from a merge of the tables, or from a query where they
 * cannot be read directly.  Scored rows go to a spill file; only what is ranked
 * stays in memory.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "compat.h"
#include "momentum_model.h"
#include "snapshots.h"
#include "util_days.h"

/* Returns the UTC day of a creation; SNAPSHOT_UNKNOWN_DAY where it is not known */
DateADT
snapshot_created_on(Datum created_at, bool isnull)
{
	if (isnull || TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(created_at)))
		return SNAPSHOT_UNKNOWN_DAY;
	return utc_day(DatumGetTimestampTz(created_at));
}

/* Takes the state of the last scored day, or an empty one */
static void
read_old_state(const SnapshotInput *input, MomentumHistory *history)
{
	momentum_history_init(history);
	if (input->state == NULL)
		return;
	if (!momentum_history_read(history, input->state, input->state_size))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("momentum_state of repository " INT64_FORMAT " is malformed", input->github_id),
				 errhint("Set the column to NULL; it is built again from the stored days.")));
}

/* Scores a repository on the day from its history, or says why it is not ranked */
static double
score_history(const SnapshotDay *day, const MomentumHistory *history, const SnapshotInput *input)
{
	int			created_age = MOMENTUM_UNKNOWN_AGE;
	double		m;

	if (momentum_history_is_outlier(history, &day->model.momentum))
		return SNAPSHOT_OUTLIER;
	if (input->created_on != SNAPSHOT_UNKNOWN_DAY)
		created_age = momentum_created_age(day->day, input->created_on);
	if (momentum_history_score(history, day->day, created_age, &day->model.momentum, &m) != MOMENTUM_SCORED)
		return SNAPSHOT_UNKNOWN;
	return m;
}

/* Carries the activity to the day; it stays unknown where neither pushes nor events were ever seen */
static void
carry_activity(const SnapshotDay *day, const SnapshotInput *input, SnapshotRow *row)
{
	int64		days = day->has_predecessor ? day->day - day->predecessor : 0;
	int64		push_age = -1;

	/* a push counts once, on its own day */
	if (input->has_pushed_at &&
		(!input->has_old_pushed_at || utc_day(input->pushed_at) > utc_day(input->old_pushed_at)))
		push_age = Max((int64) day->day - utc_day(input->pushed_at), 0);
	row->activity = activity_push_share(input->has_old_activity ? input->old_activity : 0, days, push_age);
	if (input->has_events)
		row->activity += activity_of_events(input->events);
	row->has_activity = input->has_pushed_at || input->has_old_activity || input->has_events;
}

/* Returns the key of a row, the next one at most, and makes room for it */
SnapshotKey *
snapshot_key(SnapshotDay *day, int64 row)
{
	if (row == day->capacity)
	{
		day->capacity *= 2;
		day->keys = repalloc_huge(day->keys, sizeof(SnapshotKey) * day->capacity);
	}
	return &day->keys[row];
}

/* Returns the ids of those repositories of a batch that are wanted, as an array */
Datum
snapshot_ids(const SnapshotInput *batch, int count, bool (*is_wanted) (const SnapshotInput *input))
{
	Datum	   *ids = palloc(sizeof(Datum) * count);
	int			wanted = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (is_wanted(&batch[i]))
			ids[wanted++] = Int64GetDatum(batch[i].github_id);
	}
	return PointerGetDatum(construct_array(ids, wanted, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Keeps what is ranked of a row */
static void
add_key(SnapshotDay *day, const SnapshotRow *row, const SnapshotInput *input)
{
	SnapshotKey *key;
	bool		is_render = day->languages[input->language].is_render;

	key = snapshot_key(day, day->count++);
	key->score = row->momentum;
	key->stars = input->stars;
	key->github_id = input->github_id;
	key->language = input->language;
	key->age = input->created_on == SNAPSHOT_UNKNOWN_DAY ? -1 : Max(day->day - input->created_on, 0);
	day->max_stars[is_render] = Max(day->max_stars[is_render], input->stars);
}

/* Scores what is known of a repository and puts it aside; one that was not seen for too long is left out */
void
snapshot_collect_row(SnapshotDay *day, const SnapshotInput *input)
{
	SnapshotRow row;
	MomentumHistory history;
	uint8		state[MOMENTUM_HISTORY_BYTES];

	if (!input->is_observed && input->observed_at < day->stale_before)
		return;
	memset(&row, 0, sizeof(row));
	row.is_stale = !input->is_observed;
	row.observed_at = input->observed_at;
	row.repo_key = input->repo_key;
	row.forks = input->forks;
	row.has_forks = input->has_forks;
	row.open_issues = input->open_issues;
	row.has_open_issues = input->has_open_issues;
	row.pushed_at = input->pushed_at;
	row.has_pushed_at = input->has_pushed_at;
	carry_activity(day, input, &row);

	read_old_state(input, &history);
	if (!row.is_stale && !momentum_history_push(&history, day->day, input->stars))
		elog(ERROR, "could not add an observation to the history of repository " INT64_FORMAT, input->github_id);
	row.momentum = score_history(day, &history, input);
	row.state_size = momentum_history_write(&history, state);

	add_key(day, &row, input);
	if (row.is_stale)
		day->stale++;
	else
		day->scored++;
	BufFileWrite(day->rows, &row, sizeof(row));
	BufFileWrite(day->rows, state, row.state_size);
}

/* Collects and scores the rows of a day; the caller has done SPI_connect() */
void
snapshot_collect(SnapshotDay *day)
{
	day->rows = BufFileCreateTemp(false);
	day->capacity = 1024;
	day->keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SnapshotKey) * day->capacity);
	day->row_context = AllocSetContextCreate(CurrentMemoryContext, "snapshot row", ALLOCSET_DEFAULT_SIZES);
	if (!snapshot_collect_by_merge(day))
		snapshot_collect_by_query(day);
}

/* Reads the next row of the spill file; false behind the last */
bool
snapshot_read_row(SnapshotDay *day, SnapshotRow *row, uint8 *state)
{
	size_t		got = BufFileRead(day->rows, row, sizeof(*row));

	if (got == 0)
		return false;
	if (got != sizeof(*row) || BufFileRead(day->rows, state, row->state_size) != row->state_size)
		elog(ERROR, "could not read back a row of the day");
	return true;
}

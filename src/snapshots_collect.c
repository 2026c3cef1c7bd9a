/*
 * snapshots_collect.c
 *		Joins a day's observations with the last scored day and scores each row.
 *
 * A fact carries the star counts of its last 30 days in a few bytes, so a day
 * is scored from the day before and today's counts.  Where that state is
 * missing, the query builds it from the stored days.  Rows come straight from
 * the executor, one at a time, and go to a spill file; only what is ranked
 * stays in memory.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"

#include "compat.h"
#include "momentum_model.h"
#include "partitions.h"
#include "sharding.h"
#include "snapshots.h"
#include "util_days.h"
#include "util_spi.h"

/* Columns of the query below */
enum
{
	IN_GITHUB_ID,
	IN_REPO_KEY,
	IN_LANGUAGE,
	IN_CREATED_AT,
	IN_OBSERVED,				/* false = carried from the last scored day */
	IN_STARS,
	IN_FORKS,
	IN_OPEN_ISSUES,
	IN_OBSERVED_AT,
	IN_PUSHED_AT,
	IN_OLD_STATE,
	IN_OLD_ACTIVITY,
	IN_OLD_PUSHED_AT,
	IN_EVENTS,					/* weighted and decayed, since the last scored day */
	IN_COLUMNS
};

/*
 * $1 = day, $2 = last published day before it or -infinity, $3 = end of the day,
 * $4 = the day before has expired: its own old facts say what it said
 *
 * Tables are joined along github_id, in whose order pipelines write them:
 * load_snapshots() switches hash joins off, so that they are merged from their
 * primary keys, or sorted where that is dearer.  A day that is scored again
 * takes observations whose staged answers have expired from its own facts.
 */
#define COLLECT_QUERY(events, events_join) \
	"SELECT d.github_id, d.repo_key, d.language, d.created_at," \
	"       s.github_id IS NOT NULL OR o.github_id IS NOT NULL AND NOT o.is_stale, coalesce(s.stars, o.stars, p.stars)," \
	"       CASE WHEN s.github_id IS NOT NULL THEN s.forks WHEN o.github_id IS NOT NULL THEN o.forks ELSE p.forks END," \
	"       CASE WHEN s.github_id IS NOT NULL THEN s.open_issues WHEN o.github_id IS NOT NULL THEN o.open_issues ELSE p.open_issues END," \
	"       coalesce(s.observed_at, o.observed_at, p.observed_at)," \
	"       coalesce(s.pushed_at, CASE WHEN s.github_id IS NULL THEN o.pushed_at END, p.pushed_at)," \
	"       CASE WHEN p.momentum_state IS NOT NULL THEN p.momentum_state WHEN $4 THEN o.momentum_state" \
	"            ELSE (SELECT flowlens.momentum_state($1 - 1, f.snapshot_date, f.stars) FROM flowlens.fact_repo_snapshots f" \
	"                  WHERE f.github_id = d.github_id AND f.snapshot_date >= $1 - 30 AND f.snapshot_date < $1 AND NOT f.is_stale) END," \
	"       CASE WHEN $4 THEN o.activity_score ELSE p.activity_score END / 7, CASE WHEN $4 THEN o.pushed_at ELSE p.pushed_at END, " events " " \
	"FROM flowlens.dim_repositories d " \
	"LEFT JOIN flowlens.stg_repos_validated s ON s.github_id = d.github_id AND s.observed_on = $1 " \
	"LEFT JOIN flowlens.fact_repo_snapshots p ON p.github_id = d.github_id AND p.snapshot_date = $2 " \
	"LEFT JOIN flowlens.fact_repo_snapshots o ON o.github_id = d.github_id AND o.snapshot_date = $1 AND (NOT o.is_stale OR $4) " \
	events_join \
	"WHERE d.valid_from < $3 AND (d.valid_to IS NULL OR d.valid_to >= $3) AND NOT d.is_deleted " \
	"AND (s.github_id IS NOT NULL OR p.github_id IS NOT NULL OR o.github_id IS NOT NULL)"

static SpiStep collect_step = {
	.sql = COLLECT_QUERY("NULL::float8", ""),
	.nargs = 4,
	.argtypes = {DATEOID, DATEOID, TIMESTAMPTZOID, BOOLOID},
	.expected = SPI_OK_UTILITY	/* what a SELECT into a receiver of one's own returns */
};

/* What events weigh beside a day with a push, which weighs 1; half of it is left after 14 days */
#define EVENTS \
	"sum(CASE a.metric_type WHEN 'commits' THEN 0.1 WHEN 'issues' THEN 0.25 ELSE 1 END::float8" \
	" * a.events * power(2, ($1 - a.event_on) / -14.0::float8)) FILTER (WHERE a.events > 0)"

/* The same where answers about commits, issues or contributors are staged; all of them count for a repository that is new */
static SpiStep collect_active_step = {
	.sql = COLLECT_QUERY("CASE WHEN p.github_id IS NOT NULL THEN e.events WHEN $4 AND o.github_id IS NOT NULL THEN NULL"
						 " ELSE (SELECT " EVENTS " FROM flowlens.stg_repo_activity a"
						 " WHERE a.github_id = d.github_id AND a.observed_on <= $1 AND a.event_on > $1 - 256) END",
						 "LEFT JOIN (SELECT a.github_id, " EVENTS " AS events FROM flowlens.stg_repo_activity a"
						 " WHERE a.observed_on > $2 AND a.observed_on <= $1 GROUP BY a.github_id) e ON e.github_id = d.github_id "),
	.nargs = 4,
	.argtypes = {DATEOID, DATEOID, TIMESTAMPTZOID, BOOLOID},
	.expected = SPI_OK_UTILITY
};

/* The same for distributed tables: beside a subquery in FROM, Citus takes no subquery that refers to the outer row */
static SpiStep collect_sharded_step = {
	.sql = COLLECT_QUERY("(SELECT " EVENTS " FROM flowlens.stg_repo_activity a"
						 " WHERE a.github_id = d.github_id AND a.observed_on <= $1"
						 " AND CASE WHEN p.github_id IS NOT NULL THEN a.observed_on > $2"
						 " ELSE a.event_on > $1 - 256 AND (NOT $4 OR o.github_id IS NULL) END)", ""),
	.nargs = 4,
	.argtypes = {DATEOID, DATEOID, TIMESTAMPTZOID, BOOLOID},
	.expected = SPI_OK_UTILITY
};

static SpiStep has_activity_step = {
	.sql = "SELECT EXISTS (SELECT FROM flowlens.stg_repo_activity a)::integer::bigint",
	.expected = SPI_OK_SELECT
};

/* Receives the rows of the query */
typedef struct CollectReceiver
{
	DestReceiver pub;
	SnapshotDay *day;
} CollectReceiver;

/* Takes an optional count from a column */
static int64
optional_int64(const TupleTableSlot *slot, int column, bool *present)
{
	*present = !slot->tts_isnull[column];
	return *present ? DatumGetInt64(slot->tts_values[column]) : 0;
}

/* Takes the state of the last scored day, or an empty one */
static void
read_old_state(const TupleTableSlot *slot, MomentumHistory *history)
{
	bytea	   *state;

	momentum_history_init(history);
	if (slot->tts_isnull[IN_OLD_STATE])
		return;
	state = DatumGetByteaPP(slot->tts_values[IN_OLD_STATE]);
	if (!momentum_history_read(history, (const uint8_t *) VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("momentum_state of repository " INT64_FORMAT " is malformed",
						DatumGetInt64(slot->tts_values[IN_GITHUB_ID])),
				 errhint("Set the column to NULL; it is built again from the stored days.")));
}

/* Scores a repository on the day from its history, or says why it is not ranked */
static double
score_history(const SnapshotDay *day, const MomentumHistory *history, const TupleTableSlot *slot)
{
	int			created_age = MOMENTUM_UNKNOWN_AGE;
	double		m;

	if (momentum_history_is_outlier(history, &day->model.momentum))
		return SNAPSHOT_OUTLIER;
	if (!slot->tts_isnull[IN_CREATED_AT] &&
		!TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(slot->tts_values[IN_CREATED_AT])))
		created_age = momentum_created_age(day->day, utc_day(DatumGetTimestampTz(slot->tts_values[IN_CREATED_AT])));
	if (momentum_history_score(history, day->day, created_age, &day->model.momentum, &m) != MOMENTUM_SCORED)
		return SNAPSHOT_UNKNOWN;
	return m;
}

/* Carries the activity to the day; it stays unknown where neither pushes nor events were ever seen */
static void
carry_activity(const SnapshotDay *day, const TupleTableSlot *slot, SnapshotRow *row)
{
	double		previous = slot->tts_isnull[IN_OLD_ACTIVITY] ? 0 : DatumGetFloat8(slot->tts_values[IN_OLD_ACTIVITY]);
	int64		days = day->has_predecessor ? day->day - day->predecessor : 0;
	int64		push_age = -1;

	/* a push counts once, on its own day */
	if (row->has_pushed_at &&
		(slot->tts_isnull[IN_OLD_PUSHED_AT] ||
		 utc_day(row->pushed_at) > utc_day(DatumGetTimestampTz(slot->tts_values[IN_OLD_PUSHED_AT]))))
		push_age = Max((int64) day->day - utc_day(row->pushed_at), 0);
	row->activity = activity_push_share(previous, days, push_age);
	if (!slot->tts_isnull[IN_EVENTS])
		row->activity += activity_of_events(DatumGetFloat8(slot->tts_values[IN_EVENTS]));
	row->has_activity = row->has_pushed_at || !slot->tts_isnull[IN_OLD_ACTIVITY] || !slot->tts_isnull[IN_EVENTS];
}

/* Keeps what is ranked of a row */
static void
add_key(SnapshotDay *day, const SnapshotRow *row, int64 stars, const TupleTableSlot *slot)
{
	SnapshotKey *key;
	bool		is_render;

	if (day->count == day->capacity)
	{
		day->capacity *= 2;
		day->keys = repalloc_huge(day->keys, sizeof(SnapshotKey) * day->capacity);
	}
	key = &day->keys[day->count++];
	key->score = row->momentum;
	key->stars = stars;
	key->github_id = DatumGetInt64(slot->tts_values[IN_GITHUB_ID]);
	key->language = 0;
	if (!slot->tts_isnull[IN_LANGUAGE])
		key->language = snapshot_language_number(day, DatumGetTextPP(slot->tts_values[IN_LANGUAGE]));
	key->age = -1;
	if (!slot->tts_isnull[IN_CREATED_AT])
		key->age = Max(day->day - utc_day(DatumGetTimestampTz(slot->tts_values[IN_CREATED_AT])), 0);
	is_render = day->languages[key->language].is_render;
	day->max_stars[is_render] = Max(day->max_stars[is_render], stars);
}

/* Scores one row of the query and puts it aside */
static void
collect_row(SnapshotDay *day, TupleTableSlot *slot)
{
	SnapshotRow row;
	MomentumHistory history;
	uint8		state[MOMENTUM_HISTORY_BYTES];
	int64		stars = DatumGetInt64(slot->tts_values[IN_STARS]);

	memset(&row, 0, sizeof(row));
	row.is_stale = !DatumGetBool(slot->tts_values[IN_OBSERVED]);
	row.observed_at = DatumGetTimestampTz(slot->tts_values[IN_OBSERVED_AT]);
	if (row.is_stale && row.observed_at < day->stale_before)
		return;
	row.repo_key = DatumGetInt64(slot->tts_values[IN_REPO_KEY]);
	row.forks = optional_int64(slot, IN_FORKS, &row.has_forks);
	row.open_issues = optional_int64(slot, IN_OPEN_ISSUES, &row.has_open_issues);
	row.pushed_at = optional_int64(slot, IN_PUSHED_AT, &row.has_pushed_at);
	carry_activity(day, slot, &row);

	read_old_state(slot, &history);
	if (!row.is_stale && !momentum_history_push(&history, day->day, stars))
		elog(ERROR, "could not add an observation to the history of repository " INT64_FORMAT,
			 DatumGetInt64(slot->tts_values[IN_GITHUB_ID]));
	row.momentum = score_history(day, &history, slot);
	row.state_size = momentum_history_write(&history, state);

	add_key(day, &row, stars, slot);
	if (row.is_stale)
		day->stale++;
	else
		day->scored++;
	BufFileWrite(day->rows, &row, sizeof(row));
	BufFileWrite(day->rows, state, row.state_size);
}

/* Receives one row from the executor */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	SnapshotDay *day = ((CollectReceiver *) self)->day;
	MemoryContext old = MemoryContextSwitchTo(day->row_context);

	slot_getallattrs(slot);
	collect_row(day, slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(day->row_context);
	return true;
}

/* Has nothing to prepare */
static void
receiver_startup(DestReceiver *self, int operation, TupleDesc tupdesc)
{
	if (tupdesc->natts != IN_COLUMNS)
		elog(ERROR, "query of a snapshot day has %d columns", tupdesc->natts);
}

/* Has nothing to release */
static void
receiver_done(DestReceiver *self)
{
}

/* Chooses the query: most databases have no answers about commits, issues or contributors */
static SpiStep *
choose_query(void)
{
	if (is_distributed(flowlens_relation("fact_repo_snapshots")))
		return &collect_sharded_step;
	spi_step_run(&has_activity_step, NULL, NULL);
	return spi_result_int64(1) > 0 ? &collect_active_step : &collect_step;
}

/* Collects and scores the rows of a day; the caller has done SPI_connect() */
void
snapshot_collect(SnapshotDay *day)
{
	CollectReceiver receiver = {
		.pub = {receive_row, receiver_startup, receiver_done, receiver_done, DestNone},
		.day = day
	};
	Datum		values[4];

	day->rows = BufFileCreateTemp(false);
	day->capacity = 1024;
	day->keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SnapshotKey) * day->capacity);
	day->row_context = AllocSetContextCreate(CurrentMemoryContext, "snapshot row", ALLOCSET_DEFAULT_SIZES);

	values[0] = DateADTGetDatum(day->day);
	/* not NULL: Citus loses sight of a join that is empty for certain */
	values[1] = DateADTGetDatum(day->has_predecessor ? day->predecessor : DATEVAL_NOBEGIN);
	values[2] = TimestampTzGetDatum(day->day_end);
	values[3] = BoolGetDatum(day->predecessor_expired);
	spi_step_receive(choose_query(), values, NULL, &receiver.pub);
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

/*
 * snapshots_query.c
 *		Joins a day's observations with the last scored day in SQL.
 *
 * The way for tables that cannot be read directly: distributed ones, those with
 * policies or with partitions of another kind, and days that need more than
 * their predecessor.  Rows come straight from the executor, one at a time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"

#include "compat.h"
#include "partitions.h"
#include "sharding.h"
#include "snapshots_events.h"
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

/* The same where answers about commits, issues or contributors are staged; all of them count for a repository that is new */
static SpiStep collect_active_step = {
	.sql = COLLECT_QUERY("CASE WHEN p.github_id IS NOT NULL THEN e.events WHEN $4 AND o.github_id IS NOT NULL THEN NULL"
						 " ELSE (SELECT " SNAPSHOT_EVENTS " FROM flowlens.stg_repo_activity a"
						 " WHERE a.github_id = d.github_id AND a.observed_on <= $1 AND a.event_on > $1 - 256) END",
						 "LEFT JOIN (SELECT a.github_id, " SNAPSHOT_EVENTS " AS events FROM flowlens.stg_repo_activity a"
						 " WHERE a.observed_on > $2 AND a.observed_on <= $1 GROUP BY a.github_id) e ON e.github_id = d.github_id "),
	.nargs = 4,
	.argtypes = {DATEOID, DATEOID, TIMESTAMPTZOID, BOOLOID},
	.expected = SPI_OK_UTILITY
};

/* The same for distributed tables: beside a subquery in FROM, Citus takes no subquery that refers to the outer row */
static SpiStep collect_sharded_step = {
	.sql = COLLECT_QUERY("(SELECT " SNAPSHOT_EVENTS " FROM flowlens.stg_repo_activity a"
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

/* Takes an optional number from a column */
static int64
optional_int64(const TupleTableSlot *slot, int column, bool *present)
{
	*present = !slot->tts_isnull[column];
	return *present ? DatumGetInt64(slot->tts_values[column]) : 0;
}

/* Takes an optional number from a column */
static double
optional_float8(const TupleTableSlot *slot, int column, bool *present)
{
	*present = !slot->tts_isnull[column];
	return *present ? DatumGetFloat8(slot->tts_values[column]) : 0;
}

/* Takes the packed history from its column */
static void
take_state(const TupleTableSlot *slot, SnapshotInput *input)
{
	bytea	   *state;

	if (slot->tts_isnull[IN_OLD_STATE])
		return;
	state = DatumGetByteaPP(slot->tts_values[IN_OLD_STATE]);
	input->state = (const uint8 *) VARDATA_ANY(state);
	input->state_size = VARSIZE_ANY_EXHDR(state);
}

/* Takes what is known of a repository from a row of the query */
static void
take_input(const SnapshotDay *day, const TupleTableSlot *slot, SnapshotInput *input)
{
	const Datum *values = slot->tts_values;

	memset(input, 0, sizeof(*input));
	input->github_id = DatumGetInt64(values[IN_GITHUB_ID]);
	input->repo_key = DatumGetInt64(values[IN_REPO_KEY]);
	if (!slot->tts_isnull[IN_LANGUAGE])
		input->language = snapshot_language_number(day, DatumGetTextPP(values[IN_LANGUAGE]));
	input->created_on = snapshot_created_on(values[IN_CREATED_AT], slot->tts_isnull[IN_CREATED_AT]);
	input->is_observed = DatumGetBool(values[IN_OBSERVED]);
	input->stars = DatumGetInt64(values[IN_STARS]);
	input->forks = optional_int64(slot, IN_FORKS, &input->has_forks);
	input->open_issues = optional_int64(slot, IN_OPEN_ISSUES, &input->has_open_issues);
	input->observed_at = DatumGetTimestampTz(values[IN_OBSERVED_AT]);
	input->pushed_at = optional_int64(slot, IN_PUSHED_AT, &input->has_pushed_at);
	input->old_activity = optional_float8(slot, IN_OLD_ACTIVITY, &input->has_old_activity);
	input->old_pushed_at = optional_int64(slot, IN_OLD_PUSHED_AT, &input->has_old_pushed_at);
	input->events = optional_float8(slot, IN_EVENTS, &input->has_events);
	take_state(slot, input);
}

/* Receives one row from the executor */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	SnapshotDay *day = ((CollectReceiver *) self)->day;
	MemoryContext old = MemoryContextSwitchTo(day->row_context);
	SnapshotInput input;

	slot_getallattrs(slot);
	take_input(day, slot, &input);
	snapshot_collect_row(day, &input);
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

/* Collects the rows of a day with a query; the caller has done SPI_connect() */
void
snapshot_collect_by_query(SnapshotDay *day)
{
	CollectReceiver receiver = {
		.pub = {receive_row, receiver_startup, receiver_done, receiver_done, DestNone},
		.day = day
	};
	Datum		values[4];

	values[0] = DateADTGetDatum(day->day);
	/* not NULL: Citus loses sight of a join that is empty for certain */
	values[1] = DateADTGetDatum(day->has_predecessor ? day->predecessor : DATEVAL_NOBEGIN);
	values[2] = TimestampTzGetDatum(day->day_end);
	values[3] = BoolGetDatum(day->predecessor_expired);
	spi_step_receive(choose_query(), values, NULL, &receiver.pub);
}

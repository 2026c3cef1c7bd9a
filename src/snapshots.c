/*
 * snapshots.c
 *		Loads one UTC day of facts: collect, rank, write, publish.
 *
 * A day is published in one transaction: readers see the old one or the new one.
 * A day whose answers, dimensions and model are as they were when it was
 * published is left alone.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "momentum_model.h"
#include "partitions.h"
#include "snapshots.h"
#include "util_days.h"
#include "util_lock.h"
#include "util_spi.h"

static SpiStep model_step = {
	.sql = "SELECT m.model, m.version, m.formula = 'trender', m.constants "
	"FROM flowlens.settings s LEFT JOIN flowlens.momentum_models m ON m.model = s.value "
	"WHERE s.name = 'momentum_model' ORDER BY m.version DESC LIMIT 1",
	.expected = SPI_OK_SELECT
};

/* Counts of a published day that needs nothing; no row otherwise */
static SpiStep unchanged_step = {
	.sql = "SELECT d.scored, d.stale FROM flowlens.pipeline_days d "
	"WHERE d.day = $1 AND d.published_at IS NOT NULL AND NOT d.snapshot_pending AND d.model = $2 AND d.model_version = $3 "
	"AND d.scored + d.stale = (SELECT count(*) FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = $1)",
	.nargs = 3,
	.argtypes = {DATEOID, TEXTOID, INT2OID},
	.expected = SPI_OK_SELECT
};

static SpiStep frame_step = {
	.sql = "SELECT (SELECT max(d.day) FROM flowlens.pipeline_days d"
	"        WHERE d.published_at IS NOT NULL AND d.expired_at IS NULL AND d.day < $1 AND d.day >= $1 - 30),"
	"       ($1 + 1)::timestamp AT TIME ZONE 'UTC'"
	"       - coalesce((SELECT s.value::interval FROM flowlens.settings s WHERE s.name = 'stale_after'), interval '48 hours'),"
	"       coalesce((SELECT d.changes FROM flowlens.pipeline_days d WHERE d.day = $1), 0),"
	"       EXISTS (SELECT 1 FROM flowlens.pipeline_days d WHERE d.expired_at IS NOT NULL AND d.day < $1 AND d.day >= $1 - 30)",
	.nargs = 1,
	.argtypes = {DATEOID},
	.expected = SPI_OK_SELECT
};

static SpiStep render_step = {
	.sql = "SELECT flowlens.load_render_usage($1)",
	.nargs = 1,
	.argtypes = {DATEOID},
	.expected = SPI_OK_SELECT
};

static SpiStep publish_step = {
	.sql = "INSERT INTO flowlens.pipeline_days AS d (day, published_at, model, model_version, scored, stale) "
	"VALUES ($1, clock_timestamp(), $2, $3, $4, $5) "
	"ON CONFLICT (day) DO UPDATE SET snapshot_pending = d.dimensions_pending OR d.changes <> $6, published_at = excluded.published_at, "
	"model = excluded.model, model_version = excluded.model_version, scored = excluded.scored, stale = excluded.stale",
	.nargs = 6,
	.argtypes = {DATEOID, TEXTOID, INT2OID, INT8OID, INT8OID, INT8OID},
	.expected = SPI_OK_INSERT
};

/* Sizes of the boards, when the day is the newest published one; ten times the first view's leaves room for exclusions */
static SpiStep board_size_step = {
	.sql = "SELECT 10 * coalesce((SELECT s.value::bigint FROM flowlens.settings s WHERE s.name = 'leaderboard_size'), 100),"
	"       coalesce((SELECT s.value::bigint FROM flowlens.settings s WHERE s.name = 'language_board_size'), 50) "
	"WHERE $1 >= (SELECT max(d.day) FROM flowlens.pipeline_days d WHERE d.published_at IS NOT NULL)",
	.nargs = 1,
	.argtypes = {DATEOID},
	.expected = SPI_OK_SELECT
};

static SpiStep clear_board_step = {
	.sql = "DELETE FROM flowlens.leaderboard_current",
	.expected = SPI_OK_DELETE
};

static SpiStep fill_board_step = {
	.sql = "INSERT INTO flowlens.leaderboard_current (rank_overall, rank_in_language, github_id, language_key, snapshot_date, stars, "
	"star_velocity, activity_score, momentum_score, growth_score, observed_at, is_stale) "
	"SELECT f.rank_overall, f.rank_in_language, f.github_id, f.language_key, f.snapshot_date, f.stars, "
	"f.star_velocity, f.activity_score, f.momentum_score, f.growth_score, f.observed_at, f.is_stale "
	"FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = $1 AND f.github_id = ANY ($2)",
	.nargs = 2,
	.argtypes = {DATEOID, INT8ARRAYOID},
	.expected = SPI_OK_INSERT
};

/* Reads the model that the settings name, in its newest version */
static void
read_model(SnapshotModel *model)
{
	HeapTuple	row;
	TupleDesc	tupdesc;
	bool		isnull;
	Datum		constants;

	if (spi_step_run(&model_step, NULL, NULL) == 0 ||
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("setting \"momentum_model\" names no model"),
				 errhint("Set it to a model of flowlens.momentum_models.")));
	row = SPI_tuptable->vals[0];
	tupdesc = SPI_tuptable->tupdesc;
	strlcpy(model->name, SPI_getvalue(row, tupdesc, 1), sizeof(model->name));
	model->version = DatumGetInt16(SPI_getbinval(row, tupdesc, 2, &isnull));
	model->is_trender = DatumGetBool(SPI_getbinval(row, tupdesc, 3, &isnull));
	constants = SPI_getbinval(row, tupdesc, 4, &isnull);
	momentum_model_from_jsonb(DatumGetJsonbP(constants), &model->momentum);
}

/* Tells whether a day is published as it would be now; fills its counts */
static bool
is_unchanged(SnapshotDay *day)
{
	Datum		values[3];

	values[0] = DateADTGetDatum(day->day);
	values[1] = CStringGetTextDatum(day->model.name);
	values[2] = Int16GetDatum(day->model.version);
	if (spi_step_run(&unchanged_step, values, NULL) == 0)
		return false;
	day->scored = spi_result_int64(1);
	day->stale = spi_result_int64(2);
	return true;
}

/* Finds the last published day, the time from which observations are too old, and how often the day was changed so far */
static void
frame_day(SnapshotDay *day)
{
	Datum		values[1];
	Datum		value;
	bool		isnull;

	day->day_end = utc_day_start(day->day + 1);
	values[0] = DateADTGetDatum(day->day);
	spi_step_run(&frame_step, values, NULL);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	day->has_predecessor = !isnull;
	day->predecessor = isnull ? 0 : DatumGetDateADT(value);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	day->stale_before = DatumGetTimestampTz(value);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &isnull);
	day->predecessor_expired = !day->has_predecessor && DatumGetBool(value);
	day->changes = spi_result_int64(3);
}

/* Replaces the rank keys by the scores of the trender model, which needs the most stars of each group */
static void
apply_trender(SnapshotDay *day)
{
	int64		i;

	for (i = 0; i < day->count; i++)
	{
		SnapshotKey *key = &day->keys[i];

		if (key->score == SNAPSHOT_OUTLIER)
			continue;
		key->score = trender_of_parts(key->age < 0 ? 0 : recency_of_age(key->age), key->stars,
									  day->max_stars[day->languages[key->language].is_render]);
	}
}

/* Returns the ids of the rows that are best overall or in their language, in any order */
static Datum
best_ids(const SnapshotDay *day, const SnapshotRank *ranks, int64 size, int64 language_size)
{
	int64		most = Min(Max(size, 0) + Max(language_size, 0) * day->language_count, day->count);
	Datum	   *ids = palloc(sizeof(Datum) * Max(most, 1));
	int			count = 0;
	int64		i;

	for (i = 0; i < day->count && count < most; i++)
	{
		if (ranks[i].overall <= size || ranks[i].in_language <= language_size)
			ids[count++] = Int64GetDatum(day->keys[i].github_id);
	}
	return PointerGetDatum(construct_array(ids, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Rewrites the head of the board when the day is the newest published one; ids because ranks have no index */
static void
write_board(const SnapshotDay *day, const SnapshotRank *ranks)
{
	Datum		values[2];

	values[0] = DateADTGetDatum(day->day);
	if (spi_step_run(&board_size_step, values, NULL) == 0)
		return;
	values[1] = best_ids(day, ranks, spi_result_int64(1), spi_result_int64(2));
	spi_step_run(&clear_board_step, NULL, NULL);
	spi_step_run(&fill_board_step, values, NULL);
	spi_run("ANALYZE flowlens.leaderboard_current", SPI_OK_UTILITY);
}

/* Notes that a day is published and rewrites the head of the board */
static void
publish_day(const SnapshotDay *day, const SnapshotRank *ranks)
{
	Datum		values[6];

	values[0] = DateADTGetDatum(day->day);
	values[1] = CStringGetTextDatum(day->model.name);
	values[2] = Int16GetDatum(day->model.version);
	values[3] = Int64GetDatum(day->scored);
	values[4] = Int64GetDatum(day->stale);
	values[5] = Int64GetDatum(day->changes);
	spi_step_run(&publish_step, values, NULL);
	spi_step_run(&render_step, values, NULL);
	write_board(day, ranks);
}

/* Collects, scores and ranks a day; no ranks where nobody was seen for too long */
static SnapshotRank *
rank_day(SnapshotDay *day)
{
	frame_day(day);
	snapshot_read_languages(day);
	snapshot_collect(day);
	if (day->count == 0)
		return NULL;
	if (day->model.is_trender)
		apply_trender(day);
	return snapshot_rank(day);
}

/* Loads a day unless it is published as it would be now */
static void
load_day(SnapshotDay *day)
{
	SnapshotRank *ranks;

	flowlens_lock(FLOWLENS_LOCK_SNAPSHOTS, 0);
	read_model(&day->model);
	if (is_unchanged(day))
		return;
	ranks = rank_day(day);
	/* without ranks the board stays as it was */
	if (ranks != NULL)
	{
		snapshot_write(day, ranks);
		publish_day(day, ranks);
	}
	BufFileClose(day->rows);
}

PG_FUNCTION_INFO_V1(flowlens_load_snapshots);

/* SQL: loads the facts of a UTC day; returns how many repositories were observed and how many carried */
Datum
flowlens_load_snapshots(PG_FUNCTION_ARGS)
{
	SnapshotDay *day = palloc0(sizeof(SnapshotDay));
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	day->day = PG_ARGISNULL(0) ? utc_day(GetCurrentTimestamp()) : PG_GETARG_DATEADT(0);
	check_snapshot_date(day->day);
	check_day_has_begun(day->day);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "load_snapshots() does not return a row");

	SPI_connect();
	load_day(day);
	SPI_finish();

	values[0] = Int64GetDatum(day->scored);
	values[1] = Int64GetDatum(day->stale);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* Adds a row of the board to a result */
static void
put_board_row(ReturnSetInfo *result, const SnapshotRow *row, const SnapshotKey *key, const SnapshotRank *rank)
{
	Datum		values[7];
	bool		nulls[7] = {false};

	values[0] = Int32GetDatum(rank->overall);
	values[1] = Int32GetDatum(rank->in_language);
	values[2] = Int64GetDatum(key->github_id);
	values[3] = Int64GetDatum(key->stars);
	nulls[4] = row->momentum < 0;
	values[4] = Float8GetDatum(nulls[4] ? 0 : momentum_velocity(row->momentum));
	nulls[5] = isnan(key->score);
	values[5] = Float8GetDatum(key->score);
	values[6] = BoolGetDatum(row->is_stale);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Adds the first rows of a ranked day to a result */
static void
put_board(ReturnSetInfo *result, SnapshotDay *day, const SnapshotRank *ranks, int32 size)
{
	SnapshotRow row;
	uint8		state[MOMENTUM_HISTORY_BYTES];
	int64		i;

	if (BufFileSeek(day->rows, 0, 0, SEEK_SET) != 0)
		elog(ERROR, "could not rewind the rows of the day");
	for (i = 0; snapshot_read_row(day, &row, state); i++)
	{
		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		if (ranks[i].overall > size)
			continue;
		day->keys[i].score = snapshot_written_score(day, &row, &day->keys[i]);
		put_board_row(result, &row, &day->keys[i], &ranks[i]);
	}
}

PG_FUNCTION_INFO_V1(flowlens_preview_snapshots);

/* SQL: the board of a UTC day as it would be now; arguments day and size */
Datum
flowlens_preview_snapshots(PG_FUNCTION_ARGS)
{
	SnapshotDay *day = palloc0(sizeof(SnapshotDay));
	SnapshotRank *ranks;

	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"size\" must not be negative or null")));
	day->day = PG_ARGISNULL(0) ? utc_day(GetCurrentTimestamp()) : PG_GETARG_DATEADT(0);
	check_snapshot_date(day->day);
	InitMaterializedSRF(fcinfo, 0);

	SPI_connect();
	read_model(&day->model);
	ranks = rank_day(day);
	if (ranks != NULL)
		put_board((ReturnSetInfo *) fcinfo->resultinfo, day, ranks, PG_GETARG_INT32(1));
	BufFileClose(day->rows);
	SPI_finish();
	return (Datum) 0;
}

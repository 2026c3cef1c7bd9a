/*
 * dimensions.c
 *		Takes the staged answers of one UTC day to dim_repositories.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "partitions.h"
#include "scd2.h"
#include "sharding.h"
#include "util_days.h"
#include "util_spi.h"

/*
 * The answers of day $1 observed up to $2.  A category counts from the time
 * when it was seen: a day that is loaded again does not get one of later.
 */
#define DAY_SOURCE \
	"(SELECT s.github_id, s.repo_full_name, s.repo_url, s.description, s.readme_content, s.language, s.created_at, " \
	"e.render_category, s.is_archived, s.effective_at " \
	"FROM flowlens.stg_repos_validated s " \
	"LEFT JOIN flowlens.stg_render_enrichment e ON e.github_id = s.github_id AND e.observed_at <= s.effective_at " \
	"WHERE s.observed_on = %s AND s.effective_at <= %s::timestamptz)"

/*
 * Those of them that say something new about the current version, found on the
 * shards of a distributed dimension: only they travel to the merge.
 */
#define IS_NEWS \
	"(s.effective_at <= d.valid_from OR s.readme_content <> d.readme_content OR s.readme_content IS NOT NULL AND d.readme_content IS NULL " \
	"OR s.render_category <> d.render_category OR s.render_category IS NOT NULL AND d.render_category IS NULL " \
	"OR (s.repo_full_name, s.repo_url, s.description, s.language, s.created_at, s.is_archived) IS DISTINCT FROM " \
	"(d.repo_full_name, d.repo_url, d.description, d.language, d.created_at, d.is_archived))"
#define NEWS_SOURCE \
	"(SELECT s.* FROM %s s LEFT JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current " \
	"WHERE d.github_id IS NULL OR " IS_NEWS ")"
#define NO_NEWS \
	"SELECT count(*) FROM %s s JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current WHERE (" IS_NEWS ") IS NOT TRUE"

static SpiStep tracked_columns_step = {
	.sql = "SELECT t.column_name FROM flowlens.scd2_tracked_columns t WHERE t.table_name = 'dim_repositories' ORDER BY t.column_name",
	.expected = SPI_OK_SELECT
};

/* Reads which columns make a version when they change */
static List *
tracked_columns(void)
{
	uint64		count = spi_step_run(&tracked_columns_step, NULL, NULL);
	List	   *columns = NIL;
	uint64		i;

	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no column of table \"dim_repositories\" is tracked"),
				 errhint("Add rows to flowlens.scd2_tracked_columns.")));
	for (i = 0; i < count; i++)
		columns = lappend(columns, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	return columns;
}

PG_FUNCTION_INFO_V1(flowlens_load_dimensions_of_day);

/* SQL: merges a day's answers observed up to a time; returns inserted, versioned, unchanged */
Datum
flowlens_load_dimensions_of_day(PG_FUNCTION_ARGS)
{
	DateADT		day = PG_GETARG_DATEADT(0);
	/* ISO 8601 with an offset in numbers, whatever the session's DateStyle: abbreviations of zones are ambiguous */
	char	   *as_of = JsonEncodeDateTime(NULL, PG_GETARG_DATUM(1), TIMESTAMPTZOID, NULL);
	Scd2Counts	counts = {0};
	Oid			dimension;
	char	   *source;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	check_snapshot_date(day);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "load_dimensions_of_day() does not return a row");

	SPI_connect();
	dimension = flowlens_relation("dim_repositories");
	source = psprintf(DAY_SOURCE, day_literal(day, false), quote_literal_cstr(as_of));
	if (is_distributed(dimension))
	{
		spi_run(psprintf(NO_NEWS, source), SPI_OK_SELECT);
		counts.unchanged = spi_result_int64(1);
		source = psprintf(NEWS_SOURCE, source);
	}
	scd2_merge_internal(dimension, source, list_make1("github_id"), tracked_columns(),
						utc_day_start(day), "effective_at",
						list_make2("readme_content", "render_category"), false, &counts);
	SPI_finish();

	values[0] = Int64GetDatum(counts.inserted);
	values[1] = Int64GetDatum(counts.versioned);
	values[2] = Int64GetDatum(counts.unchanged);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

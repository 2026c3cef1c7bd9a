/*
 * snapshots_publish.c
 *		Puts a scored day in its place among the facts.
 *
 * Where the facts are a plain partitioned table, the day's table gets the same
 * indexes and takes the place of the day's partition; the parent is locked only
 * for the exchange.  Everywhere else (columns, triggers or foreign keys of the
 * user's, a publication, a partition that holds more than the day, another
 * engine's sharding) the day is merged row by row: rows that did not change are
 * not written.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xlog.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "partitions.h"
#include "sharding.h"
#include "snapshots.h"
#include "snapshots_pages.h"
#include "snapshots_publish.h"
#include "util_days.h"
#include "util_spi.h"
#include "util_user.h"

/* Writes a part of a day into its table */
typedef void (*SnapshotWriter) (SnapshotDay *day, const SnapshotRank *ranks, Oid table);

#define FACTS "flowlens.fact_repo_snapshots"

/* Columns that a merge writes; the other two are its key */
#define MERGED_COLUMNS \
	"repo_key, language_key, stars, forks, open_issues, star_velocity, activity_score, momentum_score, growth_score, " \
	"rank_overall, rank_in_language, observed_at, pushed_at, is_stale, is_outlier, model, model_version, momentum_state"

/* Where a day's table goes */
typedef struct DayPlace
{
	bool		exchange;		/* becomes the partition; else rows are merged */
	char	   *old_partition;	/* quoted, NULL = the day has none yet */
	char	   *default_partition;	/* quoted, NULL = there is none */
	char	   *new_table;		/* quoted */
	char	   *day;			/* literal */
	char	   *next_day;		/* literal */
} DayPlace;

/* Counts what a bulk write would pass over: columns beyond our $2, triggers, constraints, rules, policies */
static SpiStep plain_table_step = {
	.sql =
	"SELECT (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped) - $2"
	"     + (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = $1)"
	"     + (SELECT count(*) FROM pg_constraint c WHERE c.conrelid = $1 AND c.contype NOT IN ('p', 'u', 'n'))"
	"     + (SELECT count(*) FROM pg_rewrite r WHERE r.ev_class = $1)"
	"     + (SELECT count(*) FROM pg_policy p WHERE p.polrelid = $1)",
	.nargs = 2,
	.argtypes = {REGCLASSOID, INT8OID},
	.expected = SPI_OK_SELECT
};

/* Indexes and keys of the facts, as DDL for another table */
static SpiStep index_step = {
	.sql =
	"SELECT CASE WHEN c.oid IS NOT NULL THEN 'ALTER TABLE %s ADD ' || pg_get_constraintdef(c.oid)"
	"            ELSE regexp_replace(pg_get_indexdef(i.indexrelid), '^(CREATE (?:UNIQUE )?INDEX) .* ON ONLY \\S+ ', '\\1 ON %s ') END "
	"FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid "
	"WHERE i.indrelid = $1 ORDER BY i.indexrelid",
	.nargs = 1,
	.argtypes = {REGCLASSOID},
	.expected = SPI_OK_SELECT
};

/* Quotes a relation's name with its schema; NULL for no relation */
static char *
quoted_relation(Oid relation)
{
	if (!OidIsValid(relation))
		return NULL;
	return pstrdup(quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)));
}

/* Tells whether a table has nothing that a bulk write would pass over */
static bool
is_plain_table(Oid table)
{
	Relation	relation = table_open(table, AccessShareLock);
	bool		is_published = relation_is_published(relation);
	Datum		values[2];

	table_close(relation, NoLock);
	if (is_published)
		return false;
	values[0] = ObjectIdGetDatum(table);
	values[1] = Int64GetDatum(FACT_COLUMNS);
	spi_step_run(&plain_table_step, values, NULL);
	return spi_result_int64(1) == 0 && !is_distributed(table);
}

/* Decides how the day is published */
static void
find_place(DateADT day, DayPlace *place)
{
	Oid			parent = flowlens_relation("fact_repo_snapshots");
	bool		single_day;
	Oid			partition = partition_of_day(parent, day, &single_day);

	place->exchange = is_plain_table(parent) && (!OidIsValid(partition) || (single_day && is_plain_table(partition)));
	place->old_partition = quoted_relation(partition);
	place->default_partition = quoted_relation(get_default_partition_oid(parent));
	place->day = day_literal(day, false);
	place->next_day = day_literal(day + 1, false);
}

/* Creates the table that a day is written to: an ordinary one for the exchange, a temporary one for a merge */
static Oid
create_day_table(DayPlace *place, DateADT day)
{
	char	   *name = psprintf("%s_new", partition_name("fact_repo_snapshots", day));
	SavedUser	saved;

	if (!place->exchange)
	{
		place->new_table = pstrdup("pg_temp.flowlens_snapshot_day");
		spi_run("CREATE TEMP TABLE flowlens_snapshot_day (LIKE " FACTS " INCLUDING DEFAULTS) ON COMMIT DROP", SPI_OK_UTILITY);
		return DatumGetObjectId(DirectFunctionCall1(to_regclass, CStringGetTextDatum(place->new_table)));
	}
	place->new_table = pstrdup(quote_qualified_identifier("flowlens", name));
	act_as_owner(flowlens_relation("fact_repo_snapshots"), &saved);
	spi_run(psprintf("CREATE TABLE %s (LIKE " FACTS " INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION, "
					 "CONSTRAINT one_day CHECK (snapshot_date IS NOT NULL AND snapshot_date >= %s AND snapshot_date < %s))",
					 place->new_table, place->day, place->next_day), SPI_OK_UTILITY);
	act_as_before(&saved);
	return flowlens_relation(name);
}

/* Creates the indexes of the facts on the day's table, which is empty still */
static void
create_indexes(const DayPlace *place)
{
	Datum		values[1];
	char	  **statements;
	uint64		count;
	uint64		i;

	values[0] = ObjectIdGetDatum(flowlens_relation("fact_repo_snapshots"));
	count = spi_step_run(&index_step, values, NULL);
	statements = palloc(sizeof(char *) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		char	   *template = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char	   *mark = strstr(template, "%s");

		if (mark == NULL)
			elog(ERROR, "index definition is not understood: %s", template);
		statements[i] = psprintf("%.*s%s%s", (int) (mark - template), template, place->new_table, mark + 2);
	}
	for (i = 0; i < count; i++)
		spi_run(statements[i], SPI_OK_UTILITY);
}

/* Writes pages of a kind, compressed in the WAL */
static void
write_compressed(SnapshotDay *day, const SnapshotRank *ranks, Oid table, PageKind kind, SnapshotWriter writer)
{
	int			before = compress_page_images(kind);

	PG_TRY();
	{
		writer(day, ranks, table);
	}
	PG_FINALLY();
	{
		wal_compression = before;
	}
	PG_END_TRY();
}

/* Writes the day's rows and indexes into the table that takes the place of its partition */
static void
fill_day_table(SnapshotDay *day, const SnapshotRank *ranks, const DayPlace *place, Oid table)
{
	create_indexes(place);
	day->places = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(ItemPointerData) * day->count);
	write_compressed(day, ranks, table, PAGES_OF_ROWS, snapshot_write_rows);
	write_compressed(day, ranks, table, PAGES_OF_INDEXES, snapshot_build_indexes);
	pfree(day->places);
	/* tomorrow's run comes before any autovacuum on a small server; these columns are what plans are made from */
	spi_run(psprintf("ANALYZE %s (github_id, snapshot_date, language_key, rank_in_language, is_stale)", place->new_table),
			SPI_OK_UTILITY);
}

/* Puts the day's table in the place of its partition; the parent is locked from here to the commit */
static void
exchange_partition(const DayPlace *place, DateADT day)
{
	if (place->default_partition != NULL)
		spi_run(psprintf("DELETE FROM %s WHERE snapshot_date = %s", place->default_partition, place->day), SPI_OK_DELETE);
	if (place->old_partition != NULL)
	{
		spi_run(psprintf("ALTER TABLE " FACTS " DETACH PARTITION %s", place->old_partition), SPI_OK_UTILITY);
		spi_run(psprintf("DROP TABLE %s", place->old_partition), SPI_OK_UTILITY);
	}
	spi_run(psprintf("ALTER TABLE " FACTS " ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
					 place->new_table, place->day, place->next_day), SPI_OK_UTILITY);
	spi_run(psprintf("ALTER TABLE %s DROP CONSTRAINT one_day", place->new_table), SPI_OK_UTILITY);
	spi_run(psprintf("ALTER TABLE %s RENAME TO %s", place->new_table,
					 quote_identifier(partition_name("fact_repo_snapshots", day))), SPI_OK_UTILITY);
}

/* Brings the day's facts in line with the day's table, row by row */
static void
merge_rows(const DayPlace *place, DateADT day)
{
	(void) ensure_partition(flowlens_relation("fact_repo_snapshots"), day);
	/* not NOT EXISTS: Citus cannot send the day's table to the shards from there */
	spi_run(psprintf("DELETE FROM " FACTS " f USING (SELECT o.github_id FROM " FACTS " o LEFT JOIN %s n ON n.github_id = o.github_id "
					 "WHERE o.snapshot_date = %s AND n.github_id IS NULL) gone "
					 "WHERE f.snapshot_date = %s AND f.github_id = gone.github_id",
					 place->new_table, place->day, place->day), SPI_OK_DELETE);
	spi_run(psprintf("INSERT INTO " FACTS " AS f (github_id, snapshot_date, " MERGED_COLUMNS ") "
					 "SELECT github_id, snapshot_date, " MERGED_COLUMNS " FROM %s "
					 "ON CONFLICT (github_id, snapshot_date) DO UPDATE SET (" MERGED_COLUMNS ") = "
					 "(SELECT " MERGED_COLUMNS " FROM (SELECT excluded.*) n) "
					 "WHERE (SELECT ROW (" MERGED_COLUMNS ") FROM (SELECT f.*) o) "
					 "IS DISTINCT FROM (SELECT ROW (" MERGED_COLUMNS ") FROM (SELECT excluded.*) n)",
					 place->new_table), SPI_OK_INSERT);
	spi_run(psprintf("DROP TABLE %s", place->new_table), SPI_OK_UTILITY);
}

/* Writes a ranked day and puts it in its place */
void
snapshot_write(SnapshotDay *day, const SnapshotRank *ranks)
{
	DayPlace	place;
	Oid			table;

	find_place(day->day, &place);
	table = create_day_table(&place, day->day);
	if (place.exchange)
	{
		fill_day_table(day, ranks, &place, table);
		exchange_partition(&place, day->day);
	}
	else
	{
		snapshot_write_rows(day, ranks, table);
		merge_rows(&place, day->day);
	}
}

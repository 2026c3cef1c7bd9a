/*
 * snapshots_index.c
 *		Builds the indexes of a day from what is in memory.
 *
 * After a day is written, its keys, ranks and places are at hand and their order
 * is known.  So the server's own index build is handed the entries instead of
 * scanning the table for them: in index order, which its sort notices, so that
 * it neither reads the rows again nor compares them many times.  The pages of the
 * index and their WAL are the server's.  An index that needs anything else (a
 * column of another kind, an expression, a predicate) is built from the table as
 * usual; and if the order given is not that of the index, the build sorts.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/storage.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "snapshots.h"
#include "snapshots_publish.h"

/* A table as the index build sees it: entries come from the day in memory */
typedef struct FedTable
{
	RelationData relation;		/* copy of the table's, with a build scan of its own; first */
	TableAmRoutine methods;
	const SnapshotDay *day;
	const SnapshotRank *ranks;
	const uint32 *rows;			/* row numbers in index order */
	FactColumn	columns[INDEX_MAX_KEYS];	/* of the index */
} FedTable;

/* Returns the column of facts at a position of the table, FACT_COLUMNS for none of ours */
static FactColumn
fact_column(Relation table, AttrNumber number)
{
	int			column;

	if (number <= 0)
		return FACT_COLUMNS;
	for (column = 0; column < FACT_COLUMNS; column++)
	{
		if (strcmp(fact_column_names[column], NameStr(TupleDescAttr(RelationGetDescr(table), number - 1)->attname)) == 0)
			break;
	}
	return column;
}

/* Tells whether a column's values are in memory */
static bool
is_at_hand(FactColumn column)
{
	return column == FACT_GITHUB_ID || column == FACT_SNAPSHOT_DATE || column == FACT_STARS ||
		column == FACT_LANGUAGE_KEY || column == FACT_MOMENTUM_SCORE ||
		column == FACT_RANK_OVERALL || column == FACT_RANK_IN_LANGUAGE;
}

/* Finds the columns of an index; false if the table has to be read for them */
static bool
find_index_columns(FedTable *fed, Relation index, const IndexInfo *info)
{
	int			i;

	if (index->rd_rel->relam != BTREE_AM_OID || info->ii_Expressions != NIL || info->ii_Predicate != NIL)
		return false;
	for (i = 0; i < info->ii_NumIndexAttrs; i++)
	{
		fed->columns[i] = fact_column(&fed->relation, info->ii_IndexAttrNumbers[i]);
		if (!is_at_hand(fed->columns[i]))
			return false;
	}
	return true;
}

/* Returns a value of a row, as it was written */
static Datum
row_value(const FedTable *fed, int64 row, FactColumn column, bool *isnull)
{
	const SnapshotKey *key = &fed->day->keys[row];

	*isnull = false;
	switch (column)
	{
		case FACT_GITHUB_ID:
			return Int64GetDatum(key->github_id);
		case FACT_SNAPSHOT_DATE:
			return DateADTGetDatum(fed->day->day);
		case FACT_STARS:
			return Int64GetDatum(key->stars);
		case FACT_LANGUAGE_KEY:
			*isnull = key->language == 0;
			return Int64GetDatum(fed->day->languages[key->language].language_key);
		case FACT_MOMENTUM_SCORE:
			*isnull = isnan(key->score);
			return Float8GetDatum(key->score);
		case FACT_RANK_OVERALL:
			return Int32GetDatum(fed->ranks[row].overall);
		case FACT_RANK_IN_LANGUAGE:
			return Int32GetDatum(fed->ranks[row].in_language);
		default:
			elog(ERROR, "column %d of facts is not at hand", (int) column);
	}
}

/* Hands all entries of an index to its build; takes the place of the table's own build scan */
static double
feed_entries(Relation table, Relation index, IndexInfo *info, bool allow_sync, bool anyvisible, bool progress,
			 BlockNumber start_block, BlockNumber block_count, IndexBuildCallback callback, void *state, TableScanDesc scan)
{
	FedTable   *fed = (FedTable *) table;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	int64		n;
	int			i;

	for (n = 0; n < fed->day->count; n++)
	{
		int64		row = fed->rows[n];

		for (i = 0; i < info->ii_NumIndexAttrs; i++)
			values[i] = row_value(fed, row, fed->columns[i], &isnull[i]);
		callback(index, &fed->day->places[row], values, isnull, true, state);
		if ((n & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return (double) fed->day->count;
}

/* Sorts language numbers by key; for qsort_arg() */
static int
compare_languages(const void *a, const void *b, void *languages)
{
	int64		key_a = ((SnapshotLanguage *) languages)[*(const int32 *) a].language_key;
	int64		key_b = ((SnapshotLanguage *) languages)[*(const int32 *) b].language_key;

	return key_a < key_b ? -1 : key_a > key_b;
}

/* Returns the place of each language, by number, in the order of their keys; none comes last */
static int32 *
language_places(const SnapshotDay *day)
{
	int32	   *numbers = palloc(sizeof(int32) * day->language_count);
	int32	   *places = palloc(sizeof(int32) * day->language_count);
	int32		i;

	for (i = 0; i < day->language_count; i++)
		numbers[i] = i;
	qsort_arg(numbers + 1, day->language_count - 1, sizeof(int32), compare_languages, day->languages);
	for (i = 1; i < day->language_count; i++)
		places[numbers[i]] = i;
	places[0] = day->language_count;
	return places;
}

/*
 * Sorts the rows into the order of an index: by momentum_score descending, NULLs
 * first, or by language and rank in it.  Equal keys stay in the order of the
 * table, which is the index's order too.  In all other indexes rows come as they
 * are, in the order of github_id.
 */
static void
sort_for_index(const FedTable *fed, SnapshotOrder *order)
{
	const SnapshotDay *day = fed->day;
	int64		i;

	snapshot_order_init(order, day->count);
	if (fed->columns[0] == FACT_MOMENTUM_SCORE)
	{
		for (i = 0; i < day->count; i++)
			order->bits[i] = isnan(day->keys[i].score) ? 0 : snapshot_score_bits(day->keys[i].score);
		snapshot_order_sort(order);
	}
	else if (fed->columns[0] == FACT_LANGUAGE_KEY)
	{
		int32	   *places = language_places(day);

		for (i = 0; i < day->count; i++)
			order->bits[i] = (uint64) places[day->keys[i].language] << 32 | (uint32) fed->ranks[i].in_language;
		snapshot_order_sort(order);
	}
}

/* Builds one index, empty so far */
static void
build_index(FedTable *fed, Relation table, Oid index_oid)
{
	Relation	index = index_open(index_oid, AccessExclusiveLock);
	IndexInfo  *info = BuildIndexInfo(index);
	SnapshotOrder order;

	/* its builder wants no page at all; nobody else knows the index yet */
	RelationTruncate(index, 0);
	if (find_index_columns(fed, index, info))
	{
		sort_for_index(fed, &order);
		fed->rows = order.rows;
		index_build(&fed->relation, index, info, true, false);
		snapshot_order_free(&order);
	}
	else
		index_build(table, index, info, true, false);
	index_close(index, NoLock);
}

/* Fills the indexes of a day's table, which were created when it was empty */
void
snapshot_build_indexes(const SnapshotDay *day, const SnapshotRank *ranks, Oid table_oid)
{
	Relation	table = table_open(table_oid, AccessExclusiveLock);
	FedTable   *fed = palloc0(sizeof(FedTable));
	ListCell   *cell;

	fed->relation = *table;
	fed->methods = *table->rd_tableam;
	fed->methods.index_build_range_scan = feed_entries;
	fed->relation.rd_tableam = &fed->methods;
	fed->day = day;
	fed->ranks = ranks;
	foreach(cell, RelationGetIndexList(table))
		build_index(fed, table, lfirst_oid(cell));
	pfree(fed);
	table_close(table, NoLock);
}

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
#include "util_prefetch.h"

/* Rows that are asked for before they are needed: they lie anywhere in memory */
#define ROWS_AHEAD 12

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
find_index_columns(FedTable *fed, Relation table, Relation index, const IndexInfo *info)
{
	int			i;

	if (index->rd_rel->relam != BTREE_AM_OID || info->ii_Expressions != NIL || info->ii_Predicate != NIL)
		return false;
	for (i = 0; i < info->ii_NumIndexAttrs; i++)
	{
		fed->columns[i] = fact_column(table, info->ii_IndexAttrNumbers[i]);
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

/* Asks for what an entry of a row is made from */
static inline void
prefetch_row(const FedTable *fed, int64 row)
{
	prefetch_to_read(&fed->day->keys[row]);
	prefetch_to_read(&fed->day->places[row]);
	prefetch_to_read(&fed->ranks[row]);
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

		if (n + ROWS_AHEAD < fed->day->count)
			prefetch_row(fed, fed->rows[n + ROWS_AHEAD]);
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

/* Compares row numbers; for qsort() */
static int
compare_rows(const void *a, const void *b)
{
	uint32		row_a = *(const uint32 *) a;
	uint32		row_b = *(const uint32 *) b;

	return row_a < row_b ? -1 : row_a > row_b;
}

/* Tells whether two rows have the same score, or none */
static bool
same_score(const SnapshotKey *a, const SnapshotKey *b)
{
	return a->score == b->score || (isnan(a->score) && isnan(b->score));
}

/*
 * Turns rows ranked by score into the order of an index by score, descending,
 * NULLs first: rows of equal score follow as they stand in the table, and those
 * without a score, which are ranked last, come first.
 */
static void
order_by_score(const SnapshotDay *day, SnapshotOrder *order)
{
	int64		unscored = 0;
	int64		first;
	int64		next;

	for (first = 0; first < day->count; first = next)
	{
		const SnapshotKey *key = &day->keys[order->rows[first]];

		for (next = first + 1; next < day->count && same_score(key, &day->keys[order->rows[next]]); next++)
			;
		if (next - first > 1)
			qsort(order->rows + first, next - first, sizeof(uint32), compare_rows);
		if (isnan(key->score))
			unscored += next - first;
	}
	first = day->count - unscored;
	memcpy(order->spare, order->rows + first, sizeof(uint32) * unscored);
	memmove(order->rows + unscored, order->rows, sizeof(uint32) * first);
	memcpy(order->rows, order->spare, sizeof(uint32) * unscored);
}

/* Turns ranked rows into the order of an index by language and rank in it */
static void
order_by_language(const SnapshotDay *day, SnapshotOrder *order)
{
	int32	   *places = language_places(day);
	int64		i;

	for (i = 0; i < day->count; i++)
		order->bits[i] = places[day->keys[i].language];
	snapshot_order_sort(order);
	pfree(places);
}

/* Puts the rows into the order of an index; those that we do not know get the order of the table, by github_id */
static void
sort_for_index(const FedTable *fed, SnapshotOrder *order)
{
	const SnapshotDay *day = fed->day;
	int64		i;

	snapshot_order_init(order, day->count);
	if (fed->columns[0] != FACT_MOMENTUM_SCORE && fed->columns[0] != FACT_LANGUAGE_KEY)
		return;
	for (i = 0; i < day->count; i++)
		order->rows[fed->ranks[i].overall - 1] = (uint32) i;
	if (fed->columns[0] == FACT_MOMENTUM_SCORE)
		order_by_score(day, order);
	else
		order_by_language(day, order);
}

/*
 * Builds an index from the day in memory
 *
 * The copy opens the table's files by itself and closes them again, whatever
 * happens: an invalidation closes those of the original, and would leave a
 * copied reference behind.
 */
static void
feed_index(FedTable *fed, Relation table, Relation index, IndexInfo *info)
{
	fed->relation = *table;
	fed->relation.rd_tableam = &fed->methods;
	fed->relation.rd_smgr = NULL;
	PG_TRY();
	{
		index_build(&fed->relation, index, info, true, false);
	}
	PG_CATCH();
	{
		RelationCloseSmgr(&fed->relation);
		PG_RE_THROW();
	}
	PG_END_TRY();
	RelationCloseSmgr(&fed->relation);
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
	if (find_index_columns(fed, table, index, info))
	{
		sort_for_index(fed, &order);
		fed->rows = order.rows;
		feed_index(fed, table, index, info);
		snapshot_order_free(&order);
	}
	else
		index_build(table, index, info, true, false);
	index_close(index, NoLock);
}

/* Fills the indexes of a day's table, which were created when it was empty */
void
snapshot_build_indexes(SnapshotDay *day, const SnapshotRank *ranks, Oid table_oid)
{
	Relation	table = table_open(table_oid, AccessExclusiveLock);
	FedTable   *fed = palloc0(sizeof(FedTable));
	ListCell   *cell;

	fed->methods = *table->rd_tableam;
	fed->methods.index_build_range_scan = feed_entries;
	fed->day = day;
	fed->ranks = ranks;
	foreach(cell, RelationGetIndexList(table))
		build_index(fed, table, lfirst_oid(cell));
	pfree(fed);
	table_close(table, NoLock);
}

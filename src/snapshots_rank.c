/*
 * snapshots_rank.c
 *		Ranks a day: score descending, stars descending, github_id ascending.
 *
 * A radix sort from the last key to the first, stable, over row numbers.  Keys
 * that are in order and digits that are equal in all rows are skipped, so the
 * usual day needs about eight passes; quiet repositories with equal scores cost
 * nothing extra, as they would in a sort by comparison.  One sort gives both ranks: within a language rows
 * follow in the same order.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "snapshots.h"
#include "util_prefetch.h"

#define DIGIT_BITS 11
#define DIGIT_VALUES (1 << DIGIT_BITS)
/* Rows whose keys are asked for before they are needed: they lie anywhere in memory */
#define ROWS_AHEAD 16

#define DIGITS ((64 + DIGIT_BITS - 1) / DIGIT_BITS)

/* Maps a score so that the highest sorts first as an unsigned number */
static uint64
score_order(double score)
{
	uint64		bits;

	score += 0.0;				/* no negative zero */
	memcpy(&bits, &score, sizeof(bits));
	bits ^= (bits >> 63) ? ~UINT64CONST(0) : UINT64CONST(1) << 63;
	return ~bits;
}

/* Tells whether rows are in order already, as they usually are by id */
static bool
is_sorted(const SnapshotOrder *order)
{
	int64		i;

	for (i = 1; i < order->count; i++)
	{
		if (order->bits[order->rows[i - 1]] > order->bits[order->rows[i]])
			return false;
	}
	return true;
}

/* Counts how often each digit of the sort keys occurs */
static void
count_digits(const SnapshotOrder *order, uint32 (*histogram)[DIGIT_VALUES])
{
	int64		i;
	int			digit;

	memset(histogram, 0, sizeof(uint32) * DIGITS * DIGIT_VALUES);
	for (i = 0; i < order->count; i++)
	{
		uint64		bits = order->bits[i];

		for (digit = 0; digit < DIGITS; digit++)
			histogram[digit][(bits >> (digit * DIGIT_BITS)) & (DIGIT_VALUES - 1)]++;
	}
}

/* Sorts rows by one digit; leaves them when all share it */
static void
sort_by_digit(SnapshotOrder *order, int shift, uint32 *histogram)
{
	uint32	   *sorted = order->spare;
	uint32		place = 0;
	int64		i;
	int			value;

	for (value = 0; value < DIGIT_VALUES; value++)
	{
		uint32		occurs = histogram[value];

		if (occurs == order->count)
			return;
		histogram[value] = place;
		place += occurs;
	}
	for (i = 0; i < order->count; i++)
	{
		uint32		row = order->rows[i];

		if (i + ROWS_AHEAD < order->count)
			prefetch_to_read(&order->bits[order->rows[i + ROWS_AHEAD]]);
		sorted[histogram[(order->bits[row] >> shift) & (DIGIT_VALUES - 1)]++] = row;
	}
	order->spare = order->rows;
	order->rows = sorted;
}

/* Starts with the rows of a day in the order in which they were collected */
void
snapshot_order_init(SnapshotOrder *order, int64 count)
{
	int64		i;

	order->count = count;
	order->rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(count, 1));
	order->spare = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(count, 1));
	order->bits = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * Max(count, 1));
	for (i = 0; i < count; i++)
		order->rows[i] = (uint32) i;
}

/* Sorts rows by the keys in "bits", stable: rows with equal keys stay as they are */
void
snapshot_order_sort(SnapshotOrder *order)
{
	uint32		(*histogram)[DIGIT_VALUES];
	int			digit;

	if (is_sorted(order))
		return;
	histogram = palloc(sizeof(uint32) * DIGITS * DIGIT_VALUES);
	count_digits(order, histogram);
	for (digit = 0; digit < DIGITS; digit++)
	{
		CHECK_FOR_INTERRUPTS();
		sort_by_digit(order, digit * DIGIT_BITS, histogram[digit]);
	}
	pfree(histogram);
}

/* Releases what snapshot_order_init() allocated */
void
snapshot_order_free(SnapshotOrder *order)
{
	pfree(order->rows);
	pfree(order->spare);
	pfree(order->bits);
}

/* Sorts the rows of a day: score descending, stars descending, github_id ascending */
static void
sort_day(const SnapshotDay *day, SnapshotOrder *order)
{
	const SnapshotKey *keys = day->keys;
	int64		i;

	/* ids are positive */
	for (i = 0; i < day->count; i++)
		order->bits[i] = (uint64) keys[i].github_id;
	snapshot_order_sort(order);
	for (i = 0; i < day->count; i++)
		order->bits[i] = ~(uint64) keys[i].stars;
	snapshot_order_sort(order);
	for (i = 0; i < day->count; i++)
		order->bits[i] = score_order(keys[i].score);
	snapshot_order_sort(order);
}

/* Numbers the sorted rows, overall and within each language */
static void
assign_ranks(SnapshotDay *day, const uint32 *order, SnapshotRank *ranks)
{
	int64		i;
	int32		language;

	for (language = 0; language < day->language_count; language++)
		day->languages[language].rank = 0;
	for (i = 0; i < day->count; i++)
	{
		ranks[order[i]].overall = (int32) (i + 1);
		ranks[order[i]].in_language = ++day->languages[day->keys[order[i]].language].rank;
	}
}

/* Returns the ranks of all rows, by row number */
SnapshotRank *
snapshot_rank(SnapshotDay *day)
{
	SnapshotOrder order;
	SnapshotRank *ranks;

	if (day->count > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot rank more than %d repositories", PG_INT32_MAX)));
	snapshot_order_init(&order, day->count);
	sort_day(day, &order);
	ranks = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SnapshotRank) * Max(day->count, 1));
	assign_ranks(day, order.rows, ranks);
	snapshot_order_free(&order);
	return ranks;
}

/*
 * snapshots_rank.c
 *		Ranks a day: score descending, stars descending, github_id ascending.
 *
 * A radix sort from the last key to the first, stable, over row numbers.  Digits
 * that are equal in all rows are skipped, so the usual day needs about ten
 * passes; quiet repositories with equal scores cost nothing extra, as they would
 * in a sort by comparison.  One sort gives both ranks: within a language rows
 * follow in the same order.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "snapshots.h"

#define DIGIT_BITS 11
#define DIGIT_VALUES (1 << DIGIT_BITS)
#define DIGITS ((64 + DIGIT_BITS - 1) / DIGIT_BITS)

typedef uint64 (*SortKey) (const SnapshotKey *key);

/* Maps a score so that the highest sorts first as an unsigned number */
static uint64
score_order(const SnapshotKey *key)
{
	double		score = key->score + 0.0;	/* no negative zero */
	uint64		bits;

	memcpy(&bits, &score, sizeof(bits));
	bits ^= (bits >> 63) ? ~UINT64CONST(0) : UINT64CONST(1) << 63;
	return ~bits;
}

/* Maps a star count so that the highest sorts first */
static uint64
stars_order(const SnapshotKey *key)
{
	return ~(uint64) key->stars;
}

/* Maps an id so that the lowest sorts first; ids are positive */
static uint64
id_order(const SnapshotKey *key)
{
	return (uint64) key->github_id;
}

/* Counts how often each digit of a sort key occurs */
static void
count_digits(const SnapshotKey *keys, int64 count, SortKey sort_key, uint32 (*histogram)[DIGIT_VALUES])
{
	int64		i;
	int			digit;

	memset(histogram, 0, sizeof(uint32) * DIGITS * DIGIT_VALUES);
	for (i = 0; i < count; i++)
	{
		uint64		bits = sort_key(&keys[i]);

		for (digit = 0; digit < DIGITS; digit++)
			histogram[digit][(bits >> (digit * DIGIT_BITS)) & (DIGIT_VALUES - 1)]++;
	}
}

/* Sorts row numbers by one digit; returns false, with nothing moved, when all rows share it */
static bool
sort_by_digit(const SnapshotKey *keys, int64 count, SortKey sort_key, int shift, uint32 *histogram,
			  const uint32 *from, uint32 *to)
{
	uint32		place = 0;
	int64		i;
	int			value;

	for (value = 0; value < DIGIT_VALUES; value++)
	{
		uint32		occurs = histogram[value];

		if (occurs == count)
			return false;
		histogram[value] = place;
		place += occurs;
	}
	for (i = 0; i < count; i++)
		to[histogram[(sort_key(&keys[from[i]]) >> shift) & (DIGIT_VALUES - 1)]++] = from[i];
	return true;
}

/* Sorts row numbers by one key, stable */
static void
sort_by_key(const SnapshotKey *keys, int64 count, SortKey sort_key, uint32 **order, uint32 **spare)
{
	uint32		(*histogram)[DIGIT_VALUES] = palloc(sizeof(uint32) * DIGITS * DIGIT_VALUES);
	int			digit;

	count_digits(keys, count, sort_key, histogram);
	for (digit = 0; digit < DIGITS; digit++)
	{
		CHECK_FOR_INTERRUPTS();
		if (sort_by_digit(keys, count, sort_key, digit * DIGIT_BITS, histogram[digit], *order, *spare))
		{
			uint32	   *sorted = *spare;

			*spare = *order;
			*order = sorted;
		}
	}
	pfree(histogram);
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
	const SnapshotKey *keys = day->keys;
	int64		count = day->count;
	SnapshotRank *ranks;
	uint32	   *order;
	uint32	   *spare;
	int64		i;

	if (count > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot rank more than %d repositories", PG_INT32_MAX)));
	ranks = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SnapshotRank) * Max(count, 1));
	order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(count, 1));
	spare = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(count, 1));
	for (i = 0; i < count; i++)
		order[i] = (uint32) i;
	sort_by_key(keys, count, id_order, &order, &spare);
	sort_by_key(keys, count, stars_order, &order, &spare);
	sort_by_key(keys, count, score_order, &order, &spare);
	assign_ranks(day, order, ranks);
	pfree(order);
	pfree(spare);
	return ranks;
}

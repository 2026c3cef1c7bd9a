/*
 * snapshots.h
 *		One day of facts on its way: collected, ranked, written.
 */
#ifndef FLOWLENS_SNAPSHOTS_H
#define FLOWLENS_SNAPSHOTS_H

#include "postgres.h"

#include "storage/buffile.h"
#include "storage/itemptr.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "momentum.h"

/* The model that scores a day */
typedef struct SnapshotModel
{
	char		name[NAMEDATALEN];
	int16		version;
	bool		is_trender;
	MomentumModel momentum;
} SnapshotModel;

/* Rank keys below all scores: nothing known, and a count that is not believed yet */
#define SNAPSHOT_UNKNOWN	(-1.0)
#define SNAPSHOT_OUTLIER	(-2.0)

/* What is ranked of a repository; the position in the array is its row number */
typedef struct SnapshotKey
{
	double		score;			/* rank key; once written, momentum_score, NaN for NULL */
	int64		stars;
	int64		github_id;
	int32		language;		/* its number */
	int32		age;			/* days since creation, -1 = unknown; trender only */
} SnapshotKey;

/* A language of the day; number 0 stands for none */
typedef struct SnapshotLanguage
{
	int64		language_key;
	bool		is_render;
	int32		rank;			/* of the last row ranked */
} SnapshotLanguage;

typedef struct SnapshotRank
{
	int32		overall;
	int32		in_language;
} SnapshotRank;

/* Row numbers in the course of being sorted */
typedef struct SnapshotOrder
{
	int64		count;
	uint32	   *rows;			/* row numbers, sorted */
	uint32	   *spare;
	uint64	   *bits;			/* sort key of each row, by row number */
} SnapshotOrder;

/* What else belongs to a fact, as it waits in the spill file; state bytes follow it */
typedef struct SnapshotRow
{
	int64		repo_key;
	int64		forks;
	int64		open_issues;
	TimestampTz observed_at;
	TimestampTz pushed_at;
	double		momentum;		/* M, or one of the rank keys below all scores */
	double		activity;		/* weighted events a day */
	uint16		state_size;
	bool		has_forks;
	bool		has_open_issues;
	bool		has_pushed_at;
	bool		has_activity;
	bool		is_stale;
} SnapshotRow;

/* A day that is not known */
#define SNAPSHOT_UNKNOWN_DAY	DATEVAL_NOBEGIN

/* What is known of a repository when a day is scored */
typedef struct SnapshotInput
{
	int64		github_id;
	int64		repo_key;
	int64		stars;
	int64		forks;
	int64		open_issues;
	TimestampTz observed_at;
	TimestampTz pushed_at;
	TimestampTz old_pushed_at;	/* of the last scored day */
	double		old_activity;	/* of the last scored day, weighted events a day */
	double		events;			/* weighted and decayed, since the last scored day */
	const uint8 *state;			/* history before the day, NULL = none */
	int32		state_size;
	int32		language;		/* its number */
	DateADT		created_on;		/* SNAPSHOT_UNKNOWN_DAY = not known */
	bool		is_observed;	/* false = carried from the last scored day */
	bool		is_new;			/* the last scored day does not know it */
	bool		has_forks;
	bool		has_open_issues;
	bool		has_pushed_at;
	bool		has_old_pushed_at;
	bool		has_old_activity;
	bool		has_events;
} SnapshotInput;

/* A day being loaded */
typedef struct SnapshotDay
{
	DateADT		day;
	DateADT		predecessor;	/* last published day before it */
	bool		has_predecessor;
	bool		predecessor_expired;	/* there was one, and retention removed its facts */
	TimestampTz day_end;		/* first instant of the next day */
	TimestampTz stale_before;	/* an observation older than this leaves the board */
	int64		changes;		/* of the day, when its loading began: pipeline_days.changes */
	SnapshotModel model;

	HTAB	   *language_numbers;
	SnapshotLanguage *languages;	/* by number */
	int32		language_count;

	BufFile    *rows;			/* SnapshotRow and state, in row order */
	SnapshotKey *keys;			/* what is ranked, in row order */
	int64		count;
	int64		capacity;
	int64		scored;			/* observed on the day */
	int64		stale;			/* carried over it */
	int64		max_stars[2];	/* of repositories outside and inside the Render ecosystem */
	ItemPointerData *places;	/* where rows were written, by row number; NULL = nobody asks */
	MemoryContext row_context;	/* reset per row */
} SnapshotDay;

extern void snapshots_init(void);
extern void snapshot_read_languages(SnapshotDay *day);
extern int32 snapshot_language_number(const SnapshotDay *day, const text *language);
extern void snapshot_collect(SnapshotDay *day);
extern void snapshot_collect_by_query(SnapshotDay *day);
extern bool snapshot_collect_by_merge(SnapshotDay *day);
extern void snapshot_collect_row(SnapshotDay *day, const SnapshotInput *input);
extern SnapshotKey *snapshot_key(SnapshotDay *day, int64 row);
extern Datum snapshot_ids(const SnapshotInput *batch, int count, bool (*is_wanted) (const SnapshotInput *input));
extern DateADT snapshot_created_on(Datum created_at, bool isnull);
extern SnapshotRank *snapshot_rank(SnapshotDay *day);
extern void snapshot_order_init(SnapshotOrder *order, int64 count);
extern void snapshot_order_sort(SnapshotOrder *order);
extern void snapshot_order_free(SnapshotOrder *order);
extern void snapshot_write(SnapshotDay *day, const SnapshotRank *ranks);
extern double snapshot_written_score(const SnapshotDay *day, const SnapshotRow *row, const SnapshotKey *key);
extern bool snapshot_read_row(SnapshotDay *day, SnapshotRow *row, uint8 *state);

#endif							/* FLOWLENS_SNAPSHOTS_H */

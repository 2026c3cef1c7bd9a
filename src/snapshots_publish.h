/*
 * snapshots_publish.h
 *		From a filled table to a published day.
 */
#ifndef FLOWLENS_SNAPSHOTS_PUBLISH_H
#define FLOWLENS_SNAPSHOTS_PUBLISH_H

#include "postgres.h"

#include "snapshots.h"

/* Columns of fact_repo_snapshots that we fill */
typedef enum FactColumn
{
	FACT_SNAPSHOT_KEY,
	FACT_REPO_KEY,
	FACT_LANGUAGE_KEY,
	FACT_GITHUB_ID,
	FACT_SNAPSHOT_DATE,
	FACT_STARS,
	FACT_FORKS,
	FACT_OPEN_ISSUES,
	FACT_STAR_VELOCITY,
	FACT_ACTIVITY_SCORE,
	FACT_MOMENTUM_SCORE,
	FACT_GROWTH_SCORE,
	FACT_RANK_OVERALL,
	FACT_RANK_IN_LANGUAGE,
	FACT_OBSERVED_AT,
	FACT_PUSHED_AT,
	FACT_IS_STALE,
	FACT_IS_OUTLIER,
	FACT_MODEL,
	FACT_MODEL_VERSION,
	FACT_MOMENTUM_STATE,
	FACT_COLUMNS
} FactColumn;

extern const char *const fact_column_names[FACT_COLUMNS];

extern void snapshot_write_rows(SnapshotDay *day, const SnapshotRank *ranks, Oid table);
extern void snapshot_build_indexes(SnapshotDay *day, const SnapshotRank *ranks, Oid table);

#endif							/* FLOWLENS_SNAPSHOTS_PUBLISH_H */

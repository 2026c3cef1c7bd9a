/*
 * snapshots_events.h
 *		Commits, closed issues and new contributors, as they count for the activity.
 */
#ifndef FLOWLENS_SNAPSHOTS_EVENTS_H
#define FLOWLENS_SNAPSHOTS_EVENTS_H

#include "postgres.h"

#include "snapshots.h"

/* Sum over the rows of stg_repo_activity "a": what events weigh beside a day with a push, which weighs 1; half is left after 14 days */
#define SNAPSHOT_EVENTS \
	"sum(CASE a.metric_type WHEN 'commits' THEN 0.1 WHEN 'issues' THEN 0.25 ELSE 1 END::float8" \
	" * a.events * power(2, ($1 - a.event_on) / -14.0::float8)) FILTER (WHERE a.events > 0)"

/* What happened in a repository since the last scored day */
typedef struct RepositoryEvents
{
	int64		github_id;
	double		events;
} RepositoryEvents;

/* The same of all repositories where something happened, in the order of github_id */
typedef struct SnapshotEvents
{
	RepositoryEvents *rows;
	int64		count;
	int64		capacity;
	int64		next;			/* the first one that was not looked at yet */
} SnapshotEvents;

extern void snapshot_read_events(SnapshotEvents *events, const SnapshotDay *day);
extern void snapshot_read_newcomers_events(SnapshotInput *batch, int count, DateADT day);

/* Takes the events of a repository; ids have to ascend from call to call */
static inline void
snapshot_take_events(SnapshotEvents *events, SnapshotInput *input)
{
	while (events->next < events->count && events->rows[events->next].github_id < input->github_id)
		events->next++;
	if (events->next == events->count || events->rows[events->next].github_id != input->github_id)
		return;
	input->has_events = true;
	input->events = events->rows[events->next].events;
}

#endif							/* FLOWLENS_SNAPSHOTS_EVENTS_H */

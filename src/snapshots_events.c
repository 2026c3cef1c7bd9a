/*
 * snapshots_events.c
 *		Reads commits, closed issues and new contributors for a merge.
 *
 * A repository that was scored before carries its activity and adds what was
 * staged since; of one that is new all events of the window count.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "tcop/dest.h"
#include "utils/memutils.h"

#include "compat.h"
#include "snapshots_events.h"
#include "util_spi.h"

static SpiStep events_step = {
	.sql = "SELECT e.github_id, e.events FROM (SELECT a.github_id, " SNAPSHOT_EVENTS " AS events FROM flowlens.stg_repo_activity a"
	" WHERE a.observed_on > $2 AND a.observed_on <= $1 GROUP BY a.github_id) e WHERE e.events IS NOT NULL ORDER BY e.github_id",
	.nargs = 2,
	.argtypes = {DATEOID, DATEOID},
	.expected = SPI_OK_UTILITY	/* what a SELECT into a receiver of one's own returns */
};

static SpiStep newcomers_step = {
	.sql = "SELECT a.github_id, " SNAPSHOT_EVENTS " FROM flowlens.stg_repo_activity a"
	" WHERE a.github_id = ANY ($2) AND a.observed_on <= $1 AND a.event_on > $1 - 256 GROUP BY a.github_id ORDER BY a.github_id",
	.nargs = 2,
	.argtypes = {DATEOID, INT8ARRAYOID},
	.expected = SPI_OK_SELECT
};

/* Receives the rows of the first query */
typedef struct EventsReceiver
{
	DestReceiver pub;
	SnapshotEvents *events;
} EventsReceiver;

/* Keeps one row */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	SnapshotEvents *events = ((EventsReceiver *) self)->events;

	slot_getallattrs(slot);
	if (events->count == events->capacity)
	{
		events->capacity *= 2;
		events->rows = repalloc_huge(events->rows, sizeof(RepositoryEvents) * events->capacity);
	}
	events->rows[events->count].github_id = DatumGetInt64(slot->tts_values[0]);
	events->rows[events->count++].events = DatumGetFloat8(slot->tts_values[1]);
	return true;
}

/* Has nothing to prepare */
static void
receiver_startup(DestReceiver *self, int operation, TupleDesc tupdesc)
{
	if (tupdesc->natts != 2)
		elog(ERROR, "query of events has %d columns", tupdesc->natts);
}

/* Has nothing to release */
static void
receiver_done(DestReceiver *self)
{
}

/* Reads what happened between the last scored day and the end of the day; the caller has done SPI_connect() */
void
snapshot_read_events(SnapshotEvents *events, const SnapshotDay *day)
{
	EventsReceiver receiver = {
		.pub = {receive_row, receiver_startup, receiver_done, receiver_done, DestNone},
		.events = events
	};
	Datum		values[2];

	events->capacity = 1024;
	events->rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(RepositoryEvents) * events->capacity);
	values[0] = DateADTGetDatum(day->day);
	values[1] = DateADTGetDatum(day->has_predecessor ? day->predecessor : DATEVAL_NOBEGIN);
	spi_step_receive(&events_step, values, NULL, &receiver.pub);
}

/* Tells whether the last scored day does not know a repository */
static bool
is_newcomer(const SnapshotInput *input)
{
	return input->is_new;
}

/* Reads the events of those repositories of a batch that the last scored day does not know */
void
snapshot_read_newcomers_events(SnapshotInput *batch, int count, DateADT day)
{
	Datum		values[2];
	uint64		found;
	uint64		row = 0;
	int			i;

	values[0] = DateADTGetDatum(day);
	values[1] = snapshot_ids(batch, count, is_newcomer);
	found = spi_step_run(&newcomers_step, values, NULL);
	for (i = 0; i < count; i++)
	{
		Datum		events;
		bool		isnull;

		while (row < found && spi_row_int64(row, 1) < batch[i].github_id)
			row++;
		if (!batch[i].is_new || row == found || spi_row_int64(row, 1) != batch[i].github_id)
			continue;
		events = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2, &isnull);
		batch[i].has_events = !isnull;
		batch[i].events = isnull ? 0 : DatumGetFloat8(events);
	}
	SPI_freetuptable(SPI_tuptable);
}

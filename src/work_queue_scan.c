/*
 * work_queue_scan.c
 *		What a session knows about a queue: where its claims begin, and where the
 *		rows of its last claim are.
 *
 * While somebody holds an old snapshot, removed entries stay in the index and
 * a scan from its start reads them all; so does it read what others have
 * leased.  When that gets dear a scan starts where the last one found its
 * first row, and from the very start only as often as costs a twentieth of the
 * time: older rows are then found a little later.
 */
#include "postgres.h"

#include "executor/instrument.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "work_queue_internal.h"

/* A scan from the oldest entry is dear when many dead or leased ones lie in front */
#define DEAR_SCAN_BLOCKS 100
#define BLOCKS_PER_ROW 2
#define ROWS_PASSED_PER_BLOCK 4
#define DEAR_SCAN_SHARE 20

/* What a batch pays for its own rows; a dear scan is longer by what lies in front */
#define MILLISECONDS_PER_ROW 0.01

#define MAX_REMEMBERED 1000
#define QUEUE_SLOTS 8

/* Where a row was that this session claimed */
typedef struct RememberedRow
{
	pg_uuid_t	id;
	ItemPointerData tid;
} RememberedRow;

typedef struct QueueSlot
{
	TimestampTz oldest;			/* ready_at of the first row found last time */
	TimestampTz scanned_at;		/* when the last full scan ended */
	double		scan_ms;		/* what it took */
	RememberedRow *remembered;	/* of the last claim, at most MAX_REMEMBERED */
	int			remembered_count;
	Oid			queue;
	bool		is_dear;		/* the last full scan read much beside its rows */
	bool		is_sorted;		/* remembered rows, by id */
} QueueSlot;

static QueueSlot queue_slots[QUEUE_SLOTS];

/* Finds what this session knows about a queue; the one that came first makes room */
static QueueSlot *
queue_slot(Oid queue)
{
	static int	next = 0;
	QueueSlot  *slot;
	int			i;

	for (i = 0; i < QUEUE_SLOTS; i++)
	{
		if (queue_slots[i].queue == queue)
			return &queue_slots[i];
	}
	slot = &queue_slots[next];
	next = (next + 1) % QUEUE_SLOTS;
	if (slot->remembered != NULL)
		pfree(slot->remembered);
	memset(slot, 0, sizeof(QueueSlot));
	slot->queue = queue;
	slot->oldest = DT_NOBEGIN;
	return slot;
}

/* Tells whether a scan from the oldest entry is due */
static bool
full_scan_due(QueueSlot *slot, TimestampTz now)
{
	if (slot->oldest == DT_NOBEGIN || !slot->is_dear)
		return true;
	return now - slot->scanned_at >= (TimestampTz) (slot->scan_ms * 1000.0 * DEAR_SCAN_SHARE);
}

/* Says where a scan has to begin */
void
work_queue_begin_scan(QueueScan *scan, Oid queue, TimestampTz now)
{
	QueueSlot  *slot = queue_slot(queue);

	memset(scan, 0, sizeof(QueueScan));
	scan->queue = queue;
	scan->is_full = full_scan_due(slot, now);
	scan->from = scan->is_full ? DT_NOBEGIN : slot->oldest;
	slot->remembered_count = 0;
	INSTR_TIME_SET_CURRENT(scan->started);
}

/* Notes what a scan found, and what it cost */
void
work_queue_end_scan(QueueScan *scan)
{
	QueueSlot  *slot = queue_slot(scan->queue);
	instr_time	time;

	if (scan->rows > 0)
		slot->oldest = scan->first;
	if (!scan->is_full)
		return;
	INSTR_TIME_SET_CURRENT(time);
	INSTR_TIME_SUBTRACT(time, scan->started);
	slot->scan_ms = Max(0.0, INSTR_TIME_GET_MILLISEC(time) - MILLISECONDS_PER_ROW * scan->rows);
	slot->scanned_at = GetCurrentTimestamp();
	/* blocks and not time, so that a busy machine does not pass for a long scan */
	slot->is_dear = scan->blocks + scan->passed / ROWS_PASSED_PER_BLOCK > DEAR_SCAN_BLOCKS + BLOCKS_PER_ROW * scan->rows;
}

/* Notes where a claimed row is, for its ack() */
void
work_queue_remember(Oid queue, pg_uuid_t *id, ItemPointer tid)
{
	QueueSlot  *slot = queue_slot(queue);
	RememberedRow *row;

	if (slot->remembered_count == MAX_REMEMBERED)
		return;
	if (slot->remembered == NULL)
		slot->remembered = MemoryContextAlloc(TopMemoryContext, MAX_REMEMBERED * sizeof(RememberedRow));
	row = &slot->remembered[slot->remembered_count++];
	row->id = *id;
	row->tid = *tid;
	slot->is_sorted = false;
}

/* Compares two remembered rows by id */
static int
compare_remembered(const void *a, const void *b)
{
	return memcmp(&((const RememberedRow *) a)->id, &((const RememberedRow *) b)->id, UUID_LEN);
}

/* Says where a row of this session's last claim was; it may have moved since */
bool
work_queue_remembers(Oid queue, pg_uuid_t *id, ItemPointer tid)
{
	QueueSlot  *slot = queue_slot(queue);
	RememberedRow key = {.id = *id};
	RememberedRow *found;

	if (slot->remembered_count == 0)
		return false;
	if (!slot->is_sorted)
		qsort(slot->remembered, slot->remembered_count, sizeof(RememberedRow), compare_remembered);
	slot->is_sorted = true;
	found = bsearch(&key, slot->remembered, slot->remembered_count, sizeof(RememberedRow), compare_remembered);
	if (found != NULL)
		*tid = found->tid;
	return found != NULL;
}

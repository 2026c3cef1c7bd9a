/*
 * work_queue_internal.h
 *		What the functions that take work from the queue share.
 */
#ifndef FLOWLENS_WORK_QUEUE_INTERNAL_H
#define FLOWLENS_WORK_QUEUE_INTERNAL_H

#include "postgres.h"

#include "access/attnum.h"
#include "datatype/timestamp.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "utils/uuid.h"

#include "row_writer.h"

/* Where the columns of flowlens.work_queue are */
typedef struct QueueColumns
{
	AttrNumber	queue;
	AttrNumber	id;
	AttrNumber	version;
	AttrNumber	attempts;
	AttrNumber	ready_at;
	AttrNumber	leased_until;
	AttrNumber	leased_version;
	AttrNumber	last_error;
} QueueColumns;

/* The index that leads to a row */
typedef enum QueueOrder
{
	QUEUE_BY_TIME,				/* (queue, ready_at) */
	QUEUE_BY_ID					/* (queue, id) */
} QueueOrder;

/* A search for rows that are ready */
typedef struct QueueScan
{
	Oid			queue;
	TimestampTz from;			/* ready_at to begin with */
	bool		is_full;		/* that is the very first */
	instr_time	started;
	/* filled in by whoever scans */
	int64		rows;			/* found */
	int64		passed;			/* leased by others */
	int64		blocks;			/* read on the way */
	TimestampTz first;			/* ready_at of the first row found */
} QueueScan;

extern void work_queue_begin_scan(QueueScan *scan, Oid queue, TimestampTz now);
extern void work_queue_end_scan(QueueScan *scan);
extern void work_queue_remember(Oid queue, pg_uuid_t *id, ItemPointer tid);
extern RowWriter *work_queue_open(QueueOrder order, AclMode rights, QueueColumns *columns);
extern void work_queue_close(RowWriter *writer);
extern int64 work_queue_next_version(RowWriter *writer, QueueColumns *columns);
extern bool work_queue_check(Oid queue);
extern bool work_queue_remembers(Oid queue, pg_uuid_t *id, ItemPointer tid);
extern void work_queue_release(Oid queue, Datum ids, Datum versions);

#endif							/* FLOWLENS_WORK_QUEUE_INTERNAL_H */

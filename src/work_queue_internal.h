/*
 * work_queue_internal.h
 *		What claim() and ack() share.
 */
#ifndef FLOWLENS_WORK_QUEUE_INTERNAL_H
#define FLOWLENS_WORK_QUEUE_INTERNAL_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/parsenodes.h"
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

extern RowWriter *work_queue_open(QueueOrder order, AclMode rights, QueueColumns *columns);
extern void work_queue_close(RowWriter *writer);
extern int64 work_queue_next_version(RowWriter *writer, QueueColumns *columns);
extern bool work_queue_check(Oid queue);
extern bool work_queue_remembers(Oid queue, pg_uuid_t *id, ItemPointer tid);
extern void work_queue_release(Oid queue, Datum ids, Datum versions);

#endif							/* FLOWLENS_WORK_QUEUE_INTERNAL_H */

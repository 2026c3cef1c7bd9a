/*
 * work_queue.h
 *		The work queue as other topics use it.
 */
#ifndef FLOWLENS_WORK_QUEUE_H
#define FLOWLENS_WORK_QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"

extern void work_queue_init(void);
extern int	work_queue_max_attempts(void);
extern bool work_queue_is_acknowledging(Oid table);
extern bool work_queue_owns_trigger(Oid function);
extern void work_queue_notify(Oid queue);
extern int64 work_queue_backoff(int attempts);

#endif							/* FLOWLENS_WORK_QUEUE_H */

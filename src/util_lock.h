/*
 * util_lock.h
 *		Advisory locks of our own: a class that users' advisory locks cannot reach.
 */
#ifndef FLOWLENS_UTIL_LOCK_H
#define FLOWLENS_UTIL_LOCK_H

#include "postgres.h"

typedef enum FlowlensLock
{
	FLOWLENS_LOCK_INSTALL = 1,	/* install() and uninstall() */
	FLOWLENS_LOCK_PARTITION,	/* creating a partition, or sharing: writing without one; object = parent's OID */
	FLOWLENS_LOCK_STAGING,		/* store_in_staging(), retry_rejected() */
	FLOWLENS_LOCK_DIMENSIONS,	/* load_dimensions() */
	FLOWLENS_LOCK_SNAPSHOTS,	/* load_snapshots() */
	FLOWLENS_LOCK_PIPELINE,		/* registering a pipeline run */
	FLOWLENS_LOCK_RETENTION,	/* apply_retention() */
	FLOWLENS_LOCK_EVENTS		/* processing a repository's events; object = hash of its id */
} FlowlensLock;

extern void flowlens_lock(FlowlensLock kind, uint32 object);
extern void flowlens_lock_shared(FlowlensLock kind, uint32 object);
extern bool flowlens_try_lock(FlowlensLock kind, uint32 object);

#endif							/* FLOWLENS_UTIL_LOCK_H */

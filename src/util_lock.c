/*
 * util_lock.c
 *		Advisory locks held to the end of the transaction.
 *
 * The fourth field of an advisory lock tag is 1 or 2 for the locks that SQL
 * functions take; ours has a number of its own, so that no user's key can
 * collide with it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "compat.h"
#include "util_lock.h"

#define FLOWLENS_LOCK_CLASS 0x464C	/* "FL" */

/* Names under which SQL code asks for a lock */
static const struct
{
	const char *name;
	FlowlensLock kind;
}			lock_names[] = {
	{"dimensions", FLOWLENS_LOCK_DIMENSIONS},
	{"install", FLOWLENS_LOCK_INSTALL},
	{"pipeline", FLOWLENS_LOCK_PIPELINE},
	{"retention", FLOWLENS_LOCK_RETENTION},
	{"snapshots", FLOWLENS_LOCK_SNAPSHOTS},
	{"staging", FLOWLENS_LOCK_STAGING},
};

/* Acquires a lock until the transaction ends */
static LockAcquireResult
acquire(FlowlensLock kind, uint32 object, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) kind, object, FLOWLENS_LOCK_CLASS);
	return LockAcquire(&tag, ExclusiveLock, false, !wait);
}

/* Waits for a lock and holds it until the transaction ends */
void
flowlens_lock(FlowlensLock kind, uint32 object)
{
	(void) acquire(kind, object, true);
}

/* Takes a lock until the transaction ends, or returns false when somebody has it */
bool
flowlens_try_lock(FlowlensLock kind, uint32 object)
{
	return acquire(kind, object, false) != LOCKACQUIRE_NOT_AVAIL;
}

/* Finds a lock by its SQL name */
static FlowlensLock
lock_by_name(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(lock_names); i++)
	{
		if (strcmp(lock_names[i].name, name) == 0)
			return lock_names[i].kind;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no lock \"%s\"", name)));
}

PG_FUNCTION_INFO_V1(flowlens_hold_lock);

/* SQL: waits for a named lock and holds it until the transaction ends */
Datum
flowlens_hold_lock(PG_FUNCTION_ARGS)
{
	flowlens_lock(lock_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0))), 0);
	PG_RETURN_VOID();
}

/*
 * util_lock.c
 *		Advisory locks held to the end of the transaction, or of a procedure.
 *
 * The fourth field of an advisory lock tag is 1 or 2 for the locks that SQL
 * functions take; ours has a number of its own, so that no user's key can
 * collide with it.
 *
 * A procedure that commits needs a lock that outlives its transactions.  It
 * belongs to the session then, and an error that ends the procedure gives it
 * back, because a procedure ends with the transaction that it failed in.
 */
#include "postgres.h"

#include "access/xact.h"
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

/* Names under which procedures hold locks over their commits; each is held at most once */
static bool held_by_procedure[FLOWLENS_LOCK_EVENTS + 1];

/* Fills in the tag of one of our locks */
static LOCKTAG
lock_tag(FlowlensLock kind, uint32 object)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) kind, object, FLOWLENS_LOCK_CLASS);
	return tag;
}

/* Waits for a lock and holds it until the transaction ends */
void
flowlens_lock(FlowlensLock kind, uint32 object)
{
	LOCKTAG		tag = lock_tag(kind, object);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* Like flowlens_lock(), but together with others that share it */
void
flowlens_lock_shared(FlowlensLock kind, uint32 object)
{
	LOCKTAG		tag = lock_tag(kind, object);

	(void) LockAcquire(&tag, ShareLock, false, false);
}

/* Takes a lock until the transaction ends, or returns false when somebody has it */
bool
flowlens_try_lock(FlowlensLock kind, uint32 object)
{
	LOCKTAG		tag = lock_tag(kind, object);

	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Gives back a lock that a procedure holds */
static void
release_procedure_lock(FlowlensLock kind)
{
	LOCKTAG		tag = lock_tag(kind, 0);

	if (held_by_procedure[kind])
		LockRelease(&tag, ExclusiveLock, true);
	held_by_procedure[kind] = false;
}

/* Gives back the locks of a procedure that ended with an error */
static void
release_at_abort(XactEvent event, void *arg)
{
	int			i;

	if (event != XACT_EVENT_ABORT)
		return;
	for (i = 0; i < (int) lengthof(lock_names); i++)
		release_procedure_lock(lock_names[i].kind);
}

/* Takes a lock for a procedure, or returns false when somebody has it */
static bool
try_procedure_lock(FlowlensLock kind)
{
	static bool registered = false;
	LOCKTAG		tag = lock_tag(kind, 0);

	if (!registered)
		RegisterXactCallback(release_at_abort, NULL);
	registered = true;
	if (held_by_procedure[kind] ||
		LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	held_by_procedure[kind] = true;
	return true;
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

PG_FUNCTION_INFO_V1(flowlens_try_procedure_lock);

/* SQL: takes a named lock for a procedure that commits; false when somebody has it */
Datum
flowlens_try_procedure_lock(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(try_procedure_lock(lock_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

PG_FUNCTION_INFO_V1(flowlens_release_procedure_lock);

/* SQL: gives back a lock of try_procedure_lock() */
Datum
flowlens_release_procedure_lock(PG_FUNCTION_ARGS)
{
	release_procedure_lock(lock_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	PG_RETURN_VOID();
}

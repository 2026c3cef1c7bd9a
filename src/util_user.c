/*
 * util_user.c
 *		Acts as the owner of a table, as the server's own maintenance does.
 *
 * What a member of the owning role or a superuser creates beside a table (its
 * partitions above all) has to belong to the table's owner: otherwise the owner
 * could not drop it later, and default privileges of the owner would not apply.
 * Nobody gains rights: who is not a member of the owner is refused.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "util_user.h"

/* Returns the owner of a relation */
static Oid
relation_owner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Tells whether the current user is the owner of a relation, a member of it or a superuser */
bool
may_act_as_owner(Oid relation)
{
	return has_privs_of_role(GetUserId(), relation_owner(relation));
}

/* Acts as the owner of a relation until act_as_before() or the end of the (sub)transaction by an error */
void
act_as_owner(Oid relation, SavedUser *saved)
{
	if (!may_act_as_owner(relation))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relation));
	GetUserIdAndSecContext(&saved->user, &saved->security_context);
	SetUserIdAndSecContext(relation_owner(relation), saved->security_context | SECURITY_LOCAL_USERID_CHANGE);
}

/* Acts as the user before act_as_owner() again */
void
act_as_before(const SavedUser *saved)
{
	SetUserIdAndSecContext(saved->user, saved->security_context);
}

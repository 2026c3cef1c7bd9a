/*
 * util_user.h
 *		Acts as the owner of a table, as the server's own maintenance does.
 */
#ifndef FLOWLENS_UTIL_USER_H
#define FLOWLENS_UTIL_USER_H

#include "postgres.h"

/* Who acted before */
typedef struct SavedUser
{
	Oid			user;
	int			security_context;
} SavedUser;

extern bool may_act_as_owner(Oid relation);
extern void act_as_owner(Oid relation, SavedUser *saved);
extern void act_as_before(const SavedUser *saved);

#endif							/* FLOWLENS_UTIL_USER_H */

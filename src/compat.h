/*
 * compat.h
 *		Differences between the supported server versions, in one place.
 *
 * Each shim gives an older server the newer server's interface, so that the
 * rest of the code is written against the newest one.
 *
 * bin/test-matrix runs all tests on 15, 17 and 18, which Debian releases have.
 * No release has 16; the conditions below, each with the change of the server
 * that it follows, are what 16 needs.
 */
#ifndef FLOWLENS_COMPAT_H
#define FLOWLENS_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "flowlens_trender needs PostgreSQL 15 or later"
#endif

#include "fmgr.h"

/* Since 16 (upstream d952373a987b) postgres.h leaves VARDATA and its kin to a header of their own */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * Since 16 (upstream 089480c07705) PG_FUNCTION_INFO_V1 exports the function
 * itself; before, only its info record.  With -fvisibility=hidden both have to
 * be exported.
 */
#if PG_VERSION_NUM < 160000
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, funcname)(void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_, funcname)(void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int	no_such_variable
#endif

/* Renamed in 16 (upstream 8fb580a35ce3) */
#if PG_VERSION_NUM < 160000
#define pgstat_get_local_beentry_by_index(index) pgstat_fetch_stat_local_beentry(index)
#endif

/*
 * Since 16 a compiled regular expression lives in the memory context that is
 * current at its compilation; before, in malloc'd memory.
 */
#define COMPILED_REGEX_IS_MALLOCED (PG_VERSION_NUM < 160000)

/* Since 18 a function that does not return is marked in front of its declaration */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * The next three have names of their own: a macro named like the function
 * would break the server's declaration of it in a header that comes later.
 *
 * Since 16 (upstream 19d8e2308bc5) an update says which indexes need entries:
 * none, all, or those that only summarize.
 */
#if PG_VERSION_NUM < 160000
#define TU_UpdateIndexes bool
#define TU_None false
#define insert_index_tuples(result, slot, estate, indexes) \
	ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL)
#else
#define insert_index_tuples(result, slot, estate, indexes) \
	ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL, (indexes) == TU_Summarizing)
#endif

/* Since 17 (upstream b7b0f3f27241) a sequential scan reads ahead by itself, and should not be anticipated */
#define SCAN_READS_AHEAD (PG_VERSION_NUM >= 170000)

/* Since 17 (upstream 509199587df7) getIdentitySequence() takes the relation instead of its OID */
#if PG_VERSION_NUM < 170000
#define identity_sequence(relation, column) getIdentitySequence(RelationGetRelid(relation), column, false)
#else
#define identity_sequence(relation, column) getIdentitySequence(relation, column, false)
#endif

/* Since 18 (upstream 0fbceae841cb) a scan can count its searches */
#if PG_VERSION_NUM < 180000
#define begin_index_scan(table, index, snapshot, nkeys) index_beginscan(table, index, snapshot, nkeys, 0)
#else
#define begin_index_scan(table, index, snapshot, nkeys) index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#endif

#endif							/* FLOWLENS_COMPAT_H */

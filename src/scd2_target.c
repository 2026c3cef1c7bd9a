/*
 * scd2_target.c
 *		Catalog checks before a merge: the target, its columns, the source's.
 *
 * Everything that can be wrong with names and types is reported here, before
 * anything is written.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "scd2_internal.h"
#include "sharding.h"

/* Returns the attribute number of a live column, or InvalidAttrNumber */
static AttrNumber
find_attribute(TupleDesc desc, const char *name)
{
	int			i;

	if (name == NULL)
		return InvalidAttrNumber;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return i + 1;
	}
	return InvalidAttrNumber;
}

/* Reports a column that one side lacks */
static void
missing_column_error(Scd2Merge *merge, const char *name, bool in_target)
{
	if (in_target)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" does not exist in target %s", name, merge->target)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" does not exist in the source of the merge into %s", name, merge->target)));
}

/* Finds a column that the merge maintains and checks its type */
static AttrNumber
find_control_column(Scd2Merge *merge, TupleDesc desc, const char *name, Oid type, bool in_target, bool required)
{
	AttrNumber	attno = find_attribute(desc, name);
	Oid			found;

	if (attno == InvalidAttrNumber)
	{
		if (required)
			missing_column_error(merge, name, in_target);
		return InvalidAttrNumber;
	}
	found = TupleDescAttr(desc, attno - 1)->atttypid;
	if (found != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the %s must have type %s, not %s", name,
						in_target ? "target" : "source", format_type_be(type), format_type_be(found))));
	return attno;
}

/* Tells whether rows of a relation can be addressed by ctid and scanned directly */
bool
scd2_is_heap(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	form = (Form_pg_class) GETSTRUCT(tuple);
	result = form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID;
	ReleaseSysCache(tuple);
	return result;
}

/* Locks the relations below the target and collects those that hold rows */
static void
collect_leaves(Scd2Merge *merge)
{
	List	   *relations = find_all_inheritors(merge->request->target, ShareRowExclusiveLock, NULL);
	MemoryContext old_context;
	ListCell   *lc;

	merge->local = true;
	foreach(lc, relations)
	{
		Oid			relation = lfirst_oid(lc);

		if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
			continue;
		if (!scd2_is_heap(relation))
			merge->local = false;
		old_context = MemoryContextSwitchTo(merge->context);
		merge->leaves = lappend_oid(merge->leaves, relation);
		MemoryContextSwitchTo(old_context);
	}
	if (merge->local && is_distributed(merge->request->target))
		merge->local = false;
	if (!merge->local)
		merge->leaves = NIL;
}

/* Checks the kind of the target and the caller's rights on it */
static void
check_target(Scd2Merge *merge)
{
	Oid			target = merge->request->target;
	char		kind = get_rel_relkind(target);
	AclResult	result;

	merge->versions = merge->target = scd2_qualified_name(target);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("target %s of the merge is not a table", merge->target)));

	/* before the lock, so that nobody can block a table they may not write */
	result = pg_class_aclcheck(target, GetUserId(), ACL_SELECT);
	if (result == ACLCHECK_OK)
		result = pg_class_aclcheck(target, GetUserId(), ACL_INSERT);
	if (result == ACLCHECK_OK)
		result = pg_class_aclcheck(target, GetUserId(), ACL_UPDATE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(kind), get_rel_name(target));
}

/* Finds the columns that the merge maintains; no two of them may be the same */
static void
find_control_columns(Scd2Merge *merge)
{
	const Scd2Request *request = merge->request;
	TupleDesc	desc = merge->target_desc;
	AttrNumber	found[5];
	int			i;
	int			j;

	found[0] = merge->from_attno = find_control_column(merge, desc, request->valid_from_column, TIMESTAMPTZOID, true, true);
	found[1] = merge->to_attno = find_control_column(merge, desc, request->valid_to_column, TIMESTAMPTZOID, true, true);
	found[2] = merge->current_attno = find_control_column(merge, desc, request->is_current_column, BOOLOID, true, true);
	found[3] = merge->hash_attno = find_control_column(merge, desc, request->row_hash_column, INT8OID, true, false);
	found[4] = merge->deleted_attno = find_control_column(merge, desc, request->is_deleted_column, BOOLOID, true, false);
	for (i = 0; i < (int) lengthof(found); i++)
	{
		for (j = 0; j < i; j++)
		{
			if (found[i] != InvalidAttrNumber && found[i] == found[j])
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" of target %s cannot serve two purposes",
								NameStr(TupleDescAttr(desc, found[i] - 1)->attname), merge->target),
						 errhint("Name different columns for the maintained columns.")));
		}
	}
}

/*
 * Locks the target and reads what the catalogs say about it.  The lock admits
 * readers but no second merge and no other writer until this transaction ends.
 */
void
scd2_open_target(Scd2Merge *merge)
{
	const Scd2Request *request = merge->request;
	MemoryContext old_context;
	Relation	relation;

	check_target(merge);
	relation = relation_open(request->target, ShareRowExclusiveLock);
	old_context = MemoryContextSwitchTo(merge->context);
	merge->target_desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	MemoryContextSwitchTo(old_context);
	relation_close(relation, NoLock);

	collect_leaves(merge);
	merge->scannable = merge->local && check_enable_rls(request->target, InvalidOid, true) != RLS_ENABLED;
	find_control_columns(merge);
}

/* Tells whether the merge itself maintains a column of the target */
static bool
is_control_attribute(Scd2Merge *merge, AttrNumber attno)
{
	return attno == merge->from_attno || attno == merge->to_attno || attno == merge->current_attno ||
		attno == merge->hash_attno || attno == merge->deleted_attno;
}

/* Tells whether a list of strings contains a name */
static bool
list_has_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp((char *) lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* Checks names given by the caller: present on both sides, writable, each once */
static void
check_named_columns(Scd2Merge *merge, List *names, const char *what)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = lfirst(lc);
		AttrNumber	attno = find_attribute(merge->target_desc, name);
		ListCell   *other;

		if (attno == InvalidAttrNumber)
			missing_column_error(merge, name, true);
		if (is_control_attribute(merge, attno))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" is maintained by the merge and cannot be a %s column", name, what)));
		if (find_attribute(merge->source_desc, name) == InvalidAttrNumber)
			missing_column_error(merge, name, false);
		if (TupleDescAttr(merge->target_desc, attno - 1)->attgenerated != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("generated column \"%s\" cannot be a %s column", name, what)));
		for_each_cell(other, names, lnext(names, lc))
		{
			if (strcmp((char *) lfirst(other), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("%s column \"%s\" is named twice", what, name)));
		}
	}
}

/* Reports a key or tracked column whose two sides cannot be compared */
static void
check_same_type(Scd2Merge *merge, Form_pg_attribute target, Form_pg_attribute source)
{
	const char *name = NameStr(target->attname);

	if (target->atttypid != source->atttypid)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" has type %s in the source but %s in the target", name,
						format_type_be(source->atttypid), format_type_be(target->atttypid)),
				 errhint("Cast it in a view over the source.")));
	if (OidIsValid(target->attcollation) && OidIsValid(source->attcollation) &&
		target->attcollation != source->attcollation)
		ereport(ERROR,
				(errcode(ERRCODE_COLLATION_MISMATCH),
				 errmsg("column \"%s\" has collation \"%s\" in the source but \"%s\" in the target", name,
						get_collation_name(source->attcollation), get_collation_name(target->attcollation)),
				 errhint("Add a COLLATE clause in a view over the source.")));
}

/*
 * Tells whether the source's values have to be brought to the target's type
 * modifier before comparing, numeric(10,2) for instance: otherwise the same
 * value would differ from its stored, rounded form for ever.  Lengths of
 * strings are left to the INSERT, which complains where a cast would truncate.
 */
static bool
needs_coercion(Form_pg_attribute target, Form_pg_attribute source)
{
	if (target->atttypmod < 0 || target->atttypmod == source->atttypmod)
		return false;
	return target->atttypid != VARCHAROID && target->atttypid != BPCHAROID &&
		target->atttypid != BITOID && target->atttypid != VARBITOID;
}

/* Tells whether values of a type that are equal always have the same bytes */
static bool
type_image_is_equality(Oid type, Oid collation)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case BYTEAOID:
			return true;
		case NAMEOID:
		case TEXTOID:
		case VARCHAROID:
			return !OidIsValid(collation) || get_collation_isdeterministic(collation);
		default:
			return false;
	}
}

/* Looks up how values of a column are compared and hashed */
static void
look_up_comparison(Scd2Merge *merge, Scd2Column *column)
{
	TypeCacheEntry *entry = lookup_type_cache(column->type, TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC |
											  TYPECACHE_HASH_EXTENDED_PROC);

	column->eq_operator = entry->eq_opr;
	if (OidIsValid(entry->eq_opr))
		fmgr_info_cxt(get_opcode(entry->eq_opr), &column->eq_function, merge->context);
	if (OidIsValid(entry->hash_extended_proc))
		fmgr_info_cxt(entry->hash_extended_proc, &column->hash_function, merge->context);
	if (column->role == SCD2_KEY && (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->cmp_proc)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s of key column \"%s\" has no ordering", format_type_be(column->type),
						NameStr(column->name))));
	column->image_is_equality = type_image_is_equality(column->type, column->collation);
	column->name_hash = scd2_hash_bytes(NameStr(column->name), strlen(NameStr(column->name)), 0);
}

/* Adds a column of the target to those that the merge writes */
static void
add_column(Scd2Merge *merge, AttrNumber target_attno, AttrNumber source_attno, Scd2Role role)
{
	Form_pg_attribute target = TupleDescAttr(merge->target_desc, target_attno - 1);
	Scd2Column *column = &merge->columns[merge->ncolumns++];

	column->name = target->attname;
	column->role = role;
	column->target_attno = target_attno;
	column->source_attno = source_attno;
	column->type = target->atttypid;
	column->typmod = target->atttypmod;
	column->collation = target->attcollation;
	column->typlen = target->attlen;
	column->typbyval = target->attbyval;
	if (source_attno != 0)
	{
		Form_pg_attribute source = TupleDescAttr(merge->source_desc, source_attno - 1);

		check_same_type(merge, target, source);
		column->coerce = needs_coercion(target, source);
	}
	column->keep_on_null = list_has_name(merge->request->keep_on_null, NameStr(column->name));
	if (target->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		merge->override_identity = true;
	look_up_comparison(merge, column);
}

/*
 * Decides what a column outside the key means.  Columns that only the target
 * has keep their value in new versions, unless a default fills them.
 */
static void
add_other_column(Scd2Merge *merge, AttrNumber target_attno)
{
	const Scd2Request *request = merge->request;
	Form_pg_attribute target = TupleDescAttr(merge->target_desc, target_attno - 1);
	const char *name = NameStr(target->attname);
	AttrNumber	source_attno = find_attribute(merge->source_desc, name);

	if (source_attno == 0)
	{
		if (!target->atthasdef && target->attidentity == '\0')
			add_column(merge, target_attno, 0, SCD2_CARRIED);
	}
	else if (list_has_name(request->tracked_columns, name))
		add_column(merge, target_attno, source_attno, SCD2_TRACKED);
	else if (request->valid_at_column != NULL && strcmp(name, request->valid_at_column) == 0)
		add_column(merge, target_attno, source_attno, SCD2_CARRIED);
	else
		add_column(merge, target_attno, source_attno,
				   request->tracked_columns == NIL ? SCD2_TRACKED : SCD2_UNTRACKED);
}

/* Checks the lists of names that the caller gave */
static void
check_requested_columns(Scd2Merge *merge)
{
	const Scd2Request *request = merge->request;
	ListCell   *lc;

	if (request->key_columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at least one key column is needed")));
	check_named_columns(merge, request->key_columns, "key");
	check_named_columns(merge, request->tracked_columns, "tracked");
	check_named_columns(merge, request->keep_on_null, "keep_on_null");
	foreach(lc, request->key_columns)
	{
		if (list_has_name(request->tracked_columns, lfirst(lc)) || list_has_name(request->keep_on_null, lfirst(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("key column \"%s\" cannot be tracked", (char *) lfirst(lc))));
	}
}

/* Matches the columns of source and target by name */
void
scd2_match_columns(Scd2Merge *merge)
{
	const Scd2Request *request = merge->request;
	TupleDesc	desc = merge->target_desc;
	ListCell   *lc;
	int			i;

	merge->source_at = find_control_column(merge, merge->source_desc, request->valid_at_column,
										   TIMESTAMPTZOID, false, request->valid_at_column != NULL);
	merge->source_deleted = find_control_column(merge, merge->source_desc,
												request->source_deleted_column != NULL ?
												request->source_deleted_column : request->is_deleted_column,
												BOOLOID, false, false);
	merge->source_hash = find_control_column(merge, merge->source_desc, request->row_hash_column,
											 INT8OID, false, false);
	check_requested_columns(merge);

	merge->columns = MemoryContextAllocZero(merge->context, desc->natts * sizeof(Scd2Column));
	foreach(lc, request->key_columns)
		add_column(merge, find_attribute(desc, lfirst(lc)), find_attribute(merge->source_desc, lfirst(lc)), SCD2_KEY);
	merge->nkeys = merge->ncolumns;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute target = TupleDescAttr(desc, i);

		if (!target->attisdropped && target->attgenerated == '\0' && !is_control_attribute(merge, i + 1) &&
			!list_has_name(request->key_columns, NameStr(target->attname)))
			add_other_column(merge, i + 1);
	}
}

/* Tells whether a row was written by a transaction that the snapshot does not see */
static bool
is_newer_than(TupleTableSlot *slot, Snapshot snapshot)
{
	bool		should_free;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	TransactionId xmin = HeapTupleHeaderGetXmin(tuple->t_data);
	bool		result = TransactionIdIsNormal(xmin) && !TransactionIdIsCurrentTransactionId(xmin) &&
		XidInMVCCSnapshot(xmin, snapshot);

	if (should_free)
		heap_freetuple(tuple);
	return result;
}

/*
 * Fails when somebody wrote to the target after the snapshot of a REPEATABLE
 * READ or SERIALIZABLE transaction was taken.  The lock makes merges take
 * turns, but such a snapshot would not show what the one before inserted.
 */
void
scd2_check_snapshot(Scd2Merge *merge)
{
	Snapshot	own;
	Snapshot	latest;
	ListCell   *lc;

	if (!IsolationUsesXactSnapshot())
		return;
	own = GetTransactionSnapshot();
	latest = RegisterSnapshot(GetLatestSnapshot());
	foreach(lc, merge->leaves)
	{
		Relation	relation = table_open(lfirst_oid(lc), NoLock);
		TupleTableSlot *slot = table_slot_create(relation, NULL);
		TableScanDesc scan = table_beginscan(relation, latest, 0, NULL);

		while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			CHECK_FOR_INTERRUPTS();
			if (is_newer_than(slot, own))
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access to %s due to a concurrent merge", merge->target),
						 errhint("The transaction might succeed if retried.")));
		}
		table_endscan(scan);
		ExecDropSingleTupleTableSlot(slot);
		table_close(relation, NoLock);
	}
	UnregisterSnapshot(latest);
}

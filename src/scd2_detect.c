/*
 * scd2_detect.c
 *		Finding what changed with a hash table of the current versions.
 *
 * One pass over the target puts a 64-bit hash of each current version into the
 * table, with most of a hash of its key, 16 bytes.  One pass over the source
 * looks each row up.  Equal hashes are unchanged rows, nearly all of them, and
 * nothing more is done about those.  For the others the version is fetched by
 * its ctid and compared column by column.  The hashes start from a random
 * number, new for each merge, so that nobody can prepare values that collide.
 *
 * What this cannot decide alone is left to the join (scd2_join.c): a key that
 * comes twice, more versions than memory allows, noted times of observation.
 * Nothing has been written by then.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_detect.h"
#include "sharding.h"

/* Values of flowlens.scd2_detector */
enum
{
	DETECTOR_AUTO,
	DETECTOR_HASH,
	DETECTOR_JOIN
};

static const struct config_enum_entry detector_options[] = {
	{"auto", DETECTOR_AUTO, false},
	{"hash", DETECTOR_HASH, false},
	{"join", DETECTOR_JOIN, false},
	{NULL, 0, false}
};

static int	scd2_detector = DETECTOR_AUTO;

/* A source this much smaller than the target is joined, by an index if there is one */
#define SMALL_SOURCE		8

/* Rows after which scratch memory is given back */
#define SCRATCH_ROWS		512

/* Registers the setting that chooses the detector */
void
scd2_detect_init(void)
{
	DefineCustomEnumVariable("flowlens.scd2_detector",
							 "Chooses how scd2_merge() finds what changed.",
							 "\"hash\" reads source and target once and needs memory for every current version, "
							 "\"join\" is plain SQL, \"auto\" decides by size.",
							 &scd2_detector,
							 DETECTOR_AUTO,
							 detector_options,
							 PGC_USERSET,
							 0,
							 NULL,	/* check hook */
							 NULL,	/* assign hook */
							 NULL); /* show hook */
}

/* Gives scratch memory back and lets a user cancel */
static void
tidy_up(Scd2Detector *detector)
{
	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(detector->scratch);
}

/* Tells whether reading the target any further is of no use */
static inline bool
is_in_vain(Scd2Detector *detector)
{
	return detector->impossible || detector->table.full;
}

/* Reads the target into the table */
static void
read_target(Scd2Detector *detector)
{
	int			leaf;

	for (leaf = 0; leaf < list_length(detector->merge->leaves) && !is_in_vain(detector); leaf++)
	{
		MemoryContext old_context;
		HeapRows	heap;
		uint64		rows = 0;

		heap_rows_begin(&heap, detector->leaves[leaf], detector->snapshot, detector->layouts[leaf].last);
		old_context = MemoryContextSwitchTo(detector->scratch);
		while (!is_in_vain(detector) && heap_rows_next(&heap))
		{
			if (++rows % SCRATCH_ROWS == 0)
				tidy_up(detector);
			scd2_read_version(detector, &heap.row, &heap.tid, leaf);
		}
		MemoryContextSwitchTo(old_context);
		heap_rows_end(&heap);
	}
	scd2_flush_pending(detector);
}

/* Takes a row of a source that only SQL can read */
static bool
take_source_row(void *state, TupleTableSlot *slot)
{
	Scd2Detector *detector = state;
	MemoryContext old_context = MemoryContextSwitchTo(detector->scratch);
	Scd2Probe	probe;

	if (detector->merge->source_rows % SCRATCH_ROWS == 0)
		tidy_up(detector);
	slot_getallattrs(slot);
	detector->source_row.values = slot->tts_values;
	detector->source_row.nulls = slot->tts_isnull;
	scd2_prepare_probe(detector, &probe, &detector->source_row);
	scd2_decide(detector, &probe);
	MemoryContextSwitchTo(old_context);
	return !detector->impossible;
}

/* Reads a plain table, a few rows ahead of the one to decide about */
static void
scan_source(Scd2Detector *detector)
{
	MemoryContext old_context;
	HeapRows	heap;
	uint64		next = 0;
	uint64		done = 0;

	detector->source_relation = table_open(detector->merge->request->source, AccessShareLock);
	detector->source_slot = table_slot_create(detector->source_relation, NULL);
	heap_rows_begin(&heap, detector->source_relation, detector->snapshot, detector->source.last);
	old_context = MemoryContextSwitchTo(detector->scratch);
	while (!detector->impossible && heap_rows_next(&heap))
	{
		Scd2Probe  *probe = &detector->probes[next % SCD2_LOOKAHEAD];
		Scd2Slot   *home;

		if (next % SCRATCH_ROWS == 0)
			tidy_up(detector);
		scd2_prepare_probe(detector, probe, &heap.row);
		probe->tid = heap.tid;
		home = scd2_home_of(&detector->table, probe->key_hash);
		prefetch_to_read(home);
		prefetch_to_write(&detector->table.seen[(home - detector->table.slots) / 64]);
		if (++next - done == SCD2_LOOKAHEAD)
			scd2_decide(detector, &detector->probes[done++ % SCD2_LOOKAHEAD]);
	}
	while (done < next && !detector->impossible)
		scd2_decide(detector, &detector->probes[done++ % SCD2_LOOKAHEAD]);
	MemoryContextSwitchTo(old_context);

	heap_rows_end(&heap);
	ExecDropSingleTupleTableSlot(detector->source_slot);
	table_close(detector->source_relation, NoLock);
}

/* Puts the versions into the delta whose key the source lacks */
static void
put_missing(Scd2Detector *detector)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Slot   *slot;
	ItemPointerData tid;
	int			leaf;

	memset(detector->nulls, true, (SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(bool));
	for (slot = detector->table.slots; slot < detector->table.end; slot++)
	{
		if (slot->mark == 0 || scd2_mark_seen(&detector->table, slot))
			continue;
		scd2_find_place(detector, slot, &leaf, &tid);
		CHECK_FOR_INTERRUPTS();
		detector->values[SCD2_DELTA_ACTION - 1] = CharGetDatum(SCD2_MISSING);
		detector->values[SCD2_DELTA_RELATION - 1] =
			ObjectIdGetDatum(RelationGetRelid(detector->leaves[leaf]));
		detector->values[SCD2_DELTA_TID - 1] = PointerGetDatum(&tid);
		detector->values[SCD2_DELTA_AT - 1] = TimestampTzGetDatum(merge->request->valid_at);
		detector->values[SCD2_DELTA_DELETED - 1] = BoolGetDatum(true);
		detector->nulls[SCD2_DELTA_ACTION - 1] = detector->nulls[SCD2_DELTA_RELATION - 1] = false;
		detector->nulls[SCD2_DELTA_TID - 1] = detector->nulls[SCD2_DELTA_AT - 1] = false;
		detector->nulls[SCD2_DELTA_DELETED - 1] = false;
		scd2_put_delta(merge, detector->values, detector->nulls);
	}
}

/* Tells whether the source is a plain table whose rows the caller sees without SQL */
static bool
is_source_scannable(Scd2Merge *merge)
{
	Oid			source = merge->request->source;
	int			i;

	if (!OidIsValid(source) || !scd2_is_heap(source) || has_subclass(source) ||
		pg_class_aclcheck(source, GetUserId(), ACL_SELECT) != ACLCHECK_OK ||
		check_enable_rls(source, InvalidOid, true) == RLS_ENABLED || is_distributed(source))
		return false;
	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].coerce)
			return false;
	}
	for (i = 0; i < merge->source_desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(merge->source_desc, i)->attname);
		char		generated = get_attgenerated(source, get_attnum(source, name));

		/* virtual columns are not in the rows */
		if (generated != '\0' && generated != ATTRIBUTE_GENERATED_STORED)
			return false;
	}
	return true;
}

/*
 * Tells whether the tracked columns can be compared by the stored row hash.
 * Not if NULL may mean "not observed": the hash covers all of them.
 */
static bool
can_use_row_hash(Scd2Merge *merge)
{
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		if (merge->columns[i].role == SCD2_TRACKED && merge->columns[i].keep_on_null)
			return false;
	}
	return merge->hash_attno != InvalidAttrNumber;
}

/* Estimates the number of rows of the target's leaves */
static double
estimate_target(Scd2Detector *detector)
{
	double		rows = 0;
	int			i;

	for (i = 0; i < list_length(detector->merge->leaves); i++)
	{
		Relation	leaf = detector->leaves[i];

		if (leaf->rd_rel->reltuples >= 0 && leaf->rd_rel->relpages > 0)
			rows += leaf->rd_rel->reltuples / leaf->rd_rel->relpages * RelationGetNumberOfBlocks(leaf);
		else
			rows += 50.0 * RelationGetNumberOfBlocks(leaf);
	}
	return rows;
}

/* Tells whether the table of hashes fits this merge, apart from size */
static bool
is_applicable(Scd2Merge *merge)
{
	int			i;

	if (scd2_detector == DETECTOR_JOIN || !merge->scannable || OidIsValid(merge->request->observations))
		return false;
	for (i = 0; i < merge->nkeys; i++)
	{
		if (!merge->columns[i].image_is_equality && !OidIsValid(merge->columns[i].hash_function.fn_oid))
			return false;
	}
	return true;
}

/* Opens the leaves and decides by size; returns how many versions to make room for */
static uint64
prepare_table(Scd2Detector *detector)
{
	Scd2Merge  *merge = detector->merge;
	uint64		capacity;
	double		rows;
	int			i;

	for (i = 0; i < list_length(merge->leaves); i++)
	{
		detector->leaves[i] = table_open(list_nth_oid(merge->leaves, i), NoLock);
		detector->slots[i] = table_slot_create(detector->leaves[i], NULL);
		scd2_lay_out_leaf(detector, detector->leaves[i], &detector->layouts[i]);
	}
	rows = estimate_target(detector);
	detector->memory = (uint64) maintenance_work_mem * 1024;
	capacity = scd2_table_capacity(detector);
	detector->impossible = !scd2_number_places(detector) ||
		(scd2_detector == DETECTOR_AUTO && (merge->source_estimate * SMALL_SOURCE < rows || rows > 4.0 * capacity));
	return Min((uint64) rows + 1024, capacity);
}

/* Reads the target, again with a larger table if it had more rows than estimated */
static void
fill_table(Scd2Detector *detector, uint64 capacity)
{
	uint64		most = scd2_table_capacity(detector);

	for (;;)
	{
		scd2_create_table(detector, capacity);
		read_target(detector);
		if (!detector->table.full)
			return;
		detector->impossible |= capacity == most;
		if (detector->impossible)
			return;
		scd2_free_table(detector);
		capacity = Min(capacity * 3, most);
	}
}

/* Runs both passes */
static void
detect(Scd2Detector *detector, bool scannable, uint64 capacity)
{
	Scd2Merge  *merge = detector->merge;

	fill_table(detector, capacity);
	if (detector->impossible)
		return;
	/* what a late, complete extract lacks may be in the middle of a history */
	if (merge->request->close_missing &&
		merge->request->valid_at <= Max(detector->latest_from, detector->latest_to))
	{
		detector->impossible = true;
		return;
	}
	if (scannable)
		scan_source(detector);
	else
		scd2_stream_source(merge, take_source_row, detector);
	if (merge->request->close_missing && !detector->impossible)
		put_missing(detector);
}

/* Fills the delta; returns false if that has to be left to the join */
bool
scd2_detect_by_hash(Scd2Merge *merge)
{
	MemoryContext old_context;
	Scd2Detector   *detector;
	bool		scannable;
	uint64		capacity;
	int			i;

	if (!is_applicable(merge))
		return false;
	old_context = MemoryContextSwitchTo(merge->context);
	scannable = is_source_scannable(merge);
	detector = palloc0(sizeof(Scd2Detector));
	detector->merge = merge;
	detector->scratch = AllocSetContextCreate(merge->context, "scd2 scratch", ALLOCSET_DEFAULT_SIZES);
	scd2_choose_secret(&detector->secret);
	detector->by_row_hash = can_use_row_hash(merge);
	scd2_count_hashed_columns(detector);
	detector->latest_from = detector->latest_to = DT_NOBEGIN;
	detector->leaves = palloc0(list_length(merge->leaves) * sizeof(Relation));
	detector->layouts = palloc0(list_length(merge->leaves) * sizeof(Scd2Layout));
	detector->first_place = palloc(list_length(merge->leaves) * sizeof(uint64));
	detector->version.values = palloc(merge->ncolumns * sizeof(Datum));
	detector->version.nulls = palloc(merge->ncolumns * sizeof(bool));
	detector->slots = palloc0(list_length(merge->leaves) * sizeof(TupleTableSlot *));
	detector->values = palloc0((SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(Datum));
	detector->nulls = palloc0((SCD2_DELTA_FIXED + merge->ncolumns) * sizeof(bool));
	scd2_lay_out_source(detector, scannable);
	scd2_create_delta(merge);
	merge->source_rows = 0;

	CommandCounterIncrement();
	detector->snapshot = RegisterSnapshot(GetTransactionSnapshot());
	capacity = prepare_table(detector);
	if (!detector->impossible)
		detect(detector, scannable, capacity);
	for (i = 0; i < list_length(merge->leaves); i++)
	{
		ExecDropSingleTupleTableSlot(detector->slots[i]);
		table_close(detector->leaves[i], NoLock);
	}
	UnregisterSnapshot(detector->snapshot);
	scd2_free_table(detector);
	if (detector->new_keys.hashes != NULL)
		pfree(detector->new_keys.hashes);
	MemoryContextSwitchTo(old_context);
	return !detector->impossible;
}

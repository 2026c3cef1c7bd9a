/*
 * snapshots_write.c
 *		Writes a scored day into a table of its own.
 *
 * The table is filled with multi-inserts before it has any index; indexes come
 * after, and last it becomes a partition (snapshots_publish.c).  In this way a
 * day of a million facts costs a twentieth of the WAL and a third of the time of
 * an INSERT into the indexed partition, and readers see nothing until the end.
 */
#include "postgres.h"

#include <math.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/sequence.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "partitions.h"
#include "snapshots.h"
#include "snapshots_pages.h"
#include "snapshots_publish.h"

#define ROWS_PER_BATCH 1000

/* Names of the columns that we fill */
const char *const fact_column_names[FACT_COLUMNS] = {
	[FACT_SNAPSHOT_KEY] = "snapshot_key",
	[FACT_REPO_KEY] = "repo_key",
	[FACT_LANGUAGE_KEY] = "language_key",
	[FACT_GITHUB_ID] = "github_id",
	[FACT_SNAPSHOT_DATE] = "snapshot_date",
	[FACT_STARS] = "stars",
	[FACT_FORKS] = "forks",
	[FACT_OPEN_ISSUES] = "open_issues",
	[FACT_STAR_VELOCITY] = "star_velocity",
	[FACT_ACTIVITY_SCORE] = "activity_score",
	[FACT_MOMENTUM_SCORE] = "momentum_score",
	[FACT_GROWTH_SCORE] = "growth_score",
	[FACT_RANK_OVERALL] = "rank_overall",
	[FACT_RANK_IN_LANGUAGE] = "rank_in_language",
	[FACT_OBSERVED_AT] = "observed_at",
	[FACT_PUSHED_AT] = "pushed_at",
	[FACT_IS_STALE] = "is_stale",
	[FACT_IS_OUTLIER] = "is_outlier",
	[FACT_MODEL] = "model",
	[FACT_MODEL_VERSION] = "model_version",
	[FACT_MOMENTUM_STATE] = "momentum_state",
};

/* A table being filled */
typedef struct FactWriter
{
	Relation	relation;
	int			attribute[FACT_COLUMNS];	/* position of each column, from 0 */
	Oid			sequence;
	Datum		model;
	BulkInsertState bulk;
	int			options;
	PageWriter *pages;			/* NULL = rows go through multi-inserts */
	TupleTableSlot *slots[ROWS_PER_BATCH];
	int			used;
	ItemPointerData *places;	/* where the next row's place is noted, or NULL */
	MemoryContext batch_context;
} FactWriter;

/* Finds the columns that we fill */
static void
find_columns(FactWriter *writer)
{
	int			column;

	for (column = 0; column < FACT_COLUMNS; column++)
	{
		AttrNumber	number = get_attnum(RelationGetRelid(writer->relation), fact_column_names[column]);

		if (number == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table \"fact_repo_snapshots\" does not exist",
							fact_column_names[column]),
					 errhint("Call flowlens.install() to bring the tables to this version.")));
		writer->attribute[column] = number - 1;
	}
}

/* Writes the rows of a batch as parts of pages */
static void
flush_to_pages(FactWriter *writer)
{
	int			i;

	for (i = 0; i < writer->used; i++)
	{
		TupleTableSlot *slot = writer->slots[i];
		HeapTuple	tuple = heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);

		page_writer_add(writer->pages, tuple);
		slot->tts_tid = tuple->t_self;
	}
}

/* Writes the rows of a batch */
static void
flush_batch(FactWriter *writer)
{
	int			i;

	if (writer->used == 0)
		return;
	if (writer->pages != NULL)
		flush_to_pages(writer);
	else
		table_multi_insert(writer->relation, writer->slots, writer->used, GetCurrentCommandId(true),
						   writer->options, writer->bulk);
	for (i = 0; i < writer->used; i++)
	{
		if (writer->places != NULL)
			*writer->places++ = writer->slots[i]->tts_tid;
		ExecClearTuple(writer->slots[i]);
	}
	writer->used = 0;
	MemoryContextReset(writer->batch_context);
}

/* Sets a column of a slot */
static inline void
set_column(FactWriter *writer, TupleTableSlot *slot, FactColumn column, Datum value, bool present)
{
	slot->tts_values[writer->attribute[column]] = value;
	slot->tts_isnull[writer->attribute[column]] = !present;
}

/* Turns a rank key into the score that is written; NaN for NULL */
double
snapshot_written_score(const SnapshotDay *day, const SnapshotRow *row, const SnapshotKey *key)
{
	if (day->model.is_trender)
		return key->score >= 0 ? key->score : get_float8_nan();
	return row->momentum >= 0 ? momentum_unit_score(&day->model.momentum, row->momentum) : get_float8_nan();
}

/* Turns a row's scores into columns; a row of which nothing is known has none */
static void
set_scores(FactWriter *writer, TupleTableSlot *slot, const SnapshotRow *row, const SnapshotKey *key)
{
	bool		known = row->momentum >= 0;
	double		velocity = known ? momentum_velocity(row->momentum) : 0;

	set_column(writer, slot, FACT_STAR_VELOCITY, Float8GetDatum(velocity), known);
	set_column(writer, slot, FACT_MOMENTUM_SCORE, Float8GetDatum(key->score), !isnan(key->score));
	set_column(writer, slot, FACT_GROWTH_SCORE, Float8GetDatum(growth_of_velocity(velocity, key->stars)), known);
	set_column(writer, slot, FACT_ACTIVITY_SCORE, Float8GetDatum(7 * row->activity), row->has_activity);
}

/* Copies state bytes into a datum */
static Datum
state_datum(const uint8 *state, uint16 size)
{
	bytea	   *copy = palloc(VARHDRSZ + size);

	SET_VARSIZE(copy, VARHDRSZ + size);
	memcpy(VARDATA(copy), state, size);
	return PointerGetDatum(copy);
}

/* Adds a row to the batch */
static void
add_row(FactWriter *writer, const SnapshotDay *day, const SnapshotRow *row, const uint8 *state,
		const SnapshotKey *key, const SnapshotRank *rank)
{
	TupleTableSlot *slot = writer->slots[writer->used++];

	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	set_column(writer, slot, FACT_SNAPSHOT_KEY, Int64GetDatum(nextval_internal(writer->sequence, false)), true);
	set_column(writer, slot, FACT_REPO_KEY, Int64GetDatum(row->repo_key), true);
	set_column(writer, slot, FACT_LANGUAGE_KEY, Int64GetDatum(day->languages[key->language].language_key), key->language > 0);
	set_column(writer, slot, FACT_GITHUB_ID, Int64GetDatum(key->github_id), true);
	set_column(writer, slot, FACT_SNAPSHOT_DATE, DateADTGetDatum(day->day), true);
	set_column(writer, slot, FACT_STARS, Int64GetDatum(key->stars), true);
	set_column(writer, slot, FACT_FORKS, Int64GetDatum(row->forks), row->has_forks);
	set_column(writer, slot, FACT_OPEN_ISSUES, Int64GetDatum(row->open_issues), row->has_open_issues);
	set_scores(writer, slot, row, key);
	set_column(writer, slot, FACT_RANK_OVERALL, Int32GetDatum(rank->overall), true);
	set_column(writer, slot, FACT_RANK_IN_LANGUAGE, Int32GetDatum(rank->in_language), true);
	set_column(writer, slot, FACT_OBSERVED_AT, TimestampTzGetDatum(row->observed_at), true);
	set_column(writer, slot, FACT_PUSHED_AT, TimestampTzGetDatum(row->pushed_at), row->has_pushed_at);
	set_column(writer, slot, FACT_IS_STALE, BoolGetDatum(row->is_stale), true);
	set_column(writer, slot, FACT_IS_OUTLIER, BoolGetDatum(row->momentum == SNAPSHOT_OUTLIER), true);
	set_column(writer, slot, FACT_MODEL, writer->model, true);
	set_column(writer, slot, FACT_MODEL_VERSION, Int16GetDatum(day->model.version), true);
	set_column(writer, slot, FACT_MOMENTUM_STATE, state_datum(state, row->state_size), row->state_size > 0);
	ExecStoreVirtualTuple(slot);
}

/*
 * Chooses how rows are written
 *
 * Nobody else can see a table that this transaction has created, so its rows
 * are frozen from the start: indexes are built faster, and no vacuum has to
 * come back for them.
 */
static int
bulk_options(Relation relation)
{
	if (relation->rd_createSubid == InvalidSubTransactionId)
		return 0;
	return TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN;
}

/* Prepares a table for filling */
static void
open_writer(FactWriter *writer, Oid table, const SnapshotDay *day)
{
	int			i;

	writer->relation = table_open(table, RowExclusiveLock);
	find_columns(writer);
	writer->sequence = flowlens_relation("fact_repo_snapshots_snapshot_key_seq");
	writer->model = CStringGetTextDatum(day->model.name);
	writer->bulk = GetBulkInsertState();
	writer->options = bulk_options(writer->relation);
	writer->pages = page_writer_applies(writer->relation) ? page_writer_open(writer->relation) : NULL;
	writer->used = 0;
	writer->places = day->places;
	writer->batch_context = AllocSetContextCreate(CurrentMemoryContext, "snapshot batch", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < ROWS_PER_BATCH; i++)
		writer->slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(writer->relation), &TTSOpsVirtual);
}

/* Writes what is left and releases the table */
static void
close_writer(FactWriter *writer)
{
	int			i;

	flush_batch(writer);
	if (writer->pages != NULL)
		page_writer_close(writer->pages);
	for (i = 0; i < ROWS_PER_BATCH; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	FreeBulkInsertState(writer->bulk);
	table_finish_bulk_insert(writer->relation, writer->options);
	table_close(writer->relation, NoLock);
	MemoryContextDelete(writer->batch_context);
}

/* Writes all rows of a day, with their ranks, into an empty table without indexes */
void
snapshot_write_rows(SnapshotDay *day, const SnapshotRank *ranks, Oid table)
{
	FactWriter	writer;
	SnapshotRow row;
	uint8		state[MOMENTUM_HISTORY_BYTES];
	MemoryContext old;
	int64		i = 0;

	open_writer(&writer, table, day);
	if (BufFileSeek(day->rows, 0, 0, SEEK_SET) != 0)
		elog(ERROR, "could not rewind the rows of the day");
	old = MemoryContextSwitchTo(writer.batch_context);
	while (snapshot_read_row(day, &row, state))
	{
		/* ranks are there: from now on the key holds what is written, for the indexes */
		day->keys[i].score = snapshot_written_score(day, &row, &day->keys[i]);
		add_row(&writer, day, &row, state, &day->keys[i], &ranks[i]);
		i++;
		if (writer.used == ROWS_PER_BATCH)
		{
			CHECK_FOR_INTERRUPTS();
			flush_batch(&writer);
		}
	}
	MemoryContextSwitchTo(old);
	close_writer(&writer);
}

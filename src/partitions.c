/*
 * partitions.c
 *		Partitions by UTC day, created before a row needs them.
 *
 * A partition is built beside its parent and then attached, because ATTACH
 * PARTITION lets readers and writers of the parent go on, which CREATE TABLE
 * ... PARTITION OF does not.  Storing never creates one: a row whose day has
 * none waits in the default partition, and moves when the partition is made by
 * somebody who is about to commit; where the table is published, it moves after
 * the attachment, because subscribers do not see what a table held before.  Its
 * range is one policy interval (day, week or month) around the day, cut where
 * an existing partition begins or ends, so that a changed interval affects
 * future partitions only.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "compat.h"
#include "partitions.h"
#include "sharding.h"
#include "util_days.h"
#include "util_lock.h"
#include "util_spi.h"
#include "util_user.h"

/* Where a day falls among the partitions of a table */
typedef struct PartitionGap
{
	Oid			partition;		/* the one that holds it, except the default; InvalidOid = none */
	bool		by_date;		/* partition key is a date, not a timestamptz */
	DateADT		lower;			/* first day of that partition, or of the free range around the day */
	DateADT		upper;			/* first day behind it */
} PartitionGap;

/* The parts of the DDL that makes a partition; names are quoted */
typedef struct NewPartition
{
	char	   *parent;
	char	   *partition;
	char	   *default_partition;	/* NULL = there is none */
	char	   *key_column;
	char	   *columns;
	char	   *lower;			/* literals of the key's type */
	char	   *upper;
	bool		holds_answers;	/* a raw table: rows with a large document */
	bool		is_published;	/* subscribers follow the parent */
} NewPartition;

static SpiStep interval_step = {
	.sql = "SELECT CASE p.partition_interval WHEN interval '7 days' THEN 'week' WHEN interval '1 month' THEN 'month' END "
	"FROM flowlens.retention_policies p WHERE p.table_name = $1",
	.nargs = 1,
	.argtypes = {TEXTOID},
	.expected = SPI_OK_SELECT
};

/* Returns the OID of a table in schema flowlens; says what to do when it is missing */
Oid
flowlens_relation(const char *name)
{
	Oid			namespace_oid = get_namespace_oid("flowlens", true);
	Oid			relation_oid = OidIsValid(namespace_oid) ? get_relname_relid(name, namespace_oid) : InvalidOid;

	if (!OidIsValid(relation_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"flowlens.%s\" does not exist", name),
				 errhint("Call flowlens.install() to create the tables.")));
	return relation_oid;
}

/* Tells whether inserts into a table go to subscribers, who do not learn of a table that is attached with its rows */
bool
relation_is_published(Relation relation)
{
	PublicationDesc description;

	RelationBuildPublicationDesc(relation, &description);
	return description.pubactions.pubinsert;
}

/* Returns the name of the partition that begins on a day */
char *
partition_name(const char *parent_name, DateADT day)
{
	int			year;
	int			month;
	int			mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	/* a long name is cut where a character ends, so that the day stays */
	return makeObjectName(parent_name, psprintf("p%04d%02d%02d", year, month, mday), NULL);
}

/* Checks that a table is partitioned by range over one date or timestamptz column */
static void
check_partitioned_by_day(Relation parent, PartitionKey key)
{
	if (key != NULL && key->strategy == PARTITION_STRATEGY_RANGE && key->partnatts == 1 &&
		(key->parttypid[0] == DATEOID || key->parttypid[0] == TIMESTAMPTZOID))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("table \"%s\" is not partitioned by day", RelationGetRelationName(parent)),
			 errdetail("It has to be partitioned by range over one date or timestamptz column.")));
}

/* Converts a finite bound of a partition to the UTC day that it falls on, rounded up on demand */
static DateADT
bound_day(Datum bound, bool by_date, bool round_up)
{
	TimestampTz instant;

	if (by_date)
		return DatumGetDateADT(bound);
	instant = DatumGetTimestampTz(bound);
	return utc_day(instant) + (round_up && instant % USECS_PER_DAY != 0 ? 1 : 0);
}

/* Finds the partition or the free range that a day falls into */
static PartitionGap
find_gap(Relation parent, DateADT day)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	PartitionDesc partitions;
	PartitionBoundInfo bounds;
	PartitionGap gap = {.partition = InvalidOid, .lower = DATEVAL_NOBEGIN, .upper = DATEVAL_NOEND};
	Datum		value;
	bool		is_equal;
	int			offset;

	check_partitioned_by_day(parent, key);
	gap.by_date = key->parttypid[0] == DATEOID;
	value = gap.by_date ? DateADTGetDatum(day) : TimestampTzGetDatum(utc_day_start(day));
	partitions = RelationGetPartitionDesc(parent, false);
	bounds = partitions->boundinfo;
	if (bounds == NULL || bounds->ndatums == 0)
		return gap;

	offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1, &value, &is_equal);
	if (bounds->indexes[offset + 1] >= 0)
		gap.partition = partitions->oids[bounds->indexes[offset + 1]];
	if (offset >= 0 && bounds->kind[offset][0] == PARTITION_RANGE_DATUM_VALUE)
		gap.lower = bound_day(bounds->datums[offset][0], gap.by_date, true);
	if (offset + 1 < bounds->ndatums && bounds->kind[offset + 1][0] == PARTITION_RANGE_DATUM_VALUE)
		gap.upper = bound_day(bounds->datums[offset + 1][0], gap.by_date, false);
	return gap;
}

/* Returns the partition, other than the default, that holds a day, or InvalidOid; says whether it holds no other day */
Oid
partition_of_day(Oid parent, DateADT day, bool *single_day)
{
	Relation	relation = table_open(parent, AccessShareLock);
	PartitionGap gap = find_gap(relation, day);

	table_close(relation, NoLock);
	*single_day = gap.lower == day && gap.upper == day + 1;
	return gap.partition;
}

/* Widens a day to the policy's interval of its table: a day, a week from Monday, or a month */
static void
widen_to_policy(const char *parent_name, DateADT day, DateADT *lower, DateADT *upper)
{
	Datum		values[1];
	char	   *interval;

	values[0] = CStringGetTextDatum(parent_name);
	interval = spi_single_text(&interval_step, values, NULL);
	*lower = day;
	*upper = day + 1;
	if (interval == NULL)
		return;
	if (strcmp(interval, "week") == 0)
	{
		/* Julian day numbers begin on a Monday */
		*lower = day - (day + POSTGRES_EPOCH_JDATE) % 7;
		*upper = *lower + 7;
	}
	else if (strcmp(interval, "month") == 0)
	{
		int			year;
		int			month;
		int			mday;

		j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
		*lower = day - mday + 1;
		*upper = date2j(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) - POSTGRES_EPOCH_JDATE;
	}
}

/* Writes a day as a quoted ISO date, with the start of the UTC day on demand */
char *
day_literal(DateADT day, bool as_instant)
{
	int			year;
	int			month;
	int			mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return psprintf("'%04d-%02d-%02d%s'", year, month, mday, as_instant ? " 00:00:00+00" : "");
}

/* Lists the columns of a table that can be written, quoted */
static char *
column_list(Relation relation)
{
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), i);

		if (attribute->attisdropped || attribute->attgenerated)
			continue;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(NameStr(attribute->attname)));
	}
	return list.data;
}

/* Describes the partition to create for a day, in words that DDL takes */
static void
describe_partition(Relation parent, DateADT day, const PartitionGap *gap, NewPartition *new)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	const char *namespace = get_namespace_name(RelationGetNamespace(parent));
	const char *parent_name = RelationGetRelationName(parent);
	Oid			default_oid = get_default_partition_oid(RelationGetRelid(parent));
	DateADT		first;
	DateADT		behind;

	widen_to_policy(parent_name, day, &first, &behind);
	first = Max(first, gap->lower);
	behind = Min(behind, gap->upper);
	new->parent = pstrdup(quote_qualified_identifier(namespace, parent_name));
	new->partition = pstrdup(quote_qualified_identifier(namespace, partition_name(parent_name, first)));
	new->default_partition = !OidIsValid(default_oid) ? NULL :
		pstrdup(quote_qualified_identifier(get_namespace_name(get_rel_namespace(default_oid)),
										   get_rel_name(default_oid)));
	new->key_column = pstrdup(quote_identifier(get_attname(RelationGetRelid(parent), key->partattrs[0], false)));
	new->columns = column_list(parent);
	new->lower = day_literal(first, !gap->by_date);
	new->upper = day_literal(behind, !gap->by_date);
	new->holds_answers = strncmp(parent_name, "raw_", 4) == 0;
	new->is_published = relation_is_published(parent);
}

/*
 * Moves rows out of the default partition to another table; returns how many
 *
 * Nobody else may write there until the new partition is attached, because a
 * row of its range would make that fail.  Without ONLY: with it, Citus would
 * look for the rows of a distributed table on this server.
 */
static uint64
move_rows(const NewPartition *new, const char *target)
{
	spi_run(psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", new->default_partition), SPI_OK_UTILITY);
	return spi_run(psprintf("WITH moved AS (DELETE FROM %s WHERE %s >= %s AND %s < %s RETURNING %s) "
							"INSERT INTO %s (%s) SELECT %s FROM moved",
							new->default_partition, new->key_column, new->lower, new->key_column, new->upper,
							new->columns, target, new->columns, new->columns),
				   SPI_OK_INSERT);
}

/* Creates a partition and attaches it last; returns how many rows moved into it */
static uint64
create_partition(const NewPartition *new)
{
	uint64		moved = 0;

	spi_run(psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED "
					 "INCLUDING STORAGE INCLUDING COMPRESSION)", new->partition, new->parent),
			SPI_OK_UTILITY);
	if (new->holds_answers)
		spi_run(psprintf("ALTER TABLE %s SET (toast_tuple_target = 4080)", new->partition), SPI_OK_UTILITY);
	if (new->default_partition != NULL)
	{
		if (new->is_published)
			spi_run(psprintf("CREATE TEMP TABLE flowlens_moved_rows (LIKE %s) ON COMMIT DROP", new->parent), SPI_OK_UTILITY);
		moved = move_rows(new, new->is_published ? "pg_temp.flowlens_moved_rows" : new->partition);
	}
	spi_run(psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
					 new->parent, new->partition, new->lower, new->upper), SPI_OK_UTILITY);
	if (new->default_partition != NULL && new->is_published)
	{
		spi_run(psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pg_temp.flowlens_moved_rows",
						 new->parent, new->columns, new->columns), SPI_OK_INSERT);
		spi_run("DROP TABLE pg_temp.flowlens_moved_rows", SPI_OK_UTILITY);
	}
	return moved;
}

/*
 * Makes a partition for a day unless there is one; returns whether it made one
 *
 * Of two sessions that need the same new partition, the second waits for the
 * first to commit.
 */
static bool
make_partition(Oid parent, DateADT day, uint64 *moved)
{
	Relation	relation;
	PartitionGap gap;
	NewPartition new;
	SavedUser	saved;
	bool		single_day;

	*moved = 0;
	if (OidIsValid(partition_of_day(parent, day, &single_day)))
		return false;
	flowlens_lock(FLOWLENS_LOCK_PARTITION, parent);
	AcceptInvalidationMessages();
	relation = table_open(parent, AccessShareLock);
	gap = find_gap(relation, day);
	if (!OidIsValid(gap.partition))
		describe_partition(relation, day, &gap, &new);
	/* DDL refuses a table that this session has open */
	table_close(relation, NoLock);
	if (OidIsValid(gap.partition))
		return false;
	act_as_owner(parent, &saved);
	*moved = create_partition(&new);
	/* Citus has copied the rows to the shards and left them here too */
	if (*moved > 0 && is_distributed(parent))
		spi_run(psprintf("SELECT truncate_local_data_after_distributing_table(%s)", quote_literal_cstr(new.partition)), SPI_OK_SELECT);
	act_as_before(&saved);
	return true;
}

/* Makes sure that a table has a partition for a day; returns whether it made one; the caller has done SPI_connect() */
bool
ensure_partition(Oid parent, DateADT day)
{
	uint64		moved;

	return make_partition(parent, day, &moved);
}

/*
 * Lets a row of a day be stored, with or without a partition
 *
 * Where there is none, nobody makes it until the transaction ends: the server
 * refuses a row that is on its way to the default partition when the right one
 * appears meanwhile.  Others may store such rows at the same time.
 */
void
allow_default_partition(Oid parent, DateADT day)
{
	bool		single_day;

	if (OidIsValid(partition_of_day(parent, day, &single_day)))
		return;
	flowlens_lock_shared(FLOWLENS_LOCK_PARTITION, parent);
	/* we may have waited for the one who made it */
	AcceptInvalidationMessages();
}

/* Makes a partition for the arguments of a call, a table and a day, unless there is one; returns whether it made one */
static bool
make_partition_for_call(FunctionCallInfo fcinfo, uint64 *moved)
{
	Oid			parent = PG_GETARG_OID(0);
	DateADT		day = PG_GETARG_DATEADT(1);
	bool		created;

	check_snapshot_date(day);
	/* a regclass may be only a number */
	if (get_rel_name(parent) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", parent)));
	SPI_connect();
	created = make_partition(parent, day, moved);
	SPI_finish();
	return created;
}

PG_FUNCTION_INFO_V1(flowlens_ensure_partition);

/* SQL: makes sure that a table has a partition for a day; returns whether it made one */
Datum
flowlens_ensure_partition(PG_FUNCTION_ARGS)
{
	uint64		moved;

	PG_RETURN_BOOL(make_partition_for_call(fcinfo, &moved));
}

PG_FUNCTION_INFO_V1(flowlens_move_from_default);

/* SQL: makes a partition for a day unless there is one; returns how many rows moved into it */
Datum
flowlens_move_from_default(PG_FUNCTION_ARGS)
{
	uint64		moved;

	(void) make_partition_for_call(fcinfo, &moved);
	PG_RETURN_INT64((int64) moved);
}

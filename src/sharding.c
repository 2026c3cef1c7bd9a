/*
 * sharding.c
 *		Tells tables whose rows the Citus extension keeps on other servers.
 *
 * The heap of such a table is empty on this server: whatever reads or writes
 * below SQL has to ask first.  Citus is not linked; its catalog is looked up by
 * name, which costs nothing where the extension is not there.
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "sharding.h"
#include "util_spi.h"

static SpiStep distributed_step = {
	.sql = "SELECT 1 FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {REGCLASSOID},
	.expected = SPI_OK_SELECT
};

/* Fails in a session whose dates workers would misread: Citus writes them in its DateStyle, workers read them in theirs */
static void
check_date_style(void)
{
	if (DateStyle != USE_ISO_DATES)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("distributed tables need DateStyle \"ISO\""),
				 errdetail("Citus sends dates to the workers in the DateStyle of the session."),
				 errhint("SET datestyle = 'ISO'.")));
}

/*
 * Tells whether Citus keeps the rows of a relation, and fails if this session
 * must not work with such a relation; the caller has done SPI_connect()
 */
bool
is_distributed(Oid relation)
{
	Datum		values[1] = {ObjectIdGetDatum(relation)};

	if (!OidIsValid(get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE)))
		return false;
	if (spi_step_run(&distributed_step, values, NULL) == 0)
		return false;
	check_date_style();
	return true;
}

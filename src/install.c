/*
 * install.c
 *		The files of database/schema, carried in the library.
 *
 * install() runs them, and so does psql without the extension: the DDL has
 * one source.  schema_files.h is generated from them when the library is built.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "compat.h"

typedef struct SchemaFile
{
	const char *name;			/* file name without folder */
	const char *ddl;			/* its text, several statements */
} SchemaFile;

static const SchemaFile schema_files[] = {
#include "schema_files.h"
};

PG_FUNCTION_INFO_V1(flowlens_schema_files);

/* Returns one row (position, file_name, ddl) per embedded file, in load order */
Datum
flowlens_schema_files(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < (int) lengthof(schema_files); i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = CStringGetTextDatum(schema_files[i].name);
		values[2] = CStringGetTextDatum(schema_files[i].ddl);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * util_spi.c
 *		Running prepared steps and one-off statements through SPI.
 *
 * The caller has done SPI_connect().
 */
#include "postgres.h"

#include "executor/spi.h"

#include "compat.h"
#include "util_spi.h"

/* Prepares a step on its first run and keeps its plan for the backend's life */
static SPIPlanPtr
spi_step_plan(SpiStep *step)
{
	if (step->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(step->sql, step->nargs, step->argtypes);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare step: %s", SPI_result_code_string(SPI_result));
		step->plan = plan;
	}
	return step->plan;
}

/* Runs a step and returns the number of rows that it processed */
uint64
spi_step_run(SpiStep *step, Datum *values, const char *nulls)
{
	int			result = SPI_execute_plan(spi_step_plan(step), values, nulls, false, 0);

	if (result != step->expected)
		elog(ERROR, "step returned %s: %.60s", SPI_result_code_string(result), step->sql);
	return SPI_processed;
}

/* Runs a query and hands its rows, one by one as they come, to a receiver */
void
spi_step_receive(SpiStep *step, Datum *values, const char *nulls, DestReceiver *receiver)
{
	SPIExecuteOptions options = {0};
	/* an empty list would crash Citus 13 */
	ParamListInfo params = step->nargs > 0 ? makeParamList(step->nargs) : NULL;
	int			result;
	int			i;

	for (i = 0; i < step->nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = nulls != NULL && nulls[i] == 'n';
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = step->argtypes[i];
	}
	options.params = params;
	options.dest = receiver;
	result = SPI_execute_plan_extended(spi_step_plan(step), &options);
	if (result != step->expected)
		elog(ERROR, "step returned %s: %.60s", SPI_result_code_string(result), step->sql);
}

/* Runs a statement that was built for this occasion, such as DDL */
uint64
spi_run(const char *sql, int expected)
{
	int			result = SPI_execute(sql, false, 0);

	if (result != expected)
		elog(ERROR, "statement returned %s: %.60s", SPI_result_code_string(result), sql);
	return SPI_processed;
}

/* Reads a bigint column of a result row; NULL counts as 0 */
int64
spi_row_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* Reads a bigint column of the first result row; NULL, or no row, counts as 0 */
int64
spi_result_int64(int column)
{
	return SPI_processed == 0 ? 0 : spi_row_int64(0, column);
}

/* Runs a step and returns its first row's first column as text, or NULL */
char *
spi_single_text(SpiStep *step, Datum *values, const char *nulls)
{
	if (spi_step_run(step, values, nulls) == 0)
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

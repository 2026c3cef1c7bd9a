/*
 * util_spi.h
 *		Prepared steps: fixed SQL that a topic runs again and again.
 *
 * A topic keeps an array of SpiStep; each is prepared once per backend when it
 * first runs.  The server replans it by itself when a table changes.
 */
#ifndef FLOWLENS_UTIL_SPI_H
#define FLOWLENS_UTIL_SPI_H

#include "postgres.h"

#include "executor/spi.h"
#include "tcop/dest.h"

#define SPI_STEP_MAX_ARGS 12

typedef struct SpiStep
{
	const char *sql;			/* names qualified, values as $n */
	int			nargs;
	Oid			argtypes[SPI_STEP_MAX_ARGS];
	int			expected;		/* SPI_OK_xxx that it has to return */
	SPIPlanPtr	plan;			/* NULL until first run */
} SpiStep;

extern uint64 spi_step_run(SpiStep *step, Datum *values, const char *nulls);
extern void spi_step_receive(SpiStep *step, Datum *values, const char *nulls, DestReceiver *receiver);
extern uint64 spi_run(const char *sql, int expected);
extern int64 spi_result_int64(int column);
extern int64 spi_row_int64(uint64 row, int column);
extern char *spi_single_text(SpiStep *step, Datum *values, const char *nulls);

#endif							/* FLOWLENS_UTIL_SPI_H */

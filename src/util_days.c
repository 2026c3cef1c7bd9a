/*
 * util_days.c
 *		Checks of the points in time that callers pass.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "util_days.h"

/* 1970-01-01 and 9999-12-31 as days since 2000-01-01: what a partition can be named after */
#define FIRST_DAY (-10957)
#define LAST_DAY 2921939

/* Rejects an observation time outside the years 1970 to 9999 */
void
check_observed_at(TimestampTz observed_at)
{
	if (TIMESTAMP_NOT_FINITE(observed_at) || utc_day(observed_at) < FIRST_DAY || utc_day(observed_at) > LAST_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("\"observed_at\" must lie in the years 1970 to 9999")));
}

/* Rejects a day outside the years 1970 to 9999 */
void
check_snapshot_date(DateADT day)
{
	if (day < FIRST_DAY || day > LAST_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the day must lie in the years 1970 to 9999")));
}

/* Rejects a day that has not begun: nothing can have been observed on it, and a board of yesterday's rows would be published */
void
check_day_has_begun(DateADT day)
{
	DateADT		today = utc_day(GetCurrentTimestamp());

	if (day > today)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("day \"%s\" has not begun", DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)))),
				 errdetail("Today is \"%s\" in UTC.", DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(today)))),
				 errhint("Leave \"snapshot_date\" out for today; preview_snapshots() shows the board of a day to come.")));
}

PG_FUNCTION_INFO_V1(flowlens_target_day);

/* SQL: returns a day that has begun, NULL = today */
Datum
flowlens_target_day(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_DATEADT(utc_day(GetCurrentTimestamp()));
	check_snapshot_date(PG_GETARG_DATEADT(0));
	check_day_has_begun(PG_GETARG_DATEADT(0));
	PG_RETURN_DATEADT(PG_GETARG_DATEADT(0));
}

/*
 * util_days.c
 *		Checks of the points in time that callers pass.
 */
#include "postgres.h"

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

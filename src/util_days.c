/*
 * util_days.c
 *		Checks of the points in time that callers pass.
 */
#include "postgres.h"

#include "compat.h"
#include "util_days.h"

/* Rejects an observation time that lies at infinity */
void
check_observed_at(TimestampTz observed_at)
{
	if (TIMESTAMP_NOT_FINITE(observed_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("\"observed_at\" must be a finite point in time")));
}

/* Rejects a day that lies at infinity */
void
check_snapshot_date(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("\"snapshot_date\" must be a finite date")));
}

/*
 * util_days.h
 *		UTC days: a day is the same for everybody, whatever the session's TimeZone.
 */
#ifndef FLOWLENS_UTIL_DAYS_H
#define FLOWLENS_UTIL_DAYS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/timestamp.h"

/* Returns the UTC day of a finite instant */
static inline DateADT
utc_day(TimestampTz instant)
{
	int64		day = instant / USECS_PER_DAY;

	if (instant % USECS_PER_DAY < 0)
		day--;
	return (DateADT) day;
}

/* Returns the first instant of a UTC day */
static inline TimestampTz
utc_day_start(DateADT day)
{
	return (TimestampTz) day * USECS_PER_DAY;
}

extern void check_observed_at(TimestampTz observed_at);
extern void check_snapshot_date(DateADT day);
extern void check_day_has_begun(DateADT day);

#endif							/* FLOWLENS_UTIL_DAYS_H */

/*
 * github_timestamp.c
 *		Reads the timestamps that GitHub sends.
 *
 * REST answers have RFC 3339 strings, push events have seconds since 1970.  The
 * strings are read here and not by timestamptz_in, which is 20 times slower,
 * takes words such as "tomorrow", and raises an error for what it does not take.
 */
#include "postgres.h"

#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "github_repo.h"

#define SECONDS_1970_TO_2000 ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)
#define SECONDS_TO_YEAR_10000 INT64CONST(253402300800)

/* Reads exactly so many digits; returns -1 when there are others */
static int
read_digits(const char *text, int count)
{
	int			value = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

/* Reads YYYY-MM-DD as days since 2000-01-01 */
static bool
read_date(const char *text, int64 *days)
{
	int			year = read_digits(text, 4);
	int			month = read_digits(text + 5, 2);
	int			day = read_digits(text + 8, 2);

	if (text[4] != '-' || text[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return false;
	*days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return true;
}

/* Reads HH:MM:SS as microseconds; a leap second counts as the next minute's first */
static bool
read_time(const char *text, int64 *usecs)
{
	int			hour = read_digits(text, 2);
	int			minute = read_digits(text + 3, 2);
	int			second = read_digits(text + 6, 2);

	if (text[2] != ':' || text[5] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
		second < 0 || second > 60)
		return false;
	*usecs = ((int64) hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second) * USECS_PER_SEC;
	return true;
}

/* Reads a fraction of a second as microseconds, cut behind the sixth digit; returns its end */
static const char *
read_fraction(const char *text, const char *end, int64 *usecs)
{
	int64		unit = USECS_PER_SEC / 10;

	*usecs = 0;
	for (; text < end && *text >= '0' && *text <= '9'; text++, unit /= 10)
		*usecs += (*text - '0') * unit;
	return text;
}

/* Reads Z or +HH:MM as microseconds east of UTC */
static bool
read_offset(const char *text, const char *end, int64 *usecs)
{
	int			hour;
	int			minute;

	*usecs = 0;
	if (end - text == 1 && (*text == 'Z' || *text == 'z'))
		return true;
	if (end - text != 6 || (*text != '+' && *text != '-') || text[3] != ':')
		return false;
	hour = read_digits(text + 1, 2);
	minute = read_digits(text + 4, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return false;
	*usecs = ((int64) hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE) * USECS_PER_SEC;
	if (*text == '-')
		*usecs = -*usecs;
	return true;
}

/* Reads an RFC 3339 timestamp */
static bool
read_rfc3339(const char *text, uint32 length, TimestampTz *result)
{
	const char *end = text + length;
	const char *rest = text + 19;
	int64		days;
	int64		time;
	int64		fraction = 0;
	int64		offset;

	if (length < 20 || (text[10] != 'T' && text[10] != 't') || !read_date(text, &days) || !read_time(text + 11, &time))
		return false;
	if (*rest == '.')
	{
		rest = read_fraction(rest + 1, end, &fraction);
		if (rest == text + 20)
			return false;
	}
	if (!read_offset(rest, end, &offset))
		return false;
	*result = days * USECS_PER_DAY + time + fraction - offset;
	return true;
}

/* Reads a timestamp of GitHub: an RFC 3339 string or seconds since 1970 */
bool
github_timestamp(const JsonbSlice *slice, TimestampTz *result)
{
	int64		seconds;

	if (JBE_ISSTRING(slice->entry))
		return read_rfc3339(slice->data, slice->length, result);
	if (!jsonb_slice_int64(slice, &seconds) || seconds < 0 || seconds >= SECONDS_TO_YEAR_10000)
		return false;
	*result = (seconds - SECONDS_1970_TO_2000) * USECS_PER_SEC;
	return true;
}

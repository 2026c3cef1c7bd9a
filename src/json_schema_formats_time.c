/*
 * json_schema_formats_time.c
 *		The formats "date-time", "date", "time" and "duration" of RFC 3339.
 */
#include "json_schema_formats.h"

#define MINUTES_PER_DAY (24 * 60)

/* What is left of a text; a reader that succeeds moves it forward */
typedef struct Rest
{
	const char *at;
	const char *end;
} Rest;

/* Returns whether the rest starts with a digit */
static bool
at_digit(const Rest *rest)
{
	return rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9';
}

/* Reads one given character */
static bool
read_char(Rest *rest, char c)
{
	if (rest->at >= rest->end || *rest->at != c)
		return false;
	rest->at++;
	return true;
}

/* Reads one given letter in either case (RFC 3339, section 5.6) */
static bool
read_letter(Rest *rest, char upper)
{
	return read_char(rest, upper) || read_char(rest, upper - 'A' + 'a');
}

/* Reads a number of exactly so many digits that is not above max */
static bool
read_number(Rest *rest, int digits, int max, int *value)
{
	*value = 0;
	while (digits-- > 0)
	{
		if (!at_digit(rest))
			return false;
		*value = *value * 10 + (*rest->at++ - '0');
	}
	return *value <= max;
}

/* Returns the number of days of a month */
static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Reads "full-date" */
static bool
read_date(Rest *rest)
{
	int			year;
	int			month;
	int			day;

	return read_number(rest, 4, 9999, &year) && read_char(rest, '-') &&
		read_number(rest, 2, 12, &month) && month >= 1 && read_char(rest, '-') &&
		read_number(rest, 2, 31, &day) && day >= 1 &&
		day <= days_in_month(year, month);
}

/* Reads "time-secfrac" if it is there; fails on a point without digits */
static bool
read_fraction(Rest *rest)
{
	if (!read_char(rest, '.'))
		return true;
	if (!at_digit(rest))
		return false;
	while (at_digit(rest))
		rest->at++;
	return true;
}

/* Reads "time-offset" in minutes east of UTC */
static bool
read_offset(Rest *rest, int *minutes)
{
	int			hour;
	int			minute;
	bool		west;

	*minutes = 0;
	if (read_letter(rest, 'Z'))
		return true;
	west = read_char(rest, '-');
	if (!west && !read_char(rest, '+'))
		return false;
	if (!read_number(rest, 2, 23, &hour) || !read_char(rest, ':') ||
		!read_number(rest, 2, 59, &minute))
		return false;
	*minutes = (hour * 60 + minute) * (west ? -1 : 1);
	return true;
}

/* Reads "full-time"; second 60 only exists in the last minute of a UTC day */
static bool
read_time(Rest *rest)
{
	int			hour;
	int			minute;
	int			second;
	int			offset;

	if (!read_number(rest, 2, 23, &hour) || !read_char(rest, ':') ||
		!read_number(rest, 2, 59, &minute) || !read_char(rest, ':') ||
		!read_number(rest, 2, 60, &second) ||
		!read_fraction(rest) || !read_offset(rest, &offset))
		return false;
	return second < 60 ||
		(hour * 60 + minute - offset + MINUTES_PER_DAY) % MINUTES_PER_DAY == MINUTES_PER_DAY - 1;
}

/* Checks the format "date" */
bool
json_schema_is_date(const char *text, int length)
{
	Rest		rest = {text, text + length};

	return read_date(&rest) && rest.at == rest.end;
}

/* Checks the format "time" */
bool
json_schema_is_time(const char *text, int length)
{
	Rest		rest = {text, text + length};

	return read_time(&rest) && rest.at == rest.end;
}

/* Checks the format "date-time" */
bool
json_schema_is_date_time(const char *text, int length)
{
	Rest		rest = {text, text + length};

	return read_date(&rest) && read_letter(&rest, 'T') && read_time(&rest) &&
		rest.at == rest.end;
}

/* Reads digits with the unit letter behind them */
static bool
read_amount(Rest *rest, char unit)
{
	Rest		start = *rest;

	while (at_digit(rest))
		rest->at++;
	if (rest->at > start.at && read_letter(rest, unit))
		return true;
	*rest = start;
	return false;
}

/*
 * Reads one or more amounts in the order of units.  The grammar nests each
 * smaller unit in the next larger one, so that none in the middle may be left out.
 */
static bool
read_amounts(Rest *rest, const char *units)
{
	while (*units != '\0' && !read_amount(rest, *units))
		units++;
	if (*units == '\0')
		return false;
	for (units++; *units != '\0'; units++)
	{
		if (!read_amount(rest, *units))
			break;
	}
	return true;
}

/* Checks the format "duration" (RFC 3339, appendix A) */
bool
json_schema_is_duration(const char *text, int length)
{
	Rest		rest = {text, text + length};
	bool		has_date;

	if (!read_letter(&rest, 'P'))
		return false;
	if (read_amount(&rest, 'W'))
		return rest.at == rest.end;
	has_date = read_amounts(&rest, "YMD");
	if (read_letter(&rest, 'T'))
		return read_amounts(&rest, "HMS") && rest.at == rest.end;
	return has_date && rest.at == rest.end;
}

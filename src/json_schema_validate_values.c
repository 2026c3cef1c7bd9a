/*
 * json_schema_validate_values.c
 *		Keywords that look at one value: enum, const, and the limits of numbers
 *		and strings.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_formats.h"
#include "json_schema_patterns.h"
#include "json_schema_validate.h"

/* Says whether a string is among the allowed ones, which are sorted */
static bool
find_string(const JsonSchemaEnum *allowed, const JsonSchemaValue *value)
{
	int			low = 0;
	int			high = allowed->string_count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const JsonSchemaString *string = &allowed->strings[middle];
		int			order = json_schema_compare_keys(value->data, value->length,
													 string->data, string->length);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* Checks enum or const */
bool
json_schema_check_enum(JsonSchemaRun *run, const JsonSchemaEnum *allowed,
					   const JsonSchemaValue *value, const JsonSchemaFrame *frame)
{
	bool		found = false;
	int			i;

	if (value->kind == JSON_SCHEMA_STRING)
		found = find_string(allowed, value);
	else
		for (i = 0; i < allowed->other_count && !found; i++)
			found = json_schema_compare_values(&allowed->others[i], value) == 0;
	if (!found && run->report != NULL)
		json_schema_report(run, frame, allowed->keyword, "must be %s",
						   json_schema_describe_enum(allowed));
	return found;
}

/* Compares two numbers */
static int
compare_numbers(const JsonSchemaValue *value, Numeric limit)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, PointerGetDatum(value->data),
											 NumericGetDatum(limit)));
}

/* Returns a number that is needed often, made once per backend */
static Datum
kept_number(Numeric *kept, int64 number)
{
	if (*kept == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		*kept = int64_to_numeric(number);
		MemoryContextSwitchTo(caller);
	}
	return NumericGetDatum(*kept);
}

/* Reads a whole number of at most 15 digits without allocation; false: it is another one */
static bool
small_integer(Datum number, int64 *result)
{
	static Numeric least = NULL;
	static Numeric most = NULL;

	if (DatumGetInt32(DirectFunctionCall1(numeric_scale, number)) != 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number,
										  kept_number(&least, -INT64CONST(999999999999999)))) < 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number,
										  kept_number(&most, INT64CONST(999999999999999)))) > 0)
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	return true;
}

/* Says whether a number is a whole multiple of another, exactly */
static bool
is_multiple(const JsonSchemaValue *value, Numeric divisor)
{
	Datum		number = PointerGetDatum(value->data);
	int64		number_integer;
	int64		divisor_integer;
	static Numeric zero = NULL;
	Datum		rest;
	bool		result;

	if (small_integer(number, &number_integer) &&
		small_integer(NumericGetDatum(divisor), &divisor_integer))
		return number_integer % divisor_integer == 0;
	rest = DirectFunctionCall2(numeric_mod, number, NumericGetDatum(divisor));
	result = DatumGetInt32(DirectFunctionCall2(numeric_cmp, rest, kept_number(&zero, 0))) == 0;
	pfree(DatumGetPointer(rest));
	return result;
}

/* Checks the keywords for numbers */
bool
json_schema_check_number(JsonSchemaRun *run, const JsonSchemaNumberRules *rules,
						 const JsonSchemaValue *value, const JsonSchemaFrame *frame)
{
	bool		valid = true;

	if (rules->minimum != NULL && compare_numbers(value, rules->minimum) < 0)
		JSON_SCHEMA_VIOLATION(run, frame, "minimum", "must be at least %s",
							  json_schema_describe_number(rules->minimum));
	if (rules->maximum != NULL && compare_numbers(value, rules->maximum) > 0)
		JSON_SCHEMA_VIOLATION(run, frame, "maximum", "must be at most %s",
							  json_schema_describe_number(rules->maximum));
	if (rules->exclusive_minimum != NULL && compare_numbers(value, rules->exclusive_minimum) <= 0)
		JSON_SCHEMA_VIOLATION(run, frame, "exclusiveMinimum", "must be greater than %s",
							  json_schema_describe_number(rules->exclusive_minimum));
	if (rules->exclusive_maximum != NULL && compare_numbers(value, rules->exclusive_maximum) >= 0)
		JSON_SCHEMA_VIOLATION(run, frame, "exclusiveMaximum", "must be less than %s",
							  json_schema_describe_number(rules->exclusive_maximum));
	if (rules->multiple_of != NULL && !is_multiple(value, rules->multiple_of))
		JSON_SCHEMA_VIOLATION(run, frame, "multipleOf", "must be a multiple of %s",
							  json_schema_describe_number(rules->multiple_of));
	return valid;
}

/* Says whether a string has at least as many code points */
static bool
is_long_enough(const JsonSchemaValue *value, int limit)
{
	if (value->length < limit)
		return false;
	return value->length / pg_database_encoding_max_length() >= limit ||
		pg_mbstrlen_with_len(value->data, value->length) >= limit;
}

/* Says whether a string has at most as many code points */
static bool
is_short_enough(const JsonSchemaValue *value, int limit)
{
	return value->length <= limit || pg_mbstrlen_with_len(value->data, value->length) <= limit;
}

/* Returns whether a string conforms to a format; the checks read UTF-8 */
static bool
format_holds(json_schema_format_check check, const JsonSchemaValue *value)
{
	int			length = value->length;
	const char *text = json_schema_to_utf8(value->data, &length);

	return check(text, length);
}

/* Checks the keywords for strings */
bool
json_schema_check_string(JsonSchemaRun *run, const JsonSchemaStringRules *rules,
						 const JsonSchemaValue *value, const JsonSchemaFrame *frame)
{
	bool		valid = true;

	if (rules->min_length > 0 && !is_long_enough(value, rules->min_length))
		JSON_SCHEMA_VIOLATION(run, frame, "minLength", "length must be at least %d",
							  rules->min_length);
	if (rules->max_length >= 0 && !is_short_enough(value, rules->max_length))
		JSON_SCHEMA_VIOLATION(run, frame, "maxLength", "length must be at most %d",
							  rules->max_length);
	if (rules->format != NULL && !format_holds(rules->format, value))
		JSON_SCHEMA_VIOLATION(run, frame, "format", "must be of format %s", rules->format_name);
	if (rules->pattern != NULL &&
		!json_schema_pattern_matches(rules->pattern, value->data, value->length))
		JSON_SCHEMA_VIOLATION(run, frame, "pattern", "must match the pattern %.*s",
							  rules->pattern_source.length, rules->pattern_source.data);
	return valid;
}

/*
 * json_reader.c
 *		Reading fields of JSONB objects that others wrote.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "github_repo.h"
#include "json_reader.h"

/* Remembers the first problem */
static void
complain(JsonReader *reader, const char *key, const char *expectation)
{
	if (reader->error == NULL)
		reader->error = psprintf("field \"%s\" %s", key, expectation);
}

/* Finds a field; a JSON null counts as missing */
static JsonbValue *
find_field(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, JsonbValue *field)
{
	JsonbValue *found = NULL;

	if (object != NULL)
		found = getKeyJsonValueFromContainer(object, key, strlen(key), field);
	if (found != NULL && found->type == jbvNull)
		found = NULL;
	if (found == NULL && need == JSON_REQUIRED)
		complain(reader, key, "is missing");
	return found;
}

/* Returns an object inside an object, or NULL */
JsonbContainer *
field_object(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need)
{
	JsonbValue	buffer;
	JsonbValue *field = find_field(reader, object, key, need, &buffer);

	if (field == NULL)
		return NULL;
	if (field->type == jbvBinary && JsonContainerIsObject(field->val.binary.data))
		return field->val.binary.data;
	complain(reader, key, "is not an object");
	return NULL;
}

/* Returns an array inside an object, or NULL */
JsonbContainer *
field_array(JsonReader *reader, JsonbContainer *object, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *field = find_field(reader, object, key, JSON_OPTIONAL, &buffer);

	if (field == NULL)
		return NULL;
	if (field->type == jbvBinary && JsonContainerIsArray(field->val.binary.data))
		return field->val.binary.data;
	complain(reader, key, "is not an array");
	return NULL;
}

/* Reads a string as text */
bool
field_text(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, Datum *value)
{
	JsonbValue	buffer;
	JsonbValue *field = find_field(reader, object, key, need, &buffer);

	if (field == NULL)
		return false;
	if (field->type != jbvString)
	{
		complain(reader, key, "is not a string");
		return false;
	}
	*value = PointerGetDatum(cstring_to_text_with_len(field->val.string.val, field->val.string.len));
	return true;
}

/* Tells whether a field is this string */
bool
field_is(JsonbContainer *object, const char *key, const char *wanted)
{
	JsonReader	reader = {NULL};
	JsonbValue	buffer;
	JsonbValue *field = find_field(&reader, object, key, JSON_OPTIONAL, &buffer);

	return field != NULL && field->type == jbvString &&
		field->val.string.len == (int) strlen(wanted) &&
		memcmp(field->val.string.val, wanted, field->val.string.len) == 0;
}

/* Converts a JSON number to an integer, if it is one */
static bool
numeric_to_int64(Numeric number, int64 *value)
{
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	char	   *end;

	errno = 0;
	*value = strtoi64(digits, &end, 10);
	return errno == 0 && *end == '\0';
}

/* Reads an integer */
bool
field_int64(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, int64 *value)
{
	JsonbValue	buffer;
	JsonbValue *field = find_field(reader, object, key, need, &buffer);

	if (field == NULL)
		return false;
	if (field->type == jbvNumeric && numeric_to_int64(field->val.numeric, value))
		return true;
	complain(reader, key, "is not an integer");
	return false;
}

/* Reads an integer of four bytes */
bool
field_int32(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, int32 *value)
{
	int64		wide;

	if (!field_int64(reader, object, key, need, &wide))
		return false;
	if (wide < PG_INT32_MIN || wide > PG_INT32_MAX)
	{
		complain(reader, key, "is out of range");
		return false;
	}
	*value = (int32) wide;
	return true;
}

/* Reads a boolean */
bool
field_bool(JsonReader *reader, JsonbContainer *object, const char *key, bool *value)
{
	JsonbValue	buffer;
	JsonbValue *field = find_field(reader, object, key, JSON_OPTIONAL, &buffer);

	if (field == NULL)
		return false;
	if (field->type != jbvBool)
	{
		complain(reader, key, "is not a boolean");
		return false;
	}
	*value = field->val.boolean;
	return true;
}

/* Writes a point in time as GitHub does, in UTC and whole seconds */
char *
format_iso_timestamp(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fraction;

	if (timestamp2tm(time, NULL, &tm, &fraction, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Reads a point in time: ISO 8601, or seconds since 1970 as push events have them */
bool
field_time(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, TimestampTz *value)
{
	JsonbValue	buffer;
	JsonbValue *field = find_field(reader, object, key, need, &buffer);
	JsonbSlice	slice = {0, NULL, 0, true};

	if (field == NULL)
		return false;
	if (field->type == jbvString)
	{
		slice.entry = JENTRY_ISSTRING;
		slice.data = field->val.string.val;
		slice.length = field->val.string.len;
	}
	else if (field->type == jbvNumeric)
	{
		slice.entry = JENTRY_ISNUMERIC;
		slice.data = (const char *) field->val.numeric;
		slice.length = VARSIZE_ANY(field->val.numeric);
	}
	if (slice.data != NULL && github_timestamp(&slice, value))
		return true;
	complain(reader, key, "is not a point in time");
	return false;
}

/*
 * util_jsonb.c
 *		Reading values of a JSONB object.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "compat.h"
#include "util_jsonb.h"

/* Names the JSON type of a value, for messages */
const char *
jsonb_slice_type(const JsonbSlice *slice)
{
	if (jsonb_slice_is_null(slice))
		return "null";
	if (JBE_ISSTRING(slice->entry))
		return "string";
	if (JBE_ISNUMERIC(slice->entry))
		return "number";
	if (JBE_ISBOOL(slice->entry))
		return "boolean";
	return JsonContainerIsArray((JsonbContainer *) slice->data) ? "array" : "object";
}

/*
 * Reads a number below 10^16 that is stored without a fraction, as counts and
 * ids are; returns false for any other
 *
 * Digits of base 10000 follow a two-byte header.  Its bits: 15 and 14 = 10 for
 * the short form, 13 sign, 12 to 7 digits behind the point, 6 to 0 position of
 * the first digit.  This form is that of the data files, so it does not change.
 */
static bool
read_short_integer(const char *number, int64 *result)
{
	uint16		header;
	int16		digit;
	int			digits;
	int			weight;
	int			i;

	if (!VARATT_IS_4B_U(number))
		return false;
	memcpy(&header, VARDATA(number), sizeof(header));
	digits = (VARSIZE(number) - VARHDRSZ - sizeof(header)) / sizeof(digit);
	weight = header & 0x7f;
	if ((header & 0xdf80) != 0x8000 || weight > 3 || digits > weight + 1)
		return false;
	*result = 0;
	for (i = 0; i <= weight; i++)
	{
		digit = 0;
		if (i < digits)
			memcpy(&digit, VARDATA(number) + sizeof(header) + i * sizeof(digit), sizeof(digit));
		*result = *result * 10000 + digit;
	}
	if (header & 0x2000)
		*result = -*result;
	return true;
}

/*
 * Reads a number that is an integer within bigint; returns false for any other
 *
 * Others than short ones, among them 1.0, take the way over their text.
 */
bool
jsonb_slice_int64(const JsonbSlice *slice, int64 *result)
{
	Datum		number = PointerGetDatum(slice->data);
	char	   *text;
	char	   *end;

	if (!slice->present || !JBE_ISNUMERIC(slice->entry))
		return false;
	if (read_short_integer(slice->data, result))
		return true;
	text = DatumGetCString(DirectFunctionCall1(numeric_out, number));
	errno = 0;
	*result = strtoll(text, &end, 10);
	if (errno != 0)
		return false;
	/* behind the point only zeros make it an integer */
	if (*end == '.')
		end += 1 + strspn(end + 1, "0");
	return *end == '\0';
}

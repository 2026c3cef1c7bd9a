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
 * Reads a number that is an integer within bigint; returns false for any other
 *
 * Counts and ids are short, so their text is: 1.0 and 1e3 are integers too and
 * take the slow way.
 */
bool
jsonb_slice_int64(const JsonbSlice *slice, int64 *result)
{
	Datum		number = PointerGetDatum(slice->data);
	char	   *text;
	char	   *end;

	if (!slice->present || !JBE_ISNUMERIC(slice->entry))
		return false;
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

/*
 * json_schema_value.c
 *		Reading, finding and comparing values inside a JSONB document.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "json_schema_value.h"

/* Reads the outermost value; JSONB wraps a scalar into an array of one */
void
json_schema_read_root(const Jsonb *document, JsonSchemaValue *value)
{
	const JsonbContainer *root = &document->root;

	if (JsonContainerIsScalar(root))
	{
		json_schema_read_entry(root->children, (const char *) (root->children + 1), 0, value);
		return;
	}
	value->kind = JsonContainerIsObject(root) ? JSON_SCHEMA_OBJECT : JSON_SCHEMA_ARRAY;
	value->data = (const char *) root;
	value->length = JsonContainerSize(root);
	value->identity = root;
}

/*
 * Finds a member of an object by its key; returns its position, or -1.
 *
 * JSONB sorts keys by length and bytes, so this is a binary search.
 */
int
json_schema_find_member(const JsonSchemaValue *object, const char *key, int key_length,
						JsonSchemaValue *value)
{
	const JsonbContainer *container = (const JsonbContainer *) object->data;
	int			count = object->length;
	const char *base = (const char *) (container->children + 2 * (Size) count);
	int			low = 0;
	int			high = count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = json_schema_compare_keys(key, key_length,
													 base + getJsonbOffset(container, middle),
													 getJsonbLength(container, middle));

		if (order == 0)
		{
			json_schema_read_entry(container->children + count + middle, base,
								   getJsonbOffset(container, count + middle), value);
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

/* Orders two arrays or objects of the same kind and size member by member */
static int
compare_containers(const JsonSchemaValue *a, const JsonSchemaValue *b)
{
	JsonSchemaCursor a_cursor;
	JsonSchemaCursor b_cursor;
	JsonSchemaValue a_member;
	JsonSchemaValue b_member;

	check_stack_depth();
	json_schema_open(&a_cursor, a);
	json_schema_open(&b_cursor, b);
	while (json_schema_next(&a_cursor, &a_member) && json_schema_next(&b_cursor, &b_member))
	{
		int			order = 0;

		CHECK_FOR_INTERRUPTS();
		if (a->kind == JSON_SCHEMA_OBJECT)
			order = json_schema_compare_keys(a_cursor.key, a_cursor.key_length,
											 b_cursor.key, b_cursor.key_length);
		if (order == 0)
			order = json_schema_compare_values(&a_member, &b_member);
		if (order != 0)
			return order;
	}
	return 0;
}

/*
 * Orders any two values; 0 means equal as JSON Schema defines it (1.0 is 1).
 *
 * The order itself has no meaning, it only makes sorting possible.
 */
int
json_schema_compare_values(const JsonSchemaValue *a, const JsonSchemaValue *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == JSON_SCHEMA_NUMBER)
		return DatumGetInt32(DirectFunctionCall2(numeric_cmp, PointerGetDatum(a->data),
												 PointerGetDatum(b->data)));
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	if (a->kind == JSON_SCHEMA_STRING)
		return memcmp(a->data, b->data, a->length);
	if (a->kind == JSON_SCHEMA_ARRAY || a->kind == JSON_SCHEMA_OBJECT)
		return compare_containers(a, b);
	return 0;
}

/* Says whether a value is a number without a fractional part, such as 1.0 */
bool
json_schema_is_integer(const JsonSchemaValue *value)
{
	Datum		number = PointerGetDatum(value->data);

	if (value->kind != JSON_SCHEMA_NUMBER)
		return false;
	/* what was written without decimals needs no look at the digits */
	return DatumGetInt32(DirectFunctionCall1(numeric_scale, number)) == 0 ||
		DatumGetInt32(DirectFunctionCall1(numeric_min_scale, number)) == 0;
}

/* Returns the word JSON Schema has for a type */
const char *
json_schema_kind_name(JsonSchemaKind kind)
{
	static const char *const names[] = {
		"null", "boolean", "number", "string", "array", "object", "integer"
	};

	return names[kind];
}

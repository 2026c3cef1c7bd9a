/*
 * json_schema_keywords.c
 *		The table of keywords, and the compilation of those that look at one
 *		value: type, enum, const, limits of numbers and strings.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "json_schema_compile.h"

/* Raises unless the value of a keyword is of the given kind */
void
json_schema_require_kind(const JsonSchemaNode *value, JsonSchemaKind kind)
{
	if (value->value.kind != kind)
		json_schema_invalid(value, "must be of type %s, not %s", json_schema_kind_name(kind),
							json_schema_kind_name(value->value.kind));
}

/* Says whether a node has the given key in its parent */
bool
json_schema_key_is(const JsonSchemaNode *node, const char *key)
{
	return node->key_length == (int) strlen(key) && memcmp(node->key, key, node->key_length) == 0;
}

/* Returns another keyword of the same schema, NULL when absent or not in the dialect */
JsonSchemaNode *
json_schema_sibling(const JsonSchemaContext *context, const char *name)
{
	const JsonSchemaKeyword *keyword = json_schema_find_keyword(name, strlen(name),
																context->dialect->draft);

	if (keyword == NULL || !(keyword->vocabularies & context->dialect->vocabularies))
		return NULL;
	return json_schema_child(context->node, name);
}

/* Reads a count: a whole number from 0 up, what is too large for int is INT_MAX */
int
json_schema_count_limit(const JsonSchemaNode *value)
{
	Datum		number = PointerGetDatum(value->value.data);
	Datum		largest = DirectFunctionCall1(int4_numeric, Int32GetDatum(PG_INT32_MAX));
	Datum		zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));

	if (!json_schema_is_integer(&value->value) ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, zero)) < 0)
		json_schema_invalid(value, "must be a whole number that is not negative");
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, largest)) >= 0)
		return PG_INT32_MAX;
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, number));
}

/* Returns the type bit of one type name */
static uint8
type_bit(const JsonSchemaNode *name)
{
	JsonSchemaKind kind;

	for (kind = JSON_SCHEMA_NULL; kind <= JSON_SCHEMA_INTEGER; kind++)
		if (json_schema_node_is(name, json_schema_kind_name(kind)))
			return JSON_SCHEMA_TYPE_BIT(kind);
	json_schema_invalid(name, "must be the name of a type");
}

/* Compiles type */
static void
compile_type(JsonSchemaContext *context, JsonSchemaNode *value)
{
	uint8		types = 0;
	int			i;

	if (value->value.kind == JSON_SCHEMA_ARRAY)
		for (i = 0; i < value->child_count; i++)
			types |= type_bit(&value->children[i]);
	else
		types = type_bit(value);
	context->schema->types = types;
}

/* Orders two strings as keys are */
int
json_schema_compare_strings(const void *a, const void *b)
{
	const JsonSchemaString *left = a;
	const JsonSchemaString *right = b;

	return json_schema_compare_keys(left->data, left->length, right->data, right->length);
}

/* Makes the set of allowed values out of count nodes */
static JsonSchemaEnum *
make_enum(const char *keyword, const JsonSchemaNode *values, int count)
{
	JsonSchemaEnum *result = palloc0(sizeof(JsonSchemaEnum));
	int			i;

	result->keyword = keyword;
	result->strings = palloc(sizeof(JsonSchemaString) * Max(count, 1));
	result->others = palloc(sizeof(JsonSchemaValue) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		const JsonSchemaValue *value = &values[i].value;

		if (value->kind == JSON_SCHEMA_STRING)
		{
			result->strings[result->string_count].data = value->data;
			result->strings[result->string_count++].length = value->length;
		}
		else
			result->others[result->other_count++] = *value;
	}
	qsort(result->strings, result->string_count, sizeof(JsonSchemaString), json_schema_compare_strings);
	return result;
}

/* Compiles enum */
static void
compile_enum(JsonSchemaContext *context, JsonSchemaNode *value)
{
	json_schema_require_kind(value, JSON_SCHEMA_ARRAY);
	context->schema->values = make_enum("enum", value->children, value->child_count);
}

/* Compiles const */
static void
compile_const(JsonSchemaContext *context, JsonSchemaNode *value)
{
	context->schema->constant = make_enum("const", value, 1);
}

/* Returns the rules for numbers, making them when needed */
static JsonSchemaNumberRules *
number_rules(JsonSchema *schema)
{
	if (schema->number == NULL)
		schema->number = palloc0(sizeof(JsonSchemaNumberRules));
	return schema->number;
}

/* Returns the number that a keyword has as its value */
static Numeric
number_value(const JsonSchemaNode *value)
{
	json_schema_require_kind(value, JSON_SCHEMA_NUMBER);
	return (Numeric) value->value.data;
}

/* Compiles minimum */
static void
compile_minimum(JsonSchemaContext *context, JsonSchemaNode *value)
{
	number_rules(context->schema)->minimum = number_value(value);
}

/* Compiles maximum */
static void
compile_maximum(JsonSchemaContext *context, JsonSchemaNode *value)
{
	number_rules(context->schema)->maximum = number_value(value);
}

/* Compiles exclusiveMinimum */
static void
compile_exclusive_minimum(JsonSchemaContext *context, JsonSchemaNode *value)
{
	number_rules(context->schema)->exclusive_minimum = number_value(value);
}

/* Compiles exclusiveMaximum */
static void
compile_exclusive_maximum(JsonSchemaContext *context, JsonSchemaNode *value)
{
	number_rules(context->schema)->exclusive_maximum = number_value(value);
}

/* Compiles multipleOf */
static void
compile_multiple_of(JsonSchemaContext *context, JsonSchemaNode *value)
{
	Numeric		divisor = number_value(value);
	Datum		zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));

	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(divisor), zero)) <= 0)
		json_schema_invalid(value, "must be greater than 0");
	number_rules(context->schema)->multiple_of = divisor;
}

/* Returns the rules for strings, making them when needed */
static JsonSchemaStringRules *
string_rules(JsonSchema *schema)
{
	if (schema->string == NULL)
	{
		schema->string = palloc0(sizeof(JsonSchemaStringRules));
		schema->string->max_length = -1;
	}
	return schema->string;
}

/* Compiles minLength */
static void
compile_min_length(JsonSchemaContext *context, JsonSchemaNode *value)
{
	string_rules(context->schema)->min_length = json_schema_count_limit(value);
}

/* Compiles maxLength */
static void
compile_max_length(JsonSchemaContext *context, JsonSchemaNode *value)
{
	string_rules(context->schema)->max_length = json_schema_count_limit(value);
}

/* Compiles pattern */
static void
compile_pattern(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaStringRules *rules = string_rules(context->schema);

	json_schema_require_kind(value, JSON_SCHEMA_STRING);
	rules->pattern = json_schema_compile_pattern(value->value.data, value->value.length,
												 CurrentMemoryContext);
	rules->pattern_source.data = value->value.data;
	rules->pattern_source.length = value->value.length;
}

/* Compiles format, if the dialect or the caller wants it to assert */
static void
compile_format(JsonSchemaContext *context, JsonSchemaNode *value)
{
	int			wanted = context->compiler->assert_formats;
	json_schema_format_check check;

	json_schema_require_kind(value, JSON_SCHEMA_STRING);
	if (wanted < 0 ? !context->dialect->assert_formats : wanted == 0)
		return;
	check = json_schema_find_format(value->value.data, value->value.length);
	if (check != NULL)
	{
		JsonSchemaStringRules *rules = string_rules(context->schema);

		rules->format = check;
		rules->format_name = json_schema_node_text(value);
	}
}

#define ALL		JSON_SCHEMA_ALL_DRAFTS
#define OLD		JSON_SCHEMA_BEFORE_2019
#define FROM_07	(JSON_SCHEMA_DRAFT_07 | JSON_SCHEMA_DRAFT_2020)
#define NEW		JSON_SCHEMA_DRAFT_2020
#define CORE	JSON_SCHEMA_CORE
#define APPLY	JSON_SCHEMA_APPLICATOR
#define CHECK	JSON_SCHEMA_VALIDATION
#define FORMAT	(JSON_SCHEMA_FORMAT_ANNOTATION | JSON_SCHEMA_FORMAT_ASSERTION)
#define REST	JSON_SCHEMA_UNEVALUATED

/* Sorted by name; what is not here is an annotation */
static const JsonSchemaKeyword keywords[] = {
	{"$defs", NEW, CORE, JSON_SCHEMA_MAP, NULL},
	{"$dynamicRef", NEW, CORE, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_dynamic_ref},
	{"$ref", ALL, CORE, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_ref},
	{"additionalItems", OLD, APPLY, JSON_SCHEMA_ONE, json_schema_compile_additional_items},
	{"additionalProperties", ALL, APPLY, JSON_SCHEMA_ONE, json_schema_compile_additional_properties},
	{"allOf", ALL, APPLY, JSON_SCHEMA_LIST, json_schema_compile_all_of},
	{"anyOf", ALL, APPLY, JSON_SCHEMA_LIST, json_schema_compile_any_of},
	{"const", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_const},
	{"contains", ALL, APPLY, JSON_SCHEMA_ONE, json_schema_compile_contains},
	{"definitions", ALL, CORE, JSON_SCHEMA_MAP, NULL},
	{"dependencies", ALL, APPLY, JSON_SCHEMA_MAP_OR_NAMES, json_schema_compile_dependencies},
	{"dependentRequired", NEW, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_dependencies},
	{"dependentSchemas", NEW, APPLY, JSON_SCHEMA_MAP, json_schema_compile_dependencies},
	{"else", FROM_07, APPLY, JSON_SCHEMA_ONE, NULL},
	{"enum", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_enum},
	{"exclusiveMaximum", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_exclusive_maximum},
	{"exclusiveMinimum", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_exclusive_minimum},
	{"format", ALL, FORMAT, JSON_SCHEMA_NO_CHILDREN, compile_format},
	{"if", FROM_07, APPLY, JSON_SCHEMA_ONE, json_schema_compile_if},
	{"items", ALL, APPLY, JSON_SCHEMA_ONE_OR_LIST, json_schema_compile_items},
	{"maxContains", NEW, CHECK, JSON_SCHEMA_NO_CHILDREN, NULL},
	{"maxItems", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_max_items},
	{"maxLength", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_max_length},
	{"maxProperties", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_max_properties},
	{"maximum", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_maximum},
	{"minContains", NEW, CHECK, JSON_SCHEMA_NO_CHILDREN, NULL},
	{"minItems", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_min_items},
	{"minLength", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_min_length},
	{"minProperties", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_min_properties},
	{"minimum", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_minimum},
	{"multipleOf", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_multiple_of},
	{"not", ALL, APPLY, JSON_SCHEMA_ONE, json_schema_compile_not},
	{"oneOf", ALL, APPLY, JSON_SCHEMA_LIST, json_schema_compile_one_of},
	{"pattern", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_pattern},
	{"patternProperties", ALL, APPLY, JSON_SCHEMA_MAP, json_schema_compile_pattern_properties},
	{"prefixItems", NEW, APPLY, JSON_SCHEMA_LIST, json_schema_compile_prefix_items},
	{"properties", ALL, APPLY, JSON_SCHEMA_MAP, json_schema_compile_properties},
	{"propertyNames", ALL, APPLY, JSON_SCHEMA_ONE, json_schema_compile_property_names},
	{"required", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_properties},
	{"then", FROM_07, APPLY, JSON_SCHEMA_ONE, NULL},
	{"type", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, compile_type},
	{"unevaluatedItems", NEW, REST, JSON_SCHEMA_ONE, json_schema_compile_unevaluated_items},
	{"unevaluatedProperties", NEW, REST, JSON_SCHEMA_ONE, json_schema_compile_unevaluated_properties},
	{"uniqueItems", ALL, CHECK, JSON_SCHEMA_NO_CHILDREN, json_schema_compile_unique_items},
};

/* Finds a keyword of a draft, or NULL */
const JsonSchemaKeyword *
json_schema_find_keyword(const char *name, int length, uint8 draft)
{
	int			low = 0;
	int			high = lengthof(keywords);

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const JsonSchemaKeyword *keyword = &keywords[middle];
		int			order = strncmp(name, keyword->name, length);

		if (order == 0 && keyword->name[length] != '\0')
			order = -1;
		if (order == 0)
			return (keyword->drafts & draft) ? keyword : NULL;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

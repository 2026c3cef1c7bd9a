/*
 * json_schema_keywords_array.c
 *		Compilation of the keywords about arrays.
 */
#include "postgres.h"

#include "compat.h"
#include "json_schema_compile.h"

/* Returns the rules for arrays, making them when needed */
static JsonSchemaArrayRules *
array_rules(JsonSchema *schema)
{
	if (schema->array == NULL)
	{
		schema->array = palloc0(sizeof(JsonSchemaArrayRules));
		schema->array->max_items = -1;
	}
	return schema->array;
}

/* Compiles prefixItems, or the older items as an array */
void
json_schema_compile_prefix_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaArrayRules *rules = array_rules(context->schema);
	int			i;

	json_schema_require_kind(value, JSON_SCHEMA_ARRAY);
	rules->prefix = palloc(sizeof(JsonSchema *) * Max(value->child_count, 1));
	for (i = 0; i < value->child_count; i++)
		rules->prefix[i] = json_schema_reach(context->compiler, &value->children[i]);
	rules->prefix_count = value->child_count;
}

/* Compiles items */
void
json_schema_compile_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	if (value->value.kind == JSON_SCHEMA_ARRAY &&
		context->dialect->draft != JSON_SCHEMA_DRAFT_2020)
		json_schema_compile_prefix_items(context, value);
	else
		array_rules(context->schema)->rest = json_schema_reach(context->compiler, value);
}

/* Compiles additionalItems, which means something only beside items as an array */
void
json_schema_compile_additional_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaNode *items = json_schema_sibling(context, "items");

	if (items != NULL && items->value.kind == JSON_SCHEMA_ARRAY)
		array_rules(context->schema)->rest = json_schema_reach(context->compiler, value);
}

/* Compiles contains with minContains and maxContains */
void
json_schema_compile_contains(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaArrayRules *rules = array_rules(context->schema);
	JsonSchemaNode *least = json_schema_sibling(context, "minContains");
	JsonSchemaNode *most = json_schema_sibling(context, "maxContains");

	rules->contains = json_schema_reach(context->compiler, value);
	rules->contains_evaluates = context->dialect->draft == JSON_SCHEMA_DRAFT_2020;
	rules->min_contains = least != NULL ? json_schema_count_limit(least) : 1;
	rules->max_contains = most != NULL ? json_schema_count_limit(most) : -1;
}

/* Compiles minItems */
void
json_schema_compile_min_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	array_rules(context->schema)->min_items = json_schema_count_limit(value);
}

/* Compiles maxItems */
void
json_schema_compile_max_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	array_rules(context->schema)->max_items = json_schema_count_limit(value);
}

/* Compiles uniqueItems */
void
json_schema_compile_unique_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	json_schema_require_kind(value, JSON_SCHEMA_BOOLEAN);
	if (value->value.length)
		array_rules(context->schema)->unique = true;
}

/* Compiles unevaluatedItems */
void
json_schema_compile_unevaluated_items(JsonSchemaContext *context, JsonSchemaNode *value)
{
	context->schema->unevaluated_items = json_schema_reach(context->compiler, value);
}

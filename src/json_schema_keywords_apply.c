/*
 * json_schema_keywords_apply.c
 *		Compilation of the keywords that apply other schemas to the same value.
 */
#include "postgres.h"

#include "compat.h"
#include "json_schema_compile.h"

/* Returns the applicators of a schema, making them when needed */
static JsonSchemaApplicators *
applicators(JsonSchema *schema)
{
	if (schema->applicators == NULL)
		schema->applicators = palloc0(sizeof(JsonSchemaApplicators));
	return schema->applicators;
}

/* Adds a reference; dynamic says that it was written as $dynamicRef */
static void
add_reference(JsonSchemaContext *context, JsonSchemaNode *value, const char *keyword, bool dynamic)
{
	JsonSchemaApplicators *rules = applicators(context->schema);
	JsonSchemaReference *reference = &rules->references[rules->reference_count];
	JsonSchemaNode *target;
	char	   *anchor;

	json_schema_require_kind(value, JSON_SCHEMA_STRING);
	target = json_schema_resolve(context->compiler, value, &anchor);
	reference->keyword = keyword;
	reference->target = json_schema_reach(context->compiler, target);
	reference->target->is_target = true;
	reference->dynamic_anchor = dynamic && anchor != NULL ?
		json_schema_dynamic_number(context->compiler, anchor, true) : -1;
	rules->reference_count++;
}

/* Compiles $ref */
void
json_schema_compile_ref(JsonSchemaContext *context, JsonSchemaNode *value)
{
	add_reference(context, value, "$ref", false);
}

/* Compiles $dynamicRef */
void
json_schema_compile_dynamic_ref(JsonSchemaContext *context, JsonSchemaNode *value)
{
	add_reference(context, value, "$dynamicRef", true);
}

/* Compiles a list of schemas */
static void
compile_branches(JsonSchemaContext *context, JsonSchemaNode *value, JsonSchemaBranches *branches)
{
	int			i;

	json_schema_require_kind(value, JSON_SCHEMA_ARRAY);
	if (value->child_count == 0)
		json_schema_invalid(value, "must not be empty");
	branches->count = value->child_count;
	branches->branches = palloc(sizeof(JsonSchema *) * value->child_count);
	for (i = 0; i < value->child_count; i++)
		branches->branches[i] = json_schema_reach(context->compiler, &value->children[i]);
}

/* Compiles allOf */
void
json_schema_compile_all_of(JsonSchemaContext *context, JsonSchemaNode *value)
{
	compile_branches(context, value, &applicators(context->schema)->all_of);
}

/* Compiles anyOf */
void
json_schema_compile_any_of(JsonSchemaContext *context, JsonSchemaNode *value)
{
	compile_branches(context, value, &applicators(context->schema)->any_of);
}

/* Compiles oneOf */
void
json_schema_compile_one_of(JsonSchemaContext *context, JsonSchemaNode *value)
{
	compile_branches(context, value, &applicators(context->schema)->one_of);
}

/* Compiles not */
void
json_schema_compile_not(JsonSchemaContext *context, JsonSchemaNode *value)
{
	applicators(context->schema)->not = json_schema_reach(context->compiler, value);
}

/* Compiles if with then and else, which mean nothing without it */
void
json_schema_compile_if(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaApplicators *rules = applicators(context->schema);
	JsonSchemaNode *consequence = json_schema_sibling(context, "then");
	JsonSchemaNode *alternative = json_schema_sibling(context, "else");

	rules->condition = json_schema_reach(context->compiler, value);
	if (consequence != NULL)
		rules->consequence = json_schema_reach(context->compiler, consequence);
	if (alternative != NULL)
		rules->alternative = json_schema_reach(context->compiler, alternative);
}

/*
 * json_schema_keywords_object.c
 *		Compilation of the keywords about objects.
 */
#include "postgres.h"

#include "compat.h"
#include "json_schema_compile.h"

/* Returns the rules for objects, making them when needed */
static JsonSchemaObjectRules *
object_rules(JsonSchema *schema)
{
	if (schema->object == NULL)
	{
		schema->object = palloc0(sizeof(JsonSchemaObjectRules));
		schema->object->max_properties = -1;
	}
	return schema->object;
}

/* Reads an array of property names, sorted as keys are, without repetitions */
static JsonSchemaString *
read_names(const JsonSchemaNode *value, int *count)
{
	JsonSchemaString *names;
	int			used = 0;
	int			i;

	json_schema_require_kind(value, JSON_SCHEMA_ARRAY);
	names = palloc(sizeof(JsonSchemaString) * Max(value->child_count, 1));
	for (i = 0; i < value->child_count; i++)
	{
		json_schema_require_kind(&value->children[i], JSON_SCHEMA_STRING);
		names[i].data = value->children[i].value.data;
		names[i].length = value->children[i].value.length;
	}
	qsort(names, value->child_count, sizeof(JsonSchemaString), json_schema_compare_strings);
	for (i = 0; i < value->child_count; i++)
		if (i == 0 || json_schema_compare_strings(&names[used - 1], &names[i]) != 0)
			names[used++] = names[i];
	*count = used;
	return names;
}

/* Adds one property to the table, at its end */
static void
add_property(JsonSchemaObjectRules *rules, const char *key, int key_length, JsonSchema *schema,
			 bool required)
{
	JsonSchemaProperty *property = &rules->properties[rules->property_count++];

	property->key.data = key;
	property->key.length = key_length;
	property->schema = schema;
	property->required = required;
	rules->required_count += required;
}

/*
 * Compiles properties and required into one table.
 *
 * Both are sorted like the keys of a JSONB object, so that one walk over
 * table and object side by side checks them all.
 */
void
json_schema_compile_properties(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaObjectRules *rules = object_rules(context->schema);
	JsonSchemaNode *described = json_schema_sibling(context, "properties");
	JsonSchemaNode *required = json_schema_sibling(context, "required");
	int			described_count = 0;
	int			name_count = 0;
	JsonSchemaString *names = NULL;
	int			i = 0;
	int			j = 0;

	/* the other of the two keywords may have been here before */
	if (rules->properties != NULL)
		return;
	if (described != NULL)
	{
		json_schema_require_kind(described, JSON_SCHEMA_OBJECT);
		described_count = described->child_count;
	}
	if (required != NULL)
		names = read_names(required, &name_count);
	rules->properties = palloc(sizeof(JsonSchemaProperty) * (described_count + name_count + 1));
	while (i < described_count || j < name_count)
	{
		JsonSchemaNode *property = i < described_count ? &described->children[i] : NULL;
		JsonSchemaString *name = j < name_count ? &names[j] : NULL;
		int			order = property == NULL ? 1 : name == NULL ? -1 :
			json_schema_compare_keys(property->key, property->key_length, name->data, name->length);

		if (order <= 0)
			add_property(rules, property->key, property->key_length,
						 json_schema_reach(context->compiler, property), order == 0);
		else
			add_property(rules, name->data, name->length, NULL, true);
		i += order <= 0;
		j += order >= 0;
	}
}

/* Compiles patternProperties */
void
json_schema_compile_pattern_properties(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaObjectRules *rules = object_rules(context->schema);
	int			i;

	json_schema_require_kind(value, JSON_SCHEMA_OBJECT);
	rules->patterns = palloc(sizeof(JsonSchemaPatternProperty) * Max(value->child_count, 1));
	for (i = 0; i < value->child_count; i++)
	{
		JsonSchemaNode *entry = &value->children[i];

		rules->patterns[i].pattern = json_schema_compile_pattern(entry->key, entry->key_length,
																 CurrentMemoryContext);
		rules->patterns[i].schema = json_schema_reach(context->compiler, entry);
	}
	rules->pattern_count = value->child_count;
	rules->visit_all |= rules->pattern_count > 0;
}

/* Compiles additionalProperties */
void
json_schema_compile_additional_properties(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaObjectRules *rules = object_rules(context->schema);

	rules->additional = json_schema_reach(context->compiler, value);
	rules->visit_all = true;
}

/* Compiles propertyNames */
void
json_schema_compile_property_names(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaObjectRules *rules = object_rules(context->schema);

	rules->names = json_schema_reach(context->compiler, value);
	rules->visit_all = true;
}

/* Compiles minProperties */
void
json_schema_compile_min_properties(JsonSchemaContext *context, JsonSchemaNode *value)
{
	object_rules(context->schema)->min_properties = json_schema_count_limit(value);
}

/* Compiles maxProperties */
void
json_schema_compile_max_properties(JsonSchemaContext *context, JsonSchemaNode *value)
{
	object_rules(context->schema)->max_properties = json_schema_count_limit(value);
}

/* Compiles dependentRequired, dependentSchemas or dependencies, appending to the list */
void
json_schema_compile_dependencies(JsonSchemaContext *context, JsonSchemaNode *value)
{
	JsonSchemaObjectRules *rules = object_rules(context->schema);
	int			total = rules->dependency_count + value->child_count;
	int			i;

	json_schema_require_kind(value, JSON_SCHEMA_OBJECT);
	if (rules->dependencies == NULL)
		rules->dependencies = palloc0(sizeof(JsonSchemaDependency) * Max(total, 1));
	else
		rules->dependencies = repalloc(rules->dependencies,
									   sizeof(JsonSchemaDependency) * Max(total, 1));
	for (i = 0; i < value->child_count; i++)
	{
		JsonSchemaNode *entry = &value->children[i];
		JsonSchemaDependency *dependency = &rules->dependencies[rules->dependency_count++];
		bool		names = json_schema_key_is(value, "dependentRequired") ||
			(json_schema_key_is(value, "dependencies") && entry->value.kind == JSON_SCHEMA_ARRAY);

		memset(dependency, 0, sizeof(JsonSchemaDependency));
		dependency->key.data = entry->key;
		dependency->key.length = entry->key_length;
		dependency->keyword = pnstrdup(value->key, value->key_length);
		if (names)
			dependency->required = read_names(entry, &dependency->required_count);
		else
			dependency->schema = json_schema_reach(context->compiler, entry);
	}
}

/* Compiles unevaluatedProperties */
void
json_schema_compile_unevaluated_properties(JsonSchemaContext *context, JsonSchemaNode *value)
{
	context->schema->unevaluated_properties = json_schema_reach(context->compiler, value);
}

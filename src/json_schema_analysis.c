/*
 * json_schema_analysis.c
 *		What can be found out about a compiled JSON Schema before it runs:
 *		references that would never end, schemas that only lead to another one,
 *		and alternatives that one property tells apart.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "json_schema_compile.h"

/* How far alternatives are looked through for a property that tells them apart */
#define DISPATCH_DEPTH	8

/* What the search for such a property may cost, so that no schema makes it explode */
#define DISPATCH_EFFORT	20000
#define DISPATCH_VALUES	2000

enum
{
	MARK_NEW,
	MARK_OPEN,					/* on the way from the schema that is searched */
	MARK_DONE
};

static void find_loop(JsonSchema *schema);

/* Goes on with a schema that is applied to the same value */
static void
find_loop_in(JsonSchema *schema)
{
	if (schema != NULL && schema->mark != MARK_DONE)
		find_loop(schema);
}

/* Goes on with several of them */
static void
find_loop_in_branches(JsonSchemaBranches *branches)
{
	int			i;

	for (i = 0; i < branches->count; i++)
		find_loop_in(branches->branches[i]);
}

/*
 * Raises when a schema is applied to the same value again by itself.
 *
 * Such a schema has no meaning and would run for ever.  What a $dynamicRef
 * leads to is only known later; there the stack depth limit is the end.
 */
static void
find_loop(JsonSchema *schema)
{
	JsonSchemaApplicators *rules = schema->applicators;
	int			i;

	check_stack_depth();
	if (schema->mark == MARK_OPEN)
		json_schema_invalid(schema->node, "the schema refers to itself without end");
	schema->mark = MARK_OPEN;
	if (rules != NULL)
	{
		for (i = 0; i < rules->reference_count; i++)
			if (rules->references[i].dynamic_anchor < 0)
				find_loop_in(rules->references[i].target);
		find_loop_in_branches(&rules->all_of);
		find_loop_in_branches(&rules->any_of);
		find_loop_in_branches(&rules->one_of);
		find_loop_in(rules->not);
		find_loop_in(rules->condition);
		find_loop_in(rules->consequence);
		find_loop_in(rules->alternative);
	}
	if (schema->object != NULL)
		for (i = 0; i < schema->object->dependency_count; i++)
			find_loop_in(schema->object->dependencies[i].schema);
	schema->mark = MARK_DONE;
}

/* Says whether a schema asks for nothing, its types and applicators apart */
static bool
has_no_other_rules(const JsonSchema *schema)
{
	return !schema->is_false && schema->values == NULL && schema->constant == NULL &&
		schema->object == NULL && schema->array == NULL && schema->string == NULL &&
		schema->number == NULL && schema->unevaluated_properties == NULL &&
		schema->unevaluated_items == NULL;
}

/* Says whether a schema consists of one plain reference */
static bool
is_only_reference(const JsonSchema *schema)
{
	const JsonSchemaApplicators *rules = schema->applicators;

	return rules != NULL && rules->reference_count == 1 && rules->references[0].dynamic_anchor < 0 &&
		rules->all_of.count == 0 && rules->any_of.count == 0 && rules->one_of.count == 0 &&
		rules->not == NULL && rules->condition == NULL &&
		schema->types == JSON_SCHEMA_ANY_TYPE && has_no_other_rules(schema);
}

/* Returns the schema that does the work of this one */
static JsonSchema *
final_schema(JsonSchema *schema)
{
	while (is_only_reference(schema))
		schema = schema->applicators->references[0].target;
	return schema;
}

/* Finds the schema of a property in the table, or NULL */
static JsonSchema *
find_property(const JsonSchemaObjectRules *rules, const JsonSchemaString *key)
{
	int			low = 0;
	int			high = rules != NULL ? rules->property_count : 0;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = json_schema_compare_strings(key, &rules->properties[middle].key);

		if (order == 0)
			return rules->properties[middle].schema;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Returns the strings to which a schema limits its value, or NULL */
static JsonSchemaEnum *
only_strings(JsonSchema *schema)
{
	JsonSchemaEnum *values;

	schema = final_schema(schema);
	values = schema->constant ? schema->constant : schema->values;
	return values != NULL && values->other_count == 0 ? values : NULL;
}

/* Returns the strings to which a schema limits a property of its value, or NULL */
static JsonSchemaEnum *
property_strings(JsonSchema *schema, const JsonSchemaString *key, int depth, int *effort)
{
	JsonSchemaApplicators *rules = schema->applicators;
	JsonSchema *property = find_property(schema->object, key);
	JsonSchemaEnum *strings = property ? only_strings(property) : NULL;
	int			i;

	if (strings != NULL || rules == NULL || depth == 0 || --*effort < 0)
		return strings;
	for (i = 0; i < rules->reference_count && strings == NULL; i++)
		if (rules->references[i].dynamic_anchor < 0)
			strings = property_strings(rules->references[i].target, key, depth - 1, effort);
	for (i = 0; i < rules->all_of.count && strings == NULL; i++)
		strings = property_strings(rules->all_of.branches[i], key, depth - 1, effort);
	return strings;
}

/* Lists the properties that a schema limits to strings */
static List *
limited_properties(JsonSchema *schema, List *keys, int depth, int *effort)
{
	JsonSchemaApplicators *rules = schema->applicators;
	int			i;

	for (i = 0; schema->object != NULL && i < schema->object->property_count; i++)
	{
		JsonSchemaProperty *property = &schema->object->properties[i];

		if (property->schema != NULL && only_strings(property->schema) != NULL)
			keys = lappend(keys, &property->key);
	}
	if (rules == NULL || depth == 0 || --*effort < 0)
		return keys;
	for (i = 0; i < rules->reference_count; i++)
		if (rules->references[i].dynamic_anchor < 0)
			keys = limited_properties(rules->references[i].target, keys, depth - 1, effort);
	for (i = 0; i < rules->all_of.count; i++)
		keys = limited_properties(rules->all_of.branches[i], keys, depth - 1, effort);
	return keys;
}

/* Finds a value in a dispatch table, or the place where it belongs */
static int
dispatch_place(const JsonSchemaDispatch *dispatch, const JsonSchemaString *value, bool *found)
{
	int			i;

	*found = false;
	for (i = 0; i < dispatch->value_count; i++)
	{
		int			order = json_schema_compare_strings(value, &dispatch->values[i].value);

		if (order == 0)
			*found = true;
		if (order <= 0)
			break;
	}
	return i;
}

/* Adds a branch that accepts a value to the table, which has room */
static void
add_dispatch_value(JsonSchemaDispatch *dispatch, const JsonSchemaString *value, int branch)
{
	bool		found;
	int			place = dispatch_place(dispatch, value, &found);
	JsonSchemaDispatchValue *entry = &dispatch->values[place];

	if (!found)
	{
		memmove(entry + 1, entry, sizeof(*entry) * (dispatch->value_count - place));
		entry->value = *value;
		entry->branches = palloc(sizeof(int));
		entry->branch_count = 0;
		dispatch->value_count++;
	}
	else if (entry->branches[entry->branch_count - 1] == branch)
		return;
	/* room for a power of two of them */
	if ((entry->branch_count & (entry->branch_count - 1)) == 0 && entry->branch_count > 0)
		entry->branches = repalloc(entry->branches, sizeof(int) * 2 * entry->branch_count);
	entry->branches[entry->branch_count++] = branch;
}

/* Makes the table by which a property tells the branches apart; NULL when it does not */
static JsonSchemaDispatch *
make_dispatch(JsonSchemaBranches *branches, const JsonSchemaString *key, int *effort)
{
	JsonSchemaDispatch *dispatch;
	int			total = 0;
	int			i;
	int			j;

	for (i = 0; i < branches->count; i++)
	{
		JsonSchemaEnum *strings = property_strings(branches->branches[i], key, DISPATCH_DEPTH, effort);

		if (strings == NULL || (total += strings->string_count) > DISPATCH_VALUES)
			return NULL;
	}
	dispatch = palloc0(sizeof(JsonSchemaDispatch));
	dispatch->key = *key;
	dispatch->values = palloc(sizeof(JsonSchemaDispatchValue) * (total + 1));
	for (i = 0; i < branches->count; i++)
	{
		JsonSchemaEnum *strings = property_strings(branches->branches[i], key, DISPATCH_DEPTH, effort);

		for (j = 0; strings != NULL && j < strings->string_count; j++)
			add_dispatch_value(dispatch, &strings->strings[j], i);
	}
	return dispatch;
}

/* Looks for the property that tells most branches apart */
static void
analyze_branches(JsonSchemaBranches *branches)
{
	int			effort = DISPATCH_EFFORT;
	ListCell   *cell;

	if (branches->count < 2 || branches->count > DISPATCH_VALUES)
		return;
	foreach(cell, limited_properties(branches->branches[0], NIL, DISPATCH_DEPTH, &effort))
	{
		JsonSchemaDispatch *dispatch;

		CHECK_FOR_INTERRUPTS();
		dispatch = make_dispatch(branches, lfirst(cell), &effort);
		if (effort < 0)
			break;
		if (dispatch != NULL && dispatch->value_count > 1 &&
			(branches->dispatch == NULL || dispatch->value_count > branches->dispatch->value_count))
			branches->dispatch = dispatch;
	}
}

/* Checks and prepares all schemas of a program */
void
json_schema_analyze(JsonSchemaCompiler *compiler)
{
	ListCell   *cell;

	foreach(cell, compiler->schemas)
		find_loop_in(lfirst(cell));
	foreach(cell, compiler->schemas)
	{
		JsonSchema *schema = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		/* entering a schema may matter to a $dynamicRef: no short cuts then */
		if (compiler->program->dynamic_name_count == 0 && is_only_reference(schema))
			schema->jump = final_schema(schema);
		schema->only_types = schema->applicators == NULL && has_no_other_rules(schema);
		if (schema->applicators != NULL)
		{
			analyze_branches(&schema->applicators->any_of);
			analyze_branches(&schema->applicators->one_of);
		}
	}
}

/*
 * json_schema_validate_members.c
 *		Keywords about the members of objects and arrays.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "json_schema_validate.h"

/* Elements that uniqueItems can sort without allocating */
#define UNIQUE_ROOM	64

/* An object this many times larger than the table is searched instead of walked through */
#define SEARCH_FACTOR	8

/* Reports each required property that is missing */
static bool
report_missing(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
			   const JsonSchemaValue *object, const JsonSchemaFrame *frame)
{
	bool		valid = true;
	JsonSchemaValue member;
	int			i;

	for (i = 0; i < rules->property_count; i++)
	{
		const JsonSchemaString *key = &rules->properties[i].key;

		if (rules->properties[i].required &&
			json_schema_find_member(object, key->data, key->length, &member) < 0)
			JSON_SCHEMA_VIOLATION(run, frame, "required", "property \"%.*s\" is missing",
								  key->length, key->data);
	}
	return valid;
}

/* Applies patternProperties to one member; says whether any pattern matched */
static bool
check_patterns(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
			   const JsonSchemaCursor *cursor, const JsonSchemaValue *member,
			   const JsonSchemaFrame *frame, bool *valid)
{
	bool		matched = false;
	int			i;

	for (i = 0; i < rules->pattern_count; i++)
	{
		if (!json_schema_pattern_matches(rules->patterns[i].pattern, cursor->key, cursor->key_length))
			continue;
		matched = true;
		if (!json_schema_apply_member(run, rules->patterns[i].schema, member, frame,
									  cursor->key, cursor->key_length, -1))
		{
			*valid = false;
			if (!json_schema_goes_on(run))
				break;
		}
	}
	return matched;
}

/* Applies propertyNames to one key */
static bool
check_name(JsonSchemaRun *run, const JsonSchemaObjectRules *rules, const JsonSchemaCursor *cursor,
		   const JsonSchemaFrame *frame)
{
	JsonSchemaValue name;

	name.kind = JSON_SCHEMA_STRING;
	name.data = cursor->key;
	name.length = cursor->key_length;
	name.identity = cursor->keys + cursor->index - 1;
	return json_schema_apply_member(run, rules->names, &name, frame,
									cursor->key, cursor->key_length, -1);
}

/* Applies to one member what its key asks for besides properties */
static bool
check_other_rules(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
				  const JsonSchemaCursor *cursor, const JsonSchemaValue *member, bool described,
				  JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	bool		valid = true;

	if (rules->names != NULL)
		valid = check_name(run, rules, cursor, frame);
	if (rules->pattern_count > 0 && (valid || json_schema_goes_on(run)))
		described |= check_patterns(run, rules, cursor, member, frame, &valid);
	if (!described && rules->additional != NULL && (valid || json_schema_goes_on(run)))
	{
		valid &= json_schema_apply_member(run, rules->additional, member, frame,
										  cursor->key, cursor->key_length, -1);
		described = true;
	}
	if (described && evaluated != NULL)
		json_schema_evaluated_add(evaluated, cursor->index - 1);
	return valid;
}

/*
 * Walks over an object and the table of properties side by side, as both are
 * sorted by key.
 */
static bool
walk_properties(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
				const JsonSchemaValue *object, JsonSchemaEvaluated *evaluated,
				const JsonSchemaFrame *frame)
{
	const JsonSchemaProperty *property = rules->properties;
	const JsonSchemaProperty *end = property + rules->property_count;
	bool		every_member = rules->visit_all || evaluated != NULL;
	int			found = 0;
	bool		valid = true;
	JsonSchemaCursor cursor;
	JsonSchemaValue member;

	json_schema_open(&cursor, object);
	while ((property < end || every_member) && json_schema_next(&cursor, &member))
	{
		const JsonSchema *schema = NULL;
		int			order = 1;

		while (property < end &&
			   (order = json_schema_compare_keys(property->key.data, property->key.length,
												 cursor.key, cursor.key_length)) < 0)
			property++;
		if (property < end && order == 0)
		{
			schema = property->schema;
			found += property->required;
			property++;
		}
		if (schema != NULL && !json_schema_apply_member(run, schema, &member, frame, cursor.key,
														cursor.key_length, -1))
			valid = false;
		if (every_member && (valid || json_schema_goes_on(run)) &&
			!check_other_rules(run, rules, &cursor, &member, schema != NULL, evaluated, frame))
			valid = false;
		if (!valid && !json_schema_goes_on(run))
			return false;
	}
	if (found < rules->required_count)
		return report_missing(run, rules, object, frame);
	return valid;
}

/* Searches a large object for the few properties that the table describes */
static bool
search_properties(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
				  const JsonSchemaValue *object, const JsonSchemaFrame *frame)
{
	bool		valid = true;
	JsonSchemaValue member;
	int			i;

	for (i = 0; i < rules->property_count; i++)
	{
		const JsonSchemaProperty *property = &rules->properties[i];

		if (json_schema_find_member(object, property->key.data, property->key.length, &member) < 0)
		{
			if (property->required)
				JSON_SCHEMA_VIOLATION(run, frame, "required", "property \"%.*s\" is missing",
									  property->key.length, property->key.data);
		}
		else if (property->schema != NULL &&
				 !json_schema_apply_member(run, property->schema, &member, frame,
										   property->key.data, property->key.length, -1))
		{
			valid = false;
			if (!json_schema_goes_on(run))
				return false;
		}
	}
	return valid;
}

/* Applies one dependency, whose trigger is there */
static bool
check_dependency(JsonSchemaRun *run, const JsonSchemaDependency *dependency,
				 const JsonSchemaValue *object, JsonSchemaEvaluated *evaluated,
				 const JsonSchemaFrame *frame)
{
	bool		valid = true;
	JsonSchemaValue member;
	int			i;

	if (dependency->schema != NULL)
		return json_schema_apply_here(run, dependency->schema, object, evaluated, frame, NULL);
	for (i = 0; i < dependency->required_count; i++)
		if (json_schema_find_member(object, dependency->required[i].data,
									dependency->required[i].length, &member) < 0)
			JSON_SCHEMA_VIOLATION(run, frame, dependency->keyword,
								  "property \"%.*s\" is missing, which \"%.*s\" requires",
								  dependency->required[i].length, dependency->required[i].data,
								  dependency->key.length, dependency->key.data);
	return valid;
}

/* Applies dependentRequired, dependentSchemas and dependencies */
static bool
check_dependencies(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
				   const JsonSchemaValue *object, JsonSchemaEvaluated *evaluated,
				   const JsonSchemaFrame *frame)
{
	bool		valid = true;
	JsonSchemaValue member;
	int			i;

	for (i = 0; i < rules->dependency_count; i++)
	{
		const JsonSchemaDependency *dependency = &rules->dependencies[i];

		if (json_schema_find_member(object, dependency->key.data, dependency->key.length, &member) < 0 ||
			check_dependency(run, dependency, object, evaluated, frame))
			continue;
		valid = false;
		if (!json_schema_goes_on(run))
			return false;
	}
	return valid;
}

/* Checks the keywords for objects */
bool
json_schema_check_object(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
						 const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
						 const JsonSchemaFrame *frame)
{
	bool		valid = true;

	if (value->length < rules->min_properties)
		JSON_SCHEMA_VIOLATION(run, frame, "minProperties", "number of properties must be at least %d",
							  rules->min_properties);
	if (rules->max_properties >= 0 && value->length > rules->max_properties)
		JSON_SCHEMA_VIOLATION(run, frame, "maxProperties", "number of properties must be at most %d",
							  rules->max_properties);
	if (run->report == NULL && value->length < rules->required_count)
		return false;
	if (!rules->visit_all && evaluated == NULL &&
		value->length / SEARCH_FACTOR > rules->property_count)
		valid &= search_properties(run, rules, value, frame);
	else
		valid &= walk_properties(run, rules, value, evaluated, frame);
	if (rules->dependency_count > 0 && (valid || json_schema_goes_on(run)))
		valid &= check_dependencies(run, rules, value, evaluated, frame);
	return valid;
}

/* Applies prefixItems and items */
static bool
check_items(JsonSchemaRun *run, const JsonSchemaArrayRules *rules, const JsonSchemaValue *array,
			JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	int			limit = rules->rest != NULL ? array->length : Min(array->length, rules->prefix_count);
	bool		valid = true;
	JsonSchemaCursor cursor;
	JsonSchemaValue item;
	int			i;

	json_schema_open(&cursor, array);
	for (i = 0; i < limit && json_schema_next(&cursor, &item); i++)
	{
		if (evaluated != NULL)
			json_schema_evaluated_add(evaluated, i);
		if (!json_schema_apply_member(run, i < rules->prefix_count ? rules->prefix[i] : rules->rest,
									  &item, frame, NULL, 0, i))
		{
			valid = false;
			if (!json_schema_goes_on(run))
				return false;
		}
	}
	return valid;
}

/* Applies contains, minContains and maxContains */
static bool
check_contains(JsonSchemaRun *run, const JsonSchemaArrayRules *rules, const JsonSchemaValue *array,
			   JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	bool		valid = true;
	int			matches = 0;
	JsonSchemaCursor cursor;
	JsonSchemaValue item;

	json_schema_open(&cursor, array);
	while (json_schema_next(&cursor, &item))
	{
		if (!json_schema_test(run, rules->contains, &item, NULL))
			continue;
		matches++;
		if (evaluated != NULL)
			json_schema_evaluated_add(evaluated, cursor.index - 1);
		else if (matches >= rules->min_contains && rules->max_contains < 0)
			break;
	}
	if (matches < rules->min_contains)
		JSON_SCHEMA_VIOLATION(run, frame, rules->min_contains == 1 ? "contains" : "minContains",
							  "number of items that \"contains\" describes must be at least %d, is %d",
							  rules->min_contains, matches);
	if (rules->max_contains >= 0 && matches > rules->max_contains)
		JSON_SCHEMA_VIOLATION(run, frame, "maxContains",
							  "number of items that \"contains\" describes must be at most %d, is %d",
							  rules->max_contains, matches);
	return valid;
}

/* Orders two values, for qsort */
static int
compare_items(const void *a, const void *b)
{
	CHECK_FOR_INTERRUPTS();
	return json_schema_compare_values(a, b);
}

/*
 * Checks uniqueItems: sorts the items, so that an adversary cannot make it
 * slow, and compares neighbours.
 */
static pg_noinline bool
check_unique(JsonSchemaRun *run, const JsonSchemaValue *array, const JsonSchemaFrame *frame)
{
	JsonSchemaValue room[UNIQUE_ROOM];
	JsonSchemaValue *items = room;
	bool		valid = true;
	JsonSchemaCursor cursor;
	int			i;

	if (array->length > UNIQUE_ROOM)
		items = MemoryContextAllocHuge(CurrentMemoryContext,
									   sizeof(JsonSchemaValue) * (Size) array->length);
	json_schema_open(&cursor, array);
	for (i = 0; json_schema_next(&cursor, &items[i]); i++)
		;
	qsort(items, array->length, sizeof(JsonSchemaValue), compare_items);
	for (i = 1; i < array->length && valid; i++)
		valid = json_schema_compare_values(&items[i - 1], &items[i]) != 0;
	if (items != room)
		pfree(items);
	if (!valid && run->report != NULL)
		json_schema_report(run, frame, "uniqueItems", "must not contain the same item twice");
	return valid;
}

/* Checks the keywords for arrays */
bool
json_schema_check_array(JsonSchemaRun *run, const JsonSchemaArrayRules *rules,
						const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
						const JsonSchemaFrame *frame)
{
	bool		valid = true;

	if (value->length < rules->min_items)
		JSON_SCHEMA_VIOLATION(run, frame, "minItems", "number of items must be at least %d",
							  rules->min_items);
	if (rules->max_items >= 0 && value->length > rules->max_items)
		JSON_SCHEMA_VIOLATION(run, frame, "maxItems", "number of items must be at most %d",
							  rules->max_items);
	if (rules->prefix_count > 0 || rules->rest != NULL)
		valid &= check_items(run, rules, value, evaluated, frame);
	if (rules->contains != NULL && (valid || json_schema_goes_on(run)))
		valid &= check_contains(run, rules, value, evaluated, frame);
	if (rules->unique && (valid || json_schema_goes_on(run)))
		valid &= check_unique(run, value, frame);
	return valid;
}

/* Applies unevaluatedProperties or unevaluatedItems to the members not looked at */
bool
json_schema_check_unevaluated(JsonSchemaRun *run, const JsonSchema *schema,
							  const JsonSchemaValue *value, const JsonSchemaEvaluated *evaluated,
							  const JsonSchemaFrame *frame)
{
	bool		valid = true;
	JsonSchemaCursor cursor;
	JsonSchemaValue member;

	if (evaluated->all)
		return true;
	json_schema_open(&cursor, value);
	while (json_schema_next(&cursor, &member))
	{
		int			position = cursor.index - 1;
		bool		keyed = cursor.keys != NULL;

		if (json_schema_evaluated_has(evaluated, position) ||
			json_schema_apply_member(run, schema, &member, frame, keyed ? cursor.key : NULL,
									 keyed ? cursor.key_length : 0, keyed ? -1 : position))
			continue;
		valid = false;
		if (!json_schema_goes_on(run))
			return false;
	}
	return valid;
}

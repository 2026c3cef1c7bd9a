/*
 * json_schema_validate_branches.c
 *		Keywords that apply other schemas to the same value: references, allOf,
 *		anyOf, oneOf, not, if.
 */
#include "postgres.h"

#include "compat.h"
#include "json_schema_validate.h"

/* Returns the schema that a resource offers to a $dynamicRef, or NULL */
static const JsonSchema *
find_dynamic_target(const JsonSchemaDynamicTargets *targets, int resource)
{
	int			low = 0;
	int			high = targets->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (targets->targets[middle].resource == resource)
			return targets->targets[middle].schema;
		if (targets->targets[middle].resource > resource)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/*
 * Finds where a $dynamicRef leads: to the outermost resource entered on the
 * way here that has the anchor.
 */
static const JsonSchema *
dynamic_target(const JsonSchemaRun *run, const JsonSchemaReference *reference)
{
	const JsonSchemaProgram *program = run->program;
	int			i;

	for (i = 0; i < run->scope_size; i++)
	{
		const JsonSchema *target =
			find_dynamic_target(&program->dynamic_targets[reference->dynamic_anchor],
								program->scope[i]);

		if (target != NULL)
			return target;
	}
	return reference->target;
}

/* Applies $ref and $dynamicRef */
static bool
check_references(JsonSchemaRun *run, const JsonSchemaApplicators *rules,
				 const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
				 const JsonSchemaFrame *frame)
{
	bool		valid = true;
	int			i;

	for (i = 0; i < rules->reference_count; i++)
	{
		const JsonSchemaReference *reference = &rules->references[i];
		const JsonSchema *target = reference->dynamic_anchor < 0 ? reference->target :
			dynamic_target(run, reference);

		if (!json_schema_apply_here(run, target, value, evaluated, frame, reference->keyword))
		{
			valid = false;
			if (!json_schema_goes_on(run))
				return false;
		}
	}
	return valid;
}

/* Applies allOf */
static bool
check_all_of(JsonSchemaRun *run, const JsonSchemaBranches *branches, const JsonSchemaValue *value,
			 JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	bool		valid = true;
	int			i;

	for (i = 0; i < branches->count; i++)
		if (!json_schema_apply_here(run, branches->branches[i], value, evaluated, frame, NULL))
		{
			valid = false;
			if (!json_schema_goes_on(run))
				return false;
		}
	return valid;
}

/*
 * Asks whether a branch that may fail accepts a value; what it has looked at
 * counts only when it does.
 */
static bool
test_branch(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
			JsonSchemaEvaluated *evaluated)
{
	JsonSchemaEvaluated own;
	bool		valid;

	if (evaluated == NULL || evaluated->all)
		return json_schema_test(run, schema, value, NULL);
	json_schema_evaluated_start(&own, evaluated->count);
	valid = json_schema_test(run, schema, value, &own);
	if (valid)
		json_schema_evaluated_merge(evaluated, &own);
	json_schema_evaluated_end(&own);
	return valid;
}

/*
 * Chooses the branches that are worth a try: those that one property of the
 * value does not rule out.  Returns NULL for all of them.
 */
static const int *
choose_branches(const JsonSchemaBranches *branches, const JsonSchemaValue *value, int *count)
{
	const JsonSchemaDispatch *dispatch = branches->dispatch;
	JsonSchemaValue property;
	static const int none = 0;
	int			low = 0;
	int			high;

	*count = branches->count;
	if (dispatch == NULL || value->kind != JSON_SCHEMA_OBJECT ||
		json_schema_find_member(value, dispatch->key.data, dispatch->key.length, &property) < 0 ||
		property.kind != JSON_SCHEMA_STRING)
		return NULL;
	high = dispatch->value_count;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const JsonSchemaDispatchValue *entry = &dispatch->values[middle];
		int			order = json_schema_compare_keys(property.data, property.length,
													 entry->value.data, entry->value.length);

		if (order == 0)
		{
			*count = entry->branch_count;
			return entry->branches;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*count = 0;
	return &none;
}

/*
 * Reports that no branch accepts the value, and then what the branch misses
 * that was most likely meant: the only one for the value's type, or the only
 * one that a telling property leaves.
 */
static void
report_no_branch(JsonSchemaRun *run, const JsonSchemaBranches *branches, const char *keyword,
				 const JsonSchemaValue *value, const JsonSchemaFrame *frame)
{
	int			count;
	const int  *chosen = choose_branches(branches, value, &count);
	const JsonSchema *meant = NULL;
	int			fitting = 0;
	int			i;

	json_schema_report(run, frame, keyword, "must conform to %s of %d schemas, conforms to none",
					   strcmp(keyword, "oneOf") == 0 ? "exactly one" : "at least one",
					   branches->count);
	for (i = 0; i < count; i++)
	{
		const JsonSchema *branch = branches->branches[chosen ? chosen[i] : i];
		const JsonSchema *final = branch;

		while (final->applicators != NULL && final->applicators->reference_count == 1 &&
			   final->types == JSON_SCHEMA_ANY_TYPE && final->applicators->references[0].dynamic_anchor < 0)
			final = final->applicators->references[0].target;
		if (!final->is_false && (final->types & JSON_SCHEMA_TYPE_BIT(value->kind)))
		{
			meant = branch;
			fitting++;
		}
	}
	if (fitting == 1 && !run->stopped)
		json_schema_apply_here(run, meant, value, NULL, frame, NULL);
}

/* Applies anyOf */
static bool
check_any_of(JsonSchemaRun *run, const JsonSchemaBranches *branches, const JsonSchemaValue *value,
			 JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	int			count;
	const int  *chosen = choose_branches(branches, value, &count);
	bool		valid = false;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (!test_branch(run, branches->branches[chosen ? chosen[i] : i], value, evaluated))
			continue;
		valid = true;
		/* further branches only matter for what they look at */
		if (evaluated == NULL || evaluated->all)
			break;
	}
	if (!valid && run->report != NULL)
		report_no_branch(run, branches, "anyOf", value, frame);
	return valid;
}

/* Applies oneOf */
static bool
check_one_of(JsonSchemaRun *run, const JsonSchemaBranches *branches, const JsonSchemaValue *value,
			 JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	int			count;
	const int  *chosen = choose_branches(branches, value, &count);
	int			accepting = -1;
	bool		valid = true;
	int			i;

	for (i = 0; i < count; i++)
	{
		int			branch = chosen ? chosen[i] : i;

		if (!test_branch(run, branches->branches[branch], value, evaluated))
			continue;
		if (accepting >= 0)
		{
			JSON_SCHEMA_VIOLATION(run, frame, "oneOf",
								  "must conform to exactly one of %d schemas, conforms to those at %d and %d",
								  branches->count, accepting, branch);
			return false;
		}
		accepting = branch;
	}
	if (accepting >= 0)
		return valid;
	if (run->report != NULL)
		report_no_branch(run, branches, "oneOf", value, frame);
	return false;
}

/* Applies if, then, else */
static bool
check_condition(JsonSchemaRun *run, const JsonSchemaApplicators *rules,
				const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
				const JsonSchemaFrame *frame)
{
	const JsonSchema *next = test_branch(run, rules->condition, value, evaluated) ?
		rules->consequence : rules->alternative;

	return next == NULL || json_schema_apply_here(run, next, value, evaluated, frame, NULL);
}

/* Applies the keywords that apply other schemas to the same value */
bool
json_schema_check_applicators(JsonSchemaRun *run, const JsonSchemaApplicators *rules,
							  const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
							  const JsonSchemaFrame *frame)
{
	bool		valid = check_references(run, rules, value, evaluated, frame);

#define GO_ON	(valid || json_schema_goes_on(run))
	if (rules->all_of.count > 0 && GO_ON)
		valid &= check_all_of(run, &rules->all_of, value, evaluated, frame);
	if (rules->any_of.count > 0 && GO_ON)
		valid &= check_any_of(run, &rules->any_of, value, evaluated, frame);
	if (rules->one_of.count > 0 && GO_ON)
		valid &= check_one_of(run, &rules->one_of, value, evaluated, frame);
	if (rules->condition != NULL && GO_ON)
		valid &= check_condition(run, rules, value, evaluated, frame);
	if (rules->not != NULL && GO_ON && json_schema_test(run, rules->not, value, NULL))
		JSON_SCHEMA_VIOLATION(run, frame, "not", "must not conform to the schema of \"not\"");
#undef GO_ON
	return valid;
}

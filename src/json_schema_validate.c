/*
 * json_schema_validate.c
 *		Running a compiled JSON Schema on a JSONB document.
 *
 * Every subschema is applied by json_schema_apply().  Without a callback for
 * violations it stops at the first one and, but for few documented keywords,
 * allocates nothing.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_validate.h"

/*
 * Each shared schema can be reached in many ways, so that a few lines of
 * schema can ask for 2^n steps.  After this many of them, and in proportion
 * to the document, results are remembered.
 */
#define PATIENCE_STEPS	20000
#define PATIENCE_PER_BYTE	4

/* Checks the type of a value */
static bool
check_type(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
		   const JsonSchemaFrame *frame)
{
	if ((schema->types & JSON_SCHEMA_TYPE_BIT(JSON_SCHEMA_INTEGER)) && json_schema_is_integer(value))
		return true;
	if (run->report != NULL)
		json_schema_report(run, frame, "type", "must be %s, not %s",
						   json_schema_describe_types(schema->types),
						   json_schema_kind_name(value->kind));
	return false;
}

/* Applies the keywords for values of one type */
static inline bool
check_kind(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
		   JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	switch (value->kind)
	{
		case JSON_SCHEMA_OBJECT:
			return schema->object == NULL ||
				json_schema_check_object(run, schema->object, value, evaluated, frame);
		case JSON_SCHEMA_ARRAY:
			return schema->array == NULL ||
				json_schema_check_array(run, schema->array, value, evaluated, frame);
		case JSON_SCHEMA_STRING:
			return schema->string == NULL ||
				json_schema_check_string(run, schema->string, value, frame);
		case JSON_SCHEMA_NUMBER:
			return schema->number == NULL ||
				json_schema_check_number(run, schema->number, value, frame);
		default:
			return true;
	}
}

/* Applies all keywords of a schema but unevaluatedProperties and unevaluatedItems */
static inline bool
apply_evaluated_keywords(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
						 JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	bool		valid = true;

	if (unlikely(schema->is_false))
	{
		if (run->report != NULL)
			json_schema_report_false(run, frame);
		return false;
	}
	/* what has the wrong type is not looked at any further */
	if (unlikely(!(schema->types & JSON_SCHEMA_TYPE_BIT(value->kind))) &&
		!check_type(run, schema, value, frame))
		return false;
	if (schema->values != NULL)
		valid &= json_schema_check_enum(run, schema->values, value, frame);
	if (schema->constant != NULL)
		valid &= json_schema_check_enum(run, schema->constant, value, frame);
	if (!valid && !json_schema_goes_on(run))
		return false;
	if (!check_kind(run, schema, value, evaluated, frame))
		valid = false;
	if (schema->applicators == NULL || (!valid && !json_schema_goes_on(run)))
		return valid;
	return json_schema_check_applicators(run, schema->applicators, value, evaluated, frame) && valid;
}

/*
 * Applies a schema with unevaluatedProperties or unevaluatedItems.
 *
 * It sees what its own keywords have looked at and nothing from outside, so it
 * starts a set of its own.  When another keyword has failed, what it would
 * have looked at is unknown, and complaints about the rest would only mislead.
 */
static pg_noinline bool
apply_unevaluated(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
				  const JsonSchema *rest, JsonSchemaEvaluated *evaluated,
				  const JsonSchemaFrame *frame)
{
	JsonSchemaEvaluated own;
	bool		valid;

	json_schema_evaluated_start(&own, value->length);
	valid = apply_evaluated_keywords(run, schema, value, &own, frame) &&
		json_schema_check_unevaluated(run, rest, value, &own, frame);
	if (valid && evaluated != NULL)
		evaluated->all = true;
	json_schema_evaluated_end(&own);
	return valid;
}

/* Applies all keywords of a schema */
bool
json_schema_apply_keywords(JsonSchemaRun *run, const JsonSchema *schema,
						   const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
						   const JsonSchemaFrame *frame)
{
	if (unlikely(schema->unevaluated_properties != NULL) && value->kind == JSON_SCHEMA_OBJECT)
		return apply_unevaluated(run, schema, value, schema->unevaluated_properties, evaluated, frame);
	if (unlikely(schema->unevaluated_items != NULL) && value->kind == JSON_SCHEMA_ARRAY)
		return apply_unevaluated(run, schema, value, schema->unevaluated_items, evaluated, frame);
	return apply_evaluated_keywords(run, schema, value, evaluated, frame);
}

/* Applies a schema of a resource that was not entered yet; a $dynamicRef inside sees it */
static pg_noinline bool
apply_in_new_scope(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
				   JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	const JsonSchemaProgram *program = run->program;
	uint64		outer_hash = run->scope_hash;
	bool		valid;

	program->scope[run->scope_size++] = schema->resource;
	program->in_scope[schema->resource] = true;
	run->scope_hash = (outer_hash + schema->resource + 1) * UINT64CONST(0x9E3779B97F4A7C15);
	valid = json_schema_apply(run, schema, value, evaluated, frame);
	run->scope_hash = outer_hash;
	program->in_scope[schema->resource] = false;
	run->scope_size--;
	return valid;
}

/*
 * Applies a schema to a value.
 *
 * evaluated, unless NULL, receives the members of the value that were looked
 * at; frame is NULL when no violations are collected.
 */
bool
json_schema_apply(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
				  JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame)
{
	check_stack_depth();
	if (unlikely((++run->steps & 0xff) == 0))
		CHECK_FOR_INTERRUPTS();
	if (schema->jump != NULL && run->report == NULL)
		schema = schema->jump;
	if (run->program->dynamic_name_count > 0 && !run->program->in_scope[schema->resource])
		return apply_in_new_scope(run, schema, value, evaluated, frame);
	if (unlikely(run->steps > run->patience) && schema->is_target)
		return json_schema_apply_remembered(run, schema, value, evaluated, frame);
	return json_schema_apply_keywords(run, schema, value, evaluated, frame);
}

/* Asks only whether a schema accepts a value, whatever is being collected */
bool
json_schema_test(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
				 JsonSchemaEvaluated *evaluated)
{
	JsonSchemaErrorCallback report = run->report;
	bool		valid;

	run->report = NULL;
	valid = json_schema_apply(run, schema, value, evaluated, NULL);
	run->report = report;
	return valid;
}

/* Applies a schema to a member of the value that frame is about */
bool
json_schema_apply_member(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
						 const JsonSchemaFrame *frame, const char *key, int key_length, int index)
{
	JsonSchemaFrame member;

	/* most members end here */
	if (schema->only_types && (schema->types & JSON_SCHEMA_TYPE_BIT(value->kind)))
		return true;
	if (run->report == NULL)
		return json_schema_apply(run, schema, value, NULL, NULL);
	member.parent = frame;
	member.schema = schema;
	member.reference = NULL;
	member.key = key;
	member.key_length = key_length;
	member.index = index;
	return json_schema_apply(run, schema, value, NULL, &member);
}

/* Applies another schema to the value that frame is about */
bool
json_schema_apply_here(JsonSchemaRun *run, const JsonSchema *schema, const JsonSchemaValue *value,
					   JsonSchemaEvaluated *evaluated, const JsonSchemaFrame *frame,
					   const char *reference)
{
	JsonSchemaFrame here;

	if (run->report == NULL)
		return json_schema_apply(run, schema, value, evaluated, NULL);
	here.parent = frame;
	here.schema = schema;
	here.reference = reference;
	here.key = NULL;
	here.key_length = 0;
	here.index = -1;
	return json_schema_apply(run, schema, value, evaluated, &here);
}

/* Runs a program on a document */
static bool
run_program(JsonSchemaProgram *program, const Jsonb *document, JsonSchemaErrorCallback report,
			void *argument)
{
	JsonSchemaRun run = {0};
	JsonSchemaFrame root = {0};
	JsonSchemaValue value;
	bool		valid;

	run.program = program;
	run.report = report;
	run.report_argument = argument;
	run.patience = PATIENCE_STEPS + PATIENCE_PER_BYTE * (uint64) VARSIZE(document);
	/* an error may have left an earlier run unfinished */
	if (program->dynamic_name_count > 0)
		memset(program->in_scope, 0, sizeof(bool) * program->resource_count);
	root.schema = program->root;
	root.index = -1;
	json_schema_read_root(document, &value);
	valid = json_schema_apply(&run, program->root, &value, NULL, report ? &root : NULL);
	if (run.memo_context != NULL)
		MemoryContextDelete(run.memo_context);
	return valid;
}

/* Says whether a document conforms; stops at the first violation */
bool
json_schema_matches(JsonSchemaProgram *program, const Jsonb *document)
{
	return run_program(program, document, NULL, NULL);
}

/* Hands the violations of a document to callback; true means there were none */
bool
json_schema_collect_errors(JsonSchemaProgram *program, const Jsonb *document,
						   JsonSchemaErrorCallback callback, void *argument)
{
	return run_program(program, document, callback, argument);
}

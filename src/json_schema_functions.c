/*
 * json_schema_functions.c
 *		The type jsonschema and the functions that check documents.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "json_schema_cache.h"
#include "json_schema_compile.h"

/* Violations that jsonb_assert_schema() shows */
#define ASSERT_SHOWN	5

/* Raises unless a document can be a schema at all */
static Datum
check_schema_kind(Datum document)
{
	JsonSchemaValue value;

	json_schema_read_root(DatumGetJsonbP(document), &value);
	if (value.kind != JSON_SCHEMA_OBJECT && value.kind != JSON_SCHEMA_BOOLEAN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a JSON schema must be an object or a boolean, not %s",
						json_schema_kind_name(value.kind))));
	return document;
}

/* Converts json to jsonb; raises what JSONB cannot hold */
static Datum
json_to_jsonb(text *document)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(document)));
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_in);

/* Reads a jsonschema from text */
Datum
flowlens_jsonschema_in(PG_FUNCTION_ARGS)
{
	return check_schema_kind(DirectFunctionCall1(jsonb_in, PG_GETARG_DATUM(0)));
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_out);

/* Writes a jsonschema as text */
Datum
flowlens_jsonschema_out(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(0));
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_recv);

/* Reads a jsonschema from its binary form, that of jsonb */
Datum
flowlens_jsonschema_recv(PG_FUNCTION_ARGS)
{
	return check_schema_kind(DirectFunctionCall1(jsonb_recv, PG_GETARG_DATUM(0)));
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_send);

/* Writes the binary form of a jsonschema */
Datum
flowlens_jsonschema_send(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(jsonb_send, PG_GETARG_DATUM(0));
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_from_json);

/* Casts json to jsonschema */
Datum
flowlens_jsonschema_from_json(PG_FUNCTION_ARGS)
{
	return check_schema_kind(json_to_jsonb(PG_GETARG_TEXT_PP(0)));
}

PG_FUNCTION_INFO_V1(flowlens_jsonb_matches_schema);

/* Says whether a jsonb document conforms to a schema */
Datum
flowlens_jsonb_matches_schema(PG_FUNCTION_ARGS)
{
	JsonSchemaProgram *program = json_schema_for_call(fcinfo, 0);
	Jsonb	   *instance = PG_GETARG_JSONB_P(1);
	bool		valid = json_schema_matches(program, instance);

	PG_FREE_IF_COPY(instance, 1);
	PG_RETURN_BOOL(valid);
}

PG_FUNCTION_INFO_V1(flowlens_json_matches_schema);

/* Says whether a json document conforms to a schema */
Datum
flowlens_json_matches_schema(PG_FUNCTION_ARGS)
{
	JsonSchemaProgram *program = json_schema_for_call(fcinfo, 0);

	PG_RETURN_BOOL(json_schema_matches(program,
									   DatumGetJsonbP(json_to_jsonb(PG_GETARG_TEXT_PP(1)))));
}

/* What is most worth telling about a schema */
typedef struct SchemaComplaint
{
	char	   *location;		/* NULL: nothing yet */
	char	   *error;
} SchemaComplaint;

/* Keeps the violation that lies deepest: those above it are its consequences */
static bool
keep_deepest(const JsonSchemaError *error, void *argument)
{
	SchemaComplaint *complaint = argument;

	if (complaint->location == NULL ||
		strlen(error->instance_location) > strlen(complaint->location))
	{
		complaint->location = pstrdup(error->instance_location);
		complaint->error = pstrdup(error->error);
	}
	return true;
}

/* Returns the program that checks schemas of a dialect */
static JsonSchemaProgram *
metaschema_program(const char *uri)
{
	char	   *schema = psprintf("{\"$schema\": \"%s\", \"$ref\": \"%s\"}", uri, uri);
	Datum		document = DirectFunctionCall1(jsonb_in, CStringGetDatum(schema));

	return json_schema_acquire(DatumGetJsonbP(document), CurrentMemoryContext);
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_is_valid);

/* Says whether a document is a schema, by the metaschema of its draft */
Datum
flowlens_jsonschema_is_valid(PG_FUNCTION_ARGS)
{
	Jsonb	   *schema = DatumGetJsonbP(json_to_jsonb(PG_GETARG_TEXT_PP(0)));
	const char *uri = json_schema_builtin_dialect_uri("2020-12");
	SchemaComplaint complaint = {NULL, NULL};
	JsonSchemaValue root;
	JsonSchemaValue dialect;

	json_schema_read_root(schema, &root);
	if (root.kind == JSON_SCHEMA_OBJECT &&
		json_schema_find_member(&root, "$schema", strlen("$schema"), &dialect) >= 0 &&
		dialect.kind == JSON_SCHEMA_STRING)
	{
		char	   *given = pnstrdup(dialect.data, dialect.length);

		uri = strchr(given, ':') ? json_schema_builtin_dialect_uri(given) : NULL;
		if (uri == NULL)
		{
			ereport(NOTICE, (errmsg("JSON schema dialect \"%s\" is not supported", given)));
			PG_RETURN_BOOL(false);
		}
	}
	if (json_schema_collect_errors(metaschema_program(uri), schema, keep_deepest, &complaint))
		PG_RETURN_BOOL(true);
	ereport(NOTICE,
			(errmsg("invalid JSON schema at \"%s\": %s", complaint.location, complaint.error)));
	PG_RETURN_BOOL(false);
}

/* Adds "location: message" to an array under construction */
static bool
add_to_array(const JsonSchemaError *error, void *argument)
{
	ArrayBuildState **state = argument;
	char	   *line = psprintf("%s%s%s", error->instance_location,
								*error->instance_location ? ": " : "", error->error);

	*state = accumArrayResult(*state, CStringGetTextDatum(line), false, TEXTOID,
							  CurrentMemoryContext);
	return true;
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_validation_errors);

/* Returns what is wrong with a document as an array of texts */
Datum
flowlens_jsonschema_validation_errors(PG_FUNCTION_ARGS)
{
	Jsonb	   *schema = DatumGetJsonbP(json_to_jsonb(PG_GETARG_TEXT_PP(0)));
	Jsonb	   *instance = DatumGetJsonbP(json_to_jsonb(PG_GETARG_TEXT_PP(1)));
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);

	json_schema_collect_errors(json_schema_acquire(schema, CurrentMemoryContext), instance,
							   add_to_array, &state);
	PG_RETURN_DATUM(makeArrayResult(state, CurrentMemoryContext));
}

/* Where jsonb_schema_errors() puts its rows */
typedef struct ErrorRows
{
	ReturnSetInfo *result;
	int			left;			/* rows that may still come */
} ErrorRows;

/* Adds a row to the result of jsonb_schema_errors() */
static bool
add_row(const JsonSchemaError *error, void *argument)
{
	ErrorRows  *rows = argument;
	Datum		values[5];
	bool		nulls[5] = {false, false, false, false, false};

	values[0] = CStringGetTextDatum(error->instance_location);
	values[1] = CStringGetTextDatum(error->keyword_location);
	values[2] = CStringGetTextDatum(error->absolute_keyword_location);
	values[3] = CStringGetTextDatum(error->keyword);
	values[4] = CStringGetTextDatum(error->error);
	tuplestore_putvalues(rows->result->setResult, rows->result->setDesc, values, nulls);
	return --rows->left > 0;
}

PG_FUNCTION_INFO_V1(flowlens_jsonb_schema_errors);

/* Returns what is wrong with a document as rows */
Datum
flowlens_jsonb_schema_errors(PG_FUNCTION_ARGS)
{
	ErrorRows	rows = {(ReturnSetInfo *) fcinfo->resultinfo, PG_INT32_MAX};
	JsonSchemaProgram *program;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	if (!PG_ARGISNULL(2))
		rows.left = PG_GETARG_INT32(2);
	if (rows.left < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_errors\" must be at least 1")));
	program = json_schema_for_call(fcinfo, 0);
	if (!json_schema_matches(program, PG_GETARG_JSONB_P(1)))
		json_schema_collect_errors(program, PG_GETARG_JSONB_P(1), add_row, &rows);
	return (Datum) 0;
}

/* The first violations as lines */
typedef struct ErrorLines
{
	StringInfoData text;
	int			count;
} ErrorLines;

/* Adds a line for the detail of an error message */
static bool
add_line(const JsonSchemaError *error, void *argument)
{
	ErrorLines *lines = argument;

	if (lines->count == ASSERT_SHOWN)
	{
		appendStringInfoString(&lines->text, "\n...");
		return false;
	}
	appendStringInfo(&lines->text, "%s\"%s\": %s (%s)", lines->count > 0 ? "\n" : "",
					 error->instance_location, error->error, error->keyword);
	lines->count++;
	return true;
}

PG_FUNCTION_INFO_V1(flowlens_jsonb_assert_schema);

/* Raises what is wrong with a document, for CHECK constraints */
Datum
flowlens_jsonb_assert_schema(PG_FUNCTION_ARGS)
{
	JsonSchemaProgram *program = json_schema_for_call(fcinfo, 0);
	Jsonb	   *instance = PG_GETARG_JSONB_P(1);
	ErrorLines	lines = {{0}, 0};

	if (!json_schema_matches(program, instance))
	{
		initStringInfo(&lines.text);
		json_schema_collect_errors(program, instance, add_line, &lines);
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("document does not conform to its JSON schema"),
				 errdetail("%s", lines.text.data)));
	}
	PG_FREE_IF_COPY(instance, 1);
	PG_RETURN_BOOL(true);
}

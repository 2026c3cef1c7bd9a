/*
 * json_schema_errors.c
 *		Violations: where they are and what they say.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_compile.h"
#include "json_schema_validate.h"

/* How much of a list of allowed values a message shows */
#define SHOWN_VALUES	10
#define SHOWN_BYTES		60

/* Lists the frames from the outermost to this one */
static List *
list_frames(const JsonSchemaFrame *frame)
{
	List	   *frames = NIL;
	List	   *reversed = NIL;
	int			i;

	for (; frame != NULL; frame = frame->parent)
		reversed = lappend(reversed, unconstify(JsonSchemaFrame *, frame));
	for (i = list_length(reversed) - 1; i >= 0; i--)
		frames = lappend(frames, list_nth(reversed, i));
	return frames;
}

/* Appends the place in the document */
static void
append_instance_location(StringInfo location, List *frames)
{
	ListCell   *cell;

	foreach(cell, frames)
	{
		const JsonSchemaFrame *frame = lfirst(cell);

		if (frame->key != NULL)
			json_schema_append_token(location, frame->key, frame->key_length);
		else if (frame->index >= 0)
			appendStringInfo(location, "/%d", frame->index);
	}
}

/* Appends the way through the schema, references included */
static void
append_keyword_location(StringInfo location, List *frames)
{
	ListCell   *cell;

	foreach(cell, frames)
	{
		const JsonSchemaFrame *frame = lfirst(cell);

		if (frame->reference != NULL)
			appendStringInfo(location, "/%s", frame->reference);
		else if (frame->parent != NULL)
			json_schema_append_path(location, frame->parent->schema->node, frame->schema->node);
	}
}

/* Hands one violation to the callback; append_name: the keyword is one of the schema's own */
static void
send_error(JsonSchemaRun *run, const JsonSchemaFrame *frame, const char *name, bool append_name,
		   const char *message)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "JSON schema violation",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	StringInfoData instance;
	StringInfoData keyword;
	List	   *frames = list_frames(frame);
	JsonSchemaError error;

	initStringInfo(&instance);
	append_instance_location(&instance, frames);
	initStringInfo(&keyword);
	append_keyword_location(&keyword, frames);
	error.absolute_keyword_location = json_schema_node_location(frame->schema->node);
	if (append_name)
	{
		appendStringInfo(&keyword, "/%s", name);
		error.absolute_keyword_location = psprintf("%s/%s", error.absolute_keyword_location, name);
	}
	error.instance_location = instance.data;
	error.keyword_location = keyword.data;
	error.keyword = name;
	error.error = message;
	MemoryContextSwitchTo(caller);
	if (!run->report(&error, run->report_argument))
		run->stopped = true;
	MemoryContextDelete(context);
}

/* Reports that a value violates a keyword of the frame's schema */
void
json_schema_report(JsonSchemaRun *run, const JsonSchemaFrame *frame, const char *keyword,
				   const char *format,...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	send_error(run, frame, keyword, true, message.data);
	pfree(message.data);
}

/* Returns the keyword that applies a schema: the nearest one above it */
static char *
applying_keyword(const JsonSchemaFrame *frame)
{
	const JsonSchemaNode *node = frame->schema->node;
	const JsonSchemaNode *outer = frame->parent != NULL ? frame->parent->schema->node : NULL;

	if (frame->reference != NULL)
		return pstrdup(frame->reference);
	if (outer == NULL)
		return pstrdup("false");
	while (node->parent != NULL && node->parent != outer)
		node = node->parent;
	return node->key != NULL ? pnstrdup(node->key, node->key_length) : pstrdup("false");
}

/* Reports that the schema false was applied to a value */
void
json_schema_report_false(JsonSchemaRun *run, const JsonSchemaFrame *frame)
{
	char	   *keyword = applying_keyword(frame);
	char	   *message;

	if (frame->key != NULL)
		message = psprintf("property \"%.*s\" is not allowed", frame->key_length, frame->key);
	else if (frame->index >= 0)
		message = psprintf("item %d is not allowed", frame->index);
	else
		message = pstrdup("no value is allowed");
	send_error(run, frame, keyword, false, message);
	pfree(message);
	pfree(keyword);
}

/* Returns the names of types as a list for people */
char *
json_schema_describe_types(uint8 types)
{
	StringInfoData list;
	JsonSchemaKind kind;

	initStringInfo(&list);
	for (kind = JSON_SCHEMA_NULL; kind <= JSON_SCHEMA_INTEGER; kind++)
		if (types & JSON_SCHEMA_TYPE_BIT(kind))
			appendStringInfo(&list, "%s%s", list.len > 0 ? " or " : "", json_schema_kind_name(kind));
	return list.data;
}

/* Appends an allowed value that is no string; containers are only named */
static void
append_value(StringInfo list, const JsonSchemaValue *value)
{
	switch (value->kind)
	{
		case JSON_SCHEMA_NULL:
			appendStringInfoString(list, "null");
			break;
		case JSON_SCHEMA_BOOLEAN:
			appendStringInfoString(list, value->length ? "true" : "false");
			break;
		case JSON_SCHEMA_NUMBER:
			appendStringInfoString(list, json_schema_describe_number((Numeric) value->data));
			break;
		default:
			appendStringInfo(list, "a certain %s", json_schema_kind_name(value->kind));
			break;
	}
}

/* Returns the allowed values, or the first of them, for people */
char *
json_schema_describe_enum(const JsonSchemaEnum *allowed)
{
	int			count = allowed->string_count + allowed->other_count;
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	if (count != 1)
		appendStringInfoString(&list, "one of ");
	for (i = 0; i < Min(count, SHOWN_VALUES); i++)
	{
		if (i > 0)
			appendStringInfoString(&list, ", ");
		if (i < allowed->string_count)
		{
			const JsonSchemaString *string = &allowed->strings[i];
			int			shown = pg_mbcliplen(string->data, string->length, SHOWN_BYTES);

			appendStringInfo(&list, "\"%.*s%s\"", shown, string->data,
							 shown < string->length ? "..." : "");
		}
		else
			append_value(&list, &allowed->others[i - allowed->string_count]);
	}
	if (count > SHOWN_VALUES)
		appendStringInfo(&list, " and %d more", count - SHOWN_VALUES);
	return list.data;
}

/* Returns a number as text */
char *
json_schema_describe_number(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

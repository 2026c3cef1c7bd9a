/*
 * json_schema_patterns.c
 *		The patterns of JSON Schema: regular expressions of ECMA-262, compiled once.
 *
 * A pattern is parsed by our own grammar.  A simple one is then matched by
 * json_schema_pattern_runs.c, one with back references by
 * json_schema_pattern_backtrack.c, and any other is written anew for PostgreSQL's
 * engine, which takes time in proportion to the text.  All of them work on
 * Unicode code points whatever the encoding of the database.  In a SQL_ASCII
 * database what is no UTF-8 counts as one U+FFFD per octet.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_pattern_backtrack.h"
#include "json_schema_pattern_parser.h"
#include "json_schema_pattern_runs.h"
#include "json_schema_pattern_writer.h"
#include "json_schema_patterns.h"
#include "json_schema_utf8.h"

/* Octets of a pattern that a message shows */
#define MAX_SHOWN 200

/* Code points of a text that need no memory of their own */
#define STACK_CODE_POINTS 512

struct JsonSchemaPattern
{
	JsonSchemaRuns *runs;		/* NULL when the engine is needed */
	JsonSchemaBacktrack *backtrack; /* of a pattern with back references */
	regex_t		regex;
	MemoryContextCallback release;
};

/* Takes memory from a context, for the parts without server types */
static void *
allocate_in_context(void *state, size_t size)
{
	return MemoryContextAlloc((MemoryContext) state, size);
}

/* Raises an error about a pattern; the detail is a sentence without its period */
static void
raise_pattern_error(const char *source, int length, const char *detail)
{
	int			shown = pg_mbcliplen(source, length, MAX_SHOWN);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
			 errmsg("invalid pattern \"%.*s%s\"", shown, source, shown < length ? "..." : ""),
			 errdetail("%s.", detail)));
}

/* Returns a text in the encoding of the database as UTF-8: the text itself wherever that is possible */
const char *
json_schema_to_utf8(const char *text, int *length)
{
	char	   *converted;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	converted = pg_server_to_any(text, *length, PG_UTF8);
	if (converted != text)
		*length = (int) strlen(converted);
	return converted;
}

/* Returns the number of the character that an octet of the source belongs to, from 1 */
static int
character_number(const char *source, int offset)
{
	const unsigned char *at = (const unsigned char *) source;
	const unsigned char *end = at + offset;
	int			number = 1;

	while (at < end)
	{
		int			length;

		json_schema_utf8_decode(at, end, &length);
		at += length;
		number++;
	}
	return number;
}

/* Returns the tree of a pattern */
static JsonSchemaPatternNode *
parse(JsonSchemaPatternParser *parser, JsonSchemaArena arena, const char *source, int length)
{
	int			utf8_length = length;
	const char *utf8 = json_schema_to_utf8(source, &utf8_length);
	JsonSchemaPatternNode *root = json_schema_parse_pattern(parser, arena, utf8, utf8_length, false);

	if (root == NULL)
		raise_pattern_error(source, length,
							psprintf("%s, at character %d", parser->error,
									 character_number(utf8, parser->error_offset)));
	return root;
}

/* Releases the memory of a compiled regular expression that no context owns */
static void
release_regex(void *regex)
{
	pg_regfree(regex);
}

/* Compiles what the writer wrote, into the pattern's context */
static void
compile_regex(JsonSchemaPattern *pattern, const char *written, MemoryContext context,
			  const char *source, int length)
{
	size_t		written_length = strlen(written);
	pg_wchar   *wide = palloc((written_length + 1) * sizeof(pg_wchar));
	MemoryContext old_context;
	size_t		i;
	int			result;

	for (i = 0; i < written_length; i++)
		wide[i] = (unsigned char) written[i];
	old_context = MemoryContextSwitchTo(context);
	result = pg_regcomp(&pattern->regex, wide, written_length,
						REG_ADVANCED | REG_NOSUB, C_COLLATION_OID);
	MemoryContextSwitchTo(old_context);
	if (result != REG_OKAY)
	{
		char		message[100];

		CHECK_FOR_INTERRUPTS();
		pg_regerror(result, &pattern->regex, message, sizeof(message));
		raise_pattern_error(source, length, psprintf("The regular expression engine says: %s", message));
	}
	if (COMPILED_REGEX_IS_MALLOCED)
	{
		pattern->release.func = release_regex;
		pattern->release.arg = &pattern->regex;
		MemoryContextRegisterResetCallback(context, &pattern->release);
	}
}

/* Builds a pattern, the current context taking what is needed only meanwhile */
static JsonSchemaPattern *
build_pattern(const char *source, int length, MemoryContext context)
{
	JsonSchemaPattern *pattern = MemoryContextAllocZero(context, sizeof(JsonSchemaPattern));
	JsonSchemaPatternParser *parser = palloc(sizeof(JsonSchemaPatternParser));
	JsonSchemaArena temporary = {allocate_in_context, CurrentMemoryContext};
	JsonSchemaArena lasting = {allocate_in_context, context};
	JsonSchemaPatternNode *root = parse(parser, temporary, source, length);
	const char *error;
	char	   *written;

	if (parser->has_references)
	{
		pattern->backtrack = json_schema_build_backtrack(&lasting, root, parser->group_count);
		return pattern;
	}
	pattern->runs = json_schema_build_runs(&temporary, &lasting, root);
	if (pattern->runs != NULL)
		return pattern;
	error = json_schema_write_pattern(root, &written);
	if (error != NULL)
		raise_pattern_error(source, length, error);
	compile_regex(pattern, written, context, source, length);
	return pattern;
}

/* Compiles a pattern into a memory context; raises what is wrong or not supported */
JsonSchemaPattern *
json_schema_compile_pattern(const char *source, int length, MemoryContext context)
{
	MemoryContext temporary = AllocSetContextCreate(CurrentMemoryContext, "JSON Schema pattern",
													ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(temporary);
	JsonSchemaPattern *pattern = build_pattern(source, length, context);

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(temporary);
	return pattern;
}

/* Runs PostgreSQL's engine over code points */
static bool
execute_regex(regex_t *regex, const pg_wchar *wide, size_t length)
{
	int			result = pg_regexec(regex, wide, length, 0, NULL, 0, NULL, 0);

	if (result != REG_OKAY && result != REG_NOMATCH)
	{
		char		message[100];

		CHECK_FOR_INTERRUPTS();
		pg_regerror(result, regex, message, sizeof(message));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_REGULAR_EXPRESSION),
				 errmsg("regular expression failed: %s", message)));
	}
	return result == REG_OKAY;
}

/* Matches a text in UTF-8 code point by code point */
static bool
code_points_match(JsonSchemaPattern *pattern, const char *text, int length)
{
	const unsigned char *at = (const unsigned char *) text;
	const unsigned char *end = at + length;
	pg_wchar	stack[STACK_CODE_POINTS];
	pg_wchar   *wide = stack;
	size_t		count = 0;
	bool		matches;

	if (length > STACK_CODE_POINTS)
		wide = MemoryContextAllocHuge(CurrentMemoryContext, (Size) length * sizeof(pg_wchar));
	while (at < end)
	{
		int			octets;

		wide[count++] = json_schema_utf8_decode(at, end, &octets);
		at += octets;
	}
	if (pattern->backtrack != NULL)
		matches = json_schema_backtrack_matches(pattern->backtrack, wide, (int) count);
	else
		matches = execute_regex(&pattern->regex, wide, count);
	if (wide != stack)
		pfree(wide);
	return matches;
}

/* Returns whether a text in the encoding of the database matches somewhere */
bool
json_schema_pattern_matches(JsonSchemaPattern *pattern, const char *text, int length)
{
	const char *utf8 = json_schema_to_utf8(text, &length);
	bool		matches;

	if (pattern->runs != NULL)
		matches = json_schema_runs_match(pattern->runs, utf8, length);
	else
		matches = code_points_match(pattern, utf8, length);
	if (utf8 != text)
		pfree(unconstify(char *, utf8));
	return matches;
}

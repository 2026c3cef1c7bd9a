/*
 * json_schema_pattern_writer.c
 *		Writing of a parsed pattern as an advanced regular expression of PostgreSQL.
 *
 * Everything but letters and digits of ASCII is written as \UXXXXXXXX, and every
 * class as the code points it holds, so that neither a collation nor a character
 * that is special in only one of the two languages can change the meaning.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "compat.h"
#include "json_schema_pattern_writer.h"
#include "json_schema_utf8.h"

/* The engine's limit of the numbers in braces */
#define MAX_BOUND 255

/* Nodes that repetitions with braces may add: compilation stays below a second */
#define MAX_ADDED_NODES 10000

/* Length of what is written, at most */
#define MAX_WRITTEN (8 * 1024 * 1024)

typedef JsonSchemaPatternNode Node;

typedef struct Writer
{
	StringInfoData text;
	const char *error;
} Writer;

static void write_node(Writer *writer, const Node *node);

/* Returns whether a node can only match the empty text */
static bool
is_empty_only(const Node *node)
{
	const Node *child;

	check_stack_depth();
	if (node->type == JSON_SCHEMA_NODE_SET)
		return false;
	if (node->type == JSON_SCHEMA_NODE_LOOK)
		return true;
	for (child = node->child; child != NULL; child = child->next)
	{
		if (!is_empty_only(child))
			return false;
	}
	return true;
}

/* Returns how many nodes there are, or with those that repetitions add, up to a number far above the limit */
static int64
count_nodes(const Node *node, bool with_added)
{
	const Node *child;
	int64		count = 1;

	check_stack_depth();
	for (child = node->child; child != NULL; child = child->next)
		count += count_nodes(child, with_added);
	if (with_added && node->type == JSON_SCHEMA_NODE_REPEAT)
		count *= node->max == JSON_SCHEMA_UNBOUNDED ? (int64) node->min + 1 : node->max;
	return Min(count, PG_INT32_MAX);
}

/* Writes a code point */
static void
write_code_point(Writer *writer, uint32_t code)
{
	if ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z'))
		appendStringInfoChar(&writer->text, (char) code);
	else
		appendStringInfo(&writer->text, "\\U%08X", code);
}

/* Writes a set; an empty one as a code point that no text holds */
static void
write_set(Writer *writer, const JsonSchemaSet *set)
{
	int			i;

	if (set->count == 0)
	{
		write_code_point(writer, JSON_SCHEMA_MAX_CODE_POINT + 1);
		return;
	}
	if (set->ranges[0].first == 0 && set->ranges[0].last == JSON_SCHEMA_MAX_CODE_POINT)
	{
		appendStringInfoChar(&writer->text, '.');
		return;
	}
	if (set->count == 1 && set->ranges[0].first == set->ranges[0].last)
	{
		write_code_point(writer, set->ranges[0].first);
		return;
	}
	appendStringInfoChar(&writer->text, '[');
	for (i = 0; i < set->count; i++)
	{
		write_code_point(writer, set->ranges[i].first);
		if (set->ranges[i].last > set->ranges[i].first)
		{
			appendStringInfoChar(&writer->text, '-');
			write_code_point(writer, set->ranges[i].last);
		}
	}
	appendStringInfoChar(&writer->text, ']');
}

/* Writes a node so that a quantifier behind it takes all of it */
static void
write_atom(Writer *writer, const Node *node)
{
	if (node->type == JSON_SCHEMA_NODE_SET || node->type == JSON_SCHEMA_NODE_GROUP)
	{
		write_node(writer, node);
		return;
	}
	appendStringInfoString(&writer->text, "(?:");
	write_node(writer, node);
	appendStringInfoChar(&writer->text, ')');
}

/* Writes a node so many times in a row, the braces within the engine's limit */
static void
write_times(Writer *writer, const Node *node, int count)
{
	if (writer->text.len > MAX_WRITTEN)
		writer->error = "The pattern is too complex";
	if (count == 0 || writer->error != NULL)
		return;
	if (count > MAX_BOUND)
	{
		appendStringInfoString(&writer->text, "(?:");
		write_atom(writer, node);
		appendStringInfo(&writer->text, "{%d}){%d}", MAX_BOUND, count / MAX_BOUND);
		count %= MAX_BOUND;
	}
	if (count == 0)
		return;
	write_atom(writer, node);
	if (count > 1)
		appendStringInfo(&writer->text, "{%d}", count);
}

/* Writes a node at most so many times in a row */
static void
write_up_to(Writer *writer, const Node *node, int count)
{
	if (count > MAX_BOUND)
	{
		appendStringInfoString(&writer->text, "(?:");
		write_atom(writer, node);
		appendStringInfo(&writer->text, "{0,%d}){%d}", MAX_BOUND, count / MAX_BOUND);
		count %= MAX_BOUND;
	}
	if (count == 0)
		return;
	write_atom(writer, node);
	if (count == 1)
		appendStringInfoChar(&writer->text, '?');
	else
		appendStringInfo(&writer->text, "{0,%d}", count);
}

/* Writes a repetition */
static void
write_repeat(Writer *writer, const Node *node)
{
	const Node *child = node->child;

	if (node->max == 0 || (node->min == 0 && is_empty_only(child)))
		appendStringInfoString(&writer->text, "(?:)");
	else if (node->max == 1 && node->min == 1)
		write_atom(writer, child);
	else if (is_empty_only(child))
		write_atom(writer, child);
	else if (node->max <= MAX_BOUND)
	{
		write_atom(writer, child);
		appendStringInfo(&writer->text, "{%d,%d}", node->min, node->max);
	}
	else if (node->max < JSON_SCHEMA_UNBOUNDED)
	{
		write_times(writer, child, node->min);
		write_up_to(writer, child, node->max - node->min);
	}
	else if (node->min <= MAX_BOUND)
	{
		write_atom(writer, child);
		if (node->min > 1)
			appendStringInfo(&writer->text, "{%d,}", node->min);
		else
			appendStringInfoChar(&writer->text, node->min == 1 ? '+' : '*');
	}
	else
	{
		write_times(writer, child, node->min);
		write_atom(writer, child);
		appendStringInfoChar(&writer->text, '*');
	}
}

/* Writes a lookahead or lookbehind */
static void
write_look(Writer *writer, const Node *node)
{
	appendStringInfo(&writer->text, "(?%s%c", node->behind ? "<" : "", node->negated ? '!' : '=');
	write_node(writer, node->child);
	appendStringInfoChar(&writer->text, ')');
}

/* Writes the children with a separator between them */
static void
write_children(Writer *writer, const Node *node, const char *separator)
{
	const Node *child;

	for (child = node->child; child != NULL; child = child->next)
	{
		if (child != node->child)
			appendStringInfoString(&writer->text, separator);
		write_node(writer, child);
	}
}

/* Writes a node; a choice is always inside of a group or the whole pattern */
static void
write_node(Writer *writer, const Node *node)
{
	check_stack_depth();
	switch (node->type)
	{
		case JSON_SCHEMA_NODE_EMPTY:
			appendStringInfoString(&writer->text, "(?:)");
			break;
		case JSON_SCHEMA_NODE_SET:
			write_set(writer, &node->set);
			break;
		case JSON_SCHEMA_NODE_SEQUENCE:
			write_children(writer, node, "");
			break;
		case JSON_SCHEMA_NODE_CHOICE:
			write_children(writer, node, "|");
			break;
		case JSON_SCHEMA_NODE_GROUP:
			write_atom(writer, node->child);
			break;
		case JSON_SCHEMA_NODE_REPEAT:
			write_repeat(writer, node);
			break;
		case JSON_SCHEMA_NODE_START:
			appendStringInfoChar(&writer->text, '^');
			break;
		case JSON_SCHEMA_NODE_END:
			appendStringInfoChar(&writer->text, '$');
			break;
		case JSON_SCHEMA_NODE_WORD_EDGE:
			appendStringInfoString(&writer->text, node->negated ? "\\Y" : "\\y");
			break;
		case JSON_SCHEMA_NODE_LOOK:
			write_look(writer, node);
			break;
		case JSON_SCHEMA_NODE_BACK_REFERENCE:
			elog(ERROR, "a back reference cannot be written");
			break;
	}
}

/* Writes a tree without back references, in ASCII only; returns a sentence on what cannot be written, or NULL */
const char *
json_schema_write_pattern(const JsonSchemaPatternNode *root, char **result)
{
	Writer		writer;

	if (count_nodes(root, true) - count_nodes(root, false) > MAX_ADDED_NODES)
		return "The pattern is too complex";
	initStringInfo(&writer.text);
	writer.error = NULL;
	write_node(&writer, root);
	*result = writer.text.data;
	return writer.error;
}

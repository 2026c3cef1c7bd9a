/*
 * json_schema_pattern_parser.c
 *		The grammar of regular expressions of ECMA-262 with the flag "u".
 *
 * The parser is strict, or lenient where patterns in the wild rely on the older
 * grammar and can mean only one thing: an escaped punctuation character, braces
 * and brackets that close or repeat nothing, and a hyphen beside a class escape
 * stand for themselves.  An escaped letter or digit without meaning is an error
 * in both modes: the older grammar would drop the backslash in silence.
 */
#include "json_schema_pattern_reader.h"

#define MAX_DEPTH 500

typedef JsonSchemaPatternNode Node;

static Node *parse_choice(Parser *parser);

/* Returns a new node, or the scratch node when nothing is built */
static Node *
new_node(Parser *parser, JsonSchemaPatternNodeType type)
{
	Node	   *node = &parser->scratch;

	if (parser->arena.allocate != NULL)
		node = parser->arena.allocate(parser->arena.state, sizeof(Node));
	memset(node, 0, sizeof(Node));
	node->type = type;
	return node;
}

/* Reads one code point of the name of a group, an escape resolved */
static bool
read_name_code_point(Parser *parser, uint32_t *code)
{
	if (parser->at >= parser->end)
		return false;
	if (read_char(parser, '\\'))
		return read_char(parser, 'u') && json_schema_read_unicode_escape(parser, code);
	*code = read_code_point(parser);
	return true;
}

/* Skips the name of a group with its ">" */
static bool
skip_group_name(Parser *parser)
{
	uint32_t	code;

	if (!read_name_code_point(parser, &code) || !json_schema_starts_identifier(code))
		return fail(parser, "The name of a group must be an identifier");
	while (!read_char(parser, '>'))
	{
		if (!read_name_code_point(parser, &code) || !json_schema_continues_identifier(code))
			return fail(parser, "The name of a group must be an identifier followed by \">\"");
	}
	return true;
}

/*
 * Returns whether the two names of groups are the same; an ill-formed name
 * equals none.  No name goes on behind a "<", so that the comparisons of all
 * names together read a text a limited number of times.
 */
static bool
same_name(const Parser *parser, const unsigned char *a, const unsigned char *b)
{
	Parser		left;
	Parser		right;

	memset(&left, 0, offsetof(Parser, names));
	memset(&right, 0, offsetof(Parser, names));
	left.source = a;
	left.at = a;
	right.source = b;
	right.at = b;
	left.end = right.end = parser->end;
	left.error = right.error = NULL;
	for (;;)
	{
		uint32_t	code_left;
		uint32_t	code_right;

		if (at_char(&left, '>') || at_char(&right, '>'))
			return at_char(&left, '>') && at_char(&right, '>');
		if (!read_name_code_point(&left, &code_left) || !read_name_code_point(&right, &code_right) ||
			code_left != code_right || code_left == '<')
			return false;
	}
}

/* Returns the number of the group with the name at a place, or 0 */
static int
find_group(const Parser *parser, const unsigned char *name)
{
	int			i;

	for (i = 0; i < parser->name_count; i++)
	{
		if (same_name(parser, parser->names[i].at, name))
			return parser->names[i].group;
	}
	return 0;
}

/* Counts the groups that capture and collects their names: a reference may come before its group */
static bool
collect_groups(Parser *parser)
{
	bool		in_class = false;

	for (; parser->at < parser->end; parser->at++)
	{
		if (*parser->at == '\\')
		{
			if (++parser->at == parser->end)
				break;
		}
		else if (*parser->at == '[')
			in_class = true;
		else if (*parser->at == ']')
			in_class = false;
		else if (*parser->at == '(' && !in_class)
		{
			if (at_word(parser, "(?") &&
				(!at_word(parser, "(?<") || at_word(parser, "(?<=") || at_word(parser, "(?<!")))
				continue;
			parser->group_count++;
			if (!at_word(parser, "(?<"))
				continue;
			if (find_group(parser, parser->at + 3) > 0)
				return fail(parser, "Two groups have the same name");
			if (parser->name_count == JSON_SCHEMA_MAX_GROUP_NAMES)
				return fail(parser, "There are too many named groups");
			parser->names[parser->name_count].at = parser->at + 3;
			parser->names[parser->name_count++].group = parser->group_count;
		}
	}
	parser->at = parser->source;
	return true;
}

/* Returns a node for one code point out of a set */
static Node *
set_node(Parser *parser, JsonSchemaSet set)
{
	Node	   *node = new_node(parser, JSON_SCHEMA_NODE_SET);

	node->set = set;
	return node;
}

/* Reads a class behind its "[" */
static Node *
parse_class(Parser *parser)
{
	JsonSchemaSet set = {NULL, 0, 0};

	return json_schema_parse_class(parser, &set) ? set_node(parser, set) : NULL;
}

/* Returns a node for one code point */
static Node *
code_point_node(Parser *parser, uint32_t code)
{
	JsonSchemaSet set = {NULL, 0, 0};

	json_schema_set_add(&parser->arena, &set, code, code);
	return set_node(parser, set);
}

/* Returns a node for "." */
static Node *
dot_node(Parser *parser)
{
	JsonSchemaSet set = {NULL, 0, 0};

	json_schema_set_add_class(&parser->arena, &set, JSON_SCHEMA_CLASS_LINE_END, true);
	return set_node(parser, set);
}

/* Returns a node that refers back to a group */
static Node *
back_reference_node(Parser *parser, int group)
{
	Node	   *node = new_node(parser, JSON_SCHEMA_NODE_BACK_REFERENCE);

	node->group = group;
	parser->has_references = true;
	return node;
}

/* Reads a reference to a group by number, behind its backslash */
static Node *
parse_numbered_reference(Parser *parser)
{
	int			group = 0;

	while (parser->at < parser->end && is_digit(*parser->at) && group <= parser->group_count)
		group = group * 10 + (*parser->at++ - '0');
	if (group > parser->group_count)
	{
		fail(parser, "The pattern has no group of this number");
		return NULL;
	}
	return back_reference_node(parser, group);
}

/* Reads a reference to a group by name, behind "\k" */
static Node *
parse_named_reference(Parser *parser)
{
	const unsigned char *name = parser->at + 1;
	int			group;

	if (!read_char(parser, '<'))
	{
		fail(parser, "\"\\k\" needs the name of a group in \"<>\"");
		return NULL;
	}
	if (!skip_group_name(parser))
		return NULL;
	group = find_group(parser, name);
	if (group == 0)
	{
		fail(parser, "The pattern has no group of this name");
		return NULL;
	}
	return back_reference_node(parser, group);
}

/* Reads an escape outside of a class that is no assertion, behind its backslash */
static Node *
parse_atom_escape(Parser *parser)
{
	JsonSchemaSet set = {NULL, 0, 0};
	bool		is_class;
	uint32_t	code;

	if (parser->at < parser->end && *parser->at >= '1' && *parser->at <= '9')
		return parse_numbered_reference(parser);
	if (read_char(parser, 'k'))
		return parse_named_reference(parser);
	if (!json_schema_parse_class_escape(parser, &set, &is_class))
		return NULL;
	if (!is_class)
		return json_schema_parse_character_escape(parser, false, &code) ? code_point_node(parser, code) : NULL;
	json_schema_set_normalize(&set);
	return set_node(parser, set);
}

/* Makes a node the parent of its only child */
static Node *
adopt(Node *parent, Node *child)
{
	parent->child = child;
	return parent;
}

/* Reads what starts with "(", to its ")" */
static Node *
parse_group(Parser *parser, bool *quantifiable)
{
	JsonSchemaPatternNodeType type = JSON_SCHEMA_NODE_GROUP;
	bool		negated = false;
	bool		behind = false;
	int			group = 0;
	Node	   *child;
	Node	   *node;

	if (!read_word(parser, "(?:"))
	{
		if (at_word(parser, "(?=") || at_word(parser, "(?!"))
			type = JSON_SCHEMA_NODE_LOOK;
		else if (at_word(parser, "(?<=") || at_word(parser, "(?<!"))
		{
			type = JSON_SCHEMA_NODE_LOOK;
			behind = true;
		}
		else if (at_word(parser, "(?") && !at_word(parser, "(?<"))
		{
			fail(parser, "The kind of group is unknown");
			return NULL;
		}
		else
			group = ++parser->groups_opened;
		if (type == JSON_SCHEMA_NODE_LOOK)
		{
			parser->at += behind ? 4 : 3;
			negated = parser->at[-1] == '!';
		}
		else if (read_word(parser, "(?<"))
		{
			if (!skip_group_name(parser))
				return NULL;
		}
		else
			parser->at++;
	}
	child = parse_choice(parser);
	if (child == NULL)
		return NULL;
	if (!read_char(parser, ')'))
	{
		fail(parser, "The group is not closed");
		return NULL;
	}
	*quantifiable = type == JSON_SCHEMA_NODE_GROUP;
	node = new_node(parser, type);
	node->negated = negated;
	node->behind = behind;
	node->group = group;
	return adopt(node, child);
}

/* Reads a number of repetitions if it is there, limited to "unbounded" */
static bool
read_count(Parser *parser, int *count)
{
	const unsigned char *start = parser->at;

	for (*count = 0; parser->at < parser->end && is_digit(*parser->at); parser->at++)
	{
		if (*count < JSON_SCHEMA_UNBOUNDED / 10)
			*count = *count * 10 + (*parser->at - '0');
		else
			*count = JSON_SCHEMA_UNBOUNDED;
	}
	return parser->at > start;
}

/* Reads "{n}", "{n,}" or "{n,m}" if it is there */
static bool
read_braces(Parser *parser, int *min, int *max)
{
	const unsigned char *start = parser->at;

	if (read_char(parser, '{') && read_count(parser, min))
	{
		*max = *min;
		if (read_char(parser, ',') && !read_count(parser, max))
			*max = JSON_SCHEMA_UNBOUNDED;
		if (read_char(parser, '}'))
			return true;
	}
	parser->at = start;
	return false;
}

/* Returns whether the rest starts with a quantifier in braces */
static bool
at_braces(Parser *parser)
{
	const unsigned char *start = parser->at;
	int			min;
	int			max;
	bool		found = read_braces(parser, &min, &max);

	parser->at = start;
	return found;
}

/* Reads a quantifier if it is there, and wraps the node in it */
static Node *
parse_quantifier(Parser *parser, Node *node)
{
	int			min = 0;
	int			max = JSON_SCHEMA_UNBOUNDED;
	Node	   *repeat;

	if (read_char(parser, '+'))
		min = 1;
	else if (read_char(parser, '?'))
		max = 1;
	else if (!read_char(parser, '*') && !read_braces(parser, &min, &max))
		return node;
	if (min > max)
	{
		fail(parser, "The limits of the repetition are out of order");
		return NULL;
	}
	repeat = new_node(parser, JSON_SCHEMA_NODE_REPEAT);
	repeat->lazy = read_char(parser, '?');
	repeat->min = min;
	repeat->max = max;
	return adopt(repeat, node);
}

/* Reads a character that stands for itself, or fails on one that cannot */
static Node *
parse_literal(Parser *parser)
{
	bool		literal = true;

	switch (*parser->at)
	{
		case '*':
		case '+':
		case '?':
			literal = false;
			break;
		case '{':
			literal = !parser->strict && !at_braces(parser);
			break;
		case '}':
		case ']':
			literal = !parser->strict;
			break;
	}
	if (literal)
		return code_point_node(parser, read_code_point(parser));
	fail(parser, "There is nothing to repeat or to close");
	return NULL;
}

/* Reads an assertion, or an atom with its quantifier */
static Node *
parse_term(Parser *parser)
{
	bool		quantifiable = true;
	Node	   *node;

	if (read_char(parser, '^'))
		return new_node(parser, JSON_SCHEMA_NODE_START);
	if (read_char(parser, '$'))
		return new_node(parser, JSON_SCHEMA_NODE_END);
	if (at_word(parser, "\\b") || at_word(parser, "\\B"))
	{
		node = new_node(parser, JSON_SCHEMA_NODE_WORD_EDGE);
		node->negated = parser->at[1] == 'B';
		parser->at += 2;
		return node;
	}
	if (at_char(parser, '('))
		node = parse_group(parser, &quantifiable);
	else if (read_char(parser, '['))
		node = parse_class(parser);
	else if (read_char(parser, '.'))
		node = dot_node(parser);
	else if (read_char(parser, '\\'))
		node = parse_atom_escape(parser);
	else
		node = parse_literal(parser);
	if (node == NULL || !quantifiable)
		return node;
	return parse_quantifier(parser, node);
}

/* Adds a child behind the last one of a list that starts at *first */
static void
append(Node **first, Node **last, Node *child)
{
	if (*first == NULL)
		*first = child;
	else if (*last != child)
		(*last)->next = child;
	*last = child;
}

/* Returns the only member of a list, or a parent of the given type over all of them */
static Node *
join(Parser *parser, JsonSchemaPatternNodeType type, Node *first, bool several)
{
	if (!several || parser->arena.allocate == NULL)
		return first;
	return adopt(new_node(parser, type), first);
}

/* Reads terms up to "|", ")" or the end */
static Node *
parse_sequence(Parser *parser)
{
	Node	   *first = NULL;
	Node	   *last = NULL;
	bool		several = false;

	while (parser->at < parser->end && *parser->at != '|' && *parser->at != ')')
	{
		Node	   *term = parse_term(parser);

		if (term == NULL)
			return NULL;
		several = first != NULL;
		append(&first, &last, term);
	}
	if (first == NULL)
		return new_node(parser, JSON_SCHEMA_NODE_EMPTY);
	return join(parser, JSON_SCHEMA_NODE_SEQUENCE, first, several);
}

/* Reads alternatives up to ")" or the end */
static Node *
parse_choice(Parser *parser)
{
	Node	   *first = NULL;
	Node	   *last = NULL;
	bool		several = false;

	if (++parser->depth > MAX_DEPTH)
	{
		fail(parser, "The groups are nested too deeply");
		return NULL;
	}
	do
	{
		Node	   *alternative = parse_sequence(parser);

		if (alternative == NULL)
			return NULL;
		several = first != NULL;
		append(&first, &last, alternative);
	} while (read_char(parser, '|'));
	parser->depth--;
	return join(parser, JSON_SCHEMA_NODE_CHOICE, first, several);
}

/* Returns the tree of a pattern, or NULL with the error in the parser */
JsonSchemaPatternNode *
json_schema_parse_pattern(JsonSchemaPatternParser *parser, JsonSchemaArena arena,
						  const char *source, int length, bool strict)
{
	Node	   *root;

	memset(parser, 0, offsetof(JsonSchemaPatternParser, names));
	parser->error = NULL;
	parser->error_offset = 0;
	parser->source = (const unsigned char *) source;
	parser->at = parser->source;
	parser->end = parser->source + length;
	parser->strict = strict;
	parser->arena = arena;
	if (!collect_groups(parser))
		return NULL;
	root = parse_choice(parser);
	if (root != NULL && parser->at < parser->end)
	{
		fail(parser, "The parenthesis closes no group");
		return NULL;
	}
	return root;
}

/* Checks the format "regex": a text that ECMA-262 accepts as pattern with the flag "u" */
bool
json_schema_pattern_is_valid(const char *source, int length)
{
	const JsonSchemaArena nothing = {NULL, NULL};
	JsonSchemaPatternParser parser;

	return json_schema_parse_pattern(&parser, nothing, source, length, true) != NULL;
}

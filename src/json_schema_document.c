/*
 * json_schema_document.c
 *		A schema document as a tree of nodes, and JSON Pointers into it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "json_schema_compile.h"

/* Fills a node, whose value is set, and everything below it */
static void
build_children(JsonSchemaNode *node)
{
	JsonSchemaCursor cursor;
	JsonSchemaValue member;
	JsonSchemaNode *child;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if ((node->value.kind != JSON_SCHEMA_ARRAY && node->value.kind != JSON_SCHEMA_OBJECT) ||
		node->value.length == 0)
		return;
	node->children = MemoryContextAllocExtended(CurrentMemoryContext,
												sizeof(JsonSchemaNode) * (Size) node->value.length,
												MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	json_schema_open(&cursor, &node->value);
	while (json_schema_next(&cursor, &member))
	{
		child = &node->children[node->child_count];
		child->value = member;
		child->parent = node;
		child->index = node->child_count++;
		if (cursor.keys != NULL)
		{
			child->key = cursor.key;
			child->key_length = cursor.key_length;
		}
		build_children(child);
	}
}

/* Builds the tree of a document; uri is where it was found, or NULL */
JsonSchemaNode *
json_schema_build_document(const JsonSchemaValue *value, const char *uri)
{
	JsonSchemaNode *root = palloc0(sizeof(JsonSchemaNode));

	root->value = *value;
	root->retrieval_uri = uri;
	build_children(root);
	return root;
}

/* Finds the member of an object node; keys are sorted as in JSONB */
static JsonSchemaNode *
find_child(const JsonSchemaNode *node, const char *key, int key_length)
{
	int			low = 0;
	int			high = node->value.kind == JSON_SCHEMA_OBJECT ? node->child_count : 0;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		JsonSchemaNode *child = &node->children[middle];
		int			order = json_schema_compare_keys(key, key_length, child->key, child->key_length);

		if (order == 0)
			return child;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Finds the member of an object node, or NULL */
JsonSchemaNode *
json_schema_child(const JsonSchemaNode *node, const char *key)
{
	return find_child(node, key, strlen(key));
}

/* Reads an array position as RFC 6901 wants it; -1 when it is none */
static int
read_position(const char *token)
{
	char	   *end;
	long		position;

	if (token[0] < '0' || token[0] > '9' || (token[0] == '0' && token[1] != '\0') ||
		strlen(token) > 9)
		return -1;
	position = strtol(token, &end, 10);
	return *end == '\0' ? (int) position : -1;
}

/* Goes one step of a JSON Pointer; token is still escaped and is overwritten */
static JsonSchemaNode *
follow_token(JsonSchemaNode *node, char *token)
{
	char	   *from = token;
	char	   *to = token;
	int			position;

	while (*from != '\0')
	{
		if (*from == '~' && (from[1] == '0' || from[1] == '1'))
		{
			*to++ = from[1] == '0' ? '~' : '/';
			from += 2;
		}
		else if (*from == '~')
			return NULL;
		else
			*to++ = *from++;
	}
	*to = '\0';
	if (node->value.kind == JSON_SCHEMA_OBJECT)
		return find_child(node, token, to - token);
	position = read_position(token);
	if (node->value.kind == JSON_SCHEMA_ARRAY && position >= 0 && position < node->child_count)
		return &node->children[position];
	return NULL;
}

/* Follows a JSON Pointer ("" or starting with a slash); NULL when it leads nowhere */
JsonSchemaNode *
json_schema_follow_pointer(JsonSchemaNode *node, const char *pointer)
{
	char	   *rest = pstrdup(pointer);

	while (node != NULL && *rest == '/')
	{
		char	   *token = rest + 1;
		char	   *end = token + strcspn(token, "/");
		bool		last = *end == '\0';

		*end = '\0';
		node = follow_token(node, token);
		if (last)
			return node;
		*end = '/';
		rest = end;
	}
	return node;
}

/* Returns a string node as text */
char *
json_schema_node_text(const JsonSchemaNode *node)
{
	if (node->value.kind != JSON_SCHEMA_STRING)
		json_schema_invalid(node, "must be a string");
	return pnstrdup(node->value.data, node->value.length);
}

/* Says whether a node is the given string */
bool
json_schema_node_is(const JsonSchemaNode *node, const char *text)
{
	return node->value.kind == JSON_SCHEMA_STRING &&
		node->value.length == (int) strlen(text) &&
		memcmp(node->value.data, text, node->value.length) == 0;
}

/* Appends a slash and a token, escaped as RFC 6901 wants it */
void
json_schema_append_token(StringInfo pointer, const char *token, int length)
{
	int			i;

	appendStringInfoChar(pointer, '/');
	for (i = 0; i < length; i++)
	{
		if (token[i] == '~')
			appendStringInfoString(pointer, "~0");
		else if (token[i] == '/')
			appendStringInfoString(pointer, "~1");
		else
			appendStringInfoChar(pointer, token[i]);
	}
}

/* Appends the way from one node down to another as a JSON Pointer */
void
json_schema_append_path(StringInfo pointer, const JsonSchemaNode *from, const JsonSchemaNode *to)
{
	List	   *steps = NIL;
	int			i;

	for (; to != from && to->parent != NULL; to = to->parent)
		steps = lappend(steps, unconstify(JsonSchemaNode *, to));
	for (i = list_length(steps) - 1; i >= 0; i--)
	{
		const JsonSchemaNode *step = list_nth(steps, i);

		if (step->key != NULL)
			json_schema_append_token(pointer, step->key, step->key_length);
		else
			appendStringInfo(pointer, "/%d", step->index);
	}
	list_free(steps);
}

/* Returns the absolute location of a node: URI of its resource, #, JSON Pointer */
char *
json_schema_node_location(const JsonSchemaNode *node)
{
	const JsonSchemaNode *owner = node;
	StringInfoData location;

	initStringInfo(&location);
	while (owner->resource == NULL && owner->parent != NULL)
		owner = owner->parent;
	if (owner->resource != NULL)
	{
		appendStringInfoString(&location, owner->resource->uri);
		owner = owner->resource->root;
	}
	appendStringInfoChar(&location, '#');
	json_schema_append_path(&location, owner, node);
	return location.data;
}

/* Raises that a schema is wrong, and where */
void
json_schema_invalid(const JsonSchemaNode *node, const char *format,...)
{
	StringInfoData message;
	int			needed;

	initStringInfo(&message);
	for (;;)
	{
		va_list		arguments;

		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid JSON schema: %s", message.data),
			 errdetail("The place in the schema is \"%s\".", json_schema_node_location(node))));
}

/*
 * json_schema_pattern_references.c
 *		What the back references of a pattern mean.
 *
 * In ECMA-262 a group that took no part in the match refers to the empty text,
 * and each iteration of a repetition forgets the groups inside.  In PostgreSQL
 * the former fails and the latter remembers.  So a reference is resolved here:
 * it always means the empty text, or its group always took part, or the pattern
 * cannot be translated.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "json_schema_pattern_writer.h"

typedef JsonSchemaPatternNode Node;

static const char *const untranslatable =
"A back reference is only supported to a group that takes part in every match before it, and not in a lookahead or lookbehind";

/* Numbers the nodes and notes the node of each group */
static void
collect_groups(Node *node, Node **groups, int *number)
{
	Node	   *child;

	check_stack_depth();
	if (node->type == JSON_SCHEMA_NODE_GROUP && node->group > 0)
		groups[node->group] = node;
	node->number = (*number)++;
	for (child = node->child; child != NULL; child = child->next)
		collect_groups(child, groups, number);
	node->last_number = *number - 1;
}

/* Returns whether a node is another one or above it */
static bool
contains(const Node *node, const Node *inner)
{
	return node->number <= inner->number && inner->number <= node->last_number;
}

/* Returns whether a lookahead or lookbehind stands above a node, below the given one */
static bool
has_look_above(const Node *node, const Node *top, bool only_negated)
{
	for (node = node->parent; node != NULL && node != top; node = node->parent)
	{
		if (node->type == JSON_SCHEMA_NODE_LOOK && (node->negated || !only_negated))
			return true;
	}
	return false;
}

/* Returns whether a node may match the empty text; true when that depends on a reference */
bool
json_schema_may_be_empty(const JsonSchemaPatternNode *node)
{
	const Node *child;

	check_stack_depth();
	if (node->type == JSON_SCHEMA_NODE_SET)
		return false;
	if (node->type == JSON_SCHEMA_NODE_LOOK || (node->type == JSON_SCHEMA_NODE_REPEAT && node->min == 0))
		return true;
	for (child = node->child; child != NULL; child = child->next)
	{
		bool		may_be_empty = json_schema_may_be_empty(child);

		if (node->type != JSON_SCHEMA_NODE_CHOICE && !may_be_empty)
			return false;
		if (node->type == JSON_SCHEMA_NODE_CHOICE && may_be_empty)
			return true;
	}
	return node->type != JSON_SCHEMA_NODE_CHOICE;
}

/*
 * Returns whether the groups of a repetition always take part and are those of
 * the last iteration, in both languages: they differ in which empty iterations
 * count, and the writer writes a long repetition as several copies.
 */
static bool
keeps_last_iteration(const Node *repeat)
{
	if (repeat->min == 0 || repeat->min > 255)
		return false;
	if (repeat->max > 1 && json_schema_may_be_empty(repeat->child))
		return false;
	return repeat->max <= 255 || repeat->max == JSON_SCHEMA_UNBOUNDED;
}

/* Returns whether a group below a node takes part whenever the node matches */
static bool
always_takes_part(const Node *group, const Node *top)
{
	const Node *node;

	for (node = group->parent; node != top; node = node->parent)
	{
		if (node->type == JSON_SCHEMA_NODE_CHOICE || node->type == JSON_SCHEMA_NODE_LOOK ||
			(node->type == JSON_SCHEMA_NODE_REPEAT && !keeps_last_iteration(node)))
			return false;
	}
	return true;
}

/* Decides on one reference: false when it cannot be translated; is_empty when it means the empty text */
static bool
resolve(const Node *reference, const Node *group, bool *is_empty)
{
	const Node *top = reference;

	*is_empty = true;
	if (contains(group, reference))
		return true;
	while (!contains(top, group))
		top = top->parent;
	if (top->type == JSON_SCHEMA_NODE_CHOICE || has_look_above(group, top, true))
		return true;
	/* in a lookbehind what stands to the right comes first */
	if (has_look_above(top, NULL, false) || top->type == JSON_SCHEMA_NODE_LOOK)
		return false;
	if (reference->number < group->number)
		return true;
	*is_empty = false;
	return !has_look_above(reference, top, false) && always_takes_part(group, top);
}

/* Resolves the references of a subtree and marks the groups that are needed */
static bool
resolve_references(Node *node, Node **groups, bool *needed)
{
	Node	   *child;

	check_stack_depth();
	if (node->type == JSON_SCHEMA_NODE_BACK_REFERENCE)
	{
		bool		is_empty;

		if (!resolve(node, groups[node->group], &is_empty))
			return false;
		if (is_empty)
			node->type = JSON_SCHEMA_NODE_EMPTY;
		else
			needed[node->group] = true;
	}
	for (child = node->child; child != NULL; child = child->next)
	{
		if (!resolve_references(child, groups, needed))
			return false;
	}
	return true;
}

/* Resolves the back references of a tree; returns a sentence on what cannot be translated, or NULL */
const char *
json_schema_resolve_references(JsonSchemaPatternNode *root, int group_count, bool *has_references)
{
	Node	  **groups = palloc0((group_count + 1) * sizeof(Node *));
	bool	   *needed = palloc0((group_count + 1) * sizeof(bool));
	int			number = 0;
	int			i;

	*has_references = false;
	collect_groups(root, groups, &number);
	if (!resolve_references(root, groups, needed))
		return untranslatable;
	for (i = 1; i <= group_count; i++)
	{
		if (needed[i])
			*has_references = true;
		else
			groups[i]->group = 0;
	}
	return NULL;
}

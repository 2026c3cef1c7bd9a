/*
 * json_schema_compile.c
 *		Compilation of a JSON Schema: from a document to a program.
 *
 * Schemas are compiled in the order in which they are reached, from a list
 * and not by recursion, so that neither recursive schemas nor long chains of
 * references need care.  What cannot be reached is not compiled and cannot
 * fail.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_compile.h"

/* Returns the program of a schema node; it will be filled later when it is new */
JsonSchema *
json_schema_reach(JsonSchemaCompiler *compiler, JsonSchemaNode *node)
{
	if (node->value.kind != JSON_SCHEMA_OBJECT && node->value.kind != JSON_SCHEMA_BOOLEAN)
		json_schema_invalid(node, "a schema must be an object or a boolean, not %s",
							json_schema_kind_name(node->value.kind));
	if (node->schema == NULL)
	{
		if (node->resource == NULL)
			json_schema_index_target(compiler, node);
		node->schema = palloc0(sizeof(JsonSchema));
		node->schema->node = node;
		node->schema->types = JSON_SCHEMA_ANY_TYPE;
		node->schema->resource = node->resource->number;
		compiler->schemas = lappend(compiler->schemas, node->schema);
	}
	return node->schema;
}

/* Compiles the keywords of one schema */
static void
compile_schema(JsonSchemaCompiler *compiler, JsonSchema *schema)
{
	JsonSchemaNode *node = unconstify(JsonSchemaNode *, schema->node);
	JsonSchemaContext context = {compiler, node, schema, NULL};
	bool		only_reference;
	int			i;

	if (node->value.kind == JSON_SCHEMA_BOOLEAN)
	{
		schema->is_false = node->value.length == 0;
		return;
	}
	context.dialect = json_schema_resource_dialect(compiler, node->resource);
	/* up to draft 07, $ref hides everything beside it */
	only_reference = (context.dialect->draft & JSON_SCHEMA_BEFORE_2019) &&
		json_schema_child(node, "$ref") != NULL;
	for (i = 0; i < node->child_count; i++)
	{
		JsonSchemaNode *value = &node->children[i];
		const JsonSchemaKeyword *keyword =
			json_schema_find_keyword(value->key, value->key_length, context.dialect->draft);

		if (keyword != NULL && keyword->compile != NULL &&
			(keyword->vocabularies & context.dialect->vocabularies) &&
			(!only_reference || json_schema_key_is(value, "$ref")))
			keyword->compile(&context, value);
	}
}

/* Makes the schemas reachable to which a $dynamicRef may lead */
static void
reach_dynamic_anchors(JsonSchemaCompiler *compiler)
{
	ListCell   *cell;

	foreach(cell, compiler->dynamic_anchors)
	{
		JsonSchemaDynamicAnchor *anchor = lfirst(cell);

		if (anchor->number >= 0)
			continue;
		anchor->number = json_schema_dynamic_number(compiler, anchor->name, false);
		if (anchor->number >= 0)
			json_schema_reach(compiler, anchor->node)->is_target = true;
	}
}

/* Compiles everything that can be reached */
static void
compile_all(JsonSchemaCompiler *compiler)
{
	int			i = 0;

	while (i < list_length(compiler->schemas))
	{
		CHECK_FOR_INTERRUPTS();
		compile_schema(compiler, list_nth(compiler->schemas, i++));
		if (i == list_length(compiler->schemas))
			reach_dynamic_anchors(compiler);
	}
}

/* Adds an anchor to the targets of its name; at first their count says how many will come */
static void
add_dynamic_target(JsonSchemaDynamicTargets *targets, const JsonSchemaDynamicAnchor *anchor)
{
	int			place;

	if (targets->targets == NULL)
	{
		targets->targets = palloc(sizeof(JsonSchemaDynamicTarget) * targets->count);
		targets->count = 0;
	}
	/* resources are mostly numbered in the order of their anchors */
	for (place = targets->count; place > 0; place--)
	{
		if (targets->targets[place - 1].resource < anchor->resource)
			break;
		targets->targets[place] = targets->targets[place - 1];
	}
	targets->targets[place].resource = anchor->resource;
	targets->targets[place].schema = anchor->node->schema;
	targets->count++;
}

/* Lists for each name of dynamic anchors the resources that have one */
static void
fill_dynamic_targets(JsonSchemaCompiler *compiler)
{
	JsonSchemaProgram *program = compiler->program;
	ListCell   *cell;

	program->resource_count = list_length(compiler->resource_list);
	program->dynamic_name_count = compiler->dynamic_name_count;
	if (program->dynamic_name_count == 0)
		return;
	program->dynamic_targets = palloc0(sizeof(JsonSchemaDynamicTargets) * program->dynamic_name_count);
	program->scope = palloc0(sizeof(int) * program->resource_count);
	program->in_scope = palloc0(sizeof(bool) * program->resource_count);
	foreach(cell, compiler->dynamic_anchors)
	{
		JsonSchemaDynamicAnchor *anchor = lfirst(cell);

		if (anchor->number >= 0)
			program->dynamic_targets[anchor->number].count++;
	}
	foreach(cell, compiler->dynamic_anchors)
	{
		JsonSchemaDynamicAnchor *anchor = lfirst(cell);

		if (anchor->number >= 0)
			add_dynamic_target(&program->dynamic_targets[anchor->number], anchor);
	}
}

/* Reads what jsonschema_compile() has written into the schema */
static void
read_options(JsonSchemaCompiler *compiler)
{
	JsonSchemaNode *options = json_schema_child(compiler->root, JSON_SCHEMA_OPTIONS_KEYWORD);
	JsonSchemaNode *assertion;
	JsonSchemaNode *resources;
	int			i;

	if (options == NULL)
		return;
	assertion = json_schema_child(options, "format_assertion");
	if (assertion != NULL && compiler->assert_formats < 0)
	{
		json_schema_require_kind(assertion, JSON_SCHEMA_BOOLEAN);
		compiler->assert_formats = assertion->value.length;
	}
	resources = json_schema_child(options, "resources");
	for (i = 0; resources != NULL && i < resources->child_count; i++)
	{
		char	   *uri = json_schema_node_text(&resources->children[i]);
		JsonSchemaNode *definitions = json_schema_child(compiler->root, "$defs");
		JsonSchemaNode *resource = definitions ? json_schema_child(definitions, uri) : NULL;

		if (resource == NULL)
		{
			definitions = json_schema_child(compiler->root, "definitions");
			resource = definitions ? json_schema_child(definitions, uri) : NULL;
		}
		if (resource == NULL)
			json_schema_invalid(&resources->children[i], "there is no definition \"%s\"", uri);
		resource->retrieval_uri = uri;
	}
}

/* Copies a schema, which must be an object or a boolean, and builds its tree */
static JsonSchemaNode *
copy_document(const Jsonb *schema)
{
	Jsonb	   *copy = palloc(VARSIZE(schema));
	JsonSchemaValue value;

	memcpy(copy, schema, VARSIZE(schema));
	json_schema_read_root(copy, &value);
	return json_schema_build_document(&value, NULL);
}

/*
 * Compiles a schema into a program that lives in the given context.
 *
 * Resources of the options are not copied and must live as long.
 */
JsonSchemaProgram *
json_schema_compile(const Jsonb *schema, JsonSchemaOptions *options, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	JsonSchemaCompiler compiler = {0};

	compiler.program = palloc0(sizeof(JsonSchemaProgram));
	compiler.program->context = context;
	compiler.assert_formats = options->assert_formats;
	compiler.external = options->resources;
	compiler.default_dialect = options->dialect ? options->dialect :
		json_schema_builtin_dialect_uri("2020-12");
	compiler.root = copy_document(schema);
	read_options(&compiler);
	json_schema_index_document(&compiler, compiler.root);
	compiler.program->root = json_schema_reach(&compiler, compiler.root);
	compile_all(&compiler);
	fill_dynamic_targets(&compiler);
	json_schema_analyze(&compiler);
	MemoryContextSwitchTo(caller);
	options->used_resources = compiler.used_resources;
	return compiler.program;
}

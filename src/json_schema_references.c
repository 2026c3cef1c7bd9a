/*
 * json_schema_references.c
 *		Identifiers of schemas and references to them.
 *
 * Indexing a document finds its resources (schemas with a URI of their own)
 * and anchors and tells every schema node its resource, which gives the base
 * URI of the references inside.  Nothing is ever fetched: a URI is found in
 * the document, among the caller's resources, or among the metaschemas.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "json_schema_compile.h"

/* A table from a name to a resource or a node */
typedef struct NameEntry
{
	const char *key;
	void	   *target;
	bool		dynamic;		/* set by $dynamicAnchor */
	int			number;			/* of the name of a dynamic anchor */
	char		status;
} NameEntry;

#define SH_PREFIX names
#define SH_ELEMENT_TYPE NameEntry
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(table, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void index_schema(JsonSchemaCompiler *compiler, JsonSchemaNode *node,
						 JsonSchemaResource *resource);

/* Registers one more URI of a resource; the first resource with a URI keeps it */
void
json_schema_add_resource_name(JsonSchemaCompiler *compiler, const char *uri,
							  JsonSchemaResource *resource)
{
	bool		found;
	NameEntry  *entry;

	if (compiler->resources == NULL)
		compiler->resources = names_create(CurrentMemoryContext, 32, NULL);
	entry = names_insert(compiler->resources, uri, &found);
	if (!found)
		entry->target = resource;
}

/* Creates the resource that starts at node */
static JsonSchemaResource *
add_resource(JsonSchemaCompiler *compiler, const char *uri, JsonSchemaNode *node,
			 const JsonSchemaResource *outer)
{
	JsonSchemaResource *resource = palloc0(sizeof(JsonSchemaResource));
	JsonSchemaNode *schema_uri = json_schema_child(node, "$schema");

	resource->uri = uri;
	resource->root = node;
	resource->number = list_length(compiler->resource_list);
	if (schema_uri != NULL)
		resource->schema_uri = json_schema_node_text(schema_uri);
	else
		resource->schema_uri = outer ? outer->schema_uri : compiler->default_dialect;
	compiler->resource_list = lappend(compiler->resource_list, resource);
	json_schema_add_resource_name(compiler, uri, resource);
	return resource;
}

/* Registers an anchor of a resource */
static void
add_anchor(JsonSchemaCompiler *compiler, JsonSchemaResource *resource, JsonSchemaNode *node,
		   const JsonSchemaNode *name, const char *text, bool dynamic)
{
	bool		found;
	NameEntry  *entry;

	if (compiler->anchors == NULL)
		compiler->anchors = names_create(CurrentMemoryContext, 32, NULL);
	entry = names_insert(compiler->anchors, psprintf("%d#%s", resource->number, text), &found);
	if (found && entry->target != node)
		json_schema_invalid(name, "anchor \"%s\" is used twice", text);
	entry->target = node;
	entry->dynamic = dynamic || (found && entry->dynamic);
	if (dynamic)
	{
		JsonSchemaDynamicAnchor *anchor = palloc(sizeof(JsonSchemaDynamicAnchor));

		anchor->name = text;
		anchor->node = node;
		anchor->resource = resource->number;
		anchor->number = -1;
		compiler->dynamic_anchors = lappend(compiler->dynamic_anchors, anchor);
	}
}

/* Returns the number of a dynamic anchor's name; -1 unless some $dynamicRef uses it or add is set */
int
json_schema_dynamic_number(JsonSchemaCompiler *compiler, const char *name, bool add)
{
	NameEntry  *entry;
	bool		found;

	if (compiler->dynamic_names == NULL)
		compiler->dynamic_names = names_create(CurrentMemoryContext, 32, NULL);
	if (!add)
	{
		entry = names_lookup(compiler->dynamic_names, name);
		return entry != NULL ? entry->number : -1;
	}
	entry = names_insert(compiler->dynamic_names, name, &found);
	if (!found)
	{
		entry->key = pstrdup(name);
		entry->number = compiler->dynamic_name_count++;
	}
	return entry->number;
}

/* Reads $id; returns the resource that the node belongs to */
static JsonSchemaResource *
index_id(JsonSchemaCompiler *compiler, JsonSchemaNode *node, JsonSchemaResource *resource,
		 uint8 draft)
{
	JsonSchemaNode *id = json_schema_child(node, "$id");
	char	   *uri;
	char	   *fragment;

	if (id == NULL || id->value.kind != JSON_SCHEMA_STRING)
		return resource;
	/* up to draft 07, $ref hides everything beside it, but not from a whole document */
	if ((draft & JSON_SCHEMA_BEFORE_2019) && node->parent != NULL &&
		node->retrieval_uri == NULL && json_schema_child(node, "$ref") != NULL)
		return resource;
	uri = json_schema_node_text(id);
	fragment = strchr(uri, '#');
	if (fragment != NULL && fragment[1] != '\0' && !(draft & JSON_SCHEMA_BEFORE_2019))
		json_schema_invalid(id, "\"$id\" must not have a fragment, use \"$anchor\"");
	if (fragment != NULL)
		*fragment++ = '\0';
	if (*uri != '\0')
	{
		uri = json_schema_resolve_uri(resource->uri, uri);
		if (node == resource->root)
		{
			resource->uri = uri;
			json_schema_add_resource_name(compiler, uri, resource);
		}
		else
			resource = add_resource(compiler, uri, node, resource);
	}
	if (fragment != NULL && *fragment != '\0')
		add_anchor(compiler, resource, node, id, fragment, false);
	return resource;
}

/* Reads $anchor or $dynamicAnchor */
static void
index_anchor(JsonSchemaCompiler *compiler, JsonSchemaNode *node, JsonSchemaResource *resource,
			 const char *keyword)
{
	JsonSchemaNode *name = json_schema_child(node, keyword);

	if (name != NULL && name->value.kind == JSON_SCHEMA_STRING)
		add_anchor(compiler, resource, node, name, json_schema_node_text(name),
				   strcmp(keyword, "$dynamicAnchor") == 0);
}

/* Indexes the schemas in the value of one keyword */
static void
index_keyword(JsonSchemaCompiler *compiler, JsonSchemaNode *value, JsonSchemaChildren children,
			  JsonSchemaResource *resource)
{
	JsonSchemaKind kind = value->value.kind;
	bool		one = children == JSON_SCHEMA_ONE || children == JSON_SCHEMA_ONE_OR_LIST;
	bool		list = children == JSON_SCHEMA_LIST || children == JSON_SCHEMA_ONE_OR_LIST;
	bool		map = children == JSON_SCHEMA_MAP || children == JSON_SCHEMA_MAP_OR_NAMES;
	int			i;

	if (one && (kind == JSON_SCHEMA_OBJECT || kind == JSON_SCHEMA_BOOLEAN))
		index_schema(compiler, value, resource);
	else if ((list && kind == JSON_SCHEMA_ARRAY) || (map && kind == JSON_SCHEMA_OBJECT))
		for (i = 0; i < value->child_count; i++)
			index_schema(compiler, &value->children[i], resource);
}

/* Tells a schema node and the schemas inside it their resources */
static void
index_schema(JsonSchemaCompiler *compiler, JsonSchemaNode *node, JsonSchemaResource *resource)
{
	JsonSchemaNode *schema_uri;
	uint8		draft;
	int			i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (node->resource != NULL ||
		(node->value.kind != JSON_SCHEMA_OBJECT && node->value.kind != JSON_SCHEMA_BOOLEAN))
		return;
	if (resource == NULL || node->retrieval_uri != NULL)
		resource = add_resource(compiler, node->retrieval_uri ? node->retrieval_uri : "",
								node, resource);
	if (node->value.kind == JSON_SCHEMA_OBJECT)
	{
		schema_uri = json_schema_child(node, "$schema");
		draft = json_schema_draft_of_uri(schema_uri && json_schema_child(node, "$id") ?
										 json_schema_node_text(schema_uri) : resource->schema_uri);
		resource = index_id(compiler, node, resource, draft);
		draft = json_schema_draft_of_uri(resource->schema_uri);
		if (draft == JSON_SCHEMA_DRAFT_2020)
		{
			index_anchor(compiler, node, resource, "$anchor");
			index_anchor(compiler, node, resource, "$dynamicAnchor");
		}
		node->resource = resource;
		for (i = 0; i < node->child_count; i++)
		{
			JsonSchemaNode *value = &node->children[i];
			const JsonSchemaKeyword *keyword =
				json_schema_find_keyword(value->key, value->key_length, draft);

			if (keyword != NULL && keyword->children != JSON_SCHEMA_NO_CHILDREN)
				index_keyword(compiler, value, keyword->children, resource);
		}
	}
	node->resource = resource;
}

/* Indexes a whole document */
void
json_schema_index_document(JsonSchemaCompiler *compiler, JsonSchemaNode *root)
{
	index_schema(compiler, root, NULL);
}

/* Adds a document to the compiler; returns its root's resource, NULL when it is no schema */
static JsonSchemaResource *
load_document(JsonSchemaCompiler *compiler, const JsonSchemaValue *value, const char *uri)
{
	JsonSchemaNode *root = json_schema_build_document(value, uri);

	json_schema_index_document(compiler, root);
	return root->resource;
}

/* Looks for a URI among the resources that the caller gave */
static JsonSchemaResource *
load_external(JsonSchemaCompiler *compiler, const char *uri)
{
	JsonSchemaValue all;
	JsonSchemaValue value;
	JsonSchemaValue id;
	JsonSchemaCursor cursor;

	if (compiler->external == NULL)
		return NULL;
	json_schema_read_root(compiler->external, &all);
	if (json_schema_find_member(&all, uri, strlen(uri), &value) >= 0)
	{
		compiler->used_resources = lappend(compiler->used_resources, pstrdup(uri));
		return load_document(compiler, &value, uri);
	}
	json_schema_open(&cursor, &all);
	while (json_schema_next(&cursor, &value))
	{
		int			length = strlen(uri);
		bool		matches = cursor.key_length == length + 1 && cursor.key[length] == '#' &&
			memcmp(cursor.key, uri, length) == 0;

		/* a resource may also name itself, whatever its key is */
		if (!matches && value.kind == JSON_SCHEMA_OBJECT &&
			json_schema_find_member(&value, "$id", 3, &id) >= 0 && id.kind == JSON_SCHEMA_STRING)
			matches = (id.length == length || (id.length == length + 1 && id.data[length] == '#')) &&
				memcmp(id.data, uri, length) == 0;
		if (matches)
		{
			compiler->used_resources = lappend(compiler->used_resources,
											   pnstrdup(cursor.key, cursor.key_length));
			return load_document(compiler, &value, uri);
		}
	}
	return NULL;
}

/* Finds a resource by its URI without fragment, loading it when needed; or NULL */
JsonSchemaResource *
json_schema_find_resource(JsonSchemaCompiler *compiler, const char *uri)
{
	NameEntry  *entry = compiler->resources ? names_lookup(compiler->resources, uri) : NULL;
	JsonSchemaResource *resource;
	const char *metaschema;

	if (entry != NULL)
		return entry->target;
	uri = pstrdup(uri);
	resource = load_external(compiler, uri);
	if (resource != NULL)
		return resource;
	metaschema = json_schema_find_metaschema(uri);
	if (metaschema != NULL)
	{
		Datum		document = DirectFunctionCall1(jsonb_in, CStringGetDatum(metaschema));
		JsonSchemaValue value;

		json_schema_read_root(DatumGetJsonbP(document), &value);
		return load_document(compiler, &value, uri);
	}
	return NULL;
}

/* Finds an anchor of a resource, or NULL */
JsonSchemaNode *
json_schema_find_anchor(JsonSchemaCompiler *compiler, const JsonSchemaResource *resource,
						const char *name, bool *dynamic)
{
	NameEntry  *entry = NULL;
	char	   *key = psprintf("%d#%s", resource->number, name);

	if (compiler->anchors != NULL)
		entry = names_lookup(compiler->anchors, key);
	pfree(key);
	*dynamic = entry != NULL && entry->dynamic;
	return entry != NULL ? entry->target : NULL;
}

/* Returns the value of a hexadecimal digit, or -1 */
static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* Replaces %XX in a fragment by the byte it stands for, in place */
static void
percent_decode(char *text)
{
	char	   *to = text;

	for (; *text != '\0'; text++)
	{
		if (*text == '%' && hex_value(text[1]) >= 0 && hex_value(text[2]) >= 0 &&
			(text[1] != '0' || text[2] != '0'))
		{
			*to++ = (char) (hex_value(text[1]) * 16 + hex_value(text[2]));
			text += 2;
		}
		else
			*to++ = *text;
	}
	*to = '\0';
}

/* Makes sure that a node is known as a schema, with what is inside it */
void
json_schema_index_target(JsonSchemaCompiler *compiler, JsonSchemaNode *target)
{
	JsonSchemaNode *owner = target;

	while (owner->resource == NULL && owner->parent != NULL)
		owner = owner->parent;
	index_schema(compiler, target, owner->resource);
}

/*
 * Finds the schema that a $ref or $dynamicRef names.
 *
 * *dynamic_name is set to the name of the anchor when it was found by one that
 * $dynamicAnchor made, else to NULL.
 */
JsonSchemaNode *
json_schema_resolve(JsonSchemaCompiler *compiler, JsonSchemaNode *reference, char **dynamic_name)
{
	JsonSchemaResource *resource = reference->parent->resource;
	char	   *uri = json_schema_resolve_uri(resource->uri, json_schema_node_text(reference));
	char	   *fragment = strchr(uri, '#');
	bool		dynamic = false;
	JsonSchemaNode *target;

	if (fragment != NULL)
		*fragment++ = '\0';
	if (strcmp(uri, resource->uri) != 0)
		resource = json_schema_find_resource(compiler, uri);
	if (resource == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("JSON schema refers to unknown resource \"%s\"", uri),
				 errdetail("The place in the schema is \"%s\".", json_schema_node_location(reference)),
				 errhint("Nothing is fetched: give the schema to jsonschema_compile() in \"resources\".")));
	if (fragment != NULL)
		percent_decode(fragment);
	if (fragment == NULL || *fragment == '\0')
		target = resource->root;
	else if (*fragment == '/')
		target = json_schema_follow_pointer(resource->root, fragment);
	else
		target = json_schema_find_anchor(compiler, resource, fragment, &dynamic);
	if (target != NULL)
		json_schema_index_target(compiler, target);
	if (target == NULL || target->resource == NULL)
		json_schema_invalid(reference, "there is no schema \"%s#%s\"", uri, fragment ? fragment : "");
	*dynamic_name = dynamic ? fragment : NULL;
	return target;
}

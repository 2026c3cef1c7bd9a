/*
 * json_schema_bundle.c
 *		jsonschema_compile(): a schema with everything it needs in one document.
 *
 * The result is a plain schema again: the resources it refers to are among its
 * definitions with their $id, the dialect is its $schema, and only what has
 * no place in a schema stands under a keyword of our own.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_compile.h"

/* What is written into the new document */
typedef struct Bundle
{
	JsonbParseState *state;
	const char *dialect;		/* URI */
	const char *definitions;	/* the keyword for definitions in that dialect */
	const char *id;				/* and that for identifiers */
	Jsonb	   *resources;		/* {uri: schema} */
	List	   *used;			/* keys of it */
	int			assert_formats; /* 0, 1, or -1: not said */
} Bundle;

/* Pushes a key */
static void
push_key(Bundle *bundle, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(&bundle->state, WJB_KEY, &value);
}

/* Pushes a string as value or element */
static void
push_string(Bundle *bundle, JsonbIteratorToken token, const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	pushJsonbValue(&bundle->state, token, &value);
}

/* Pushes the members of an object, without those whose keys are in the list */
static void
push_members(Bundle *bundle, JsonbContainer *object, List *without)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		ListCell   *cell;
		bool		left_out = false;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &value, true);
		foreach(cell, without)
			left_out |= key.val.string.len == (int) strlen(lfirst(cell)) &&
				memcmp(key.val.string.val, lfirst(cell), key.val.string.len) == 0;
		if (left_out)
			continue;
		pushJsonbValue(&bundle->state, WJB_KEY, &key);
		pushJsonbValue(&bundle->state, WJB_VALUE, &value);
	}
}

/* Finds a member of an object, or NULL */
static JsonbValue *
find_member(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
}

/* Finds a member that is an object, or NULL */
static JsonbContainer *
find_object(JsonbContainer *object, const char *key)
{
	JsonbValue *value = find_member(object, key);

	return value != NULL && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) ?
		value->val.binary.data : NULL;
}

/* Pushes one resource, with its URI as $id unless it has an identifier of its own */
static void
push_resource(Bundle *bundle, const char *uri)
{
	JsonbValue *value = find_member(&bundle->resources->root, uri);
	JsonbContainer *object = value->type == jbvBinary ? value->val.binary.data : NULL;

	push_key(bundle, uri);
	if (object == NULL || find_member(object, "$id") != NULL || find_member(object, "id") != NULL)
	{
		pushJsonbValue(&bundle->state, WJB_VALUE, value);
		return;
	}
	pushJsonbValue(&bundle->state, WJB_BEGIN_OBJECT, NULL);
	push_key(bundle, bundle->id);
	push_string(bundle, WJB_VALUE, uri);
	push_members(bundle, object, NIL);
	pushJsonbValue(&bundle->state, WJB_END_OBJECT, NULL);
}

/* Pushes the definitions of the schema and the resources */
static void
push_definitions(Bundle *bundle, JsonbContainer *root)
{
	JsonbContainer *definitions = find_object(root, bundle->definitions);
	ListCell   *cell;

	push_key(bundle, bundle->definitions);
	pushJsonbValue(&bundle->state, WJB_BEGIN_OBJECT, NULL);
	if (definitions != NULL)
		push_members(bundle, definitions, NIL);
	foreach(cell, bundle->used)
	{
		if (definitions != NULL && find_member(definitions, lfirst(cell)) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("JSON schema has a definition \"%s\" and a resource of that name",
							(char *) lfirst(cell))));
		push_resource(bundle, lfirst(cell));
	}
	pushJsonbValue(&bundle->state, WJB_END_OBJECT, NULL);
}

/* Pushes the keyword with what has no place elsewhere, if there is anything */
static void
push_options(Bundle *bundle, JsonbContainer *root)
{
	JsonbContainer *before = find_object(root, JSON_SCHEMA_OPTIONS_KEYWORD);
	JsonbValue *list = before != NULL ? find_member(before, "resources") : NULL;
	ListCell   *cell;
	JsonbValue	value;

	if (before == NULL && bundle->used == NIL && bundle->assert_formats < 0)
		return;
	push_key(bundle, JSON_SCHEMA_OPTIONS_KEYWORD);
	pushJsonbValue(&bundle->state, WJB_BEGIN_OBJECT, NULL);
	if (before != NULL)
		push_members(bundle, before, bundle->assert_formats < 0 ? list_make1("resources") :
					 list_make2("resources", "format_assertion"));
	if (bundle->assert_formats >= 0)
	{
		push_key(bundle, "format_assertion");
		value.type = jbvBool;
		value.val.boolean = bundle->assert_formats;
		pushJsonbValue(&bundle->state, WJB_VALUE, &value);
	}
	push_key(bundle, "resources");
	pushJsonbValue(&bundle->state, WJB_BEGIN_ARRAY, NULL);
	if (list != NULL && list->type == jbvBinary)
	{
		JsonbIterator *iterator = JsonbIteratorInit(list->val.binary.data);
		JsonbIteratorToken token;

		while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
			if (token == WJB_ELEM)
				pushJsonbValue(&bundle->state, WJB_ELEM, &value);
	}
	foreach(cell, bundle->used)
		push_string(bundle, WJB_ELEM, lfirst(cell));
	pushJsonbValue(&bundle->state, WJB_END_ARRAY, NULL);
	pushJsonbValue(&bundle->state, WJB_END_OBJECT, NULL);
}

/* Writes the new document */
static Jsonb *
write_bundle(Bundle *bundle, JsonbContainer *root)
{
	pushJsonbValue(&bundle->state, WJB_BEGIN_OBJECT, NULL);
	if (find_member(root, "$schema") == NULL)
	{
		push_key(bundle, "$schema");
		push_string(bundle, WJB_VALUE, bundle->dialect);
	}
	push_members(bundle, root, bundle->used == NIL ? list_make1(JSON_SCHEMA_OPTIONS_KEYWORD) :
				 list_make2(JSON_SCHEMA_OPTIONS_KEYWORD, unconstify(char *, bundle->definitions)));
	if (bundle->used != NIL)
		push_definitions(bundle, root);
	push_options(bundle, root);
	return JsonbValueToJsonb(pushJsonbValue(&bundle->state, WJB_END_OBJECT, NULL));
}

/* Returns the resources argument; raises unless it is an object */
static Jsonb *
resources_argument(FunctionCallInfo fcinfo)
{
	Jsonb	   *resources;

	if (PG_ARGISNULL(1))
		return NULL;
	resources = PG_GETARG_JSONB_P(1);
	if (!JB_ROOT_IS_OBJECT(resources))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"resources\" must be an object with URIs as keys and schemas as values")));
	return resources;
}

/* Returns the URI of the dialect argument */
static const char *
dialect_argument(FunctionCallInfo fcinfo)
{
	char	   *name = PG_ARGISNULL(3) ? "2020-12" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	const char *uri = json_schema_builtin_dialect_uri(name);

	/* what is not built in may be a metaschema among the resources */
	return uri != NULL ? uri : name;
}

PG_FUNCTION_INFO_V1(flowlens_jsonschema_compile);

/* Checks a schema and bundles it with its resources and options */
Datum
flowlens_jsonschema_compile(PG_FUNCTION_ARGS)
{
	JsonSchemaOptions options = {.assert_formats = -1};
	Bundle		bundle = {0};
	JsonbValue *schema_uri;
	MemoryContext context;
	Jsonb	   *schema;
	uint8		draft;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	schema = PG_GETARG_JSONB_P(0);
	bundle.resources = resources_argument(fcinfo);
	bundle.dialect = dialect_argument(fcinfo);
	bundle.assert_formats = PG_ARGISNULL(2) ? -1 : PG_GETARG_BOOL(2);
	options.resources = bundle.resources;
	options.dialect = bundle.dialect;
	options.assert_formats = bundle.assert_formats;
	context = AllocSetContextCreate(CurrentMemoryContext, "JSON schema program",
									ALLOCSET_DEFAULT_SIZES);
	json_schema_compile(schema, &options, context);
	if (!JB_ROOT_IS_OBJECT(schema))
		PG_RETURN_JSONB_P(schema);
	bundle.used = options.used_resources;
	schema_uri = find_member(&schema->root, "$schema");
	draft = json_schema_draft_of_uri(schema_uri != NULL ? pnstrdup(schema_uri->val.string.val,
																   schema_uri->val.string.len) :
									 bundle.dialect);
	bundle.definitions = (draft & JSON_SCHEMA_BEFORE_2019) ? "definitions" : "$defs";
	bundle.id = draft == JSON_SCHEMA_DRAFT_04 ? "id" : "$id";
	PG_RETURN_JSONB_P(write_bundle(&bundle, &schema->root));
}

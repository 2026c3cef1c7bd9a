/*
 * json_schema_dialects.c
 *		Which keywords a schema may use: its draft and vocabularies.
 */
#include "postgres.h"

#include "compat.h"
#include "json_schema_compile.h"

static const JsonSchemaDialect draft_04 = {JSON_SCHEMA_DRAFT_04, 0xff, true};
static const JsonSchemaDialect draft_06 = {JSON_SCHEMA_DRAFT_06, 0xff, true};
static const JsonSchemaDialect draft_07 = {JSON_SCHEMA_DRAFT_07, 0xff, true};
static const JsonSchemaDialect draft_2019_09 = {
	JSON_SCHEMA_DRAFT_2019, 0xff & ~JSON_SCHEMA_FORMAT_ASSERTION, false
};
static const JsonSchemaDialect draft_2020_12 = {
	JSON_SCHEMA_DRAFT_2020, 0xff & ~JSON_SCHEMA_FORMAT_ASSERTION, false
};

static const struct
{
	const char *name;			/* short name that jsonschema_compile() takes */
	const char *uri;
	const JsonSchemaDialect *dialect;
}			builtin_dialects[] = {
	{"draft-04", "http://json-schema.org/draft-04/schema", &draft_04},
	{"draft-06", "http://json-schema.org/draft-06/schema", &draft_06},
	{"draft-07", "http://json-schema.org/draft-07/schema", &draft_07},
	{"2019-09", "https://json-schema.org/draft/2019-09/schema", &draft_2019_09},
	{"2020-12", "https://json-schema.org/draft/2020-12/schema", &draft_2020_12},
};

static const struct
{
	const char *name;
	uint8		vocabulary;
}			vocabularies[] = {
	{"core", JSON_SCHEMA_CORE},
	{"applicator", JSON_SCHEMA_APPLICATOR},
	{"unevaluated", JSON_SCHEMA_UNEVALUATED},
	{"validation", JSON_SCHEMA_VALIDATION},
	{"meta-data", JSON_SCHEMA_META_DATA},
	{"format-annotation", JSON_SCHEMA_FORMAT_ANNOTATION},
	{"format-assertion", JSON_SCHEMA_FORMAT_ASSERTION},
	{"content", JSON_SCHEMA_CONTENT},
};

/* Compares two URIs, of which the first may end in an empty fragment */
static bool
same_uri(const char *uri, const char *other)
{
	int			length = strlen(other);

	return strncmp(uri, other, length) == 0 &&
		(uri[length] == '\0' || strcmp(uri + length, "#") == 0);
}

/* Finds a dialect whose metaschema is built in, or NULL */
static const JsonSchemaDialect *
find_builtin_dialect(const char *uri)
{
	int			i;

	for (i = 0; i < (int) lengthof(builtin_dialects); i++)
		if (same_uri(uri, builtin_dialects[i].uri))
			return builtin_dialects[i].dialect;
	return NULL;
}

/* Returns the URI for a dialect's short name or URI, NULL when it is neither */
const char *
json_schema_builtin_dialect_uri(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(builtin_dialects); i++)
		if (strcmp(name, builtin_dialects[i].name) == 0 || same_uri(name, builtin_dialects[i].uri))
			return builtin_dialects[i].uri;
	return NULL;
}

/*
 * Returns the draft bit of a $schema, before it is known whether it is
 * supported at all; what is unknown is read like the newest draft.
 */
uint8
json_schema_draft_of_uri(const char *uri)
{
	const JsonSchemaDialect *dialect = find_builtin_dialect(uri);

	return dialect != NULL ? dialect->draft : JSON_SCHEMA_DRAFT_2020;
}

/*
 * Returns the bits of a vocabulary URI, or 0.
 *
 * In 2019-09 two vocabularies were not yet apart, and formats are checked
 * when theirs is required.
 */
static uint8
vocabulary_bits(const char *uri, bool required)
{
	static const char prefix_2019[] = "https://json-schema.org/draft/2019-09/vocab/";
	static const char prefix_2020[] = "https://json-schema.org/draft/2020-12/vocab/";
	bool		in_2019 = strncmp(uri, prefix_2019, strlen(prefix_2019)) == 0;
	const char *name = uri + strlen(prefix_2019);
	int			i;

	if (!in_2019 && strncmp(uri, prefix_2020, strlen(prefix_2020)) != 0)
		return 0;
	if (in_2019 && strcmp(name, "applicator") == 0)
		return JSON_SCHEMA_APPLICATOR | JSON_SCHEMA_UNEVALUATED;
	if (in_2019 && strcmp(name, "format") == 0)
		return required ? JSON_SCHEMA_FORMAT_ASSERTION : JSON_SCHEMA_FORMAT_ANNOTATION;
	for (i = 0; i < (int) lengthof(vocabularies); i++)
		if (strcmp(name, vocabularies[i].name) == 0)
			return vocabularies[i].vocabulary;
	return 0;
}

/* Reads $vocabulary of a metaschema */
static uint8
read_vocabularies(const JsonSchemaNode *vocabulary)
{
	uint8		result = JSON_SCHEMA_CORE;
	int			i;

	for (i = 0; i < vocabulary->child_count; i++)
	{
		JsonSchemaNode *entry = &vocabulary->children[i];
		char	   *uri = pnstrdup(entry->key, entry->key_length);
		bool		required = entry->value.kind == JSON_SCHEMA_BOOLEAN && entry->value.length;
		uint8		bits = vocabulary_bits(uri, required);

		if (bits == 0 && required)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("JSON schema vocabulary \"%s\" is not supported", uri),
					 errdetail("Metaschema \"%s\" requires it.", json_schema_node_location(vocabulary))));
		result |= bits;
	}
	return result;
}

/* Raises that a $schema is not supported */
pg_noreturn static void
unknown_dialect(const char *uri)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("JSON schema dialect \"%s\" is not supported", uri),
			 errdetail("Supported are drafts 04, 06, 07, 2019-09, 2020-12 and metaschemas based on them."),
			 errhint("Give a metaschema of your own to jsonschema_compile() in \"resources\".")));
}

/* Finds the dialect of a $schema that names a metaschema among the resources */
static const JsonSchemaDialect *
custom_dialect(JsonSchemaCompiler *compiler, const char *uri, int depth)
{
	const JsonSchemaDialect *base;
	JsonSchemaResource *metaschema;
	JsonSchemaNode *vocabulary;
	JsonSchemaDialect *dialect;
	char	   *plain = pstrdup(uri);

	plain[strcspn(plain, "#")] = '\0';
	metaschema = json_schema_find_resource(compiler, plain);
	/* a metaschema that describes itself says nothing about its draft */
	if (metaschema == NULL || depth > 8)
		unknown_dialect(uri);
	base = find_builtin_dialect(metaschema->schema_uri);
	if (base == NULL)
		base = custom_dialect(compiler, metaschema->schema_uri, depth + 1);
	dialect = palloc(sizeof(JsonSchemaDialect));
	*dialect = *base;
	vocabulary = json_schema_child(metaschema->root, "$vocabulary");
	if (vocabulary != NULL && !(base->draft & JSON_SCHEMA_BEFORE_2019))
	{
		dialect->vocabularies = read_vocabularies(vocabulary);
		dialect->assert_formats = (dialect->vocabularies & JSON_SCHEMA_FORMAT_ASSERTION) != 0;
	}
	return dialect;
}

/* Returns the dialect of a resource; raises when it is not supported */
const JsonSchemaDialect *
json_schema_resource_dialect(JsonSchemaCompiler *compiler, JsonSchemaResource *resource)
{
	if (resource->dialect == NULL)
		resource->dialect = find_builtin_dialect(resource->schema_uri);
	if (resource->dialect == NULL)
		resource->dialect = custom_dialect(compiler, resource->schema_uri, 0);
	return resource->dialect;
}

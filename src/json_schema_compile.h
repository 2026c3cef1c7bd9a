/*
 * json_schema_compile.h
 *		The inside of the JSON Schema compiler.
 *
 * A schema document is turned into a tree of nodes, the nodes that are
 * schemas are told the resource they belong to (json_schema_references.c),
 * and what can be reached from the root is compiled keyword by keyword
 * (json_schema_keywords*.c), driven by json_schema_compile.c.
 */
#ifndef FLOWLENS_JSON_SCHEMA_COMPILE_H
#define FLOWLENS_JSON_SCHEMA_COMPILE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "json_schema_program.h"

/* The private root keyword in which jsonschema_compile() keeps its options */
#define JSON_SCHEMA_OPTIONS_KEYWORD "x-flowlens"

/* Drafts, as a set */
#define JSON_SCHEMA_DRAFT_06		0x01
#define JSON_SCHEMA_DRAFT_07		0x02
#define JSON_SCHEMA_DRAFT_2020		0x04
#define JSON_SCHEMA_BEFORE_2019		(JSON_SCHEMA_DRAFT_06 | JSON_SCHEMA_DRAFT_07)
#define JSON_SCHEMA_ALL_DRAFTS		0x07

/* Vocabularies of 2020-12; older drafts have them all */
#define JSON_SCHEMA_CORE				0x01
#define JSON_SCHEMA_APPLICATOR			0x02
#define JSON_SCHEMA_UNEVALUATED			0x04
#define JSON_SCHEMA_VALIDATION			0x08
#define JSON_SCHEMA_META_DATA			0x10
#define JSON_SCHEMA_FORMAT_ANNOTATION	0x20
#define JSON_SCHEMA_FORMAT_ASSERTION	0x40
#define JSON_SCHEMA_CONTENT				0x80

typedef struct JsonSchemaDialect
{
	uint8		draft;			/* one bit */
	uint8		vocabularies;
	bool		assert_formats; /* unless the options say otherwise */
} JsonSchemaDialect;

/* One value of a schema document */
struct JsonSchemaNode
{
	JsonSchemaValue value;
	JsonSchemaNode *parent;
	const char *key;			/* in the parent object, or NULL */
	int			key_length;
	int			index;			/* in the parent, both kinds */
	JsonSchemaNode *children;
	int			child_count;
	JsonSchemaResource *resource;	/* set when the node is known as a schema */
	JsonSchema *schema;			/* its program, when reached */
	const char *retrieval_uri;	/* set at the root of a document with a URI */
};

/* A schema with an identifier of its own, and what is inside it */
struct JsonSchemaResource
{
	const char *uri;			/* without fragment; "" has none */
	JsonSchemaNode *root;
	int			number;
	const char *schema_uri;		/* its $schema, or inherited */
	const JsonSchemaDialect *dialect;	/* of it; NULL until needed */
};

/* A $dynamicAnchor */
typedef struct JsonSchemaDynamicAnchor
{
	const char *name;
	JsonSchemaNode *node;
	int			resource;		/* number */
	int			number;			/* of the name, -1: no $dynamicRef uses it yet */
} JsonSchemaDynamicAnchor;

struct names_hash;

typedef struct JsonSchemaCompiler
{
	JsonSchemaProgram *program;
	JsonSchemaNode *root;
	const Jsonb *external;		/* {uri: schema} of the caller, or NULL */
	List	   *used_resources; /* keys of external that were needed */
	int			assert_formats; /* 0, 1, or -1: as the draft says */
	const char *default_dialect;
	struct names_hash *resources;	/* URI to resource */
	struct names_hash *anchors; /* resource number # name to node */
	List	   *resource_list;	/* by number */
	List	   *schemas;		/* all JsonSchema, in order of discovery */
	List	   *dynamic_anchors;	/* all JsonSchemaDynamicAnchor found */
	struct names_hash *dynamic_names;	/* those that a $dynamicRef uses */
	int			dynamic_name_count;
} JsonSchemaCompiler;

/* What a caller of the compiler chooses and gets to know */
typedef struct JsonSchemaOptions
{
	const Jsonb *resources;		/* {uri: schema}, or NULL */
	int			assert_formats; /* 0, 1, or -1: as the draft says */
	const char *dialect;		/* URI for schemas without $schema, or NULL */
	List	   *used_resources; /* out: keys of resources that were needed */
} JsonSchemaOptions;

/* json_schema_compile.c */
extern JsonSchemaProgram *json_schema_compile(const Jsonb *schema, JsonSchemaOptions *options,
											  MemoryContext context);
extern JsonSchema *json_schema_reach(JsonSchemaCompiler *compiler, JsonSchemaNode *node);

/* json_schema_document.c */
extern JsonSchemaNode *json_schema_build_document(const JsonSchemaValue *value, const char *uri);
extern JsonSchemaNode *json_schema_child(const JsonSchemaNode *node, const char *key);
extern JsonSchemaNode *json_schema_follow_pointer(JsonSchemaNode *node, const char *pointer);
extern char *json_schema_node_text(const JsonSchemaNode *node);
extern bool json_schema_node_is(const JsonSchemaNode *node, const char *text);
extern void json_schema_append_token(StringInfo pointer, const char *token, int length);
extern void json_schema_append_path(StringInfo pointer, const JsonSchemaNode *from,
									const JsonSchemaNode *to);
extern char *json_schema_node_location(const JsonSchemaNode *node);
pg_noreturn extern void json_schema_invalid(const JsonSchemaNode *node, const char *format,...)
			pg_attribute_printf(2, 3);

/* json_schema_dialects.c */
extern const JsonSchemaDialect *json_schema_resource_dialect(JsonSchemaCompiler *compiler,
															 JsonSchemaResource *resource);
extern const char *json_schema_builtin_dialect_uri(const char *name);
extern uint8 json_schema_draft_of_uri(const char *uri);

/* json_schema_metaschemas.c */
extern const char *json_schema_find_metaschema(const char *uri);

/* json_schema_references.c */
extern char *json_schema_resolve_uri(const char *base, const char *reference);
extern void json_schema_index_target(JsonSchemaCompiler *compiler, JsonSchemaNode *target);
extern void json_schema_index_document(JsonSchemaCompiler *compiler, JsonSchemaNode *root);
extern void json_schema_add_resource_name(JsonSchemaCompiler *compiler, const char *uri,
										  JsonSchemaResource *resource);
extern JsonSchemaResource *json_schema_find_resource(JsonSchemaCompiler *compiler, const char *uri);
extern JsonSchemaNode *json_schema_find_anchor(JsonSchemaCompiler *compiler,
											   const JsonSchemaResource *resource,
											   const char *name, bool *dynamic);
extern int	json_schema_dynamic_number(JsonSchemaCompiler *compiler, const char *name, bool add);
extern JsonSchemaNode *json_schema_resolve(JsonSchemaCompiler *compiler, JsonSchemaNode *reference,
										   char **dynamic_name);

/* json_schema_keywords.c */
typedef enum JsonSchemaChildren
{
	JSON_SCHEMA_NO_CHILDREN,
	JSON_SCHEMA_ONE,			/* the value is a schema */
	JSON_SCHEMA_LIST,			/* an array of schemas */
	JSON_SCHEMA_MAP,			/* an object of schemas */
	JSON_SCHEMA_ONE_OR_LIST,
	JSON_SCHEMA_MAP_OR_NAMES	/* an object of schemas or arrays of names */
} JsonSchemaChildren;

/* The schema being compiled, as the functions for its keywords see it */
typedef struct JsonSchemaContext
{
	JsonSchemaCompiler *compiler;
	JsonSchemaNode *node;
	JsonSchema *schema;
	const JsonSchemaDialect *dialect;
} JsonSchemaContext;

typedef void (*JsonSchemaKeywordCompiler) (JsonSchemaContext *context, JsonSchemaNode *value);

typedef struct JsonSchemaKeyword
{
	const char *name;
	uint8		drafts;
	uint8		vocabularies;
	JsonSchemaChildren children;
	JsonSchemaKeywordCompiler compile;	/* NULL: asserts nothing by itself */
} JsonSchemaKeyword;

extern const JsonSchemaKeyword *json_schema_find_keyword(const char *name, int length, uint8 draft);
extern JsonSchemaNode *json_schema_sibling(const JsonSchemaContext *context, const char *name);
extern bool json_schema_key_is(const JsonSchemaNode *node, const char *key);
extern int	json_schema_compare_strings(const void *a, const void *b);
extern int	json_schema_count_limit(const JsonSchemaNode *value);
extern void json_schema_require_kind(const JsonSchemaNode *value, JsonSchemaKind kind);

/* json_schema_keywords_object.c, json_schema_keywords_array.c, json_schema_keywords_apply.c */
extern void json_schema_compile_properties(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_pattern_properties(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_additional_properties(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_property_names(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_min_properties(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_max_properties(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_dependencies(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_unevaluated_properties(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_prefix_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_additional_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_contains(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_min_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_max_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_unique_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_unevaluated_items(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_ref(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_dynamic_ref(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_all_of(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_any_of(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_one_of(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_not(JsonSchemaContext *context, JsonSchemaNode *value);
extern void json_schema_compile_if(JsonSchemaContext *context, JsonSchemaNode *value);

/* json_schema_analysis.c */
extern void json_schema_analyze(JsonSchemaCompiler *compiler);

#endif							/* FLOWLENS_JSON_SCHEMA_COMPILE_H */

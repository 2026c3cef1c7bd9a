/*
 * json_schema_program.h
 *		A compiled JSON Schema: what the compiler builds and the validator runs.
 *
 * A program is a graph of JsonSchema structs, one per subschema that can be
 * reached.  Rules that only concern one type of value hang in a struct of
 * their own, so that the validator looks at those of the value's type alone.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PROGRAM_H
#define FLOWLENS_JSON_SCHEMA_PROGRAM_H

#include "postgres.h"

#include "json_schema.h"
#include "json_schema_formats.h"
#include "json_schema_patterns.h"
#include "json_schema_value.h"

typedef struct JsonSchema JsonSchema;
typedef struct JsonSchemaNode JsonSchemaNode;
typedef struct JsonSchemaResource JsonSchemaResource;

#define JSON_SCHEMA_TYPE_BIT(kind)	(1 << (kind))
#define JSON_SCHEMA_ANY_TYPE		0x3f	/* all six types of values */

/* A string with its length, not terminated: a key or an allowed value */
typedef struct JsonSchemaString
{
	const char *data;
	int			length;
} JsonSchemaString;

/* enum and const: the allowed values */
typedef struct JsonSchemaEnum
{
	const char *keyword;		/* "enum" or "const" */
	JsonSchemaString *strings;	/* sorted as keys are */
	int			string_count;
	JsonSchemaValue *others;	/* in the order of the schema */
	int			other_count;
} JsonSchemaEnum;

/* One property that is described, required or both */
typedef struct JsonSchemaProperty
{
	JsonSchemaString key;
	JsonSchema *schema;			/* NULL: only required */
	bool		required;
} JsonSchemaProperty;

typedef struct JsonSchemaPatternProperty
{
	JsonSchemaPattern *pattern;
	JsonSchema *schema;
} JsonSchemaPatternProperty;

/* dependentRequired, dependentSchemas or a member of the older dependencies */
typedef struct JsonSchemaDependency
{
	JsonSchemaString key;		/* when this property is there ... */
	const char *keyword;
	JsonSchema *schema;			/* ... this must hold, or, if NULL, ... */
	JsonSchemaString *required; /* ... these properties must be there too */
	int			required_count;
} JsonSchemaDependency;

typedef struct JsonSchemaObjectRules
{
	JsonSchemaProperty *properties; /* sorted as keys are */
	int			property_count;
	int			required_count;
	JsonSchemaPatternProperty *patterns;
	int			pattern_count;
	JsonSchema *additional;
	JsonSchema *names;			/* propertyNames */
	JsonSchemaDependency *dependencies;
	int			dependency_count;
	int			min_properties;
	int			max_properties; /* -1: no limit */
	bool		visit_all;		/* undescribed members matter too */
} JsonSchemaObjectRules;

typedef struct JsonSchemaArrayRules
{
	JsonSchema **prefix;		/* prefixItems, or items as an array */
	int			prefix_count;
	JsonSchema *rest;			/* items after them */
	JsonSchema *contains;
	int			min_contains;
	int			max_contains;	/* -1: no limit */
	int			min_items;
	int			max_items;		/* -1: no limit */
	bool		unique;
} JsonSchemaArrayRules;

typedef struct JsonSchemaStringRules
{
	int			min_length;		/* in code points */
	int			max_length;		/* -1: no limit */
	JsonSchemaPattern *pattern;
	JsonSchemaString pattern_source;
	json_schema_format_check format;
	const char *format_name;
} JsonSchemaStringRules;

typedef struct JsonSchemaNumberRules
{
	Numeric		minimum;
	Numeric		maximum;
	Numeric		exclusive_minimum;
	Numeric		exclusive_maximum;
	Numeric		multiple_of;
} JsonSchemaNumberRules;

/* $ref and $dynamicRef */
typedef struct JsonSchemaReference
{
	const char *keyword;
	JsonSchema *target;
	int			dynamic_anchor; /* its number, -1: a plain reference */
} JsonSchemaReference;

/* Which branches can accept an object, by the value of one of its properties */
typedef struct JsonSchemaDispatchValue
{
	JsonSchemaString value;
	int		   *branches;
	int			branch_count;
} JsonSchemaDispatchValue;

typedef struct JsonSchemaDispatch
{
	JsonSchemaString key;
	JsonSchemaDispatchValue *values;	/* sorted as keys are */
	int			value_count;
} JsonSchemaDispatch;

/* anyOf and oneOf, both with the dispatch; allOf */
typedef struct JsonSchemaBranches
{
	JsonSchema **branches;
	int			count;
	JsonSchemaDispatch *dispatch;	/* NULL: try all */
} JsonSchemaBranches;

/* The keywords that apply other schemas to the same value */
typedef struct JsonSchemaApplicators
{
	JsonSchemaReference references[2];
	int			reference_count;
	JsonSchemaBranches all_of;
	JsonSchemaBranches any_of;
	JsonSchemaBranches one_of;
	JsonSchema *not;
	JsonSchema *condition;		/* if */
	JsonSchema *consequence;	/* then */
	JsonSchema *alternative;	/* else */
} JsonSchemaApplicators;

struct JsonSchema
{
	JsonSchema *jump;			/* does the same as this one */
	uint8		types;			/* bits of JsonSchemaKind that are allowed */
	bool		is_false;		/* the schema false: nothing conforms */
	bool		only_types;		/* nothing else is asked for */
	bool		is_target;		/* of a reference: may be reached in many ways */
	int			resource;		/* number of the resource it belongs to */
	JsonSchemaEnum *values;		/* enum */
	JsonSchemaEnum *constant;	/* const */
	JsonSchemaObjectRules *object;
	JsonSchemaArrayRules *array;
	JsonSchemaStringRules *string;
	JsonSchemaNumberRules *number;
	JsonSchemaApplicators *applicators;
	JsonSchema *unevaluated_properties;
	JsonSchema *unevaluated_items;
	const JsonSchemaNode *node; /* its source, for the locations of errors */
	uint8		mark;			/* of the search for endless loops */
};

/* One resource that has a dynamic anchor of a name */
typedef struct JsonSchemaDynamicTarget
{
	int			resource;
	JsonSchema *schema;
} JsonSchemaDynamicTarget;

/* All of them, sorted by resource */
typedef struct JsonSchemaDynamicTargets
{
	JsonSchemaDynamicTarget *targets;
	int			count;
} JsonSchemaDynamicTargets;

struct JsonSchemaProgram
{
	MemoryContext context;		/* holds everything of the program */
	JsonSchema *root;
	int			resource_count;
	int			dynamic_name_count; /* names of anchors that a $dynamicRef uses */
	JsonSchemaDynamicTargets *dynamic_targets;	/* of each name */
	int		   *scope;			/* room for the validator: resources entered */
	bool	   *in_scope;		/* the same as a set */
};

#endif							/* FLOWLENS_JSON_SCHEMA_PROGRAM_H */

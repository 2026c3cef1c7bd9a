/*
 * json_schema_validate.h
 *		The inside of the JSON Schema validator.
 */
#ifndef FLOWLENS_JSON_SCHEMA_VALIDATE_H
#define FLOWLENS_JSON_SCHEMA_VALIDATE_H

#include "postgres.h"

#include "json_schema_program.h"

struct memo_hash;

/*
 * One step on the way to the value and schema under work.  Kept only while
 * violations are collected; a plain yes or no needs no locations.
 */
typedef struct JsonSchemaFrame
{
	const struct JsonSchemaFrame *parent;
	const JsonSchema *schema;
	const char *reference;		/* the keyword, when a reference led here */
	const char *key;			/* step in the document: to this property, */
	int			key_length;
	int			index;			/* to this element, -1: no step */
} JsonSchemaFrame;

/* The state of one validation */
typedef struct JsonSchemaRun
{
	const JsonSchemaProgram *program;
	JsonSchemaErrorCallback report; /* NULL: stop at the first violation */
	void	   *report_argument;
	bool		stopped;		/* the callback wants no more */
	uint64		steps;			/* schemas applied so far */
	uint64		patience;		/* steps after which results are remembered */
	struct memo_hash *memo;		/* NULL until then */
	MemoryContext memo_context;
	int			scope_size;		/* resources in program->scope */
	uint64		scope_hash;		/* of them, in order */
} JsonSchemaRun;

/* Which members of one object or array some schema has looked at */
typedef struct JsonSchemaEvaluated
{
	int			count;
	bool		all;
	uint64	   *bits;
	uint64		room[4];		/* for them, when they are few */
} JsonSchemaEvaluated;

/*
 * Notes a violation: fails at once when none are collected, else reports it
 * and goes on.  The function must have a local variable "valid".
 */
#define JSON_SCHEMA_VIOLATION(run, frame, keyword, ...) \
	do { \
		if ((run)->report == NULL) \
			return false; \
		valid = false; \
		json_schema_report(run, frame, keyword, __VA_ARGS__); \
		if ((run)->stopped) \
			return false; \
	} while (0)

/* json_schema_validate.c */
extern bool json_schema_apply(JsonSchemaRun *run, const JsonSchema *schema,
							  const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
							  const JsonSchemaFrame *frame);
extern bool json_schema_test(JsonSchemaRun *run, const JsonSchema *schema,
							 const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated);
extern bool json_schema_apply_member(JsonSchemaRun *run, const JsonSchema *schema,
									 const JsonSchemaValue *value, const JsonSchemaFrame *frame,
									 const char *key, int key_length, int index);
extern bool json_schema_apply_here(JsonSchemaRun *run, const JsonSchema *schema,
								   const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
								   const JsonSchemaFrame *frame, const char *reference);

/* json_schema_validate_values.c */
extern bool json_schema_check_enum(JsonSchemaRun *run, const JsonSchemaEnum *allowed,
								   const JsonSchemaValue *value, const JsonSchemaFrame *frame);
extern bool json_schema_check_number(JsonSchemaRun *run, const JsonSchemaNumberRules *rules,
									 const JsonSchemaValue *value, const JsonSchemaFrame *frame);
extern bool json_schema_check_string(JsonSchemaRun *run, const JsonSchemaStringRules *rules,
									 const JsonSchemaValue *value, const JsonSchemaFrame *frame);

/* json_schema_validate_members.c */
extern bool json_schema_check_object(JsonSchemaRun *run, const JsonSchemaObjectRules *rules,
									 const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
									 const JsonSchemaFrame *frame);
extern bool json_schema_check_array(JsonSchemaRun *run, const JsonSchemaArrayRules *rules,
									const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
									const JsonSchemaFrame *frame);
extern bool json_schema_check_unevaluated(JsonSchemaRun *run, const JsonSchema *schema,
										  const JsonSchemaValue *value,
										  const JsonSchemaEvaluated *evaluated,
										  const JsonSchemaFrame *frame);

/* json_schema_validate_branches.c */
extern bool json_schema_check_applicators(JsonSchemaRun *run, const JsonSchemaApplicators *rules,
										  const JsonSchemaValue *value,
										  JsonSchemaEvaluated *evaluated,
										  const JsonSchemaFrame *frame);

/* json_schema_evaluated.c */
extern void json_schema_evaluated_start(JsonSchemaEvaluated *evaluated, int count);
extern void json_schema_evaluated_merge(JsonSchemaEvaluated *into, const JsonSchemaEvaluated *from);
extern void json_schema_evaluated_end(JsonSchemaEvaluated *evaluated);

/* json_schema_memo.c */
extern bool json_schema_apply_remembered(JsonSchemaRun *run, const JsonSchema *schema,
										 const JsonSchemaValue *value,
										 JsonSchemaEvaluated *evaluated,
										 const JsonSchemaFrame *frame);
extern bool json_schema_apply_keywords(JsonSchemaRun *run, const JsonSchema *schema,
									   const JsonSchemaValue *value,
									   JsonSchemaEvaluated *evaluated,
									   const JsonSchemaFrame *frame);

/* json_schema_errors.c */
extern void json_schema_report(JsonSchemaRun *run, const JsonSchemaFrame *frame,
							   const char *keyword, const char *format,...)
			pg_attribute_printf(4, 5);
extern void json_schema_report_false(JsonSchemaRun *run, const JsonSchemaFrame *frame);
extern char *json_schema_describe_types(uint8 types);
extern char *json_schema_describe_enum(const JsonSchemaEnum *allowed);
extern char *json_schema_describe_number(Numeric number);

/* Says whether, after a violation, further ones are wanted */
static inline bool
json_schema_goes_on(const JsonSchemaRun *run)
{
	return run->report != NULL && !run->stopped;
}

/* Marks the member at a position */
static inline void
json_schema_evaluated_add(JsonSchemaEvaluated *evaluated, int position)
{
	evaluated->bits[position / 64] |= UINT64CONST(1) << (position % 64);
}

/* Says whether the member at a position is marked */
static inline bool
json_schema_evaluated_has(const JsonSchemaEvaluated *evaluated, int position)
{
	return evaluated->all ||
		(evaluated->bits[position / 64] & (UINT64CONST(1) << (position % 64))) != 0;
}

#endif							/* FLOWLENS_JSON_SCHEMA_VALIDATE_H */

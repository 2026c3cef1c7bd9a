/*
 * json_schema_patterns.h
 *		The patterns of JSON Schema: regular expressions of ECMA-262, compiled once.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERNS_H
#define FLOWLENS_JSON_SCHEMA_PATTERNS_H

#include "utils/palloc.h"

typedef struct JsonSchemaPattern JsonSchemaPattern;

/* Compiles a pattern into a memory context; raises what is wrong or not supported */
extern JsonSchemaPattern *json_schema_compile_pattern(const char *source, int length, MemoryContext context);

/* Returns whether a text in the encoding of the database matches somewhere */
extern bool json_schema_pattern_matches(JsonSchemaPattern *pattern, const char *text, int length);

/* Returns a text in the encoding of the database as UTF-8: the text itself wherever that is possible */
extern const char *json_schema_to_utf8(const char *text, int *length);

/* The format "regex" has json_schema_pattern_is_valid() in json_schema_pattern_parser.h */

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERNS_H */

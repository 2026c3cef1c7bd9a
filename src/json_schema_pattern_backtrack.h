/*
 * json_schema_pattern_backtrack.h
 *		Matching of patterns with back references.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_BACKTRACK_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_BACKTRACK_H

#include "json_schema_pattern_parser.h"

typedef struct JsonSchemaBacktrack JsonSchemaBacktrack;

/* Compiles a tree; the result lives in the lasting arena */
extern JsonSchemaBacktrack *json_schema_build_backtrack(JsonSchemaArena *lasting, const JsonSchemaPatternNode *root,
														int group_count);

/* Returns whether code points match somewhere; raises when that takes too long */
extern bool json_schema_backtrack_matches(const JsonSchemaBacktrack *program, const unsigned int *text, int length);

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_BACKTRACK_H */

/*
 * json_schema_pattern_runs.h
 *		Matching of simple patterns without a regular expression engine.
 *
 * Plain C without server types, like json_schema_pattern_sets.h.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_RUNS_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_RUNS_H

#include "json_schema_pattern_parser.h"

typedef struct JsonSchemaRuns JsonSchemaRuns;

extern JsonSchemaRuns *json_schema_build_runs(JsonSchemaArena *temporary, JsonSchemaArena *lasting,
											  const JsonSchemaPatternNode *root);
extern bool json_schema_runs_match(const JsonSchemaRuns *runs, const char *text, int length);

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_RUNS_H */

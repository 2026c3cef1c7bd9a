/*
 * json_schema_pattern_writer.h
 *		Writing of a parsed pattern as an advanced regular expression of PostgreSQL.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_WRITER_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_WRITER_H

#include "json_schema_pattern_parser.h"

/* Resolves the back references of a tree; returns a sentence on what cannot be translated, or NULL */
extern const char *json_schema_resolve_references(JsonSchemaPatternNode *root, int group_count, bool *has_references);

/* Returns whether a node may match the empty text; true when that depends on a reference */
extern bool json_schema_may_be_empty(const JsonSchemaPatternNode *node);

/* Writes a tree, in ASCII only; returns a sentence on what cannot be translated, or NULL */
extern const char *json_schema_write_pattern(const JsonSchemaPatternNode *root, int group_count, char **result);

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_WRITER_H */

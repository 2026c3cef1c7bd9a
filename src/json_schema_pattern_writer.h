/*
 * json_schema_pattern_writer.h
 *		Writing of a parsed pattern as an advanced regular expression of PostgreSQL.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_WRITER_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_WRITER_H

#include "json_schema_pattern_parser.h"

/* Writes a tree without back references, in ASCII only; returns a sentence on what cannot be written, or NULL */
extern const char *json_schema_write_pattern(const JsonSchemaPatternNode *root, char **result);

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_WRITER_H */

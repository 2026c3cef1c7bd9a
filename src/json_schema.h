/*
 * json_schema.h
 *		JSON Schema for other topics: compile once, then match or list errors.
 */
#ifndef FLOWLENS_JSON_SCHEMA_H
#define FLOWLENS_JSON_SCHEMA_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct JsonSchemaProgram JsonSchemaProgram;

/* One violation; locations are JSON Pointers, the texts live as long as the call */
typedef struct JsonSchemaError
{
	const char *instance_location;	/* where in the document */
	const char *keyword_location;	/* the way through the schema, $ref included */
	const char *absolute_keyword_location;	/* URI of the keyword */
	const char *keyword;
	const char *error;			/* what is wrong, for people */
} JsonSchemaError;

/*
 * Receives the violations in order; returns false to get no more.  It must not
 * run the same program again meanwhile.
 */
typedef bool (*JsonSchemaErrorCallback) (const JsonSchemaError *error, void *argument);

/*
 * Returns the program of a schema, compiled or from the backend's cache.  It
 * stays valid until owner is reset or deleted.  Raises what is wrong with the
 * schema.
 */
extern JsonSchemaProgram *json_schema_acquire(const Jsonb *schema, MemoryContext owner);

/* Says whether a document conforms; stops at the first violation */
extern bool json_schema_matches(JsonSchemaProgram *program, const Jsonb *document);

/* Hands the violations of a document to callback; true means there were none */
extern bool json_schema_collect_errors(JsonSchemaProgram *program, const Jsonb *document,
									   JsonSchemaErrorCallback callback, void *argument);

#endif							/* FLOWLENS_JSON_SCHEMA_H */

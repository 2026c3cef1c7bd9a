/*
 * json_schema_pattern_sets.h
 *		Sets of code points, as a pattern's characters and classes name them.
 *
 * Plain C without server types.  Memory comes from an allocator that the caller
 * gives and is never freed one by one.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_SETS_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a parser gets its memory; without allocate nothing is built, only checked */
typedef struct JsonSchemaArena
{
	void	   *(*allocate) (void *state, size_t size);
	void	   *state;
} JsonSchemaArena;

/* The code points from first to last, both included */
typedef struct JsonSchemaRange
{
	uint32_t	first;
	uint32_t	last;
} JsonSchemaRange;

/* Ranges; after json_schema_set_normalize() sorted, without overlap or contact */
typedef struct JsonSchemaSet
{
	JsonSchemaRange *ranges;
	int			count;
	int			capacity;
} JsonSchemaSet;

/* The classes that have an escape of their own */
typedef enum JsonSchemaClass
{
	JSON_SCHEMA_CLASS_DIGIT,	/* \d */
	JSON_SCHEMA_CLASS_SPACE,	/* \s */
	JSON_SCHEMA_CLASS_WORD,		/* \w */
	JSON_SCHEMA_CLASS_LINE_END	/* what . leaves out */
} JsonSchemaClass;

extern void json_schema_set_add(JsonSchemaArena *arena, JsonSchemaSet *set, uint32_t first, uint32_t last);
extern void json_schema_set_add_class(JsonSchemaArena *arena, JsonSchemaSet *set, JsonSchemaClass class, bool negated);
extern bool json_schema_set_add_property(JsonSchemaArena *arena, JsonSchemaSet *set,
										 const char *name, int name_length,
										 const char *value, int value_length, bool negated);
extern void json_schema_set_normalize(JsonSchemaSet *set);
extern JsonSchemaSet json_schema_set_complement(JsonSchemaArena *arena, const JsonSchemaSet *set);
extern bool json_schema_set_contains(const JsonSchemaSet *set, uint32_t code);
extern bool json_schema_sets_overlap(const JsonSchemaSet *a, const JsonSchemaSet *b);
extern bool json_schema_sets_equal(const JsonSchemaSet *a, const JsonSchemaSet *b);
extern bool json_schema_starts_identifier(uint32_t code);
extern bool json_schema_continues_identifier(uint32_t code);

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_SETS_H */

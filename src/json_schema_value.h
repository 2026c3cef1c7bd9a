/*
 * json_schema_value.h
 *		Values inside a JSONB document, read in place.
 *
 * PostgreSQL's JsonbIterator and JsonbValue copy and allocate; a validator
 * looks at every value once and keeps none, so it reads the JEntry arrays
 * itself.
 */
#ifndef FLOWLENS_JSON_SCHEMA_VALUE_H
#define FLOWLENS_JSON_SCHEMA_VALUE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

typedef enum JsonSchemaKind
{
	JSON_SCHEMA_NULL,
	JSON_SCHEMA_BOOLEAN,
	JSON_SCHEMA_NUMBER,
	JSON_SCHEMA_STRING,
	JSON_SCHEMA_ARRAY,
	JSON_SCHEMA_OBJECT,
	JSON_SCHEMA_INTEGER			/* a type of schemas only, no value has it */
} JsonSchemaKind;

typedef struct JsonSchemaValue
{
	JsonSchemaKind kind;
	int			length;			/* bytes of a string, 0 or 1 of a boolean,
								 * members of an array or object */
	const char *data;			/* string, Numeric or JsonbContainer */
	const void *identity;		/* differs between any two values in memory */
} JsonSchemaValue;

/* A walk over the members of an array or object, in stored order */
typedef struct JsonSchemaCursor
{
	const JEntry *keys;			/* NULL for an array */
	const JEntry *values;
	const char *base;			/* start of the variable-length part */
	uint32		key_offset;
	uint32		value_offset;
	int			count;
	int			index;			/* of the member that comes next */
	const char *key;			/* of the current member */
	int			key_length;
} JsonSchemaCursor;

/* Fills *value from one JEntry whose data starts at base + offset */
static inline void
json_schema_read_entry(const JEntry *entry, const char *base, uint32 offset,
					   JsonSchemaValue *value)
{
	value->identity = entry;
	switch (*entry & JENTRY_TYPEMASK)
	{
		case JENTRY_ISSTRING:
			value->kind = JSON_SCHEMA_STRING;
			value->data = base + offset;
			value->length = JBE_HAS_OFF(*entry) ?
				(int) (JBE_OFFLENFLD(*entry) - offset) : (int) JBE_OFFLENFLD(*entry);
			break;
		case JENTRY_ISNUMERIC:
			value->kind = JSON_SCHEMA_NUMBER;
			value->data = base + INTALIGN(offset);
			value->length = 0;
			break;
		case JENTRY_ISCONTAINER:
			{
				const JsonbContainer *container = (const JsonbContainer *) (base + INTALIGN(offset));

				value->kind = JsonContainerIsObject(container) ? JSON_SCHEMA_OBJECT : JSON_SCHEMA_ARRAY;
				value->data = (const char *) container;
				value->length = JsonContainerSize(container);
				break;
			}
		case JENTRY_ISBOOL_TRUE:
		case JENTRY_ISBOOL_FALSE:
			value->kind = JSON_SCHEMA_BOOLEAN;
			value->data = NULL;
			value->length = JBE_ISBOOL_TRUE(*entry);
			break;
		default:
			value->kind = JSON_SCHEMA_NULL;
			value->data = NULL;
			value->length = 0;
			break;
	}
}

/* Starts a walk over an array or object */
static inline void
json_schema_open(JsonSchemaCursor *cursor, const JsonSchemaValue *container)
{
	const JsonbContainer *data = (const JsonbContainer *) container->data;

	cursor->count = container->length;
	cursor->index = 0;
	cursor->key_offset = 0;
	cursor->key = NULL;
	cursor->key_length = 0;
	if (container->kind == JSON_SCHEMA_OBJECT)
	{
		cursor->keys = data->children;
		cursor->values = data->children + cursor->count;
		cursor->base = (const char *) (data->children + 2 * (Size) cursor->count);
		cursor->value_offset = getJsonbOffset(data, cursor->count);
	}
	else
	{
		cursor->keys = NULL;
		cursor->values = data->children;
		cursor->base = (const char *) (data->children + cursor->count);
		cursor->value_offset = 0;
	}
}

/* Goes to the next member; false after the last one */
static inline bool
json_schema_next(JsonSchemaCursor *cursor, JsonSchemaValue *value)
{
	const JEntry *entry;

	if (cursor->index >= cursor->count)
		return false;
	if (cursor->keys != NULL)
	{
		uint32		start = cursor->key_offset;

		JBE_ADVANCE_OFFSET(cursor->key_offset, cursor->keys[cursor->index]);
		cursor->key = cursor->base + start;
		cursor->key_length = (int) (cursor->key_offset - start);
	}
	entry = cursor->values + cursor->index;
	json_schema_read_entry(entry, cursor->base, cursor->value_offset, value);
	JBE_ADVANCE_OFFSET(cursor->value_offset, *entry);
	cursor->index++;
	return true;
}

/* Orders keys as JSONB stores them: by length, then by bytes */
static inline int
json_schema_compare_keys(const char *a, int a_length, const char *b, int b_length)
{
	if (a_length != b_length)
		return a_length < b_length ? -1 : 1;
	return memcmp(a, b, a_length);
}

extern void json_schema_read_root(const Jsonb *document, JsonSchemaValue *value);
extern int	json_schema_find_member(const JsonSchemaValue *object, const char *key, int key_length,
									JsonSchemaValue *value);
extern int	json_schema_compare_values(const JsonSchemaValue *a, const JsonSchemaValue *b);
extern bool json_schema_is_integer(const JsonSchemaValue *value);
extern const char *json_schema_kind_name(JsonSchemaKind kind);

#endif							/* FLOWLENS_JSON_SCHEMA_VALUE_H */

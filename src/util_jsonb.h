/*
 * util_jsonb.h
 *		Reading a JSONB object in place: one pass over its sorted keys, no copies.
 */
#ifndef FLOWLENS_UTIL_JSONB_H
#define FLOWLENS_UTIL_JSONB_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

/* A value inside a JSONB container; data points into the document */
typedef struct JsonbSlice
{
	JEntry		entry;			/* type bits; 0 length string entry when absent */
	const char *data;			/* aligned for numerics and containers */
	uint32		length;			/* bytes, for strings */
	bool		present;		/* false = the key is not there */
} JsonbSlice;

/* Position in an object; keys and values advance together */
typedef struct JsonbObjectCursor
{
	const JsonbContainer *object;
	const char *base;			/* where keys and values begin */
	uint32		count;			/* pairs */
	uint32		index;			/* next pair */
	uint32		key_offset;
	uint32		value_offset;
} JsonbObjectCursor;

/* Starts at the first key of an object, which is the shortest one */
static inline void
jsonb_object_start(JsonbObjectCursor *cursor, const JsonbContainer *object)
{
	cursor->object = object;
	cursor->count = JsonContainerSize(object);
	cursor->base = (const char *) &object->children[cursor->count * 2];
	cursor->index = 0;
	cursor->key_offset = 0;
	cursor->value_offset = cursor->count > 0 ? getJsonbOffset(object, cursor->count) : 0;
}

/* Fetches the next pair; returns false behind the last */
static inline bool
jsonb_object_next(JsonbObjectCursor *cursor, JsonbSlice *key, JsonbSlice *value)
{
	const JEntry *children = cursor->object->children;
	uint32		key_end = cursor->key_offset;
	uint32		value_end = cursor->value_offset;

	if (cursor->index >= cursor->count)
		return false;

	key->entry = children[cursor->index];
	JBE_ADVANCE_OFFSET(key_end, key->entry);
	key->data = cursor->base + cursor->key_offset;
	key->length = key_end - cursor->key_offset;
	key->present = true;

	value->entry = children[cursor->count + cursor->index];
	JBE_ADVANCE_OFFSET(value_end, value->entry);
	value->data = cursor->base + cursor->value_offset;
	value->length = value_end - cursor->value_offset;
	value->present = true;
	if (JBE_ISNUMERIC(value->entry) || JBE_ISCONTAINER(value->entry))
		value->data = cursor->base + INTALIGN(cursor->value_offset);

	cursor->key_offset = key_end;
	cursor->value_offset = value_end;
	cursor->index++;
	return true;
}

/* Tells whether a value counts as absent */
static inline bool
jsonb_slice_is_null(const JsonbSlice *slice)
{
	return !slice->present || JBE_ISNULL(slice->entry);
}

extern const char *jsonb_slice_type(const JsonbSlice *slice);
extern bool jsonb_slice_int64(const JsonbSlice *slice, int64 *result);

#endif							/* FLOWLENS_UTIL_JSONB_H */

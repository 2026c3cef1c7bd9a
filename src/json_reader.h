/*
 * json_reader.h
 *		Reading fields of JSONB objects that others wrote.
 *
 * A reader remembers the first thing that is wrong instead of raising an error:
 * one bad document of a batch is no reason to lose the others.
 */
#ifndef FLOWLENS_JSON_READER_H
#define FLOWLENS_JSON_READER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct JsonReader
{
	char	   *error;			/* the first problem, or NULL */
} JsonReader;

/* Whether a missing field is a problem */
typedef enum JsonNeed
{
	JSON_OPTIONAL,
	JSON_REQUIRED
} JsonNeed;

extern char *format_iso_timestamp(TimestampTz time);
extern JsonbContainer *field_object(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need);
extern JsonbContainer *field_array(JsonReader *reader, JsonbContainer *object, const char *key);
extern bool field_text(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, Datum *value);
extern bool field_int64(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, int64 *value);
extern bool field_int32(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, int32 *value);
extern bool field_bool(JsonReader *reader, JsonbContainer *object, const char *key, bool *value);
extern bool field_time(JsonReader *reader, JsonbContainer *object, const char *key, JsonNeed need, TimestampTz *value);
extern bool field_is(JsonbContainer *object, const char *key, const char *wanted);

#endif							/* FLOWLENS_JSON_READER_H */

/*
 * webhook_rows.h
 *		Filling rows from the fields of an event.
 */
#ifndef FLOWLENS_WEBHOOK_ROWS_H
#define FLOWLENS_WEBHOOK_ROWS_H

#include "postgres.h"

#include "json_reader.h"
#include "webhook.h"

#define MAX_EVENT_COLUMNS 32

/* A row being filled, column by column */
typedef struct EventRow
{
	EventRelation *relation;
	Datum		values[MAX_EVENT_COLUMNS];
	bool		nulls[MAX_EVENT_COLUMNS];
	int			filled;
} EventRow;

/* An event being read */
typedef struct EventReader
{
	JsonReader	json;			/* remembers the first problem */
	EventRows  *rows;			/* where its rows go */
	WebhookEvent *event;
	JsonbContainer *root;
	JsonbContainer *repository;
	int64		github_id;		/* of the repository */
} EventReader;

extern void row_begin(EventReader *reader, EventRow *row, EventRowKind kind);
extern void row_put(EventRow *row, Datum value);
extern void row_put_null(EventRow *row);
extern void row_put_text(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need);
extern void row_put_int64(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need);
extern void row_put_int32(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need);
extern void row_put_bool(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key);
extern TimestampTz row_put_time(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need);
extern void row_put_instant(EventRow *row, TimestampTz value);
extern void row_put_hash(EventRow *row, int first);
extern void row_end(EventReader *reader, EventRow *row);
extern TimestampTz event_time(EventReader *reader, JsonbContainer *object, const char *key, JsonNeed need);
extern char *event_string(EventReader *reader, JsonbContainer *object, const char *key);
extern bool event_action_is(EventReader *reader, const char *action);

/* One per kind of event */
extern void event_read_pull_request(EventReader *reader);
extern void event_read_pull_request_review(EventReader *reader);
extern void event_read_workflow_run(EventReader *reader);
extern void event_read_workflow_job(EventReader *reader);
extern void event_read_check_run(EventReader *reader);
extern void event_read_check_suite(EventReader *reader);
extern void event_read_status(EventReader *reader);
extern void event_read_deployment(EventReader *reader);

#endif							/* FLOWLENS_WEBHOOK_ROWS_H */

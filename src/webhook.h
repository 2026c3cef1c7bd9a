/*
 * webhook.h
 *		What the parts of the topic webhook share: events and the rows made of them.
 */
#ifndef FLOWLENS_WEBHOOK_H
#define FLOWLENS_WEBHOOK_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

/* Kinds of rows that events are turned into; each is a relation of pull_request.c's statements */
typedef enum EventRowKind
{
	ROWS_REPOSITORIES,
	ROWS_PULL_REQUESTS,
	ROWS_REVIEWS,
	ROWS_RUNS,
	ROWS_CHECKS,
	ROWS_DEPLOYMENTS
} EventRowKind;

#define EVENT_ROW_KINDS (ROWS_DEPLOYMENTS + 1)

/* The rows of one kind */
typedef struct EventRelation
{
	const char *name;			/* under which statements see them */
	TupleDesc	desc;
	Tuplestorestate *rows;
	int64		count;
} EventRelation;

/* The rows of a batch of events */
typedef struct EventRows
{
	EventRelation relations[EVENT_ROW_KINDS];
} EventRows;

/* One delivery */
typedef struct WebhookEvent
{
	pg_uuid_t	delivery_id;
	TimestampTz received_at;
	char	   *event;			/* X-GitHub-Event */
	char	   *body_error;		/* why there is no payload, or NULL */
	Datum		payload;		/* jsonb, not detoasted; 0 when there is none */
	int			attempts;		/* failed ones so far */
	bool		is_ignored;		/* no rows but the repository's */
	char	   *error;			/* why it could not be processed, or NULL */
} WebhookEvent;

extern void webhook_init(void);
extern EventRows *event_rows_create(void);
extern void event_rows_free(EventRows *rows);
extern void event_rows_add(EventRows *rows, WebhookEvent *event);
extern void apply_event_rows(EventRows *rows);

#endif							/* FLOWLENS_WEBHOOK_H */

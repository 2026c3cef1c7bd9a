/*
 * webhook_pull_requests.c
 *		Reading the events pull_request and pull_request_review.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "json_reader.h"
#include "webhook.h"
#include "webhook_rows.h"

/* Adds the names of a pull request's labels as a JSONB array */
static void
put_labels(EventReader *reader, EventRow *row, JsonbContainer *pull_request)
{
	JsonbContainer *labels = field_array(&reader->json, pull_request, "labels");
	JsonbParseState *state = NULL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (labels == NULL)
	{
		row_put_null(row);
		return;
	}
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	iterator = JsonbIteratorInit(labels);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		JsonbValue	name;

		if (token == WJB_ELEM && value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data) &&
			getKeyJsonValueFromContainer(value.val.binary.data, "name", 4, &name) != NULL)
			pushJsonbValue(&state, WJB_ELEM, &name);
	}
	row_put(row, PointerGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))));
}

/* Adds a string, or null, to an object under construction */
static void
push_pair(JsonbParseState **state, const char *key, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
	if (string == NULL)
		value.type = jbvNull;
	else
	{
		value.val.string.val = unconstify(char *, string);
		value.val.string.len = strlen(string);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Adds a history of one change of state, or NULL when the event is none */
static void
put_history(EventReader *reader, EventRow *row, const char *event, TimestampTz at, const char *detail)
{
	JsonbParseState *state = NULL;
	JsonbContainer *sender = field_object(&reader->json, reader->root, "sender", JSON_OPTIONAL);

	if (event == NULL || TIMESTAMP_NOT_FINITE(at))
	{
		row_put_null(row);
		return;
	}
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_pair(&state, "at", format_iso_timestamp(at));
	push_pair(&state, "by", event_string(reader, sender, "login"));
	push_pair(&state, "event", event);
	push_pair(&state, "detail", detail);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	row_put(row, PointerGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))));
}

/* A pull request as an event describes it */
typedef struct PullRequestState
{
	JsonbContainer *object;
	const char *state;			/* open, closed or merged */
	char	   *head_sha;
	char	   *merge_commit_sha;	/* NULL until merged: before, it is a trial merge */
	TimestampTz created_at;
	TimestampTz updated_at;
	TimestampTz merged_at;
	TimestampTz closed_at;
} PullRequestState;

/* Reads what decides about the state of a pull request */
static void
read_pull_request_state(EventReader *reader, JsonbContainer *object, PullRequestState *pr)
{
	JsonbContainer *head = field_object(&reader->json, object, "head", JSON_OPTIONAL);
	bool		merged = false;

	(void) field_bool(&reader->json, object, "merged", &merged);
	pr->object = object;
	pr->head_sha = event_string(reader, head, "sha");
	pr->created_at = event_time(reader, object, "created_at", JSON_OPTIONAL);
	pr->updated_at = event_time(reader, object, "updated_at", JSON_REQUIRED);
	pr->merged_at = event_time(reader, object, "merged_at", JSON_OPTIONAL);
	pr->closed_at = event_time(reader, object, "closed_at", JSON_OPTIONAL);
	if (merged || !TIMESTAMP_NOT_FINITE(pr->merged_at))
		pr->state = "merged";
	else if (field_is(object, "state", "closed"))
		pr->state = "closed";
	else
		pr->state = "open";
	pr->merge_commit_sha = strcmp(pr->state, "merged") == 0 ? event_string(reader, object, "merge_commit_sha") : NULL;
}

/* Returns the rank of a state among events of the same second */
static int16
state_rank(EventReader *reader, const PullRequestState *pr)
{
	if (strcmp(pr->state, "merged") == 0)
		return 3;
	if (strcmp(pr->state, "closed") == 0)
		return 2;
	return event_action_is(reader, "opened") ? 0 : 1;
}

/* Adds the columns that describe a pull request, guard included */
static void
put_pull_request(EventReader *reader, EventRow *row, const PullRequestState *pr)
{
	JsonbContainer *user = field_object(&reader->json, pr->object, "user", JSON_OPTIONAL);
	JsonbContainer *head = field_object(&reader->json, pr->object, "head", JSON_OPTIONAL);
	JsonbContainer *base = field_object(&reader->json, pr->object, "base", JSON_OPTIONAL);

	row_put(row, Int64GetDatum(reader->github_id));
	row_put_int32(reader, row, pr->object, "number", JSON_REQUIRED);
	row_put_text(reader, row, pr->object, "title", JSON_REQUIRED);
	row_put_text(reader, row, user, "login", JSON_OPTIONAL);
	row_put_text(reader, row, user, "avatar_url", JSON_OPTIONAL);
	row_put_text(reader, row, head, "sha", JSON_OPTIONAL);
	row_put_text(reader, row, head, "ref", JSON_OPTIONAL);
	row_put_text(reader, row, base, "ref", JSON_OPTIONAL);
	row_put(row, CStringGetTextDatum(pr->state));
	row_put_bool(reader, row, pr->object, "draft");
	put_labels(reader, row, pr->object);
	row_put_text(reader, row, pr->object, "html_url", JSON_OPTIONAL);
	if (pr->merge_commit_sha == NULL)
		row_put_null(row);
	else
		row_put(row, CStringGetTextDatum(pr->merge_commit_sha));
	row_put_instant(row, pr->created_at);
	row_put_instant(row, pr->updated_at);
	row_put_instant(row, pr->merged_at);
	row_put_instant(row, pr->closed_at);
	row_put_hash(row, 2);
	row_put_instant(row, pr->updated_at);
	row_put(row, Int16GetDatum(state_rank(reader, pr)));
}

/* Adds the columns that only pull_request events have, with their own guard */
static void
put_pull_request_size(EventReader *reader, EventRow *row, const PullRequestState *pr)
{
	int32		additions;
	bool		complete = field_int32(&reader->json, pr->object, "additions", JSON_OPTIONAL, &additions);

	row_put_int32(reader, row, pr->object, "additions", JSON_OPTIONAL);
	row_put_int32(reader, row, pr->object, "deletions", JSON_OPTIONAL);
	row_put_int32(reader, row, pr->object, "changed_files", JSON_OPTIONAL);
	row_put_int32(reader, row, pr->object, "commits", JSON_OPTIONAL);
	row_put_hash(row, row->filled - 4);
	row_put_instant(row, complete ? pr->updated_at : DT_NOBEGIN);
}

/* Adds the change of state that an action stands for */
static void
put_action_history(EventReader *reader, EventRow *row, const PullRequestState *pr)
{
	static const char *const actions[] = {
		"reopened", "synchronize", "ready_for_review", "converted_to_draft", "enqueued", "dequeued"
	};
	int			i;

	if (event_action_is(reader, "opened"))
	{
		put_history(reader, row, "opened", pr->created_at, pr->head_sha);
		return;
	}
	if (event_action_is(reader, "closed"))
	{
		bool		merged = strcmp(pr->state, "merged") == 0;

		put_history(reader, row, pr->state, merged ? pr->merged_at : pr->closed_at, pr->merge_commit_sha);
		return;
	}
	for (i = 0; i < (int) lengthof(actions); i++)
	{
		if (event_action_is(reader, actions[i]))
		{
			put_history(reader, row, actions[i], pr->updated_at, pr->head_sha);
			return;
		}
	}
	row_put_null(row);
}

/* pull_request: any action carries the whole pull request */
void
event_read_pull_request(EventReader *reader)
{
	JsonbContainer *object = field_object(&reader->json, reader->root, "pull_request", JSON_REQUIRED);
	PullRequestState pr;
	EventRow	row;

	if (object == NULL)
		return;
	read_pull_request_state(reader, object, &pr);
	row_begin(reader, &row, ROWS_PULL_REQUESTS);
	put_pull_request(reader, &row, &pr);
	put_pull_request_size(reader, &row, &pr);
	put_action_history(reader, &row, &pr);
	row_end(reader, &row);
}

/* Adds the row of a review; returns its state in lower case */
static char *
add_review(EventReader *reader, JsonbContainer *review, JsonbContainer *pull_request, TimestampTz *submitted_at)
{
	JsonbContainer *user = field_object(&reader->json, review, "user", JSON_OPTIONAL);
	char	   *raw_state = event_string(reader, review, "state");
	char	   *state = raw_state == NULL ? NULL : asc_tolower(raw_state, strlen(raw_state));
	bool		dismissed = state != NULL && strcmp(state, "dismissed") == 0;
	TimestampTz updated_at = event_time(reader, review, "updated_at", JSON_OPTIONAL);
	EventRow	row;

	row_begin(reader, &row, ROWS_REVIEWS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put_int64(reader, &row, review, "id", JSON_REQUIRED);
	row_put_int32(reader, &row, pull_request, "number", JSON_REQUIRED);
	row_put_text(reader, &row, user, "login", JSON_OPTIONAL);
	if (state == NULL)
		row_put_null(&row);
	else
		row_put(&row, CStringGetTextDatum(state));
	row_put_text(reader, &row, review, "commit_id", JSON_OPTIONAL);
	*submitted_at = row_put_time(reader, &row, review, "submitted_at", JSON_REQUIRED);
	row_put_hash(&row, 2);
	row_put(&row, TimestampTzGetDatum(TIMESTAMP_NOT_FINITE(updated_at) ? *submitted_at : updated_at));
	row_put(&row, Int16GetDatum(dismissed ? 1 : 0));
	if (state == NULL || dismissed)
		row_put_null(&row);
	else
		row_put(&row, CStringGetTextDatum(state));
	row_end(reader, &row);
	return state;
}

/* pull_request_review: a review, and the pull request without its size */
void
event_read_pull_request_review(EventReader *reader)
{
	JsonbContainer *object = field_object(&reader->json, reader->root, "pull_request", JSON_REQUIRED);
	JsonbContainer *review = field_object(&reader->json, reader->root, "review", JSON_REQUIRED);
	TimestampTz submitted_at = DT_NOBEGIN;
	PullRequestState pr;
	char	   *state;
	EventRow	row;

	if (object == NULL || review == NULL)
		return;
	state = add_review(reader, review, object, &submitted_at);
	read_pull_request_state(reader, object, &pr);
	row_begin(reader, &row, ROWS_PULL_REQUESTS);
	put_pull_request(reader, &row, &pr);
	put_pull_request_size(reader, &row, &pr);
	if (event_action_is(reader, "dismissed"))
		put_history(reader, &row, "review_dismissed", pr.updated_at, event_string(reader, review, "commit_id"));
	else if (event_action_is(reader, "submitted") && state != NULL && strcmp(state, "commented") != 0)
		put_history(reader, &row, state, submitted_at, event_string(reader, review, "commit_id"));
	else
		row_put_null(&row);
	row_end(reader, &row);
}

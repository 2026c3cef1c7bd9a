/*
 * webhook_events.c
 *		Turning events into rows.
 *
 * Every event is read once and becomes rows of up to three kinds, each with
 * the guard that decides whether it replaces what is stored.  What the rows
 * mean for a pull request is decided in pull_request.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "json_reader.h"
#include "webhook.h"

#define MAX_COLUMNS 32
#define ROWS_MEMORY_KB 65536

typedef struct EventColumn
{
	const char *name;
	Oid			type;
} EventColumn;

/* A row being filled */
typedef struct EventRow
{
	EventRelation *relation;
	Datum		values[MAX_COLUMNS];
	bool		nulls[MAX_COLUMNS];
	int			filled;
} EventRow;

/* An event being read */
typedef struct EventReader
{
	JsonReader	json;
	EventRows  *rows;
	WebhookEvent *event;
	JsonbContainer *root;
	JsonbContainer *repository;
	int64		github_id;
} EventReader;

static const EventColumn repository_columns[] = {
	{"github_id", INT8OID}, {"name", TEXTOID}, {"owner", TEXTOID}, {"owner_avatar_url", TEXTOID},
	{"is_private", BOOLOID}, {"description", TEXTOID}, {"html_url", TEXTOID}, {"default_branch", TEXTOID},
	{"is_archived", BOOLOID}, {"created_at", TIMESTAMPTZOID}, {"updated_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID},
	{"pushed_at", TIMESTAMPTZOID}, {"deleted_at", TIMESTAMPTZOID},
	{"object", JSONBOID}, {"object_hash", INT8OID}, {"received_at", TIMESTAMPTZOID}, {NULL}
};

static const EventColumn pull_request_columns[] = {
	{"github_id", INT8OID}, {"pr_number", INT4OID}, {"title", TEXTOID}, {"author", TEXTOID},
	{"author_avatar", TEXTOID}, {"commit_sha", TEXTOID}, {"branch_name", TEXTOID}, {"base_branch", TEXTOID},
	{"state", TEXTOID}, {"draft", BOOLOID}, {"labels", JSONBOID}, {"html_url", TEXTOID},
	{"merge_commit_sha", TEXTOID}, {"created_at", TIMESTAMPTZOID}, {"updated_at", TIMESTAMPTZOID},
	{"merged_at", TIMESTAMPTZOID}, {"closed_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID},
	{"additions", INT4OID}, {"deletions", INT4OID}, {"changed_files", INT4OID}, {"commits", INT4OID},
	{"size_hash", INT8OID}, {"size_time", TIMESTAMPTZOID}, {"history", JSONBOID}, {NULL}
};

static const EventColumn review_columns[] = {
	{"github_id", INT8OID}, {"review_id", INT8OID}, {"pr_number", INT4OID}, {"reviewer", TEXTOID},
	{"state", TEXTOID}, {"commit_sha", TEXTOID}, {"submitted_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID},
	{"submitted_state", TEXTOID}, {NULL}
};

static const EventColumn run_columns[] = {
	{"github_id", INT8OID}, {"run_id", INT8OID}, {"run_attempt", INT4OID}, {"workflow_id", INT8OID},
	{"check_suite_id", INT8OID}, {"name", TEXTOID}, {"event", TEXTOID}, {"head_sha", TEXTOID},
	{"head_branch", TEXTOID}, {"pr_numbers", INT4ARRAYOID}, {"status", TEXTOID}, {"conclusion", TEXTOID},
	{"html_url", TEXTOID}, {"created_at", TIMESTAMPTZOID}, {"started_at", TIMESTAMPTZOID},
	{"updated_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID}, {NULL}
};

static const EventColumn check_columns[] = {
	{"github_id", INT8OID}, {"kind", TEXTOID}, {"check_id", INT8OID}, {"attempt", INT4OID},
	{"parent_id", INT8OID}, {"name", TEXTOID}, {"head_sha", TEXTOID}, {"pr_numbers", INT4ARRAYOID},
	{"status", TEXTOID}, {"conclusion", TEXTOID}, {"created_at", TIMESTAMPTZOID},
	{"completed_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID}, {NULL}
};

static const EventColumn deployment_columns[] = {
	{"github_id", INT8OID}, {"deployment_id", INT8OID}, {"environment", TEXTOID}, {"is_production", BOOLOID},
	{"ref", TEXTOID}, {"commit_sha", TEXTOID}, {"task", TEXTOID}, {"creator", TEXTOID},
	{"created_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID},
	{"state", TEXTOID}, {"state_time", TIMESTAMPTZOID}, {"state_id", INT8OID},
	{"succeeded_at", TIMESTAMPTZOID}, {"failed_at", TIMESTAMPTZOID}, {NULL}
};

static const struct
{
	const char *name;
	const EventColumn *columns;
}			relation_kinds[EVENT_ROW_KINDS] = {
	[ROWS_REPOSITORIES] = {"event_repositories", repository_columns},
	[ROWS_PULL_REQUESTS] = {"event_pull_requests", pull_request_columns},
	[ROWS_REVIEWS] = {"event_reviews", review_columns},
	[ROWS_RUNS] = {"event_runs", run_columns},
	[ROWS_CHECKS] = {"event_checks", check_columns},
	[ROWS_DEPLOYMENTS] = {"event_deployments", deployment_columns},
};

/* Builds a tuple descriptor from a list of columns */
static TupleDesc
describe_columns(const EventColumn *columns)
{
	TupleDesc	desc;
	int			count = 0;
	int			i;

	while (columns[count].name != NULL)
		count++;
	Assert(count <= MAX_COLUMNS);
	desc = CreateTemplateTupleDesc(count);
	for (i = 0; i < count; i++)
		TupleDescInitEntry(desc, i + 1, columns[i].name, columns[i].type, -1, 0);
	return desc;
}

/* Creates empty relations in the current memory context */
EventRows *
event_rows_create(void)
{
	EventRows  *rows = palloc0(sizeof(EventRows));
	int			kind;

	for (kind = 0; kind < EVENT_ROW_KINDS; kind++)
	{
		rows->relations[kind].name = relation_kinds[kind].name;
		rows->relations[kind].desc = describe_columns(relation_kinds[kind].columns);
		rows->relations[kind].rows = tuplestore_begin_heap(true, false, ROWS_MEMORY_KB);
	}
	return rows;
}

/* Frees what event_rows_create() made, temporary files included */
void
event_rows_free(EventRows *rows)
{
	int			kind;

	for (kind = 0; kind < EVENT_ROW_KINDS; kind++)
		tuplestore_end(rows->relations[kind].rows);
}

/* Starts a row of a kind */
static void
begin_row(EventReader *reader, EventRow *row, EventRowKind kind)
{
	row->relation = &reader->rows->relations[kind];
	row->filled = 0;
}

/* Adds the next column's value */
static void
put(EventRow *row, Datum value)
{
	Assert(row->filled < row->relation->desc->natts);
	row->values[row->filled] = value;
	row->nulls[row->filled++] = false;
}

/* Adds NULL as the next column's value */
static void
put_null(EventRow *row)
{
	Assert(row->filled < row->relation->desc->natts);
	row->values[row->filled] = (Datum) 0;
	row->nulls[row->filled++] = true;
}

/* Adds a text field of an object */
static void
put_text(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	Datum		value;

	if (field_text(&reader->json, object, key, need, &value))
		put(row, value);
	else
		put_null(row);
}

/* Adds an integer field of eight bytes */
static void
put_int64(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	int64		value;

	if (field_int64(&reader->json, object, key, need, &value))
		put(row, Int64GetDatum(value));
	else
		put_null(row);
}

/* Adds an integer field of four bytes */
static void
put_int32(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	int32		value;

	if (field_int32(&reader->json, object, key, need, &value))
		put(row, Int32GetDatum(value));
	else
		put_null(row);
}

/* Adds a boolean field */
static void
put_bool(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key)
{
	bool		value;

	if (field_bool(&reader->json, object, key, &value))
		put(row, BoolGetDatum(value));
	else
		put_null(row);
}

/* Adds a point in time and returns it, or DT_NOBEGIN where there is none */
static TimestampTz
put_time(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	TimestampTz value;

	if (field_time(&reader->json, object, key, need, &value))
	{
		put(row, TimestampTzGetDatum(value));
		return value;
	}
	put_null(row);
	return DT_NOBEGIN;
}

/* Adds a point in time that may be missing */
static void
put_instant(EventRow *row, TimestampTz value)
{
	if (TIMESTAMP_NOT_FINITE(value))
		put_null(row);
	else
		put(row, TimestampTzGetDatum(value));
}

/*
 * Adds a hash of the columns from "first" on: it decides between events that
 * carry the same time and rank, the same way in whatever order they come.
 */
static void
put_hash(EventRow *row, int first)
{
	uint64		hash = 0;
	int			i;

	for (i = first; i < row->filled; i++)
	{
		uint64		part;

		if (row->nulls[i])
			part = 0;
		else if (TupleDescAttr(row->relation->desc, i)->attbyval)
			part = hash_bytes_extended((unsigned char *) &row->values[i], sizeof(Datum), 1);
		else
			part = hash_bytes_extended((unsigned char *) VARDATA_ANY(DatumGetPointer(row->values[i])),
									   VARSIZE_ANY_EXHDR(DatumGetPointer(row->values[i])), 2);
		hash = hash_combine64(hash, part);
	}
	put(row, Int64GetDatum((int64) hash));
}

/* Stores a finished row, unless the event turned out to be bad */
static void
end_row(EventReader *reader, EventRow *row)
{
	if (reader->json.error != NULL)
		return;
	if (row->filled != row->relation->desc->natts)
		elog(ERROR, "row of \"%s\" has %d columns", row->relation->name, row->filled);
	tuplestore_putvalues(row->relation->rows, row->relation->desc, row->values, row->nulls);
	row->relation->count++;
}

/* Reads a required point in time without storing it */
static TimestampTz
read_time(EventReader *reader, JsonbContainer *object, const char *key, JsonNeed need)
{
	TimestampTz value;

	return field_time(&reader->json, object, key, need, &value) ? value : DT_NOBEGIN;
}

/* Reads a text field as a C string, or NULL */
static char *
read_string(EventReader *reader, JsonbContainer *object, const char *key)
{
	Datum		value;

	return field_text(&reader->json, object, key, JSON_OPTIONAL, &value) ? TextDatumGetCString(value) : NULL;
}

/* Tells whether the event's action is this one */
static bool
action_is(EventReader *reader, const char *action)
{
	return field_is(reader->root, "action", action);
}

/* Fields of a repository object that say nothing new by changing, or that only some events have */
static bool
is_volatile_field(const JsonbValue *key)
{
	static const char *const fields[] = {
		"created_at", "pushed_at", "updated_at", "stargazers", "master_branch", "organization"
	};
	int			i;

	for (i = 0; i < (int) lengthof(fields); i++)
	{
		if ((int) strlen(fields[i]) == key->val.string.len &&
			memcmp(fields[i], key->val.string.val, key->val.string.len) == 0)
			return true;
	}
	return false;
}

/* Hashes one value of an object */
static uint64
hash_json_value(JsonbValue *value)
{
	uint64		hash = 0;

	if (value->type == jbvBinary)
		return hash_bytes_extended((unsigned char *) value->val.binary.data, value->val.binary.len, 3);
	JsonbHashScalarValueExtended(value, &hash, 3);
	return hash;
}

/* Hashes a repository object without its volatile fields; order does not matter, keys are sorted */
static uint64
hash_repository_object(JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;
	bool		skip = false;
	uint64		hash = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			skip = is_volatile_field(&value);
			if (!skip)
				hash = hash_combine64(hash, hash_json_value(&value));
		}
		else if (token == WJB_VALUE && !skip)
			hash = hash_combine64(hash, hash_json_value(&value));
	}
	return hash;
}

/* Copies the repository object as a JSONB value of its own */
static Datum
copy_repository_object(EventReader *reader)
{
	JsonbValue	value;

	(void) getKeyJsonValueFromContainer(reader->root, "repository", strlen("repository"), &value);
	return PointerGetDatum(JsonbValueToJsonb(&value));
}

/* Adds the row of the event's repository */
static void
add_repository(EventReader *reader)
{
	JsonbContainer *object = reader->repository;
	JsonbContainer *owner = field_object(&reader->json, object, "owner", JSON_REQUIRED);
	bool		about_repository = strcmp(reader->event->event, "repository") == 0;
	TimestampTz updated_at;
	TimestampTz pushed_at = read_time(reader, object, "pushed_at", JSON_OPTIONAL);
	bool		has_login = read_string(reader, owner, "login") != NULL;
	EventRow	row;

	begin_row(reader, &row, ROWS_REPOSITORIES);
	put(&row, Int64GetDatum(reader->github_id));
	put_text(reader, &row, object, "name", JSON_REQUIRED);
	/* old push events give the owner a name instead of a login */
	put_text(reader, &row, owner, has_login ? "login" : "name", JSON_REQUIRED);
	put_text(reader, &row, owner, "avatar_url", JSON_OPTIONAL);
	put_bool(reader, &row, object, "private");
	put_text(reader, &row, object, "description", JSON_OPTIONAL);
	put_text(reader, &row, object, "html_url", JSON_OPTIONAL);
	put_text(reader, &row, object, "default_branch", JSON_OPTIONAL);
	put_bool(reader, &row, object, "archived");
	(void) put_time(reader, &row, object, "created_at", JSON_OPTIONAL);
	updated_at = put_time(reader, &row, object, "updated_at", JSON_OPTIONAL);
	put_hash(&row, 1);
	put(&row, TimestampTzGetDatum(updated_at));
	put(&row, Int16GetDatum(about_repository ? 1 : 0));
	put_instant(&row, pushed_at);
	put_instant(&row, about_repository && action_is(reader, "deleted") ? updated_at : DT_NOBEGIN);
	put(&row, copy_repository_object(reader));
	put(&row, Int64GetDatum((int64) hash_repository_object(object)));
	put(&row, TimestampTzGetDatum(reader->event->received_at));
	end_row(reader, &row);
}

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
		put_null(row);
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
	put(row, PointerGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))));
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
		put_null(row);
		return;
	}
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_pair(&state, "at", format_iso_timestamp(at));
	push_pair(&state, "by", read_string(reader, sender, "login"));
	push_pair(&state, "event", event);
	push_pair(&state, "detail", detail);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	put(row, PointerGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))));
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
	pr->head_sha = read_string(reader, head, "sha");
	pr->created_at = read_time(reader, object, "created_at", JSON_OPTIONAL);
	pr->updated_at = read_time(reader, object, "updated_at", JSON_REQUIRED);
	pr->merged_at = read_time(reader, object, "merged_at", JSON_OPTIONAL);
	pr->closed_at = read_time(reader, object, "closed_at", JSON_OPTIONAL);
	if (merged || !TIMESTAMP_NOT_FINITE(pr->merged_at))
		pr->state = "merged";
	else if (field_is(object, "state", "closed"))
		pr->state = "closed";
	else
		pr->state = "open";
	pr->merge_commit_sha = strcmp(pr->state, "merged") == 0 ? read_string(reader, object, "merge_commit_sha") : NULL;
}

/* Returns the rank of a state among events of the same second */
static int16
state_rank(EventReader *reader, const PullRequestState *pr)
{
	if (strcmp(pr->state, "merged") == 0)
		return 3;
	if (strcmp(pr->state, "closed") == 0)
		return 2;
	return action_is(reader, "opened") ? 0 : 1;
}

/* Adds the columns that describe a pull request, guard included */
static void
put_pull_request(EventReader *reader, EventRow *row, const PullRequestState *pr)
{
	JsonbContainer *user = field_object(&reader->json, pr->object, "user", JSON_OPTIONAL);
	JsonbContainer *head = field_object(&reader->json, pr->object, "head", JSON_OPTIONAL);
	JsonbContainer *base = field_object(&reader->json, pr->object, "base", JSON_OPTIONAL);

	put(row, Int64GetDatum(reader->github_id));
	put_int32(reader, row, pr->object, "number", JSON_REQUIRED);
	put_text(reader, row, pr->object, "title", JSON_REQUIRED);
	put_text(reader, row, user, "login", JSON_OPTIONAL);
	put_text(reader, row, user, "avatar_url", JSON_OPTIONAL);
	put_text(reader, row, head, "sha", JSON_OPTIONAL);
	put_text(reader, row, head, "ref", JSON_OPTIONAL);
	put_text(reader, row, base, "ref", JSON_OPTIONAL);
	put(row, CStringGetTextDatum(pr->state));
	put_bool(reader, row, pr->object, "draft");
	put_labels(reader, row, pr->object);
	put_text(reader, row, pr->object, "html_url", JSON_OPTIONAL);
	if (pr->merge_commit_sha == NULL)
		put_null(row);
	else
		put(row, CStringGetTextDatum(pr->merge_commit_sha));
	put_instant(row, pr->created_at);
	put_instant(row, pr->updated_at);
	put_instant(row, pr->merged_at);
	put_instant(row, pr->closed_at);
	put_hash(row, 2);
	put_instant(row, pr->updated_at);
	put(row, Int16GetDatum(state_rank(reader, pr)));
}

/* Adds the columns that only pull_request events have, with their own guard */
static void
put_pull_request_size(EventReader *reader, EventRow *row, const PullRequestState *pr)
{
	int32		additions;
	bool		complete = field_int32(&reader->json, pr->object, "additions", JSON_OPTIONAL, &additions);

	put_int32(reader, row, pr->object, "additions", JSON_OPTIONAL);
	put_int32(reader, row, pr->object, "deletions", JSON_OPTIONAL);
	put_int32(reader, row, pr->object, "changed_files", JSON_OPTIONAL);
	put_int32(reader, row, pr->object, "commits", JSON_OPTIONAL);
	put_hash(row, row->filled - 4);
	put_instant(row, complete ? pr->updated_at : DT_NOBEGIN);
}

/* Adds the change of state that an action stands for */
static void
put_action_history(EventReader *reader, EventRow *row, const PullRequestState *pr)
{
	static const char *const actions[] = {
		"reopened", "synchronize", "ready_for_review", "converted_to_draft", "enqueued", "dequeued"
	};
	int			i;

	if (action_is(reader, "opened"))
	{
		put_history(reader, row, "opened", pr->created_at, pr->head_sha);
		return;
	}
	if (action_is(reader, "closed"))
	{
		bool		merged = strcmp(pr->state, "merged") == 0;

		put_history(reader, row, pr->state, merged ? pr->merged_at : pr->closed_at, pr->merge_commit_sha);
		return;
	}
	for (i = 0; i < (int) lengthof(actions); i++)
	{
		if (action_is(reader, actions[i]))
		{
			put_history(reader, row, actions[i], pr->updated_at, pr->head_sha);
			return;
		}
	}
	put_null(row);
}

/* pull_request: any action carries the whole pull request */
static void
read_pull_request(EventReader *reader)
{
	JsonbContainer *object = field_object(&reader->json, reader->root, "pull_request", JSON_REQUIRED);
	PullRequestState pr;
	EventRow	row;

	if (object == NULL)
		return;
	read_pull_request_state(reader, object, &pr);
	begin_row(reader, &row, ROWS_PULL_REQUESTS);
	put_pull_request(reader, &row, &pr);
	put_pull_request_size(reader, &row, &pr);
	put_action_history(reader, &row, &pr);
	end_row(reader, &row);
}

/* Adds the row of a review; returns its state in lower case */
static char *
add_review(EventReader *reader, JsonbContainer *review, JsonbContainer *pull_request, TimestampTz *submitted_at)
{
	JsonbContainer *user = field_object(&reader->json, review, "user", JSON_OPTIONAL);
	char	   *raw_state = read_string(reader, review, "state");
	char	   *state = raw_state == NULL ? NULL : asc_tolower(raw_state, strlen(raw_state));
	bool		dismissed = state != NULL && strcmp(state, "dismissed") == 0;
	TimestampTz updated_at = read_time(reader, review, "updated_at", JSON_OPTIONAL);
	EventRow	row;

	begin_row(reader, &row, ROWS_REVIEWS);
	put(&row, Int64GetDatum(reader->github_id));
	put_int64(reader, &row, review, "id", JSON_REQUIRED);
	put_int32(reader, &row, pull_request, "number", JSON_REQUIRED);
	put_text(reader, &row, user, "login", JSON_OPTIONAL);
	if (state == NULL)
		put_null(&row);
	else
		put(&row, CStringGetTextDatum(state));
	put_text(reader, &row, review, "commit_id", JSON_OPTIONAL);
	*submitted_at = put_time(reader, &row, review, "submitted_at", JSON_REQUIRED);
	put_hash(&row, 2);
	put(&row, TimestampTzGetDatum(TIMESTAMP_NOT_FINITE(updated_at) ? *submitted_at : updated_at));
	put(&row, Int16GetDatum(dismissed ? 1 : 0));
	if (state == NULL || dismissed)
		put_null(&row);
	else
		put(&row, CStringGetTextDatum(state));
	end_row(reader, &row);
	return state;
}

/* pull_request_review: a review, and the pull request without its size */
static void
read_pull_request_review(EventReader *reader)
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
	begin_row(reader, &row, ROWS_PULL_REQUESTS);
	put_pull_request(reader, &row, &pr);
	put_pull_request_size(reader, &row, &pr);
	if (action_is(reader, "dismissed"))
		put_history(reader, &row, "review_dismissed", pr.updated_at, read_string(reader, review, "commit_id"));
	else if (action_is(reader, "submitted") && state != NULL && strcmp(state, "commented") != 0)
		put_history(reader, &row, state, submitted_at, read_string(reader, review, "commit_id"));
	else
		put_null(&row);
	end_row(reader, &row);
}

/* Adds the numbers of the pull requests that a run names, as far as they are of this repository */
static void
put_pull_request_numbers(EventReader *reader, EventRow *row, JsonbContainer *object)
{
	JsonbContainer *list = field_array(&reader->json, object, "pull_requests");
	ArrayBuildState *numbers = NULL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	iterator = list == NULL ? NULL : JsonbIteratorInit(list);
	while (iterator != NULL && (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		JsonbContainer *entry;
		JsonbContainer *base;
		int64		base_id = reader->github_id;
		int32		number;

		if (token != WJB_ELEM || value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			continue;
		entry = value.val.binary.data;
		base = field_object(&reader->json, entry, "base", JSON_OPTIONAL);
		base = field_object(&reader->json, base, "repo", JSON_OPTIONAL);
		(void) field_int64(&reader->json, base, "id", JSON_OPTIONAL, &base_id);
		if (base_id == reader->github_id && field_int32(&reader->json, entry, "number", JSON_REQUIRED, &number))
			numbers = accumArrayResult(numbers, Int32GetDatum(number), false, INT4OID, CurrentMemoryContext);
	}
	if (numbers == NULL)
		put(row, PointerGetDatum(construct_empty_array(INT4OID)));
	else
		put(row, makeArrayResult(numbers, CurrentMemoryContext));
}

/* Returns the rank of a status among events of the same second */
static int16
status_rank(JsonbContainer *object)
{
	if (field_is(object, "status", "completed"))
		return 3;
	return field_is(object, "status", "in_progress") ? 2 : 1;
}

/* workflow_run: one attempt of a run */
static void
read_workflow_run(EventReader *reader)
{
	JsonbContainer *run = field_object(&reader->json, reader->root, "workflow_run", JSON_REQUIRED);
	int32		attempt = 1;
	TimestampTz updated_at;
	EventRow	row;

	if (run == NULL)
		return;
	(void) field_int32(&reader->json, run, "run_attempt", JSON_OPTIONAL, &attempt);
	begin_row(reader, &row, ROWS_RUNS);
	put(&row, Int64GetDatum(reader->github_id));
	put_int64(reader, &row, run, "id", JSON_REQUIRED);
	put(&row, Int32GetDatum(attempt));
	put_int64(reader, &row, run, "workflow_id", JSON_OPTIONAL);
	put_int64(reader, &row, run, "check_suite_id", JSON_OPTIONAL);
	put_text(reader, &row, run, "name", JSON_OPTIONAL);
	put_text(reader, &row, run, "event", JSON_OPTIONAL);
	put_text(reader, &row, run, "head_sha", JSON_REQUIRED);
	put_text(reader, &row, run, "head_branch", JSON_OPTIONAL);
	put_pull_request_numbers(reader, &row, run);
	put_text(reader, &row, run, "status", JSON_OPTIONAL);
	put_text(reader, &row, run, "conclusion", JSON_OPTIONAL);
	put_text(reader, &row, run, "html_url", JSON_OPTIONAL);
	(void) put_time(reader, &row, run, "created_at", JSON_OPTIONAL);
	(void) put_time(reader, &row, run, "run_started_at", JSON_OPTIONAL);
	updated_at = put_time(reader, &row, run, "updated_at", JSON_REQUIRED);
	put_hash(&row, 3);
	put_instant(&row, updated_at);
	put(&row, Int16GetDatum(status_rank(run)));
	end_row(reader, &row);
}

/* Adds the last columns of a check */
static void
end_check(EventReader *reader, EventRow *row, TimestampTz time, int16 rank)
{
	put_hash(row, 4);
	put(row, TimestampTzGetDatum(time));
	put(row, Int16GetDatum(rank));
	end_row(reader, row);
}

/* check_run: GitHub gives it no updated_at, so its end, or else its start, is its time */
static void
read_check_run(EventReader *reader)
{
	JsonbContainer *run = field_object(&reader->json, reader->root, "check_run", JSON_REQUIRED);
	JsonbContainer *suite = field_object(&reader->json, run, "check_suite", JSON_OPTIONAL);
	TimestampTz started_at;
	TimestampTz completed_at;
	EventRow	row;

	begin_row(reader, &row, ROWS_CHECKS);
	put(&row, Int64GetDatum(reader->github_id));
	put(&row, CStringGetTextDatum("check_run"));
	put_int64(reader, &row, run, "id", JSON_REQUIRED);
	put(&row, Int32GetDatum(1));
	put_int64(reader, &row, suite, "id", JSON_OPTIONAL);
	put_text(reader, &row, run, "name", JSON_OPTIONAL);
	put_text(reader, &row, run, "head_sha", JSON_REQUIRED);
	put_pull_request_numbers(reader, &row, run);
	put_text(reader, &row, run, "status", JSON_OPTIONAL);
	put_text(reader, &row, run, "conclusion", JSON_OPTIONAL);
	started_at = put_time(reader, &row, run, "started_at", JSON_OPTIONAL);
	completed_at = put_time(reader, &row, run, "completed_at", JSON_OPTIONAL);
	end_check(reader, &row, Max(started_at, completed_at), status_rank(run));
}

/* check_suite: the checks of one application */
static void
read_check_suite(EventReader *reader)
{
	JsonbContainer *suite = field_object(&reader->json, reader->root, "check_suite", JSON_REQUIRED);
	JsonbContainer *app = field_object(&reader->json, suite, "app", JSON_OPTIONAL);
	TimestampTz updated_at = read_time(reader, suite, "updated_at", JSON_REQUIRED);
	EventRow	row;

	begin_row(reader, &row, ROWS_CHECKS);
	put(&row, Int64GetDatum(reader->github_id));
	put(&row, CStringGetTextDatum("check_suite"));
	put_int64(reader, &row, suite, "id", JSON_REQUIRED);
	put(&row, Int32GetDatum(1));
	put_null(&row);
	put_text(reader, &row, app, "name", JSON_OPTIONAL);
	put_text(reader, &row, suite, "head_sha", JSON_REQUIRED);
	put_pull_request_numbers(reader, &row, suite);
	put_text(reader, &row, suite, "status", JSON_OPTIONAL);
	put_text(reader, &row, suite, "conclusion", JSON_OPTIONAL);
	(void) put_time(reader, &row, suite, "created_at", JSON_OPTIONAL);
	put_instant(&row, field_is(suite, "status", "completed") ? updated_at : DT_NOBEGIN);
	end_check(reader, &row, updated_at, status_rank(suite));
}

/* workflow_job: a job of a run's attempt */
static void
read_workflow_job(EventReader *reader)
{
	JsonbContainer *job = field_object(&reader->json, reader->root, "workflow_job", JSON_REQUIRED);
	int32		attempt = 1;
	TimestampTz created_at = read_time(reader, job, "created_at", JSON_OPTIONAL);
	TimestampTz started_at = read_time(reader, job, "started_at", JSON_OPTIONAL);
	TimestampTz completed_at;
	EventRow	row;

	(void) field_int32(&reader->json, job, "run_attempt", JSON_OPTIONAL, &attempt);
	begin_row(reader, &row, ROWS_CHECKS);
	put(&row, Int64GetDatum(reader->github_id));
	put(&row, CStringGetTextDatum("workflow_job"));
	put_int64(reader, &row, job, "id", JSON_REQUIRED);
	put(&row, Int32GetDatum(attempt));
	put_int64(reader, &row, job, "run_id", JSON_REQUIRED);
	put_text(reader, &row, job, "name", JSON_OPTIONAL);
	put_text(reader, &row, job, "head_sha", JSON_REQUIRED);
	put(&row, PointerGetDatum(construct_empty_array(INT4OID)));
	put_text(reader, &row, job, "status", JSON_OPTIONAL);
	put_text(reader, &row, job, "conclusion", JSON_OPTIONAL);
	put_instant(&row, TIMESTAMP_NOT_FINITE(created_at) ? started_at : created_at);
	completed_at = put_time(reader, &row, job, "completed_at", JSON_OPTIONAL);
	end_check(reader, &row, Max(Max(created_at, started_at), completed_at), status_rank(job));
}

/* status: a commit status; each has an id of its own, the newest of a context counts */
static void
read_status(EventReader *reader)
{
	TimestampTz updated_at = read_time(reader, reader->root, "updated_at", JSON_REQUIRED);
	bool		pending = field_is(reader->root, "state", "pending");
	EventRow	row;

	begin_row(reader, &row, ROWS_CHECKS);
	put(&row, Int64GetDatum(reader->github_id));
	put(&row, CStringGetTextDatum("status"));
	put_int64(reader, &row, reader->root, "id", JSON_REQUIRED);
	put(&row, Int32GetDatum(1));
	put_null(&row);
	put_text(reader, &row, reader->root, "context", JSON_OPTIONAL);
	put_text(reader, &row, reader->root, "sha", JSON_REQUIRED);
	put(&row, PointerGetDatum(construct_empty_array(INT4OID)));
	put(&row, CStringGetTextDatum(pending ? "in_progress" : "completed"));
	if (pending)
		put_null(&row);
	else
		put_text(reader, &row, reader->root, "state", JSON_REQUIRED);
	(void) put_time(reader, &row, reader->root, "created_at", JSON_OPTIONAL);
	put_instant(&row, pending ? DT_NOBEGIN : updated_at);
	end_check(reader, &row, updated_at, pending ? 2 : 3);
}

/* Adds whether an environment is production: GitHub's word, or else the environment's name */
static void
put_is_production(EventReader *reader, EventRow *row, JsonbContainer *deployment)
{
	bool		production;

	if (!field_bool(&reader->json, deployment, "production_environment", &production))
		production = field_is(deployment, "environment", "production") ||
			field_is(deployment, "environment", "prod");
	put(row, BoolGetDatum(production));
}

/* Adds the columns that come from a deployment's status, all NULL without one */
static void
put_deployment_status(EventReader *reader, EventRow *row, JsonbContainer *status)
{
	TimestampTz created_at = read_time(reader, status, "created_at", status == NULL ? JSON_OPTIONAL : JSON_REQUIRED);
	bool		failed = field_is(status, "state", "failure") || field_is(status, "state", "error");

	put_text(reader, row, status, "state", status == NULL ? JSON_OPTIONAL : JSON_REQUIRED);
	put_instant(row, created_at);
	put_int64(reader, row, status, "id", status == NULL ? JSON_OPTIONAL : JSON_REQUIRED);
	put_instant(row, field_is(status, "state", "success") ? created_at : DT_NOBEGIN);
	put_instant(row, failed ? created_at : DT_NOBEGIN);
}

/* deployment and deployment_status: both carry the deployment */
static void
read_deployment(EventReader *reader)
{
	bool		has_status = strcmp(reader->event->event, "deployment_status") == 0;
	JsonbContainer *deployment = field_object(&reader->json, reader->root, "deployment", JSON_REQUIRED);
	JsonbContainer *creator = field_object(&reader->json, deployment, "creator", JSON_OPTIONAL);
	JsonbContainer *status = field_object(&reader->json, reader->root, "deployment_status",
										 has_status ? JSON_REQUIRED : JSON_OPTIONAL);
	EventRow	row;

	begin_row(reader, &row, ROWS_DEPLOYMENTS);
	put(&row, Int64GetDatum(reader->github_id));
	put_int64(reader, &row, deployment, "id", JSON_REQUIRED);
	put_text(reader, &row, deployment, "environment", JSON_OPTIONAL);
	put_is_production(reader, &row, deployment);
	put_text(reader, &row, deployment, "ref", JSON_OPTIONAL);
	put_text(reader, &row, deployment, "sha", JSON_OPTIONAL);
	put_text(reader, &row, deployment, "task", JSON_OPTIONAL);
	put_text(reader, &row, creator, "login", JSON_OPTIONAL);
	(void) put_time(reader, &row, deployment, "created_at", JSON_OPTIONAL);
	put_hash(&row, 2);
	put_instant(&row, read_time(reader, deployment, "updated_at", JSON_REQUIRED));
	put_deployment_status(reader, &row, status);
	end_row(reader, &row);
}

/* Events that say nothing beyond their repository object */
static void
read_repository_only(EventReader *reader)
{
}

/* Events that are read; others are counted as ignored */
static const struct
{
	const char *event;
	void		(*read) (EventReader *reader);
}			event_readers[] = {
	{"pull_request", read_pull_request},
	{"pull_request_review", read_pull_request_review},
	{"workflow_run", read_workflow_run},
	{"workflow_job", read_workflow_job},
	{"check_run", read_check_run},
	{"check_suite", read_check_suite},
	{"status", read_status},
	{"deployment", read_deployment},
	{"deployment_status", read_deployment},
	{"push", read_repository_only},
	{"repository", read_repository_only},
	{"star", read_repository_only},
	{"create", read_repository_only},
	{"delete", read_repository_only},
};

/* Reads the event itself; unknown ones are ignored */
static void
dispatch(EventReader *reader)
{
	int			i;

	for (i = 0; i < (int) lengthof(event_readers); i++)
	{
		if (strcmp(event_readers[i].event, reader->event->event) == 0)
		{
			event_readers[i].read(reader);
			return;
		}
	}
	reader->event->is_ignored = true;
}

/*
 * Adds the rows of one event.  A problem ends up in event->error; rows of it
 * that were added before are harmless, they describe what GitHub said.
 */
void
event_rows_add(EventRows *rows, WebhookEvent *event)
{
	EventReader reader = {{NULL}, rows, event, NULL, NULL, 0};
	Jsonb	   *payload;

	if (event->payload == (Datum) 0)
	{
		event->error = event->body_error == NULL ? "the delivery has no payload" : event->body_error;
		return;
	}
	payload = DatumGetJsonbP(event->payload);
	reader.root = &payload->root;
	if (JsonContainerIsObject(reader.root))
		reader.repository = field_object(&reader.json, reader.root, "repository", JSON_OPTIONAL);
	if (reader.repository == NULL)
	{
		event->is_ignored = true;
		return;
	}
	if (field_int64(&reader.json, reader.repository, "id", JSON_REQUIRED, &reader.github_id))
		add_repository(&reader);
	if (reader.json.error == NULL)
		dispatch(&reader);
	event->error = reader.json.error;
}

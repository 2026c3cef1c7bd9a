/*
 * webhook_events.c
 *		Turning events into rows.
 *
 * Every event is read once and becomes rows of up to three kinds, each with
 * the guard that decides whether it replaces what is stored.  What the rows
 * mean for a pull request is decided in pull_request.c.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "json_reader.h"
#include "webhook.h"
#include "webhook_rows.h"

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
	TimestampTz pushed_at = event_time(reader, object, "pushed_at", JSON_OPTIONAL);
	bool		has_login = event_string(reader, owner, "login") != NULL;
	EventRow	row;

	row_begin(reader, &row, ROWS_REPOSITORIES);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put_text(reader, &row, object, "name", JSON_REQUIRED);
	/* old push events give the owner a name instead of a login */
	row_put_text(reader, &row, owner, has_login ? "login" : "name", JSON_REQUIRED);
	row_put_text(reader, &row, owner, "avatar_url", JSON_OPTIONAL);
	row_put_bool(reader, &row, object, "private");
	row_put_text(reader, &row, object, "description", JSON_OPTIONAL);
	row_put_text(reader, &row, object, "html_url", JSON_OPTIONAL);
	row_put_text(reader, &row, object, "default_branch", JSON_OPTIONAL);
	row_put_bool(reader, &row, object, "archived");
	(void) row_put_time(reader, &row, object, "created_at", JSON_OPTIONAL);
	updated_at = row_put_time(reader, &row, object, "updated_at", JSON_OPTIONAL);
	row_put_hash(&row, 1);
	row_put(&row, TimestampTzGetDatum(updated_at));
	row_put(&row, Int16GetDatum(about_repository ? 1 : 0));
	row_put_instant(&row, pushed_at);
	row_put_instant(&row, about_repository && event_action_is(reader, "deleted") ? updated_at : DT_NOBEGIN);
	row_put(&row, copy_repository_object(reader));
	row_put(&row, Int64GetDatum((int64) hash_repository_object(object)));
	row_put(&row, TimestampTzGetDatum(reader->event->received_at));
	row_end(reader, &row);
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
	{"pull_request", event_read_pull_request},
	{"pull_request_review", event_read_pull_request_review},
	{"workflow_run", event_read_workflow_run},
	{"workflow_job", event_read_workflow_job},
	{"check_run", event_read_check_run},
	{"check_suite", event_read_check_suite},
	{"status", event_read_status},
	{"deployment", event_read_deployment},
	{"deployment_status", event_read_deployment},
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

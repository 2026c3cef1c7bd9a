/*
 * webhook_rows.c
 *		The relations that events are turned into, and filling their rows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "json_reader.h"
#include "webhook.h"
#include "webhook_rows.h"

#define ROWS_MEMORY_KB 65536

typedef struct EventColumn
{
	const char *name;
	Oid			type;
} EventColumn;

static const EventColumn repository_columns[] = {
	{"github_id", INT8OID}, {"name", TEXTOID}, {"owner", TEXTOID}, {"owner_avatar_url", TEXTOID},
	{"is_private", BOOLOID}, {"description", TEXTOID}, {"html_url", TEXTOID}, {"default_branch", TEXTOID},
	{"is_archived", BOOLOID}, {"created_at", TIMESTAMPTZOID}, {"updated_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID},
	{"pushed_at", TIMESTAMPTZOID}, {"deleted_at", TIMESTAMPTZOID},
	{"object", JSONBOID}, {"object_hash", INT8OID}, {"received_at", TIMESTAMPTZOID}, {.name = NULL}
};

static const EventColumn pull_request_columns[] = {
	{"github_id", INT8OID}, {"pr_number", INT4OID}, {"title", TEXTOID}, {"author", TEXTOID},
	{"author_avatar", TEXTOID}, {"commit_sha", TEXTOID}, {"branch_name", TEXTOID}, {"base_branch", TEXTOID},
	{"state", TEXTOID}, {"draft", BOOLOID}, {"labels", JSONBOID}, {"html_url", TEXTOID},
	{"merge_commit_sha", TEXTOID}, {"created_at", TIMESTAMPTZOID}, {"updated_at", TIMESTAMPTZOID},
	{"merged_at", TIMESTAMPTZOID}, {"closed_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID},
	{"additions", INT4OID}, {"deletions", INT4OID}, {"changed_files", INT4OID}, {"commits", INT4OID},
	{"size_hash", INT8OID}, {"size_time", TIMESTAMPTZOID}, {"history", JSONBOID}, {.name = NULL}
};

static const EventColumn review_columns[] = {
	{"github_id", INT8OID}, {"review_id", INT8OID}, {"pr_number", INT4OID}, {"reviewer", TEXTOID},
	{"state", TEXTOID}, {"commit_sha", TEXTOID}, {"submitted_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID},
	{"submitted_state", TEXTOID}, {.name = NULL}
};

static const EventColumn run_columns[] = {
	{"github_id", INT8OID}, {"run_id", INT8OID}, {"run_attempt", INT4OID}, {"workflow_id", INT8OID},
	{"check_suite_id", INT8OID}, {"name", TEXTOID}, {"event", TEXTOID}, {"head_sha", TEXTOID},
	{"head_branch", TEXTOID}, {"pr_numbers", INT4ARRAYOID}, {"status", TEXTOID}, {"conclusion", TEXTOID},
	{"html_url", TEXTOID}, {"created_at", TIMESTAMPTZOID}, {"started_at", TIMESTAMPTZOID},
	{"updated_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID}, {.name = NULL}
};

static const EventColumn check_columns[] = {
	{"github_id", INT8OID}, {"kind", TEXTOID}, {"check_id", INT8OID}, {"attempt", INT4OID},
	{"parent_id", INT8OID}, {"name", TEXTOID}, {"head_sha", TEXTOID}, {"pr_numbers", INT4ARRAYOID},
	{"status", TEXTOID}, {"conclusion", TEXTOID}, {"created_at", TIMESTAMPTZOID},
	{"completed_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID}, {"source_rank", INT2OID}, {.name = NULL}
};

static const EventColumn deployment_columns[] = {
	{"github_id", INT8OID}, {"deployment_id", INT8OID}, {"environment", TEXTOID}, {"is_production", BOOLOID},
	{"ref", TEXTOID}, {"commit_sha", TEXTOID}, {"task", TEXTOID}, {"creator", TEXTOID},
	{"created_at", TIMESTAMPTZOID},
	{"source_hash", INT8OID}, {"source_time", TIMESTAMPTZOID},
	{"state", TEXTOID}, {"state_time", TIMESTAMPTZOID}, {"state_id", INT8OID},
	{"succeeded_at", TIMESTAMPTZOID}, {"failed_at", TIMESTAMPTZOID}, {.name = NULL}
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
	Assert(count <= MAX_EVENT_COLUMNS);
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
void
row_begin(EventReader *reader, EventRow *row, EventRowKind kind)
{
	row->relation = &reader->rows->relations[kind];
	row->filled = 0;
}

/* Adds the next column's value */
void
row_put(EventRow *row, Datum value)
{
	Assert(row->filled < row->relation->desc->natts);
	row->values[row->filled] = value;
	row->nulls[row->filled++] = false;
}

/* Adds NULL as the next column's value */
void
row_put_null(EventRow *row)
{
	Assert(row->filled < row->relation->desc->natts);
	row->values[row->filled] = (Datum) 0;
	row->nulls[row->filled++] = true;
}

/* Adds a text field of an object */
void
row_put_text(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	Datum		value;

	if (field_text(&reader->json, object, key, need, &value))
		row_put(row, value);
	else
		row_put_null(row);
}

/* Adds an integer field of eight bytes */
void
row_put_int64(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	int64		value;

	if (field_int64(&reader->json, object, key, need, &value))
		row_put(row, Int64GetDatum(value));
	else
		row_put_null(row);
}

/* Adds an integer field of four bytes */
void
row_put_int32(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	int32		value;

	if (field_int32(&reader->json, object, key, need, &value))
		row_put(row, Int32GetDatum(value));
	else
		row_put_null(row);
}

/* Adds a boolean field */
void
row_put_bool(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key)
{
	bool		value;

	if (field_bool(&reader->json, object, key, &value))
		row_put(row, BoolGetDatum(value));
	else
		row_put_null(row);
}

/* Adds a point in time and returns it, or DT_NOBEGIN where there is none */
TimestampTz
row_put_time(EventReader *reader, EventRow *row, JsonbContainer *object, const char *key, JsonNeed need)
{
	TimestampTz value;

	if (field_time(&reader->json, object, key, need, &value))
	{
		row_put(row, TimestampTzGetDatum(value));
		return value;
	}
	row_put_null(row);
	return DT_NOBEGIN;
}

/* Adds a point in time that may be missing */
void
row_put_instant(EventRow *row, TimestampTz value)
{
	if (TIMESTAMP_NOT_FINITE(value))
		row_put_null(row);
	else
		row_put(row, TimestampTzGetDatum(value));
}

/*
 * Adds a hash of the columns from "first" on: it decides between events that
 * carry the same time and rank, the same way in whatever order they come.
 */
void
row_put_hash(EventRow *row, int first)
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
	row_put(row, Int64GetDatum((int64) hash));
}

/* Stores a finished row, unless the event turned out to be bad */
void
row_end(EventReader *reader, EventRow *row)
{
	if (reader->json.error != NULL)
		return;
	if (row->filled != row->relation->desc->natts)
		elog(ERROR, "row of \"%s\" has %d columns", row->relation->name, row->filled);
	tuplestore_putvalues(row->relation->rows, row->relation->desc, row->values, row->nulls);
	row->relation->count++;
}

/* Reads a required point in time without storing it */
TimestampTz
event_time(EventReader *reader, JsonbContainer *object, const char *key, JsonNeed need)
{
	TimestampTz value;

	return field_time(&reader->json, object, key, need, &value) ? value : DT_NOBEGIN;
}

/* Reads a text field as a C string, or NULL */
char *
event_string(EventReader *reader, JsonbContainer *object, const char *key)
{
	Datum		value;

	return field_text(&reader->json, object, key, JSON_OPTIONAL, &value) ? TextDatumGetCString(value) : NULL;
}

/* Tells whether the event's action is this one */
bool
event_action_is(EventReader *reader, const char *action)
{
	return field_is(reader->root, "action", action);
}

/*
 * webhook_builds.c
 *		Reading events about runs, checks, statuses and deployments.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "json_reader.h"
#include "webhook.h"
#include "webhook_rows.h"

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
		row_put(row, PointerGetDatum(construct_empty_array(INT4OID)));
	else
		row_put(row, makeArrayResult(numbers, CurrentMemoryContext));
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
void
event_read_workflow_run(EventReader *reader)
{
	JsonbContainer *run = field_object(&reader->json, reader->root, "workflow_run", JSON_REQUIRED);
	int32		attempt = 1;
	TimestampTz updated_at;
	EventRow	row;

	if (run == NULL)
		return;
	(void) field_int32(&reader->json, run, "run_attempt", JSON_OPTIONAL, &attempt);
	row_begin(reader, &row, ROWS_RUNS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put_int64(reader, &row, run, "id", JSON_REQUIRED);
	row_put(&row, Int32GetDatum(attempt));
	row_put_int64(reader, &row, run, "workflow_id", JSON_OPTIONAL);
	row_put_int64(reader, &row, run, "check_suite_id", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "name", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "event", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "head_sha", JSON_REQUIRED);
	row_put_text(reader, &row, run, "head_branch", JSON_OPTIONAL);
	put_pull_request_numbers(reader, &row, run);
	row_put_text(reader, &row, run, "status", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "conclusion", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "html_url", JSON_OPTIONAL);
	(void) row_put_time(reader, &row, run, "created_at", JSON_OPTIONAL);
	(void) row_put_time(reader, &row, run, "run_started_at", JSON_OPTIONAL);
	updated_at = row_put_time(reader, &row, run, "updated_at", JSON_REQUIRED);
	row_put_hash(&row, 3);
	row_put_instant(&row, updated_at);
	row_put(&row, Int16GetDatum(status_rank(run)));
	row_end(reader, &row);
}

/* Adds the last columns of a check */
static void
end_check(EventReader *reader, EventRow *row, TimestampTz time, int16 rank)
{
	row_put_hash(row, 4);
	row_put(row, TimestampTzGetDatum(time));
	row_put(row, Int16GetDatum(rank));
	row_end(reader, row);
}

/* check_run: GitHub gives it no updated_at, so its end, or else its start, is its time */
void
event_read_check_run(EventReader *reader)
{
	JsonbContainer *run = field_object(&reader->json, reader->root, "check_run", JSON_REQUIRED);
	JsonbContainer *suite = field_object(&reader->json, run, "check_suite", JSON_OPTIONAL);
	TimestampTz started_at;
	TimestampTz completed_at;
	EventRow	row;

	row_begin(reader, &row, ROWS_CHECKS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put(&row, CStringGetTextDatum("check_run"));
	row_put_int64(reader, &row, run, "id", JSON_REQUIRED);
	row_put(&row, Int32GetDatum(1));
	row_put_int64(reader, &row, suite, "id", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "name", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "head_sha", JSON_REQUIRED);
	put_pull_request_numbers(reader, &row, run);
	row_put_text(reader, &row, run, "status", JSON_OPTIONAL);
	row_put_text(reader, &row, run, "conclusion", JSON_OPTIONAL);
	started_at = row_put_time(reader, &row, run, "started_at", JSON_OPTIONAL);
	completed_at = row_put_time(reader, &row, run, "completed_at", JSON_OPTIONAL);
	end_check(reader, &row, Max(started_at, completed_at), status_rank(run));
}

/* check_suite: the checks of one application */
void
event_read_check_suite(EventReader *reader)
{
	JsonbContainer *suite = field_object(&reader->json, reader->root, "check_suite", JSON_REQUIRED);
	JsonbContainer *app = field_object(&reader->json, suite, "app", JSON_OPTIONAL);
	TimestampTz updated_at = event_time(reader, suite, "updated_at", JSON_REQUIRED);
	EventRow	row;

	row_begin(reader, &row, ROWS_CHECKS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put(&row, CStringGetTextDatum("check_suite"));
	row_put_int64(reader, &row, suite, "id", JSON_REQUIRED);
	row_put(&row, Int32GetDatum(1));
	row_put_null(&row);
	row_put_text(reader, &row, app, "name", JSON_OPTIONAL);
	row_put_text(reader, &row, suite, "head_sha", JSON_REQUIRED);
	put_pull_request_numbers(reader, &row, suite);
	row_put_text(reader, &row, suite, "status", JSON_OPTIONAL);
	row_put_text(reader, &row, suite, "conclusion", JSON_OPTIONAL);
	(void) row_put_time(reader, &row, suite, "created_at", JSON_OPTIONAL);
	row_put_instant(&row, field_is(suite, "status", "completed") ? updated_at : DT_NOBEGIN);
	end_check(reader, &row, updated_at, status_rank(suite));
}

/* workflow_job: a job of a run's attempt */
void
event_read_workflow_job(EventReader *reader)
{
	JsonbContainer *job = field_object(&reader->json, reader->root, "workflow_job", JSON_REQUIRED);
	int32		attempt = 1;
	TimestampTz created_at = event_time(reader, job, "created_at", JSON_OPTIONAL);
	TimestampTz started_at = event_time(reader, job, "started_at", JSON_OPTIONAL);
	TimestampTz completed_at;
	EventRow	row;

	(void) field_int32(&reader->json, job, "run_attempt", JSON_OPTIONAL, &attempt);
	row_begin(reader, &row, ROWS_CHECKS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put(&row, CStringGetTextDatum("workflow_job"));
	row_put_int64(reader, &row, job, "id", JSON_REQUIRED);
	row_put(&row, Int32GetDatum(attempt));
	row_put_int64(reader, &row, job, "run_id", JSON_REQUIRED);
	row_put_text(reader, &row, job, "name", JSON_OPTIONAL);
	row_put_text(reader, &row, job, "head_sha", JSON_REQUIRED);
	row_put(&row, PointerGetDatum(construct_empty_array(INT4OID)));
	row_put_text(reader, &row, job, "status", JSON_OPTIONAL);
	row_put_text(reader, &row, job, "conclusion", JSON_OPTIONAL);
	row_put_instant(&row, TIMESTAMP_NOT_FINITE(created_at) ? started_at : created_at);
	completed_at = row_put_time(reader, &row, job, "completed_at", JSON_OPTIONAL);
	end_check(reader, &row, Max(Max(created_at, started_at), completed_at), status_rank(job));
}

/* status: a commit status; each has an id of its own, the newest of a context counts */
void
event_read_status(EventReader *reader)
{
	TimestampTz updated_at = event_time(reader, reader->root, "updated_at", JSON_REQUIRED);
	bool		pending = field_is(reader->root, "state", "pending");
	EventRow	row;

	row_begin(reader, &row, ROWS_CHECKS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put(&row, CStringGetTextDatum("status"));
	row_put_int64(reader, &row, reader->root, "id", JSON_REQUIRED);
	row_put(&row, Int32GetDatum(1));
	row_put_null(&row);
	row_put_text(reader, &row, reader->root, "context", JSON_OPTIONAL);
	row_put_text(reader, &row, reader->root, "sha", JSON_REQUIRED);
	row_put(&row, PointerGetDatum(construct_empty_array(INT4OID)));
	row_put(&row, CStringGetTextDatum(pending ? "in_progress" : "completed"));
	if (pending)
		row_put_null(&row);
	else
		row_put_text(reader, &row, reader->root, "state", JSON_REQUIRED);
	(void) row_put_time(reader, &row, reader->root, "created_at", JSON_OPTIONAL);
	row_put_instant(&row, pending ? DT_NOBEGIN : updated_at);
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
	row_put(row, BoolGetDatum(production));
}

/* Adds the columns that come from a deployment's status, all NULL without one */
static void
put_deployment_status(EventReader *reader, EventRow *row, JsonbContainer *status)
{
	TimestampTz created_at = event_time(reader, status, "created_at", status == NULL ? JSON_OPTIONAL : JSON_REQUIRED);
	bool		failed = field_is(status, "state", "failure") || field_is(status, "state", "error");

	row_put_text(reader, row, status, "state", status == NULL ? JSON_OPTIONAL : JSON_REQUIRED);
	row_put_instant(row, created_at);
	row_put_int64(reader, row, status, "id", status == NULL ? JSON_OPTIONAL : JSON_REQUIRED);
	row_put_instant(row, field_is(status, "state", "success") ? created_at : DT_NOBEGIN);
	row_put_instant(row, failed ? created_at : DT_NOBEGIN);
}

/* deployment and deployment_status: both carry the deployment */
void
event_read_deployment(EventReader *reader)
{
	bool		has_status = strcmp(reader->event->event, "deployment_status") == 0;
	JsonbContainer *deployment = field_object(&reader->json, reader->root, "deployment", JSON_REQUIRED);
	JsonbContainer *creator = field_object(&reader->json, deployment, "creator", JSON_OPTIONAL);
	JsonbContainer *status = field_object(&reader->json, reader->root, "deployment_status",
										 has_status ? JSON_REQUIRED : JSON_OPTIONAL);
	EventRow	row;

	row_begin(reader, &row, ROWS_DEPLOYMENTS);
	row_put(&row, Int64GetDatum(reader->github_id));
	row_put_int64(reader, &row, deployment, "id", JSON_REQUIRED);
	row_put_text(reader, &row, deployment, "environment", JSON_OPTIONAL);
	put_is_production(reader, &row, deployment);
	row_put_text(reader, &row, deployment, "ref", JSON_OPTIONAL);
	row_put_text(reader, &row, deployment, "sha", JSON_OPTIONAL);
	row_put_text(reader, &row, deployment, "task", JSON_OPTIONAL);
	row_put_text(reader, &row, creator, "login", JSON_OPTIONAL);
	(void) row_put_time(reader, &row, deployment, "created_at", JSON_OPTIONAL);
	row_put_hash(&row, 2);
	row_put_instant(&row, event_time(reader, deployment, "updated_at", JSON_REQUIRED));
	put_deployment_status(reader, &row, status);
	row_end(reader, &row);
}

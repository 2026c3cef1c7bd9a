/*
 * raw_layer.c
 *		Stores what GitHub answered, as it came.
 *
 * Nothing is judged here: an answer without a usable id or name is stored too,
 * and staging puts it into the quarantine with its errors.  A day without a
 * partition is no obstacle: its rows wait in the default partition.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/xid8.h"

#include "compat.h"
#include "partitions.h"
#include "sharding.h"
#include "util_days.h"
#include "util_spi.h"

/* arrival_xid is given, not left to its default: Citus may compute that on a worker, where transactions have other numbers */
static SpiStep store_repos_step = {
	.sql = "INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp, source_language, arrival_xid) "
	"SELECT flowlens.github_repo_id(item), "
	"CASE jsonb_typeof(item -> 'full_name') WHEN 'string' THEN left(item ->> 'full_name', 255) ELSE '' END, item, $3, $2, $4 "
	"FROM jsonb_array_elements($1) item",
	.nargs = 4,
	.argtypes = {JSONBOID, TEXTOID, TIMESTAMPTZOID, XID8OID},
	.expected = SPI_OK_INSERT
};

static SpiStep store_metrics_step = {
	.sql = "INSERT INTO flowlens.raw_repo_metrics (github_id, repo_full_name, metric_type, metric_data, fetch_timestamp, arrival_xid) "
	"SELECT $1, (SELECT d.repo_full_name FROM flowlens.dim_repositories d WHERE d.github_id = $1 AND d.is_current), $2, $3, $4, $5",
	.nargs = 5,
	.argtypes = {INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID, XID8OID},
	.expected = SPI_OK_INSERT
};

/* Wraps one answer into an array */
static Jsonb *
array_of_one(Jsonb *answer)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	value.type = jbvBinary;
	value.val.binary.data = &answer->root;
	value.val.binary.len = VARSIZE(answer) - VARHDRSZ;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&state, WJB_ELEM, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Returns the answers in a document: itself an array, a search answer's items, or one repository */
static Jsonb *
answers_of(Jsonb *document)
{
	JsonbContainer *root = &document->root;
	JsonbValue	holder;
	JsonbValue *items;

	if (JsonContainerIsArray(root) && !JsonContainerIsScalar(root))
		return document;
	if (!JsonContainerIsObject(root))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"repos\" must be a repository object, an array of them, or a search answer with \"items\"")));
	items = getKeyJsonValueFromContainer(root, "items", 5, &holder);
	if (items != NULL && items->type == jbvBinary && JsonContainerIsArray(items->val.binary.data) &&
		getKeyJsonValueFromContainer(root, "id", 2, NULL) == NULL)
		return JsonbValueToJsonb(items);
	return array_of_one(document);
}

/* Checks that an argument of a function that is not strict is there */
static void
check_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", name)));
}

/* Returns the number of the transaction that stores; a standby has none to give, and would call that an internal error */
static FullTransactionId
storing_transaction(void)
{
	PreventCommandIfReadOnly("INSERT");
	return GetTopFullTransactionId();
}

PG_FUNCTION_INFO_V1(flowlens_store_raw_repos);

/* SQL: stores repository answers; returns how many rows */
Datum
flowlens_store_raw_repos(PG_FUNCTION_ARGS)
{
	Datum		values[4];
	char		nulls[4] = {' ', ' ', ' ', ' '};
	TimestampTz observed_at;
	uint64		stored;

	check_argument(fcinfo, 0, "repos");
	check_argument(fcinfo, 2, "observed_at");
	observed_at = PG_GETARG_TIMESTAMPTZ(2);
	check_observed_at(observed_at);
	values[0] = JsonbPGetDatum(answers_of(PG_GETARG_JSONB_P(0)));
	values[1] = PG_GETARG_DATUM(1);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	values[2] = TimestampTzGetDatum(observed_at);
	values[3] = FullTransactionIdGetDatum(storing_transaction());

	SPI_connect();
	(void) is_distributed(flowlens_relation("raw_github_repos"));	/* for its check of the session */
	allow_default_partition(flowlens_relation("raw_github_repos"), utc_day(observed_at));
	stored = spi_step_run(&store_repos_step, values, nulls);
	SPI_finish();
	PG_RETURN_INT64((int64) stored);
}

/* Stores one metric of a repository */
static void
store_metric(int64 github_id, text *metric_type, Jsonb *metric_data, TimestampTz observed_at)
{
	Datum		values[5];

	if (github_id <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"github_id\" must be positive"),
				 errdetail("It is " INT64_FORMAT ".", github_id)));
	check_observed_at(observed_at);
	values[0] = Int64GetDatum(github_id);
	values[1] = PointerGetDatum(metric_type);
	values[2] = JsonbPGetDatum(metric_data);
	values[3] = TimestampTzGetDatum(observed_at);
	values[4] = FullTransactionIdGetDatum(storing_transaction());

	SPI_connect();
	(void) is_distributed(flowlens_relation("raw_repo_metrics"));	/* for its check of the session */
	allow_default_partition(flowlens_relation("raw_repo_metrics"), utc_day(observed_at));
	spi_step_run(&store_metrics_step, values, NULL);
	SPI_finish();
}

PG_FUNCTION_INFO_V1(flowlens_store_raw_metrics);

/* SQL: stores an answer about commits, issues or contributors */
Datum
flowlens_store_raw_metrics(PG_FUNCTION_ARGS)
{
	char	   *metric_type = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (strcmp(metric_type, "commits") != 0 && strcmp(metric_type, "issues") != 0 &&
		strcmp(metric_type, "contributors") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("metric type \"%s\" is not known", metric_type),
				 errhint("Use commits, issues or contributors; READMEs are stored with store_raw_readme().")));
	store_metric(PG_GETARG_INT64(0), PG_GETARG_TEXT_PP(1), PG_GETARG_JSONB_P(2), PG_GETARG_TIMESTAMPTZ(3));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(flowlens_store_raw_readme);

/* SQL: stores a README, as a JSON string */
Datum
flowlens_store_raw_readme(PG_FUNCTION_ARGS)
{
	text	   *readme = PG_GETARG_TEXT_PP(1);
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = VARDATA_ANY(readme);
	value.val.string.len = VARSIZE_ANY_EXHDR(readme);
	store_metric(PG_GETARG_INT64(0), cstring_to_text("readme"), JsonbValueToJsonb(&value), PG_GETARG_TIMESTAMPTZ(2));
	PG_RETURN_VOID();
}

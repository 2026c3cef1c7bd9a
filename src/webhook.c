/*
 * webhook.c
 *		Taking in webhooks: signature, redelivery, one INSERT.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

#include "compat.h"
#include "partitions.h"
#include "util_days.h"
#include "util_spi.h"
#include "webhook.h"
#include "work_queue.h"

#define SIGNATURE_PREFIX "sha256="
#define SIGNATURE_LENGTH (sizeof(SIGNATURE_PREFIX) - 1 + 2 * PG_SHA256_DIGEST_LENGTH)

/* GitHub redelivers for three days: an id that old cannot come again */
#define REDELIVERY_WINDOW (8 * USECS_PER_DAY)

/* A body on its way into the table */
typedef struct WebhookBody
{
	Jsonb	   *payload;		/* NULL: JSONB cannot hold it */
	char	   *error;			/* then the reason */
	text	   *action;			/* or NULL */
	int64		github_id;		/* of the repository; 0: there is none */
} WebhookBody;

static char *webhook_secrets = NULL;
static bool require_signature = true;

static SpiStep find_step = {
	.sql = "SELECT q.id IS NOT NULL AND (q.attempts > 0 OR q.ready_at = 'infinity')"
	" FROM flowlens.raw_github_events e"
	" LEFT JOIN flowlens.work_queue q ON q.queue = 'flowlens.raw_github_events'::regclass AND q.id = e.delivery_id"
	" WHERE e.delivery_id = $1 AND e.received_at >= $2 LIMIT 1",
	.nargs = 2, .argtypes = {UUIDOID, TIMESTAMPTZOID},
	.expected = SPI_OK_SELECT
};

static SpiStep retry_step = {
	.sql = "UPDATE flowlens.work_queue q SET ready_at = $2, attempts = 0, version = DEFAULT, leased_until = NULL, leased_version = NULL"
	" WHERE q.queue = 'flowlens.raw_github_events'::regclass AND q.id = $1",
	.nargs = 2, .argtypes = {UUIDOID, TIMESTAMPTZOID},
	.expected = SPI_OK_UPDATE
};

/* Two connections that bring the same delivery at once: the second waits for the first's row in the queue */
static SpiStep store_step = {
	.sql = "WITH queued AS ("
	" INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at, group_key, last_error)"
	" VALUES ('flowlens.raw_github_events'::regclass, $1, CASE WHEN $8 IS NULL THEN $9 ELSE 'infinity'::timestamptz END, $2, $5, $8)"
	" ON CONFLICT (queue, id) DO NOTHING RETURNING id"
	") INSERT INTO flowlens.raw_github_events (delivery_id, received_at, event, action, github_id, payload, body, body_error)"
	" SELECT q.id, $2, $3, $4, $5, $6, $7, $8 FROM queued q",
	.nargs = 9, .argtypes = {UUIDOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT8OID, JSONBOID, BYTEAOID, TEXTOID, TIMESTAMPTZOID},
	.expected = SPI_OK_INSERT
};

/* Compares without telling by its time where the first difference is */
static bool
equal_in_constant_time(const char *a, const char *b, size_t length)
{
	volatile unsigned char difference = 0;
	size_t		i;

	for (i = 0; i < length; i++)
		difference |= (unsigned char) a[i] ^ (unsigned char) b[i];
	return difference == 0;
}

/* Writes the signature that GitHub would send for these bytes: sha256= and 64 hex digits */
static void
sign(const char *body, size_t body_length, const char *secret, size_t secret_length, char *signature)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (hmac == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	if (pg_hmac_init(hmac, (const uint8 *) secret, secret_length) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) body, body_length) < 0 ||
		pg_hmac_final(hmac, digest, sizeof(digest)) < 0)
	{
		pg_hmac_free(hmac);
		elog(ERROR, "could not compute the signature of a webhook");
	}
	pg_hmac_free(hmac);
	memcpy(signature, SIGNATURE_PREFIX, sizeof(SIGNATURE_PREFIX) - 1);
	hex_encode((const char *) digest, sizeof(digest), signature + sizeof(SIGNATURE_PREFIX) - 1);
}

/* Tells whether a signature fits the bytes and the secret */
static bool
signature_fits(bytea *body, text *given, const char *secret, size_t secret_length)
{
	char		expected[SIGNATURE_LENGTH];

	if (secret_length == 0 || VARSIZE_ANY_EXHDR(given) != SIGNATURE_LENGTH)
		return false;
	sign(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), secret, secret_length, expected);
	return equal_in_constant_time(VARDATA_ANY(given), expected, SIGNATURE_LENGTH);
}

PG_FUNCTION_INFO_V1(flowlens_verify_github_signature);

/* SQL: tells whether a signature fits; anything missing does not */
Datum
flowlens_verify_github_signature(PG_FUNCTION_ARGS)
{
	text	   *secret;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	secret = PG_GETARG_TEXT_PP(2);
	PG_RETURN_BOOL(signature_fits(PG_GETARG_BYTEA_PP(0), PG_GETARG_TEXT_PP(1),
								  VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret)));
}

/* Tells whether any secret is configured, and in *fits whether the signature fits one of them */
static bool
try_secrets(bytea *body, text *signature, bool *fits)
{
	List	   *secrets = NIL;
	ListCell   *cell;

	*fits = false;
	if (webhook_secrets == NULL || !SplitGUCList(pstrdup(webhook_secrets), ',', &secrets))
		return false;
	if (signature != NULL)
	{
		foreach(cell, secrets)
		{
			const char *secret = lfirst(cell);

			/* no early exit: how long it takes says nothing about which secret fits */
			*fits |= signature_fits(body, signature, secret, strlen(secret));
		}
	}
	return secrets != NIL;
}

/* Decides whether a delivery is let in */
static bool
is_authentic(bytea *body, text *signature)
{
	bool		fits;
	bool		configured = try_secrets(body, signature, &fits);

	if (fits)
		return true;
	if (require_signature)
		return false;
	return signature == NULL || !configured;
}

/* Parses bytes as JSONB in the server's encoding; raises an error when that cannot be */
static Jsonb *
parse_body(const char *bytes, int length)
{
	char	   *json;

	(void) pg_verify_mbstr(PG_UTF8, bytes, length, false);
	json = pg_any_to_server(bytes, length, PG_UTF8);
	if (json == bytes)
		json = pnstrdup(bytes, length);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* Turns an error of parse_body() into a reason; anything but bad data goes on as an error */
static char *
body_error(MemoryContext caller)
{
	ErrorData  *error;
	char	   *reason;

	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		ReThrowError(error);
	FlushErrorState();
	reason = error->detail == NULL ? pstrdup(error->message) :
		psprintf("%s: %s", error->message, error->detail);
	FreeErrorData(error);
	return reason;
}

/* Reads a body as JSONB; leaves the reason in *error when JSONB cannot hold it */
static Jsonb *
read_payload(bytea *body, char **error)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Jsonb	   *volatile payload = NULL;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		payload = parse_body(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		*error = body_error(caller);
		RollbackAndReleaseCurrentSubTransaction();
		payload = NULL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return payload;
}

/* Finds a key of an object; NULL when there is none */
static JsonbValue *
object_field(JsonbContainer *object, const char *key, JsonbValue *field)
{
	return getKeyJsonValueFromContainer(object, key, strlen(key), field);
}

/* Reads what the table has in columns of its own */
static void
read_envelope(WebhookBody *body)
{
	JsonbContainer *root = &body->payload->root;
	JsonbValue	field;
	JsonbValue	id;

	if (!JsonContainerIsObject(root))
		return;
	if (object_field(root, "action", &field) != NULL && field.type == jbvString)
		body->action = cstring_to_text_with_len(field.val.string.val, field.val.string.len);
	if (object_field(root, "repository", &field) == NULL || field.type != jbvBinary ||
		!JsonContainerIsObject(field.val.binary.data))
		return;
	if (object_field(field.val.binary.data, "id", &id) != NULL && id.type == jbvNumeric)
	{
		char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(id.val.numeric)));
		char	   *end;

		errno = 0;
		body->github_id = strtoi64(digits, &end, 10);
		if (errno != 0 || *end != '\0')
			body->github_id = 0;
	}
}

/* Finds out whether the delivery came before: 'd' duplicate, 'f' it failed then, 'n' new */
static char
redelivery(Datum delivery_id, TimestampTz received_at)
{
	Datum		values[2];
	bool		isnull;

	values[0] = delivery_id;
	values[1] = TimestampTzGetDatum(received_at - REDELIVERY_WINDOW);
	if (spi_step_run(&find_step, values, NULL) == 0)
		return 'n';
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) ? 'f' : 'd';
}

/* Stores a new delivery and puts it into the queue; returns false when another connection just did */
static bool
store_delivery(Datum event, Datum delivery_id, TimestampTz received_at, bytea *bytes)
{
	WebhookBody body = {NULL, NULL, NULL, 0};
	Datum		values[9];
	char		nulls[10] = "         ";

	body.payload = read_payload(bytes, &body.error);
	if (body.payload != NULL)
		read_envelope(&body);
	values[0] = delivery_id;
	values[1] = TimestampTzGetDatum(received_at);
	values[2] = event;
	values[3] = PointerGetDatum(body.action);
	values[4] = Int64GetDatum(body.github_id);
	values[5] = PointerGetDatum(body.payload);
	values[6] = PointerGetDatum(bytes);
	values[7] = body.error == NULL ? (Datum) 0 : CStringGetTextDatum(body.error);
	values[8] = TimestampTzGetDatum(GetCurrentTimestamp());
	allow_default_partition(flowlens_relation("raw_github_events"), utc_day(received_at));
	if (body.action == NULL)
		nulls[3] = 'n';
	if (body.github_id == 0)
		nulls[4] = 'n';
	nulls[5] = body.payload == NULL ? 'n' : ' ';
	nulls[6] = body.payload == NULL ? ' ' : 'n';
	nulls[7] = body.error == NULL ? 'n' : ' ';
	return spi_step_run(&store_step, values, nulls) == 1;
}

/* Lets an authentic delivery in */
static const char *
accept_delivery(Datum event, Datum delivery_id, TimestampTz received_at, bytea *body)
{
	const char *outcome = "accepted";
	Datum		values[2];

	SPI_connect();
	switch (redelivery(delivery_id, received_at))
	{
		case 'n':
			if (!store_delivery(event, delivery_id, received_at, body))
				outcome = "duplicate";
			break;
		case 'f':
			values[0] = delivery_id;
			values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
			if (spi_step_run(&retry_step, values, NULL) == 0)
				outcome = "duplicate";
			break;
		default:
			outcome = "duplicate";
			break;
	}
	SPI_finish();
	return outcome;
}

PG_FUNCTION_INFO_V1(flowlens_receive_webhook);

/* SQL: takes in one delivery: 'accepted', 'duplicate' or 'rejected' */
Datum
flowlens_receive_webhook(PG_FUNCTION_ARGS)
{
	bytea	   *body;
	text	   *signature = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
	TimestampTz received_at = PG_ARGISNULL(4) ? GetCurrentTransactionStartTimestamp() : PG_GETARG_TIMESTAMPTZ(4);
	Datum		delivery_id;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"event\" and \"body\" must not be null")));
	if (TIMESTAMP_NOT_FINITE(received_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("\"received_at\" must be a finite point in time")));
	body = PG_GETARG_BYTEA_PP(2);
	if (!is_authentic(body, signature))
		PG_RETURN_TEXT_P(cstring_to_text("rejected"));
	delivery_id = PG_ARGISNULL(1) ? DirectFunctionCall1(gen_random_uuid, (Datum) 0) : PG_GETARG_DATUM(1);
	PG_RETURN_TEXT_P(cstring_to_text(accept_delivery(PG_GETARG_DATUM(0), delivery_id, received_at, body)));
}

/* Rejects a list of secrets that cannot be read */
static bool
check_webhook_secrets(char **value, void **extra, GucSource source)
{
	List	   *secrets = NIL;
	ListCell   *cell;

	if (*value == NULL || **value == '\0')
		return true;
	if (!SplitGUCList(pstrdup(*value), ',', &secrets))
	{
		GUC_check_errdetail("It must be a list with commas; a secret with a comma or a space stands in double quotes.");
		return false;
	}
	foreach(cell, secrets)
	{
		if (*(char *) lfirst(cell) == '\0')
		{
			GUC_check_errdetail("A secret must not be empty.");
			return false;
		}
	}
	return true;
}

/* Defines the settings of the intake */
void
webhook_init(void)
{
	/* not settable per role or database: pg_dumpall would write it down */
	DefineCustomStringVariable("flowlens.webhook_secrets",
							   "Secrets that GitHub may sign webhooks with.",
							   "Several with commas between them while one replaces another.",
							   &webhook_secrets,
							   "",
							   PGC_SIGHUP,
							   GUC_LIST_INPUT | GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE,
							   check_webhook_secrets,
							   NULL,	/* assign_hook */
							   NULL);	/* show_hook */
	DefineCustomBoolVariable("flowlens.webhook_require_signature",
							 "Rejects webhooks without a signature.",
							 NULL,
							 &require_signature,
							 true,
							 PGC_SUSET,
							 0,
							 NULL,	/* check_hook */
							 NULL,	/* assign_hook */
							 NULL); /* show_hook */
}

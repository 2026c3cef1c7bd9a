/*
 * json_schema_memo.c
 *		Remembered results, against schemas that ask for the same too often.
 *
 * anyOf over two references to a schema that has two references itself, and
 * so on, doubles the work with every level.  Whether one schema accepts one
 * value is always the same, so past a number of steps the results of schemas
 * that references lead to are kept; then the work is bounded by schemas times
 * values.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_validate.h"

/* When this many results are kept, all are forgotten */
#define MEMO_ENTRIES	(1024 * 1024)

typedef struct MemoKey
{
	const JsonSchema *schema;
	const void *value;			/* identity of the value */
	uint64		scope_hash;		/* what a $dynamicRef inside may lead to */
} MemoKey;

typedef struct MemoEntry
{
	MemoKey		key;
	bool		valid;
	bool		reported;		/* the violations were reported once */
	JsonSchemaEvaluated *evaluated; /* NULL: nobody wanted to know */
	char		status;
} MemoEntry;

#define SH_PREFIX memo
#define SH_ELEMENT_TYPE MemoEntry
#define SH_KEY_TYPE MemoKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) &(key), sizeof(MemoKey))
#define SH_EQUAL(table, a, b) (memcmp(&(a), &(b), sizeof(MemoKey)) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Makes the table, or empties it when it is full */
static void
prepare_memo(JsonSchemaRun *run)
{
	if (run->memo != NULL && run->memo->members < MEMO_ENTRIES)
		return;
	if (run->memo_context == NULL)
		run->memo_context = AllocSetContextCreate(CurrentMemoryContext, "JSON schema results",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(run->memo_context);
	run->memo = memo_create(run->memo_context, 1024, NULL);
}

/* Returns a copy of a set that lives as long as the table */
static JsonSchemaEvaluated *
keep_evaluated(JsonSchemaRun *run, const JsonSchemaEvaluated *evaluated)
{
	MemoryContext caller = MemoryContextSwitchTo(run->memo_context);
	JsonSchemaEvaluated *copy = palloc(sizeof(JsonSchemaEvaluated));

	json_schema_evaluated_start(copy, evaluated->count);
	json_schema_evaluated_merge(copy, evaluated);
	MemoryContextSwitchTo(caller);
	return copy;
}

/* Applies the schema and keeps the result */
static bool
apply_and_keep(JsonSchemaRun *run, const MemoKey *key, const JsonSchemaValue *value,
			   JsonSchemaEvaluated *evaluated)
{
	JsonSchemaEvaluated own;
	MemoEntry  *entry;
	bool		found;
	bool		valid;

	if (evaluated != NULL)
		json_schema_evaluated_start(&own, evaluated->count);
	valid = json_schema_apply_keywords(run, key->schema, value, evaluated ? &own : NULL, NULL);
	prepare_memo(run);
	entry = memo_insert(run->memo, *key, &found);
	entry->valid = valid;
	if (!found)
	{
		entry->reported = false;
		entry->evaluated = NULL;
	}
	if (evaluated != NULL)
	{
		if (entry->evaluated == NULL)
			entry->evaluated = keep_evaluated(run, &own);
		json_schema_evaluated_merge(evaluated, &own);
		json_schema_evaluated_end(&own);
	}
	return valid;
}

/* Answers from the table, or applies the schema */
static bool
remembered_answer(JsonSchemaRun *run, const MemoKey *key, const JsonSchemaValue *value,
				  JsonSchemaEvaluated *evaluated)
{
	MemoEntry  *entry = memo_lookup(run->memo, *key);

	if (entry == NULL || (entry->valid && evaluated != NULL && entry->evaluated == NULL))
		return apply_and_keep(run, key, value, evaluated);
	if (entry->valid && evaluated != NULL)
		json_schema_evaluated_merge(evaluated, entry->evaluated);
	return entry->valid;
}

/* Applies a schema, using and keeping its result; reports its violations only once */
bool
json_schema_apply_remembered(JsonSchemaRun *run, const JsonSchema *schema,
							 const JsonSchemaValue *value, JsonSchemaEvaluated *evaluated,
							 const JsonSchemaFrame *frame)
{
	JsonSchemaErrorCallback report = run->report;
	MemoEntry  *entry;
	MemoKey		key;
	bool		valid;

	prepare_memo(run);
	key.schema = schema;
	key.value = value->identity;
	key.scope_hash = run->scope_hash;
	run->report = NULL;
	valid = remembered_answer(run, &key, value, evaluated);
	run->report = report;
	if (valid || report == NULL)
		return valid;
	entry = memo_lookup(run->memo, key);
	if (entry != NULL && entry->reported)
		return false;
	if (entry != NULL)
		entry->reported = true;
	json_schema_apply_keywords(run, schema, value, NULL, frame);
	return false;
}

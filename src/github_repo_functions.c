/*
 * github_repo_functions.c
 *		SQL functions over one repository answer: its row, its errors, its id.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "github_repo.h"

/* Columns of the composite type flowlens.github_repo */
enum
{
	REPO_GITHUB_ID,
	REPO_FULL_NAME,
	REPO_URL,
	REPO_LANGUAGE,
	REPO_DESCRIPTION,
	REPO_STARS,
	REPO_FORKS,
	REPO_OPEN_ISSUES,
	REPO_TOPICS,
	REPO_IS_ARCHIVED,
	REPO_IS_DISABLED,
	REPO_IS_FORK,
	REPO_IS_PRIVATE,
	REPO_CREATED_AT,
	REPO_UPDATED_AT,
	REPO_PUSHED_AT,
	REPO_ERRORS,
	REPO_COLUMNS
};

/* Converts a string field to text; NULL where it is absent */
static Datum
text_column(const JsonbSlice *slice, bool *isnull)
{
	*isnull = jsonb_slice_is_null(slice);
	if (*isnull)
		return (Datum) 0;
	return PointerGetDatum(cstring_to_text_with_len(slice->data, slice->length));
}

/* Converts an optional count; NULL where it is absent */
static Datum
count_column(const JsonbSlice *slice, int64 value, bool *isnull)
{
	*isnull = jsonb_slice_is_null(slice);
	return Int64GetDatum(value);
}

/* Converts a flag; absent counts as false */
static Datum
flag_column(const JsonbSlice *slice)
{
	return BoolGetDatum(slice->present && JBE_ISBOOL_TRUE(slice->entry));
}

/* Converts topics to text[]; NULL where they are absent */
static Datum
topics_column(const JsonbSlice *slice, bool *isnull)
{
	JsonbContainer *array = (JsonbContainer *) slice->data;
	Datum	   *topics;
	const char *base;
	int			count;
	int			i;

	*isnull = jsonb_slice_is_null(slice);
	if (*isnull)
		return (Datum) 0;
	count = JsonContainerSize(array);
	if (count == 0)
		return PointerGetDatum(construct_empty_array(TEXTOID));
	base = (const char *) &array->children[count];
	topics = palloc(sizeof(Datum) * count);
	for (i = 0; i < count; i++)
		topics[i] = PointerGetDatum(cstring_to_text_with_len(base + getJsonbOffset(array, i),
															 getJsonbLength(array, i)));
	return PointerGetDatum(construct_array(topics, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Appends a string member to a JSONB object under construction */
static void
push_member(JsonbParseState **state, const char *name, const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Converts broken rules to JSONB, or NULL when there are none */
static Datum
errors_column(const GithubRepo *repo, bool *isnull)
{
	JsonbParseState *state = NULL;
	JsonbValue *array;
	int			i;

	*isnull = repo->error_count == 0;
	if (*isnull)
		return (Datum) 0;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < repo->error_count; i++)
	{
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_member(&state, "instanceLocation", repo->errors[i].location);
		push_member(&state, "keyword", repo->errors[i].keyword);
		push_member(&state, "error", repo->errors[i].message);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	array = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(array));
}

/* Fills the columns of a valid answer */
static void
fill_columns(const GithubRepo *repo, Datum *values, bool *nulls)
{
	const JsonbSlice *field = repo->field;

	values[REPO_GITHUB_ID] = Int64GetDatum(repo->github_id);
	values[REPO_FULL_NAME] = text_column(&field[FIELD_FULL_NAME], &nulls[REPO_FULL_NAME]);
	values[REPO_URL] = text_column(&field[FIELD_HTML_URL], &nulls[REPO_URL]);
	if (repo->is_render)
		values[REPO_LANGUAGE] = CStringGetTextDatum("render");
	else
		values[REPO_LANGUAGE] = text_column(&field[FIELD_LANGUAGE], &nulls[REPO_LANGUAGE]);
	values[REPO_DESCRIPTION] = text_column(&field[FIELD_DESCRIPTION], &nulls[REPO_DESCRIPTION]);
	values[REPO_STARS] = Int64GetDatum(repo->stars);
	values[REPO_FORKS] = count_column(&field[FIELD_FORKS_COUNT], repo->forks, &nulls[REPO_FORKS]);
	values[REPO_OPEN_ISSUES] = count_column(&field[FIELD_OPEN_ISSUES_COUNT], repo->open_issues,
											&nulls[REPO_OPEN_ISSUES]);
	values[REPO_TOPICS] = topics_column(&field[FIELD_TOPICS], &nulls[REPO_TOPICS]);
	values[REPO_IS_ARCHIVED] = flag_column(&field[FIELD_ARCHIVED]);
	values[REPO_IS_DISABLED] = flag_column(&field[FIELD_DISABLED]);
	values[REPO_IS_FORK] = flag_column(&field[FIELD_FORK]);
	values[REPO_IS_PRIVATE] = flag_column(&field[FIELD_PRIVATE]);
	values[REPO_CREATED_AT] = TimestampTzGetDatum(repo->created_at);
	values[REPO_UPDATED_AT] = TimestampTzGetDatum(repo->updated_at);
	values[REPO_PUSHED_AT] = TimestampTzGetDatum(repo->pushed_at);
	nulls[REPO_PUSHED_AT] = jsonb_slice_is_null(&field[FIELD_PUSHED_AT]);
}

/* Returns the row type of a call, looked up once per call site */
static TupleDesc
result_row_type(FunctionCallInfo fcinfo)
{
	TupleDesc	tupdesc = (TupleDesc) fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (tupdesc != NULL)
		return tupdesc;
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE || tupdesc->natts != REPO_COLUMNS)
		elog(ERROR, "type flowlens.github_repo does not have the expected columns");
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	tupdesc = BlessTupleDesc(CreateTupleDescCopy(tupdesc));
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = tupdesc;
	return tupdesc;
}

/* Tells whether the source of an answer marks the Render ecosystem */
static bool
source_is_render(FunctionCallInfo fcinfo, int argument)
{
	text	   *source;

	if (PG_ARGISNULL(argument))
		return false;
	source = PG_GETARG_TEXT_PP(argument);
	return VARSIZE_ANY_EXHDR(source) == 6 && memcmp(VARDATA_ANY(source), "render", 6) == 0;
}

PG_FUNCTION_INFO_V1(flowlens_project_github_repo);

/* SQL: (api_response, source_language, as_of) as a row of flowlens.github_repo */
Datum
flowlens_project_github_repo(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc = result_row_type(fcinfo);
	Datum		values[REPO_COLUMNS] = {0};
	bool		nulls[REPO_COLUMNS] = {false};
	TimestampTz as_of = PG_ARGISNULL(2) ? GetCurrentTransactionStartTimestamp() : PG_GETARG_TIMESTAMPTZ(2);
	GithubRepo	repo;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	github_repo_read(&repo, &PG_GETARG_JSONB_P(0)->root, source_is_render(fcinfo, 1), as_of);
	if (repo.error_count == 0)
		fill_columns(&repo, values, nulls);
	else
		memset(nulls, true, sizeof(nulls));
	values[REPO_ERRORS] = errors_column(&repo, &nulls[REPO_ERRORS]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}

PG_FUNCTION_INFO_V1(flowlens_project_github_repo_at);

/* SQL: the same for a point in time that must be given, so that only the arguments decide about the result */
Datum
flowlens_project_github_repo_at(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"as_of\" must not be null")));
	return flowlens_project_github_repo(fcinfo);
}

PG_FUNCTION_INFO_V1(flowlens_github_repo_errors);

/* SQL: one row (instance_location, keyword, error) per broken rule */
Datum
flowlens_github_repo_errors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	GithubRepo	repo;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	github_repo_read(&repo, &PG_GETARG_JSONB_P(0)->root, false, PG_GETARG_TIMESTAMPTZ(1));
	for (i = 0; i < repo.error_count; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(repo.errors[i].location);
		values[1] = CStringGetTextDatum(repo.errors[i].keyword);
		values[2] = CStringGetTextDatum(repo.errors[i].message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(flowlens_github_repo_id);

/* SQL: the id of an answer, or 0 where it is not a positive integer */
Datum
flowlens_github_repo_id(PG_FUNCTION_ARGS)
{
	JsonbContainer *answer = &PG_GETARG_JSONB_P(0)->root;
	JsonbValue	holder;
	JsonbValue *value;
	int64		id = 0;

	if (JsonContainerIsObject(answer))
	{
		value = getKeyJsonValueFromContainer(answer, "id", 2, &holder);
		if (value != NULL && value->type == jbvNumeric)
		{
			JsonbSlice	slice = {JENTRY_ISNUMERIC, (const char *) value->val.numeric, 0, true};

			if (!jsonb_slice_int64(&slice, &id) || id < 0)
				id = 0;
		}
	}
	PG_RETURN_INT64(id);
}

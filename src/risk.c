/*
 * risk.c
 *		Rule-based risk of a pull request.
 *
 * The rules are rows of flowlens.risk_rules.  Every rule that holds adds its
 * points and says so in the summary; of the rules about size, and of those
 * about spread, only the one with the most points counts, because the others
 * say the same.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "json_reader.h"
#include "util_spi.h"

#define MEDIUM_POINTS 30
#define HIGH_POINTS 60

/* What is known of a pull request */
typedef struct RiskFacts
{
	char	  **files;			/* names of the changed files */
	int			file_count;
	bool		files_known;
	int64		changed_lines;
	bool		size_known;
	int			directories;	/* how many hold a changed file */
	char	   *title;			/* or NULL */
} RiskFacts;

/* What the rules say */
typedef struct RiskVerdict
{
	int64		points;
	bool		size_counted;
	bool		spread_counted;
	StringInfoData summary;
	StringInfoData recommendation;
} RiskVerdict;

static SpiStep rules_step = {
	.sql = "SELECT r.kind, r.pattern, r.threshold, r.points, r.summary, r.recommendation"
	" FROM flowlens.risk_rules r WHERE r.enabled ORDER BY r.points DESC, r.rule",
	.expected = SPI_OK_SELECT
};

/* Compares two names for qsort */
static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Counts the distinct directories of the files */
static int
count_directories(char **files, int count)
{
	char	  **names = palloc(Max(count, 1) * sizeof(char *));
	int			distinct = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		char	   *slash = strrchr(files[i], '/');

		names[i] = slash == NULL ? "" : pnstrdup(files[i], slash - files[i]);
	}
	qsort(names, count, sizeof(char *), compare_names);
	for (i = 0; i < count; i++)
	{
		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			distinct++;
	}
	return distinct;
}

/* Adds changed lines; counts that no file has are left out */
static void
add_lines(int64 *lines, int64 count)
{
	if (count > 0 && count <= PG_INT32_MAX)
		*lines += count;
}

/* Reads one entry of files_changed: an object with "filename", or just the name */
static void
read_file(RiskFacts *facts, JsonbValue *entry, int64 *lines)
{
	JsonReader	reader = {NULL};
	JsonbContainer *object;
	Datum		name;
	int64		count;

	if (entry->type == jbvString)
	{
		facts->files[facts->file_count++] = pnstrdup(entry->val.string.val, entry->val.string.len);
		return;
	}
	if (entry->type != jbvBinary || !JsonContainerIsObject(entry->val.binary.data))
		return;
	object = entry->val.binary.data;
	if (field_text(&reader, object, "filename", JSON_OPTIONAL, &name))
		facts->files[facts->file_count++] = TextDatumGetCString(name);
	if (field_int64(&reader, object, "additions", JSON_OPTIONAL, &count))
		add_lines(lines, count);
	if (field_int64(&reader, object, "deletions", JSON_OPTIONAL, &count))
		add_lines(lines, count);
}

/* Reads the list of changed files; returns the number of lines that it speaks of */
static int64
read_files(RiskFacts *facts, Jsonb *list)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	int64		lines = 0;

	if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"files_changed\" must be an array")));
	facts->files = palloc(Max(JB_ROOT_COUNT(list), 1) * sizeof(char *));
	facts->files_known = true;
	iterator = JsonbIteratorInit(&list->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM)
			read_file(facts, &value, &lines);
	}
	facts->directories = count_directories(facts->files, facts->file_count);
	return lines;
}

/* Gathers what the arguments say */
static RiskFacts
gather_facts(FunctionCallInfo fcinfo)
{
	RiskFacts	facts = {NULL, 0, false, 0, false, 0, NULL};

	if (!PG_ARGISNULL(0))
	{
		facts.changed_lines = read_files(&facts, PG_GETARG_JSONB_P(0));
		facts.size_known = true;
	}
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		facts.changed_lines = (int64) PG_GETARG_INT32(1) + PG_GETARG_INT32(2);
		facts.size_known = true;
	}
	if (!PG_ARGISNULL(3))
		facts.title = text_to_cstring(PG_GETARG_TEXT_PP(3));
	return facts;
}

/* Tells whether a string matches a rule's pattern */
static bool
matches(Datum pattern, char *string)
{
	return RE_compile_and_execute(DatumGetTextPP(pattern), string, strlen(string),
								  REG_ADVANCED | REG_ICASE | REG_NOSUB, DEFAULT_COLLATION_OID, 0, NULL);
}

/* Counts the files that match a pattern; *first is one of them */
static int
count_matches(const RiskFacts *facts, Datum pattern, char **first)
{
	int			count = 0;
	int			i;

	for (i = 0; i < facts->file_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!matches(pattern, facts->files[i]))
			continue;
		if (count++ == 0)
			*first = facts->files[i];
	}
	return count;
}

/* Adds a rule that holds to the verdict; evidence says what it found */
static void
add_rule(RiskVerdict *verdict, int points, Datum summary, Datum recommendation, bool has_recommendation, const char *evidence)
{
	char	   *advice = has_recommendation ? TextDatumGetCString(recommendation) : NULL;

	verdict->points += points;
	if (verdict->summary.len > 0)
		appendStringInfoString(&verdict->summary, ", ");
	appendStringInfoString(&verdict->summary, TextDatumGetCString(summary));
	if (evidence != NULL)
		appendStringInfo(&verdict->summary, " (%s)", evidence);
	if (advice == NULL || strstr(verdict->recommendation.data, advice) != NULL)
		return;
	if (verdict->recommendation.len > 0)
		appendStringInfoChar(&verdict->recommendation, ' ');
	appendStringInfoString(&verdict->recommendation, advice);
}

/* Tells whether a rule holds, and in *evidence by what */
static bool
rule_holds(const RiskFacts *facts, RiskVerdict *verdict, const char *kind, Datum pattern, int threshold, char **evidence)
{
	char	   *first = NULL;
	int			count;

	*evidence = NULL;
	if (strcmp(kind, "title") == 0)
		return facts->title != NULL && matches(pattern, facts->title);
	if (strcmp(kind, "size") == 0)
	{
		if (!facts->size_known || facts->changed_lines < threshold || verdict->size_counted)
			return false;
		verdict->size_counted = true;
		*evidence = psprintf(INT64_FORMAT, facts->changed_lines);
		return true;
	}
	if (!facts->files_known)
		return false;
	if (strcmp(kind, "spread") == 0)
	{
		if (facts->directories < threshold || verdict->spread_counted)
			return false;
		verdict->spread_counted = true;
		*evidence = psprintf("%d", facts->directories);
		return true;
	}
	count = count_matches(facts, pattern, &first);
	if (strcmp(kind, "untested") == 0)
		return count == 0 && facts->file_count > 0 && facts->changed_lines >= threshold;
	if (count > 0)
		*evidence = count == 1 ? first : psprintf("%s and %d more", first, count - 1);
	return count > 0;
}

/* Runs all rules, the one with the most points first */
static void
apply_rules(const RiskFacts *facts, RiskVerdict *verdict)
{
	uint64		count = spi_step_run(&rules_step, NULL, NULL);
	uint64		i;

	for (i = 0; i < count; i++)
	{
		Datum		row[6];
		bool		nulls[6];
		char	   *evidence;

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, row, nulls);
		if (rule_holds(facts, verdict, TextDatumGetCString(row[0]), row[1], nulls[2] ? 0 : DatumGetInt32(row[2]), &evidence))
			add_rule(verdict, DatumGetInt32(row[3]), row[4], row[5], !nulls[5], evidence);
	}
}

/* Names the level that points stand for */
static const char *
risk_level(int64 points)
{
	if (points >= HIGH_POINTS)
		return "high";
	return points >= MEDIUM_POINTS ? "medium" : "low";
}

PG_FUNCTION_INFO_V1(flowlens_assess_pull_request_risk);

/* SQL: assesses a pull request by the rules: (risk_level, summary, recommendation) */
Datum
flowlens_assess_pull_request_risk(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RiskFacts	facts;
	RiskVerdict verdict = {0};
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	const char *level;

	InitMaterializedSRF(fcinfo, 0);
	initStringInfo(&verdict.summary);
	initStringInfo(&verdict.recommendation);
	facts = gather_facts(fcinfo);
	SPI_connect();
	apply_rules(&facts, &verdict);
	level = risk_level(verdict.points);
	values[0] = CStringGetTextDatum(level);
	values[1] = CStringGetTextDatum(psprintf("%s risk (" INT64_FORMAT " points): %s", level, verdict.points,
											 verdict.summary.len > 0 ? verdict.summary.data : "no rule holds"));
	values[2] = CStringGetTextDatum(verdict.recommendation.len > 0 ? verdict.recommendation.data : "Review it as usual.");
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	SPI_finish();
	return (Datum) 0;
}

/*
 * github_repo.h
 *		One repository answer of GitHub: its fields and the rules that it broke.
 */
#ifndef FLOWLENS_GITHUB_REPO_H
#define FLOWLENS_GITHUB_REPO_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "util_jsonb.h"

/* Keys that we read, in the order in which JSONB stores them: by length, then bytes */
typedef enum GithubField
{
	FIELD_ID,
	FIELD_FORK,
	FIELD_TOPICS,
	FIELD_PRIVATE,
	FIELD_ARCHIVED,
	FIELD_DISABLED,
	FIELD_HTML_URL,
	FIELD_LANGUAGE,
	FIELD_FULL_NAME,
	FIELD_PUSHED_AT,
	FIELD_CREATED_AT,
	FIELD_UPDATED_AT,
	FIELD_DESCRIPTION,
	FIELD_FORKS_COUNT,
	FIELD_STARGAZERS_COUNT,
	FIELD_OPEN_ISSUES_COUNT,
	FIELD_COUNT
} GithubField;

/* A broken rule */
typedef struct RuleError
{
	const char *location;		/* JSON Pointer into the answer */
	const char *keyword;		/* JSON Schema's word for the rule */
	const char *message;
} RuleError;

#define MAX_RULE_ERRORS (3 * FIELD_COUNT)

/* What an answer says; pointers lead into the document */
typedef struct GithubRepo
{
	JsonbSlice	field[FIELD_COUNT];
	int64		github_id;
	int64		stars;
	int64		forks;
	int64		open_issues;
	TimestampTz created_at;
	TimestampTz updated_at;
	TimestampTz pushed_at;
	bool		is_render;		/* belongs to the Render ecosystem, whatever its language */
	int			error_count;
	RuleError	errors[MAX_RULE_ERRORS];
} GithubRepo;

extern void github_repo_read(GithubRepo *repo, JsonbContainer *answer, bool is_render, TimestampTz as_of);
extern bool github_timestamp(const JsonbSlice *slice, TimestampTz *result);

#endif							/* FLOWLENS_GITHUB_REPO_H */

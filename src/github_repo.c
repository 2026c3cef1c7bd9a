/*
 * github_repo.c
 *		Reads a repository answer in one pass and checks every rule.
 *
 * JSONB keeps an object's keys sorted, so the keys that we want are found by
 * walking both lists side by side.  All broken rules are collected, not only
 * the first.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "compat.h"
#include "github_repo.h"

#define NAME_MAX_LENGTH 255
#define URL_MAX_LENGTH 500
#define LANGUAGE_MAX_LENGTH 50

typedef struct WantedKey
{
	const char *name;
	uint32		length;
	const char *pointer;		/* its JSON Pointer */
} WantedKey;

#define WANTED(key) {key, sizeof(key) - 1, "/" key}

static const WantedKey wanted_keys[FIELD_COUNT] = {
	[FIELD_ID] = WANTED("id"),
	[FIELD_FORK] = WANTED("fork"),
	[FIELD_TOPICS] = WANTED("topics"),
	[FIELD_PRIVATE] = WANTED("private"),
	[FIELD_ARCHIVED] = WANTED("archived"),
	[FIELD_DISABLED] = WANTED("disabled"),
	[FIELD_HTML_URL] = WANTED("html_url"),
	[FIELD_LANGUAGE] = WANTED("language"),
	[FIELD_FULL_NAME] = WANTED("full_name"),
	[FIELD_PUSHED_AT] = WANTED("pushed_at"),
	[FIELD_CREATED_AT] = WANTED("created_at"),
	[FIELD_UPDATED_AT] = WANTED("updated_at"),
	[FIELD_DESCRIPTION] = WANTED("description"),
	[FIELD_FORKS_COUNT] = WANTED("forks_count"),
	[FIELD_STARGAZERS_COUNT] = WANTED("stargazers_count"),
	[FIELD_OPEN_ISSUES_COUNT] = WANTED("open_issues_count"),
};

/* Notes a broken rule of a field */
static void
add_error(GithubRepo *repo, const char *location, const char *keyword, const char *message)
{
	RuleError  *error = &repo->errors[repo->error_count++];

	Assert(repo->error_count <= MAX_RULE_ERRORS);
	error->location = location;
	error->keyword = keyword;
	error->message = message;
}

/* Notes that a field has the wrong JSON type */
static void
add_type_error(GithubRepo *repo, GithubField field, const char *expected)
{
	add_error(repo, wanted_keys[field].pointer, "type",
			  psprintf("must be %s, is %s", expected, jsonb_slice_type(&repo->field[field])));
}

/* Finds the wanted keys of an object, both lists being sorted alike */
static void
find_fields(GithubRepo *repo, JsonbContainer *answer)
{
	JsonbObjectCursor cursor;
	JsonbSlice	key;
	JsonbSlice	value;
	int			next = 0;

	jsonb_object_start(&cursor, answer);
	while (next < FIELD_COUNT && jsonb_object_next(&cursor, &key, &value))
	{
		int			order = 1;

		while (next < FIELD_COUNT && order > 0)
		{
			const WantedKey *wanted = &wanted_keys[next];

			if (key.length != wanted->length)
				order = key.length > wanted->length ? 1 : -1;
			else
				order = memcmp(key.data, wanted->name, wanted->length);
			if (order == 0)
				repo->field[next] = value;
			if (order >= 0)
				next++;
		}
	}
}

/* Checks a field that has to be there; notes its absence */
static bool
check_required(GithubRepo *repo, GithubField field)
{
	if (!jsonb_slice_is_null(&repo->field[field]))
		return true;
	add_error(repo, wanted_keys[field].pointer, "required", "is missing or null");
	return false;
}

/* Checks that a field that is there holds a string of at most so many bytes (0 = any) */
static bool
check_string(GithubRepo *repo, GithubField field, uint32 max_length)
{
	const JsonbSlice *slice = &repo->field[field];

	if (jsonb_slice_is_null(slice))
		return false;
	if (!JBE_ISSTRING(slice->entry))
	{
		add_type_error(repo, field, "a string");
		return false;
	}
	if (max_length > 0 && slice->length > max_length)
	{
		add_error(repo, wanted_keys[field].pointer, "maxLength",
				  psprintf("must be at most %u bytes long, is %u", max_length, slice->length));
		return false;
	}
	return true;
}

/* Reads a count or an id that is there */
static void
check_integer(GithubRepo *repo, GithubField field, int64 minimum, int64 *result)
{
	const JsonbSlice *slice = &repo->field[field];

	if (jsonb_slice_is_null(slice))
		return;
	if (!JBE_ISNUMERIC(slice->entry))
		add_type_error(repo, field, "an integer");
	else if (!jsonb_slice_int64(slice, result))
		add_error(repo, wanted_keys[field].pointer, "type", "must be an integer within bigint");
	else if (*result < minimum)
		add_error(repo, wanted_keys[field].pointer, "minimum",
				  psprintf("must be at least " INT64_FORMAT ", is " INT64_FORMAT, minimum, *result));
}

/* Reads a point in time that is there; returns whether it is valid */
static bool
check_timestamp(GithubRepo *repo, GithubField field, TimestampTz latest, TimestampTz *result)
{
	const JsonbSlice *slice = &repo->field[field];

	if (jsonb_slice_is_null(slice))
		return false;
	if (!github_timestamp(slice, result))
	{
		add_error(repo, wanted_keys[field].pointer, "format", "must be a timestamp such as 2024-05-01T12:00:00Z");
		return false;
	}
	if (*result > latest)
	{
		add_error(repo, wanted_keys[field].pointer, "maximum", "must not lie more than a day in the future");
		return false;
	}
	return true;
}

/* Checks that a name is owner/name, without spaces or control characters */
static void
check_full_name(GithubRepo *repo)
{
	const JsonbSlice *name = &repo->field[FIELD_FULL_NAME];
	const char *slash;
	uint32		i;

	if (!check_required(repo, FIELD_FULL_NAME) || !check_string(repo, FIELD_FULL_NAME, NAME_MAX_LENGTH))
		return;
	slash = memchr(name->data, '/', name->length);
	for (i = 0; i < name->length && (unsigned char) name->data[i] > ' '; i++)
		;
	if (i < name->length || slash == NULL || slash == name->data || slash + 1 == name->data + name->length ||
		memchr(slash + 1, '/', name->data + name->length - slash - 1) != NULL)
		add_error(repo, wanted_keys[FIELD_FULL_NAME].pointer, "pattern", "must be owner/name");
}

/* Checks that a flag that is there is a boolean */
static void
check_flag(GithubRepo *repo, GithubField field)
{
	const JsonbSlice *slice = &repo->field[field];

	if (!jsonb_slice_is_null(slice) && !JBE_ISBOOL(slice->entry))
		add_type_error(repo, field, "a boolean");
}

/* Checks that topics that are there are an array of strings */
static void
check_topics(GithubRepo *repo)
{
	const JsonbSlice *slice = &repo->field[FIELD_TOPICS];
	const JsonbContainer *array = (const JsonbContainer *) slice->data;
	uint32		i;

	if (jsonb_slice_is_null(slice))
		return;
	if (!JBE_ISCONTAINER(slice->entry) || !JsonContainerIsArray(array))
	{
		add_type_error(repo, FIELD_TOPICS, "an array");
		return;
	}
	for (i = 0; i < JsonContainerSize(array); i++)
	{
		if (!JBE_ISSTRING(array->children[i]))
		{
			add_error(repo, psprintf("/topics/%u", i), "type", "must be a string");
			return;
		}
	}
}

/* Checks the language, which a repository of the Render ecosystem gets from us */
static void
check_language(GithubRepo *repo)
{
	const JsonbSlice *language = &repo->field[FIELD_LANGUAGE];

	if (repo->is_render)
		return;
	if (check_required(repo, FIELD_LANGUAGE) && check_string(repo, FIELD_LANGUAGE, LANGUAGE_MAX_LENGTH) &&
		language->length == 0)
		add_error(repo, wanted_keys[FIELD_LANGUAGE].pointer, "minLength", "must not be empty");
}

/* Checks the three points in time, each alone and against each other */
static void
check_times(GithubRepo *repo, TimestampTz as_of)
{
	TimestampTz latest = as_of < END_TIMESTAMP - USECS_PER_DAY ? as_of + USECS_PER_DAY : DT_NOEND;
	bool		created;
	bool		updated;

	created = check_required(repo, FIELD_CREATED_AT) &&
		check_timestamp(repo, FIELD_CREATED_AT, latest, &repo->created_at);
	updated = check_required(repo, FIELD_UPDATED_AT) &&
		check_timestamp(repo, FIELD_UPDATED_AT, latest, &repo->updated_at);
	(void) check_timestamp(repo, FIELD_PUSHED_AT, latest, &repo->pushed_at);
	if (created && updated && repo->created_at > repo->updated_at + USECS_PER_DAY)
		add_error(repo, wanted_keys[FIELD_CREATED_AT].pointer, "maximum",
				  "must not lie more than a day after updated_at");
}

/*
 * Reads an answer and checks all rules
 *
 * answer is the document's root, as_of the time that "now" means.  Unknown keys
 * do not matter; an absent optional field equals null.
 */
void
github_repo_read(GithubRepo *repo, JsonbContainer *answer, bool is_render, TimestampTz as_of)
{
	memset(repo->field, 0, sizeof(repo->field));
	repo->is_render = is_render;
	repo->error_count = 0;
	repo->github_id = repo->stars = repo->forks = repo->open_issues = 0;
	if (!JsonContainerIsObject(answer))
	{
		add_error(repo, "", "type", "must be an object");
		return;
	}
	find_fields(repo, answer);

	if (check_required(repo, FIELD_ID))
		check_integer(repo, FIELD_ID, 1, &repo->github_id);
	check_full_name(repo);
	(void) check_string(repo, FIELD_HTML_URL, URL_MAX_LENGTH);
	check_language(repo);
	(void) check_string(repo, FIELD_DESCRIPTION, 0);
	if (check_required(repo, FIELD_STARGAZERS_COUNT))
		check_integer(repo, FIELD_STARGAZERS_COUNT, 0, &repo->stars);
	check_integer(repo, FIELD_FORKS_COUNT, 0, &repo->forks);
	check_integer(repo, FIELD_OPEN_ISSUES_COUNT, 0, &repo->open_issues);
	check_topics(repo);
	check_flag(repo, FIELD_ARCHIVED);
	check_flag(repo, FIELD_DISABLED);
	check_flag(repo, FIELD_FORK);
	check_flag(repo, FIELD_PRIVATE);
	check_times(repo, as_of);
}

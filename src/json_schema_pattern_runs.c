/*
 * json_schema_pattern_runs.c
 *		Matching of simple patterns without a regular expression engine.
 *
 * Most patterns of schemas are a few alternatives, each a sequence of runs: a
 * set of code points, repeated between min and max times ("^[a-z]{1,39}$",
 * "^https://", "^v\d+\.\d+$", "\.json$").  Taking as much as possible for each
 * run, without ever going back, decides such a sequence exactly when
 *
 * - a run of variable length shares no code point with what may follow it, up
 *   to and including the next run that must not be empty.  Taking less would
 *   leave a code point that nothing behind the run takes; or
 * - the sequence is not tied to the start of the text and all its runs have a
 *   fixed length; then each place is tried.
 *
 * Every pattern that is not of this form is left to the engine.
 */
#include <string.h>

#include "json_schema_pattern_runs.h"
#include "json_schema_utf8.h"

#define MAX_SEQUENCES 32
#define MAX_RUNS 128
#define MAX_LITERAL_OCTETS 256
#define MAX_COPIES 16			/* of a repeated group */
#define MAX_STEPS 1000			/* nodes looked at, those of copies again */

/* A run while it is built: the set is the pattern's own */
typedef struct DraftRun
{
	const JsonSchemaSet *set;
	int			min;
	int			max;
} DraftRun;

typedef struct Draft
{
	bool		at_start;
	bool		at_end;
	int			count;
	DraftRun	runs[MAX_RUNS];
} Draft;

typedef struct DraftList
{
	int			count;
	Draft		drafts[MAX_SEQUENCES];
} DraftList;

/* Where drafts are made, and how many nodes have been looked at */
typedef struct Expansion
{
	JsonSchemaArena *arena;
	int			steps;
} Expansion;

/* A run to match: a literal text, or code points of a set */
typedef struct Run
{
	const unsigned char *literal;	/* NULL for a set */
	int			literal_length;
	int			min;
	int			max;
	uint64_t	ascii[2];
	bool		every_high;		/* the set holds all code points above ASCII */
	JsonSchemaSet high;
} Run;

typedef struct Sequence
{
	bool		at_start;
	bool		at_end;
	int			count;
	Run		   *runs;
} Sequence;

struct JsonSchemaRuns
{
	int			count;
	Sequence   *sequences;
};

static bool expand(Expansion *expansion, const JsonSchemaPatternNode *node, DraftList *list);

/* Adds a run to each draft */
static bool
expand_run(DraftList *list, const JsonSchemaSet *set, int min, int max)
{
	int			i;

	for (i = 0; i < list->count; i++)
	{
		Draft	   *draft = &list->drafts[i];
		DraftRun   *last = draft->count > 0 ? &draft->runs[draft->count - 1] : NULL;

		if (draft->at_end)
			return false;
		if (last != NULL && json_schema_sets_equal(last->set, set))
		{
			/* neither sum is above the limit of int, both terms being at most "unbounded" */
			last->min += min;
			last->max += max;
			if (last->min >= JSON_SCHEMA_UNBOUNDED)
				return false;
			if (last->max > JSON_SCHEMA_UNBOUNDED)
				last->max = JSON_SCHEMA_UNBOUNDED;
			continue;
		}
		if (draft->count == MAX_RUNS || min >= JSON_SCHEMA_UNBOUNDED)
			return false;
		last = &draft->runs[draft->count++];
		last->set = set;
		last->min = min;
		last->max = max;
	}
	return true;
}

/* Adds the drafts of one list to another */
static bool
append_drafts(DraftList *list, const DraftList *more)
{
	if (list->count + more->count > MAX_SEQUENCES)
		return false;
	memcpy(list->drafts + list->count, more->drafts, more->count * sizeof(Draft));
	list->count += more->count;
	return true;
}

/* Returns a copy of a list */
static DraftList *
copy_list(Expansion *expansion, const DraftList *list)
{
	DraftList  *copy = expansion->arena->allocate(expansion->arena->state, sizeof(DraftList));

	copy->count = 0;
	append_drafts(copy, list);
	return copy;
}

/* Goes on from each draft with each alternative */
static bool
expand_choice(Expansion *expansion, const JsonSchemaPatternNode *node, DraftList *list)
{
	DraftList  *before = copy_list(expansion, list);
	const JsonSchemaPatternNode *child;

	list->count = 0;
	for (child = node->child; child != NULL; child = child->next)
	{
		DraftList  *branch = copy_list(expansion, before);

		if (!expand(expansion, child, branch) || !append_drafts(list, branch))
			return false;
	}
	return true;
}

/* Repeats a run, makes a group optional, or writes a group out a few times */
static bool
expand_repeat(Expansion *expansion, const JsonSchemaPatternNode *node, DraftList *list)
{
	const JsonSchemaPatternNode *child = node->child;
	int			i;

	if (node->max == 0)
		return true;
	while (child->type == JSON_SCHEMA_NODE_GROUP)
		child = child->child;
	if (child->type == JSON_SCHEMA_NODE_SET)
		return expand_run(list, &child->set, node->min, node->max);
	if (node->max > MAX_COPIES)
		return false;
	for (i = 0; i < node->min; i++)
	{
		if (!expand(expansion, child, list))
			return false;
	}
	for (; i < node->max; i++)
	{
		DraftList  *without = copy_list(expansion, list);

		if (!expand(expansion, child, list) || !append_drafts(list, without))
			return false;
	}
	return true;
}

/* Ties each draft to the start of the text */
static bool
expand_start(DraftList *list)
{
	int			i;

	for (i = 0; i < list->count; i++)
	{
		if (list->drafts[i].count > 0 || list->drafts[i].at_end)
			return false;
		list->drafts[i].at_start = true;
	}
	return true;
}

/* Ties each draft to the end of the text */
static bool
expand_end(DraftList *list)
{
	int			i;

	for (i = 0; i < list->count; i++)
		list->drafts[i].at_end = true;
	return true;
}

/* Adds what a node matches behind each draft; false when that is not of the simple form */
static bool
expand(Expansion *expansion, const JsonSchemaPatternNode *node, DraftList *list)
{
	const JsonSchemaPatternNode *child;

	if (++expansion->steps > MAX_STEPS)
		return false;
	switch (node->type)
	{
		case JSON_SCHEMA_NODE_EMPTY:
			return true;
		case JSON_SCHEMA_NODE_SET:
			return expand_run(list, &node->set, 1, 1);
		case JSON_SCHEMA_NODE_SEQUENCE:
			for (child = node->child; child != NULL; child = child->next)
			{
				if (!expand(expansion, child, list))
					return false;
			}
			return true;
		case JSON_SCHEMA_NODE_CHOICE:
			return expand_choice(expansion, node, list);
		case JSON_SCHEMA_NODE_GROUP:
			return expand(expansion, node->child, list);
		case JSON_SCHEMA_NODE_REPEAT:
			return expand_repeat(expansion, node, list);
		case JSON_SCHEMA_NODE_START:
			return expand_start(list);
		case JSON_SCHEMA_NODE_END:
			return expand_end(list);
		default:
			return false;
	}
}

/* Drops what a search need not look at: the optional parts of the runs at an open side */
static void
trim_open_sides(Draft *draft)
{
	int			dropped = 0;

	while (!draft->at_end && draft->count > 0)
	{
		DraftRun   *last = &draft->runs[draft->count - 1];

		last->max = last->min;
		if (last->min > 0)
			break;
		draft->count--;
	}
	while (!draft->at_start && dropped < draft->count)
	{
		DraftRun   *first = &draft->runs[dropped];

		first->max = first->min;
		if (first->min > 0)
			break;
		dropped++;
	}
	draft->count -= dropped;
	memmove(draft->runs, draft->runs + dropped, draft->count * sizeof(DraftRun));
}

/* Returns whether taking as much as possible decides the sequence (see the head of the file) */
static bool
is_decidable(const Draft *draft)
{
	int			i;
	int			j;
	int			length = 0;

	for (i = 0; i < draft->count; i++)
	{
		const DraftRun *run = &draft->runs[i];

		if (!draft->at_start)
		{
			/* a search tries each place, so what it tries has to be short */
			length += run->min;
			if (run->min != run->max || length > MAX_RUNS)
				return false;
		}
		for (j = i + 1; run->min != run->max && j < draft->count; j++)
		{
			if (json_schema_sets_overlap(run->set, draft->runs[j].set))
				return false;
			if (draft->runs[j].min > 0)
				break;
		}
	}
	return true;
}

/* Writes a code point as UTF-8 and returns its length; 0 for a surrogate, which no text holds */
static int
encode_utf8(uint32_t code, unsigned char *octets)
{
	if (code < 0x80)
	{
		octets[0] = (unsigned char) code;
		return 1;
	}
	if (code < 0x800)
	{
		octets[0] = (unsigned char) (0xC0 | code >> 6);
		octets[1] = (unsigned char) (0x80 | (code & 0x3F));
		return 2;
	}
	if (code >= 0xD800 && code <= 0xDFFF)
		return 0;
	if (code < 0x10000)
	{
		octets[0] = (unsigned char) (0xE0 | code >> 12);
		octets[1] = (unsigned char) (0x80 | (code >> 6 & 0x3F));
		octets[2] = (unsigned char) (0x80 | (code & 0x3F));
		return 3;
	}
	octets[0] = (unsigned char) (0xF0 | code >> 18);
	octets[1] = (unsigned char) (0x80 | (code >> 12 & 0x3F));
	octets[2] = (unsigned char) (0x80 | (code >> 6 & 0x3F));
	octets[3] = (unsigned char) (0x80 | (code & 0x3F));
	return 4;
}

/* Adds a run of one repeated code point to a literal; false when it is none or does not fit */
static bool
extend_literal(const DraftRun *run, unsigned char *literal, int *length)
{
	unsigned char octets[4];
	int			octet_count;
	int			i;

	if (run->min != run->max || run->set->count != 1 ||
		run->set->ranges[0].first != run->set->ranges[0].last ||
		/* U+FFFD also stands for what is no UTF-8 */
		run->set->ranges[0].first == JSON_SCHEMA_REPLACEMENT)
		return false;
	octet_count = encode_utf8(run->set->ranges[0].first, octets);
	if (octet_count == 0 || run->min > (MAX_LITERAL_OCTETS - *length) / octet_count)
		return false;
	for (i = 0; i < run->min; i++)
	{
		memcpy(literal + *length, octets, octet_count);
		*length += octet_count;
	}
	return true;
}

/* Makes the form of a set that a match reads */
static void
finish_set(JsonSchemaArena *arena, const DraftRun *draft, Run *run)
{
	int			i;

	memset(run, 0, sizeof(Run));
	run->min = draft->min;
	run->max = draft->max;
	for (i = 0; i < draft->set->count; i++)
	{
		JsonSchemaRange range = draft->set->ranges[i];

		for (; range.first <= range.last && range.first < 0x80; range.first++)
			run->ascii[range.first >> 6] |= (uint64_t) 1 << (range.first & 63);
		json_schema_set_add(arena, &run->high, range.first, range.last);
	}
	run->every_high = run->high.count == 1 && run->high.ranges[0].first == 0x80 &&
		run->high.ranges[0].last == JSON_SCHEMA_MAX_CODE_POINT;
}

/* Makes the form of a sequence that a match reads */
static void
finish_sequence(JsonSchemaArena *arena, const Draft *draft, Sequence *sequence)
{
	int			i = 0;

	sequence->at_start = draft->at_start;
	sequence->at_end = draft->at_end;
	sequence->count = 0;
	sequence->runs = arena->allocate(arena->state, (draft->count + 1) * sizeof(Run));
	while (i < draft->count)
	{
		Run		   *run = &sequence->runs[sequence->count++];
		unsigned char literal[MAX_LITERAL_OCTETS];
		int			length = 0;

		while (i < draft->count && extend_literal(&draft->runs[i], literal, &length))
			i++;
		if (length == 0)
		{
			finish_set(arena, &draft->runs[i++], run);
			continue;
		}
		memset(run, 0, sizeof(Run));
		run->literal_length = length;
		run->literal = memcpy(arena->allocate(arena->state, length), literal, length);
	}
}

/*
 * Returns the runs of a pattern without back references, or NULL when it is not
 * of the simple form.  The result lives in the lasting arena.
 */
JsonSchemaRuns *
json_schema_build_runs(JsonSchemaArena *temporary, JsonSchemaArena *lasting, const JsonSchemaPatternNode *root)
{
	DraftList  *list = temporary->allocate(temporary->state, sizeof(DraftList));
	Expansion	expansion = {temporary, 0};
	JsonSchemaRuns *runs;
	int			i;

	list->count = 1;
	memset(&list->drafts[0], 0, sizeof(Draft));
	if (!expand(&expansion, root, list))
		return NULL;
	for (i = 0; i < list->count; i++)
	{
		trim_open_sides(&list->drafts[i]);
		if (!is_decidable(&list->drafts[i]))
			return NULL;
	}
	runs = lasting->allocate(lasting->state, sizeof(JsonSchemaRuns));
	runs->count = list->count;
	runs->sequences = lasting->allocate(lasting->state, (list->count + 1) * sizeof(Sequence));
	for (i = 0; i < list->count; i++)
		finish_sequence(lasting, &list->drafts[i], &runs->sequences[i]);
	return runs;
}

/* Returns where the code points of a set end that a text starts with, or NULL when they are too few */
static const unsigned char *
match_set(const Run *run, const unsigned char *at, const unsigned char *end)
{
	int			taken;

	for (taken = 0; taken < run->max && at < end; taken++)
	{
		unsigned char c = *at;
		int			length;
		uint32_t	code;

		if (c < 0x80)
		{
			if (!(run->ascii[c >> 6] >> (c & 63) & 1))
				break;
			at++;
			continue;
		}
		code = json_schema_utf8_decode(at, end, &length);
		if (!run->every_high && !json_schema_set_contains(&run->high, code))
			break;
		at += length;
	}
	return taken < run->min ? NULL : at;
}

/* Returns whether the text matches a sequence from the given place on */
static bool
match_sequence_at(const Sequence *sequence, const unsigned char *at, const unsigned char *end)
{
	int			i;

	for (i = 0; i < sequence->count; i++)
	{
		const Run  *run = &sequence->runs[i];

		if (run->literal == NULL)
		{
			at = match_set(run, at, end);
			if (at == NULL)
				return false;
			continue;
		}
		if (end - at < run->literal_length || memcmp(at, run->literal, run->literal_length) != 0)
			return false;
		at += run->literal_length;
	}
	return !sequence->at_end || at == end;
}

/* Returns whether the text matches a sequence at any place where it may start */
static bool
match_sequence(const Sequence *sequence, const unsigned char *text, const unsigned char *end)
{
	const unsigned char *at = text;
	int			length;

	if (sequence->at_start || sequence->count == 0)
		return match_sequence_at(sequence, sequence->at_start ? text : end, end);
	while (at < end)
	{
		if (sequence->runs[0].literal != NULL)
		{
			at = memchr(at, sequence->runs[0].literal[0], end - at);
			if (at == NULL)
				return false;
		}
		if (match_sequence_at(sequence, at, end))
			return true;
		json_schema_utf8_decode(at, end, &length);
		at += length;
	}
	return false;
}

/* Returns whether a text matches the runs of a pattern somewhere */
bool
json_schema_runs_match(const JsonSchemaRuns *runs, const char *text, int length)
{
	const unsigned char *start = (const unsigned char *) text;
	int			i;

	for (i = 0; i < runs->count; i++)
	{
		if (match_sequence(&runs->sequences[i], start, start + length))
			return true;
	}
	return false;
}

/*
 * json_schema_pattern_sets.c
 *		Sets of code points, the classes of ECMA-262 and the properties of Unicode.
 */
#include <stdlib.h>
#include <string.h>

#include "json_schema_pattern_sets.h"
#include "json_schema_utf8.h"

/* A name with a number: of a script, or bits of general categories */
typedef struct UnicodeName
{
	const char *name;
	uint32_t	value;
} UnicodeName;

/* A binary property and its part of binary_property_boundaries */
typedef struct UnicodePropertyName
{
	const char *name;
	int			offset;
	int			count;
} UnicodePropertyName;

#include "json_schema_unicode_tables.h"

#define RUN_FIRST(run) ((run) >> 8)
#define RUN_VALUE(run) ((run) & 0xFF)
#define RUN_COUNT(array) ((int) (sizeof(array) / sizeof(array[0])))

static const JsonSchemaRange digit_ranges[] = {{'0', '9'}};
static const JsonSchemaRange space_ranges[] = {
	{0x09, 0x0D}, {0x20, 0x20}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A},
	{0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}
};
static const JsonSchemaRange word_ranges[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const JsonSchemaRange line_end_ranges[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

static const struct
{
	const JsonSchemaRange *ranges;
	int			count;
}			classes[] = {
	[JSON_SCHEMA_CLASS_DIGIT] = {digit_ranges, RUN_COUNT(digit_ranges)},
	[JSON_SCHEMA_CLASS_SPACE] = {space_ranges, RUN_COUNT(space_ranges)},
	[JSON_SCHEMA_CLASS_WORD] = {word_ranges, RUN_COUNT(word_ranges)},
	[JSON_SCHEMA_CLASS_LINE_END] = {line_end_ranges, RUN_COUNT(line_end_ranges)}
};

/* Adds a range; the set is no longer normal */
void
json_schema_set_add(JsonSchemaArena *arena, JsonSchemaSet *set, uint32_t first, uint32_t last)
{
	if (arena->allocate == NULL || first > last)
		return;
	if (set->count == set->capacity)
	{
		int			capacity = set->capacity > 0 ? 2 * set->capacity : 4;
		JsonSchemaRange *ranges = arena->allocate(arena->state, capacity * sizeof(JsonSchemaRange));

		if (set->count > 0)
			memcpy(ranges, set->ranges, set->count * sizeof(JsonSchemaRange));
		set->ranges = ranges;
		set->capacity = capacity;
	}
	set->ranges[set->count].first = first;
	set->ranges[set->count].last = last;
	set->count++;
}

/* Adds sorted ranges or all that is between them */
static void
add_ranges(JsonSchemaArena *arena, JsonSchemaSet *set, const JsonSchemaRange *ranges, int count, bool negated)
{
	uint32_t	gap = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (!negated)
			json_schema_set_add(arena, set, ranges[i].first, ranges[i].last);
		else if (ranges[i].first > gap)
			json_schema_set_add(arena, set, gap, ranges[i].first - 1);
		gap = ranges[i].last + 1;
	}
	if (negated)
		json_schema_set_add(arena, set, gap, JSON_SCHEMA_MAX_CODE_POINT);
}

/* Adds the code points of a class, or all others */
void
json_schema_set_add_class(JsonSchemaArena *arena, JsonSchemaSet *set, JsonSchemaClass class, bool negated)
{
	add_ranges(arena, set, classes[class].ranges, classes[class].count, negated);
}

/* Adds the code points whose run's value is one of the wanted, or all others */
static void
add_runs(JsonSchemaArena *arena, JsonSchemaSet *set, const uint32_t *runs, int count,
		 uint32_t wanted, bool wanted_is_bits, bool negated)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		uint32_t	value = RUN_VALUE(runs[i]);
		bool		inside = wanted_is_bits ? (wanted >> value & 1) != 0 : value == wanted;

		if (inside != negated)
			json_schema_set_add(arena, set, RUN_FIRST(runs[i]),
								i + 1 < count ? RUN_FIRST(runs[i + 1]) - 1 : JSON_SCHEMA_MAX_CODE_POINT);
	}
}

/* Adds the code points between the boundaries of a binary property, or all others */
static void
add_boundaries(JsonSchemaArena *arena, JsonSchemaSet *set, const UnicodePropertyName *property, bool negated)
{
	const uint32_t *boundaries = binary_property_boundaries + property->offset;
	uint32_t	gap = 0;
	int			i;

	for (i = 0; i < property->count; i += 2)
	{
		if (!negated)
			json_schema_set_add(arena, set, boundaries[i], boundaries[i + 1] - 1);
		else if (boundaries[i] > gap)
			json_schema_set_add(arena, set, gap, boundaries[i] - 1);
		gap = boundaries[i + 1];
	}
	if (negated && gap <= JSON_SCHEMA_MAX_CODE_POINT)
		json_schema_set_add(arena, set, gap, JSON_SCHEMA_MAX_CODE_POINT);
}

/* Returns whether a text of some length is the given word */
static bool
is_word(const char *text, int length, const char *word)
{
	return strlen(word) == (size_t) length && memcmp(text, word, length) == 0;
}

/* Returns the entry of a name, or NULL */
static const UnicodeName *
find_name(const UnicodeName *names, const char *name, int length)
{
	for (; names->name != NULL; names++)
	{
		if (is_word(name, length, names->name))
			return names;
	}
	return NULL;
}

/* Returns the entry of a binary property, or NULL */
static const UnicodePropertyName *
find_binary_property(const char *name, int length)
{
	const UnicodePropertyName *property;

	for (property = binary_property_names; property->name != NULL; property++)
	{
		if (is_word(name, length, property->name))
			return property;
	}
	return NULL;
}

/* Adds the code points of a general category, or all others; false when there is none of that name */
static bool
add_category(JsonSchemaArena *arena, JsonSchemaSet *set, const char *name, int length, bool negated)
{
	const UnicodeName *category = find_name(general_category_names, name, length);

	if (category == NULL)
		return false;
	add_runs(arena, set, general_category_runs, RUN_COUNT(general_category_runs),
			 category->value, true, negated);
	return true;
}

/* Adds the code points of \p{name} or \p{name=value}, or all others; false when unknown */
bool
json_schema_set_add_property(JsonSchemaArena *arena, JsonSchemaSet *set, const char *name, int name_length,
							 const char *value, int value_length, bool negated)
{
	const JsonSchemaRange any = {0, JSON_SCHEMA_MAX_CODE_POINT};
	const JsonSchemaRange ascii = {0, 0x7F};
	const UnicodePropertyName *property;

	if (value != NULL)
	{
		const UnicodeName *script;

		if (is_word(name, name_length, "General_Category") || is_word(name, name_length, "gc"))
			return add_category(arena, set, value, value_length, negated);
		if (!is_word(name, name_length, "Script") && !is_word(name, name_length, "sc"))
			return false;
		script = find_name(script_names, value, value_length);
		if (script == NULL)
			return false;
		add_runs(arena, set, script_runs, RUN_COUNT(script_runs), script->value, false, negated);
		return true;
	}
	if (add_category(arena, set, name, name_length, negated))
		return true;
	if (is_word(name, name_length, "Assigned"))
		return add_category(arena, set, "Cn", 2, !negated);
	if (is_word(name, name_length, "Any"))
		add_ranges(arena, set, &any, 1, negated);
	else if (is_word(name, name_length, "ASCII"))
		add_ranges(arena, set, &ascii, 1, negated);
	else
	{
		property = find_binary_property(name, name_length);
		if (property == NULL)
			return false;
		add_boundaries(arena, set, property, negated);
	}
	return true;
}

/* Orders ranges by their first code point */
static int
compare_ranges(const void *a, const void *b)
{
	uint32_t	first_a = ((const JsonSchemaRange *) a)->first;
	uint32_t	first_b = ((const JsonSchemaRange *) b)->first;

	return first_a < first_b ? -1 : first_a > first_b;
}

/* Sorts the ranges and joins those that overlap or touch */
void
json_schema_set_normalize(JsonSchemaSet *set)
{
	int			kept = 0;
	int			i;

	if (set->count == 0)
		return;
	qsort(set->ranges, set->count, sizeof(JsonSchemaRange), compare_ranges);
	for (i = 1; i < set->count; i++)
	{
		if (set->ranges[i].first <= set->ranges[kept].last + 1)
		{
			if (set->ranges[i].last > set->ranges[kept].last)
				set->ranges[kept].last = set->ranges[i].last;
		}
		else
			set->ranges[++kept] = set->ranges[i];
	}
	set->count = kept + 1;
}

/* Returns all code points that a normal set leaves out */
JsonSchemaSet
json_schema_set_complement(JsonSchemaArena *arena, const JsonSchemaSet *set)
{
	JsonSchemaSet result = {NULL, 0, 0};

	add_ranges(arena, &result, set->ranges, set->count, true);
	return result;
}

/* Returns whether a normal set holds the code point */
bool
json_schema_set_contains(const JsonSchemaSet *set, uint32_t code)
{
	int			low = 0;
	int			high = set->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (code < set->ranges[middle].first)
			high = middle;
		else if (code > set->ranges[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

/* Returns whether two normal sets share a code point */
bool
json_schema_sets_overlap(const JsonSchemaSet *a, const JsonSchemaSet *b)
{
	int			i = 0;
	int			j = 0;

	while (i < a->count && j < b->count)
	{
		if (a->ranges[i].last < b->ranges[j].first)
			i++;
		else if (b->ranges[j].last < a->ranges[i].first)
			j++;
		else
			return true;
	}
	return false;
}

/* Returns whether two normal sets hold the same code points */
bool
json_schema_sets_equal(const JsonSchemaSet *a, const JsonSchemaSet *b)
{
	return a->count == b->count &&
		(a->count == 0 || memcmp(a->ranges, b->ranges, a->count * sizeof(JsonSchemaRange)) == 0);
}

/* Returns whether a binary property holds the code point */
static bool
has_property(const char *name, uint32_t code)
{
	const UnicodePropertyName *property = find_binary_property(name, (int) strlen(name));
	const uint32_t *boundaries = binary_property_boundaries + property->offset;
	int			low = 0;
	int			high = property->count;

	/* counts the boundaries that are not above the code point */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (boundaries[middle] <= code)
			low = middle + 1;
		else
			high = middle;
	}
	return low % 2 == 1;
}

/* Returns whether the name of a group may start with the code point */
bool
json_schema_starts_identifier(uint32_t code)
{
	return code == '$' || code == '_' || has_property("ID_Start", code);
}

/* Returns whether the name of a group may go on with the code point */
bool
json_schema_continues_identifier(uint32_t code)
{
	return code == '$' || code == 0x200C || code == 0x200D || has_property("ID_Continue", code);
}

/*
 * json_schema_evaluated.c
 *		Sets of members that schemas have looked at, for unevaluatedProperties
 *		and unevaluatedItems.
 */
#include "postgres.h"

#include "compat.h"
#include "json_schema_validate.h"

/* Returns how many words the bits of count members take */
static int
word_count(int count)
{
	return (count + 63) / 64;
}

/* Starts an empty set for an object or array of count members */
void
json_schema_evaluated_start(JsonSchemaEvaluated *evaluated, int count)
{
	int			words = word_count(count);

	evaluated->count = count;
	evaluated->all = false;
	if (words <= (int) lengthof(evaluated->room))
	{
		memset(evaluated->room, 0, sizeof(evaluated->room));
		evaluated->bits = evaluated->room;
	}
	else
		evaluated->bits = palloc0(sizeof(uint64) * words);
}

/* Adds the members of one set to another of the same object or array */
void
json_schema_evaluated_merge(JsonSchemaEvaluated *into, const JsonSchemaEvaluated *from)
{
	int			words = word_count(from->count);
	int			i;

	into->all |= from->all;
	for (i = 0; i < words; i++)
		into->bits[i] |= from->bits[i];
}

/* Frees what a large set needed */
void
json_schema_evaluated_end(JsonSchemaEvaluated *evaluated)
{
	if (evaluated->bits != evaluated->room)
		pfree(evaluated->bits);
}

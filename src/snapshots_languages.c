/*
 * snapshots_languages.c
 *		The languages of a day, numbered, so that rows carry a small number.
 *
 * Number 0 stands for no language, or one that dim_languages does not hold.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "compat.h"
#include "snapshots.h"
#include "util_spi.h"

#define LANGUAGE_BYTES (50 * MAX_MULTIBYTE_CHAR_LEN + 1)

static SpiStep language_step = {
	.sql = "SELECT l.language_key, l.language_name FROM flowlens.dim_languages l",
	.expected = SPI_OK_SELECT
};

/* A language by its name */
typedef struct NamedLanguage
{
	char		name[LANGUAGE_BYTES];	/* hash key */
	int32		number;
} NamedLanguage;

/* Reads all languages; the caller has done SPI_connect() */
void
snapshot_read_languages(SnapshotDay *day)
{
	HASHCTL		info = {.keysize = LANGUAGE_BYTES, .entrysize = sizeof(NamedLanguage), .hcxt = CurrentMemoryContext};
	uint64		count = spi_step_run(&language_step, NULL, NULL);
	uint64		i;

	day->language_numbers = hash_create("languages of a day", 256, &info, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	day->languages = palloc0(sizeof(SnapshotLanguage) * (count + 1));
	day->language_count = (int32) count + 1;
	for (i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		char	   *name = SPI_getvalue(row, tupdesc, 2);
		bool		isnull;
		NamedLanguage *named = hash_search(day->language_numbers, name, HASH_ENTER, NULL);

		named->number = (int32) i + 1;
		day->languages[i + 1].language_key = DatumGetInt64(SPI_getbinval(row, tupdesc, 1, &isnull));
		day->languages[i + 1].is_render = strcmp(name, "render") == 0;
	}
}

/* Returns the number of a language */
int32
snapshot_language_number(const SnapshotDay *day, const text *language)
{
	char		name[LANGUAGE_BYTES];
	NamedLanguage *named;

	if (VARSIZE_ANY_EXHDR(language) >= LANGUAGE_BYTES)
		return 0;
	text_to_cstring_buffer(language, name, sizeof(name));
	named = hash_search(day->language_numbers, name, HASH_FIND, NULL);
	return named == NULL ? 0 : named->number;
}

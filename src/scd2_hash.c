/*
 * scd2_hash.c
 *		Comparing and hashing column values.
 *
 * Values are hashed by their bytes.  Equal bytes are equal values for every
 * type; different bytes may still be equal values (1.0 and 1.00, or text in a
 * case-insensitive collation), so a different hash is always followed by a
 * comparison with the type's own operator.  Only equal hashes are trusted:
 * the chance that two different 64-bit hashes meet is 1 in 2^64 per pair.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "scd2_internal.h"

/* Reads eight bytes at any address */
static inline uint64
read_word(const unsigned char *bytes)
{
	uint64		word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Reads the last bytes, fewer than eight */
static inline uint64
read_tail(const unsigned char *bytes, Size size)
{
	uint64		word = 0;

	memcpy(&word, bytes, size);
	return word;
}

/* Returns a 64-bit hash of some bytes */
uint64
scd2_hash_bytes(const void *data, Size size, uint64 seed)
{
	const unsigned char *bytes = data;
	uint64		state = seed ^ scd2_fold(size ^ SCD2_MULTIPLIER_1, SCD2_MULTIPLIER_2);

	while (size >= 16)
	{
		state = scd2_fold(read_word(bytes) ^ SCD2_MULTIPLIER_3, read_word(bytes + 8) ^ state);
		state ^= SCD2_MULTIPLIER_2;
		bytes += 16;
		size -= 16;
	}
	if (size >= 8)
		state = scd2_fold(read_word(bytes) ^ SCD2_MULTIPLIER_4, read_tail(bytes + 8, size - 8) ^ state);
	else
		state = scd2_fold(read_tail(bytes, size) ^ SCD2_MULTIPLIER_3, state ^ SCD2_MULTIPLIER_4);
	return scd2_fold(state ^ SCD2_MULTIPLIER_1, SCD2_MULTIPLIER_4 ^ seed);
}

/* Returns a 64-bit hash of a value that is not NULL */
uint64
scd2_hash_value(Datum value, int16 typlen, bool typbyval, uint64 seed)
{
	uint64		hash;

	if (typbyval)
	{
		uint64		word = (uint64) value;

		/* bits beyond the type's length carry nothing */
		if (typlen < 8)
			word &= (UINT64CONST(1) << (typlen * 8)) - 1;
		return scd2_hash_bytes(&word, sizeof(word), seed);
	}
	if (typlen > 0)
		return scd2_hash_bytes(DatumGetPointer(value), typlen, seed);
	if (typlen == -2)
		return scd2_hash_bytes(DatumGetCString(value), strlen(DatumGetCString(value)), seed);
	else
	{
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);

		hash = scd2_hash_bytes(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed), seed);
		if ((Pointer) packed != DatumGetPointer(value))
			pfree(packed);
		return hash;
	}
}

/*
 * Adds up the hashes of the tracked columns, each salted with its name.  A
 * NULL adds nothing, so that a column added later changes only the hashes of
 * rows where it has a value.  The order of the columns does not matter.
 */
int64
scd2_hash_tracked(Scd2Merge *merge, Datum *values, bool *nulls)
{
	uint64		sum = 0;
	int			i;

	for (i = 0; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];

		if (column->role == SCD2_TRACKED && !nulls[i])
			sum += scd2_hash_value(values[i], column->typlen, column->typbyval, column->name_hash);
	}
	return (int64) sum;
}

/* Decides whether two values are equal; NULLs are equal to each other */
bool
scd2_values_equal(Scd2Column *column, Datum left, bool left_null, Datum right, bool right_null)
{
	if (left_null || right_null)
		return left_null && right_null;
	if (datum_image_eq(left, right, column->typbyval, column->typlen))
		return true;
	if (column->image_is_equality || !OidIsValid(column->eq_operator))
		return false;
	return DatumGetBool(FunctionCall2Coll(&column->eq_function, column->collation, left, right));
}

PG_FUNCTION_INFO_V1(flowlens_scd2_row_hash);

/* Computes the row hash of values and their column names, as the merge does */
Datum
flowlens_scd2_row_hash(PG_FUNCTION_ARGS)
{
	Datum	   *values;
	bool	   *nulls;
	Oid		   *types;
	Datum	   *names;
	bool	   *name_nulls;
	int			nnames;
	int			nvalues = extract_variadic_args(fcinfo, 1, true, &values, &types, &nulls);
	uint64		sum = 0;
	int			i;

	if (PG_ARGISNULL(0) || nvalues < 0)
		PG_RETURN_NULL();
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &names, &name_nulls, &nnames);
	if (nnames != nvalues)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scd2_row_hash needs one value per column name"),
				 errdetail("There are %d names and %d values.", nnames, nvalues)));
	for (i = 0; i < nvalues; i++)
	{
		char	   *name;
		int16		typlen;
		bool		typbyval;

		if (name_nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("column names must not be NULL")));
		if (nulls[i])
			continue;
		name = NameStr(*DatumGetName(names[i]));
		get_typlenbyval(types[i], &typlen, &typbyval);
		sum += scd2_hash_value(values[i], typlen, typbyval, scd2_hash_bytes(name, strlen(name), 0));
	}
	PG_RETURN_INT64((int64) sum);
}

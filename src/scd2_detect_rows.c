/*
 * scd2_detect_rows.c
 *		Reading rows of source and target: where the columns are, and their hashes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "scd2_detect.h"

/* Tells whether the value hash covers a column */
static inline bool
is_hashed(Scd2Detector *detector, Scd2Column *column)
{
	if (column->keep_on_null)
		return false;
	return column->role == SCD2_UNTRACKED || (column->role == SCD2_TRACKED && !detector->by_row_hash);
}

/* Counts the columns that the value hash covers, and notes whether NULL may mean "not observed" */
void
scd2_count_hashed_columns(Scd2Detector *detector)
{
	Scd2Merge  *merge = detector->merge;
	int			i;

	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		detector->nhashed += is_hashed(detector, &merge->columns[i]);
		detector->keeps |= merge->columns[i].keep_on_null;
	}
}

/* Collects the columns that the value hash covers, once it is known where they are */
static void
collect_hashed_columns(Scd2Detector *detector, Scd2Layout *layout)
{
	Scd2Merge  *merge = detector->merge;
	Scd2HashedColumn *hashed = palloc(detector->nhashed * sizeof(Scd2HashedColumn));
	int			i;

	layout->hashed = hashed;
	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];

		if (!is_hashed(detector, column))
			continue;
		hashed->index = layout->data[i] - 1;
		hashed->typlen = column->typlen;
		hashed->typbyval = column->typbyval;
		hashed++;
	}
}

/* Returns where a column of the target is in a leaf relation; 0 stays 0 */
static AttrNumber
attno_in_leaf(Scd2Merge *merge, Relation leaf, AttrNumber attno)
{
	if (attno == 0)
		return 0;
	return get_attnum(RelationGetRelid(leaf), NameStr(TupleDescAttr(merge->target_desc, attno - 1)->attname));
}

/* Lays out the rows of a leaf relation */
void
scd2_lay_out_leaf(Scd2Detector *detector, Relation leaf, Scd2Layout *layout)
{
	Scd2Merge  *merge = detector->merge;
	int			i;

	layout->from = attno_in_leaf(merge, leaf, merge->from_attno);
	layout->to = attno_in_leaf(merge, leaf, merge->to_attno);
	layout->current = attno_in_leaf(merge, leaf, merge->current_attno);
	layout->hash = attno_in_leaf(merge, leaf, merge->hash_attno);
	layout->last = Max(Max(layout->from, layout->to), layout->current);
	if (detector->by_row_hash)
		layout->last = Max(layout->last, layout->hash);
	layout->data = palloc0(merge->ncolumns * sizeof(AttrNumber));
	for (i = 0; i < merge->ncolumns; i++)
	{
		layout->data[i] = attno_in_leaf(merge, leaf, merge->columns[i].target_attno);
		if (i < merge->nkeys || is_hashed(detector, &merge->columns[i]))
			layout->last = Max(layout->last, layout->data[i]);
	}
	collect_hashed_columns(detector, layout);
}

/* Returns where a column of the source's row type is in the table, which may have dropped columns */
static AttrNumber
attno_in_table(Scd2Merge *merge, AttrNumber attno)
{
	if (attno == 0)
		return 0;
	return get_attnum(merge->request->source, NameStr(TupleDescAttr(merge->source_desc, attno - 1)->attname));
}

/* Lays out the rows of the source: its own, or those of the stream */
void
scd2_lay_out_source(Scd2Detector *detector, bool scannable)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	int			i;

	layout->at = scannable ? attno_in_table(merge, merge->source_at) : SCD2_SOURCE_AT;
	layout->deleted = scannable ? attno_in_table(merge, merge->source_deleted) : SCD2_SOURCE_DELETED;
	layout->hash = scannable ? attno_in_table(merge, merge->source_hash) : SCD2_SOURCE_HASH;
	layout->data = palloc0(merge->ncolumns * sizeof(AttrNumber));
	layout->last = Max(Max(layout->at, layout->deleted), layout->hash);
	for (i = 0; i < merge->ncolumns; i++)
	{
		layout->data[i] = scannable ? attno_in_table(merge, merge->columns[i].source_attno) :
			merge->stream_attno[i];
		layout->last = Max(layout->last, layout->data[i]);
	}
	collect_hashed_columns(detector, layout);
}

/* Draws the random numbers of a merge */
void
scd2_choose_secret(Scd2Secret *secret)
{
	secret->word = pg_prng_uint64(&pg_global_prng_state);
	secret->state = pg_prng_uint64(&pg_global_prng_state);
	secret->length = pg_prng_uint64(&pg_global_prng_state) | 1;
	secret->null = pg_prng_uint64(&pg_global_prng_state);
}

/* Reads eight bytes at any address */
static inline uint64
read_word(const unsigned char *bytes)
{
	uint64		word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Reads four bytes at any address */
static inline uint64
read_half(const unsigned char *bytes)
{
	uint32		half;

	memcpy(&half, bytes, sizeof(half));
	return half;
}

/*
 * Adds a word to a hash.  Both factors hide a random number: who does not know
 * them cannot make one zero, which would forget what was hashed before.
 */
static inline uint64
hash_word(const Scd2Secret *secret, uint64 word, uint64 hash)
{
	return scd2_fold(word ^ secret->word, hash ^ secret->state);
}

/*
 * Adds some bytes to a hash, sixteen at a time.  The last step reads the last
 * sixteen, whether or not some of them were read before; of fewer, the first
 * and the last ones.  The length tells those cases apart.
 */
static inline uint64
hash_bytes(const Scd2Secret *secret, const unsigned char *bytes, Size size, uint64 hash)
{
	uint64		length = size * secret->length;
	uint64		first = 0;
	uint64		last = 0;

	if (size >= 16)
	{
		const unsigned char *end = bytes + size - 16;

		for (; bytes < end; bytes += 16)
			hash = scd2_fold(read_word(bytes) ^ secret->word, read_word(bytes + 8) ^ hash);
		first = read_word(end);
		last = read_word(end + 8);
	}
	else if (size >= 8)
	{
		first = read_word(bytes);
		last = read_word(bytes + size - 8);
	}
	else if (size >= 4)
	{
		first = read_half(bytes);
		last = read_half(bytes + size - 4);
	}
	else if (size > 0)
		first = (uint64) bytes[0] << 16 | (uint64) bytes[size / 2] << 8 | bytes[size - 1];
	return scd2_fold(first ^ secret->word, last ^ hash ^ secret->state) ^ length;
}

/* Adds a value to a hash that is compressed, or stored elsewhere */
static uint64
hash_toasted(const Scd2Secret *secret, Datum value, uint64 hash)
{
	struct varlena *whole = PG_DETOAST_DATUM_PACKED(value);

	hash = hash_bytes(secret, (unsigned char *) VARDATA_ANY(whole), VARSIZE_ANY_EXHDR(whole), hash);
	pfree(whole);
	return hash;
}

/* Adds a value to a hash by its bytes */
static inline uint64
hash_value(const Scd2Secret *secret, Datum value, int16 typlen, bool typbyval, uint64 hash)
{
	const unsigned char *bytes = (const unsigned char *) DatumGetPointer(value);
	Size		size;

	if (typbyval)
		return hash_word(secret, (uint64) value, hash);
	if (typlen != -1)
		size = typlen > 0 ? (Size) typlen : strlen(DatumGetCString(value));
	else if (VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes))
		return hash_toasted(secret, value, hash);
	else
	{
		size = VARSIZE_ANY_EXHDR(bytes);
		bytes = (const unsigned char *) VARDATA_ANY(bytes);
	}
	return hash_bytes(secret, bytes, size, hash);
}

/* Hashes the key of a row so that equal keys have equal hashes */
uint64
scd2_hash_key(Scd2Detector *detector, Scd2Layout *layout, HeapRow *row)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Secret *secret = &detector->secret;
	uint64		hash = secret->null;
	int			i;

	for (i = 0; i < merge->nkeys; i++)
	{
		Scd2Column *column = &merge->columns[i];
		Datum		value = row->values[layout->data[i] - 1];

		if (!column->image_is_equality)
			hash = hash_word(secret, DatumGetUInt64(FunctionCall2Coll(&column->hash_function, column->collation, value,
																	  Int64GetDatum((int64) hash))), hash);
		else
			hash = hash_value(secret, value, column->typlen, column->typbyval, hash);
	}
	/* its place in the table is taken from the high bits, so those have to depend on everything */
	return scd2_fold(hash ^ secret->state, secret->length);
}

/* Hashes the compared columns of a row by their bytes */
static uint64
hash_values(Scd2Detector *detector, Scd2Layout *layout, HeapRow *row)
{
	Scd2Secret *secret = &detector->secret;
	uint64		hash = secret->null;
	int			i;

	for (i = 0; i < detector->nhashed; i++)
	{
		Scd2HashedColumn column = layout->hashed[i];

		if (row->nulls[column.index])
			hash = scd2_fold(hash ^ secret->null, secret->length);
		else
			hash = hash_value(secret, row->values[column.index], column.typlen, column.typbyval, hash);
	}
	return hash;
}

/* Returns the row hash that a row of the source brings, or the one its values have */
static uint64
source_row_hash(Scd2Detector *detector, HeapRow *row)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	uint64		sum = 0;
	int			i;

	if (layout->hash != 0 && !row->nulls[layout->hash - 1])
		return (uint64) DatumGetInt64(row->values[layout->hash - 1]);
	for (i = merge->nkeys; i < merge->ncolumns; i++)
	{
		Scd2Column *column = &merge->columns[i];
		int			at = layout->data[i] - 1;

		if (column->role == SCD2_TRACKED && !row->nulls[at])
			sum += scd2_hash_value(row->values[at], column->typlen, column->typbyval, column->name_hash);
	}
	return sum;
}

/* Reads one version of the target */
void
scd2_read_version(Scd2Detector *detector, HeapRow *row, ItemPointer tid, int leaf)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->layouts[leaf];
	Datum	   *values = row->values;
	bool	   *nulls = row->nulls;
	Scd2Arrival	arrival;
	int			i;

	if (nulls[layout->current - 1] || !DatumGetBool(values[layout->current - 1]))
	{
		if (!nulls[layout->to - 1])
			detector->latest_to = Max(detector->latest_to, DatumGetTimestampTz(values[layout->to - 1]));
		return;
	}
	for (i = 0; i < merge->nkeys; i++)
	{
		if (nulls[layout->data[i] - 1])
			return;				/* no observation can meet it */
	}
	arrival.key_hash = scd2_hash_key(detector, layout, row);
	arrival.row_hash = arrival.key_hash + hash_values(detector, layout, row);
	if (detector->by_row_hash)
	{
		/* without a stored hash nothing matches, and the values are compared */
		arrival.row_hash += nulls[layout->hash - 1] ? detector->secret.word : (uint64) DatumGetInt64(values[layout->hash - 1]);
	}
	arrival.valid_from = nulls[layout->from - 1] ? DT_NOBEGIN : DatumGetTimestampTz(values[layout->from - 1]);
	arrival.place = scd2_number_of_place(detector, leaf, tid);
	detector->latest_from = Max(detector->latest_from, arrival.valid_from);
	scd2_add_pending(detector, &arrival);
}

/* Checks and hashes a row of the source */
void
scd2_prepare_probe(Scd2Detector *detector, Scd2Probe *probe, HeapRow *row)
{
	Scd2Merge  *merge = detector->merge;
	Scd2Layout	   *layout = &detector->source;
	int			i;

	for (i = 0; i < merge->nkeys; i++)
	{
		if (row->nulls[layout->data[i] - 1])
			scd2_null_key_error(merge, i);
	}
	probe->at = merge->request->valid_at;
	if (layout->at != 0 && !row->nulls[layout->at - 1])
	{
		probe->at = DatumGetTimestampTz(row->values[layout->at - 1]);
		scd2_check_time(merge, probe->at);
	}
	probe->deleted = layout->deleted != 0 && !row->nulls[layout->deleted - 1] &&
		DatumGetBool(row->values[layout->deleted - 1]);
	probe->certain = true;
	for (i = merge->nkeys; i < merge->ncolumns && detector->keeps; i++)
	{
		if (merge->columns[i].keep_on_null && !row->nulls[layout->data[i] - 1])
			probe->certain = false;
	}
	probe->key_hash = scd2_hash_key(detector, layout, row);
	probe->row_hash = probe->key_hash + hash_values(detector, layout, row);
	if (detector->by_row_hash)
		probe->row_hash += source_row_hash(detector, row);
	merge->source_rows++;
}

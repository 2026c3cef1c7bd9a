/*
 * scd2_internal.h
 *		What the files of the SCD type 2 merge share.
 *
 * A merge goes through these stations:
 *
 *	scd2.c			arguments, the lock, the order of the steps
 *	scd2_target.c	catalog checks, matching of columns
 *	scd2_source.c	the observations as a stream of rows
 *	scd2_hash.c		hash functions over column values
 *	scd2_detect*.c	which observations change something: hash table in memory
 *	scd2_join.c		the same by a join in SQL
 *	scd2_delta.c	the observations that were found to change something
 *	scd2_history.c	observations that belong before what is known
 *	scd2_history_write.c	writing the histories it rebuilt
 *	scd2_apply.c	writing: a handful of set-based statements
 *	scd2_sql.c		pieces of generated SQL, relations in memory
 *	scd2_trigger.c	the trigger variant
 */
#ifndef FLOWLENS_SCD2_INTERNAL_H
#define FLOWLENS_SCD2_INTERNAL_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "storage/itemptr.h"
#include "tcop/dest.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "scd2.h"

/* What a data column means to the merge */
typedef enum Scd2Role
{
	SCD2_KEY,					/* identifies the thing that has a history */
	SCD2_TRACKED,				/* a change makes a version */
	SCD2_UNTRACKED,				/* a change is written in place */
	SCD2_CARRIED				/* never compared, copied into new versions */
} Scd2Role;

/* A column of the target that the merge writes */
typedef struct Scd2Column
{
	NameData	name;
	Scd2Role	role;
	AttrNumber	target_attno;
	AttrNumber	source_attno;	/* in the source's own row type; 0: not there */
	bool		keep_on_null;

	/* type, the same on both sides */
	Oid			type;
	int32		typmod;			/* of the target */
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	bool		coerce;			/* the source has to be cast to typmod */

	/* comparison */
	Oid			eq_operator;	/* InvalidOid: compared by binary image */
	FmgrInfo	eq_function;
	bool		image_is_equality;	/* equal values have equal bytes */
	FmgrInfo	hash_function;	/* used for keys where image_is_equality is false */
	uint64		name_hash;		/* so that a row hash knows which column it read */
} Scd2Column;

/* Columns that stand before the data columns in rows of the source stream */
#define SCD2_SOURCE_AT			1
#define SCD2_SOURCE_DELETED		2
#define SCD2_SOURCE_HASH		3
#define SCD2_SOURCE_FIXED		3

/* ... and in rows of the delta */
#define SCD2_DELTA_ACTION		1
#define SCD2_DELTA_RELATION		2	/* leaf relation and place of the current version */
#define SCD2_DELTA_TID			3
#define SCD2_DELTA_FROM			4	/* its valid_from */
#define SCD2_DELTA_AT			5
#define SCD2_DELTA_DELETED		6
#define SCD2_DELTA_HASH			7
#define SCD2_DELTA_FIXED		7

/* What an observation asks for */
#define SCD2_INSERT		'i'		/* open a first version, or one after a gap */
#define SCD2_VERSION	'v'		/* close the current version, open the next */
#define SCD2_CLOSE		'c'		/* close the current version */
#define SCD2_MISSING	'm'		/* the same for a key that the source lacks */
#define SCD2_IN_PLACE	'p'		/* write untracked columns */
#define SCD2_HISTORY	'h'		/* rebuild the history of the key */
#define SCD2_HISTORY_MISSING 'n'	/* the same for a key that the source lacks */

/* State of one merge */
typedef struct Scd2Merge
{
	const Scd2Request *request;
	Scd2Counts *counts;
	MemoryContext context;		/* lives as long as the merge */
	struct Scd2Merge *outer;	/* the merge that this one runs within, or NULL */

	/* target */
	char	   *target;			/* qualified and quoted */
	const char *versions;		/* where its versions are read: the target, or a copy of those that matter */
	const char *noted;			/* the same for times of observation */
	TupleDesc	target_desc;
	List	   *leaves;			/* relations that hold the rows; NIL unless local */
	bool		local;			/* heap tables of this server, so rows have a ctid */
	bool		scannable;		/* a scan below SQL gives what the user may see */
	bool		override_identity;	/* writes an identity column */
	AttrNumber	from_attno;
	AttrNumber	to_attno;
	AttrNumber	current_attno;
	AttrNumber	hash_attno;		/* InvalidAttrNumber: the target has none */
	AttrNumber	deleted_attno;	/* InvalidAttrNumber: the target has none */

	/* columns: keys first, in the order given, then in the target's order */
	Scd2Column *columns;
	int			ncolumns;
	int			nkeys;

	/* source */
	TupleDesc	source_desc;	/* its own row type */
	AttrNumber	source_at;		/* attribute numbers in source_desc, or 0 */
	AttrNumber	source_deleted;
	AttrNumber	source_hash;
	TupleDesc	stream_desc;	/* fixed columns, then one per column with a source */
	AttrNumber *stream_attno;	/* per data column; 0: carried */
	double		source_estimate;	/* the planner's number of rows */
	int64		source_rows;

	bool		forward;		/* no time of observation is later than this merge's */

	/* observations that change something */
	TupleDesc	delta_desc;
	Tuplestorestate *delta;
	const char *delta_name;		/* how SQL calls it */
	int64		actions[256];	/* rows in the delta per action */
} Scd2Merge;

/* Takes a row; returns false to end the query early */
typedef bool (*Scd2RowHandler) (void *state, TupleTableSlot *slot);

/* scd2_target.c */
extern void scd2_open_target(Scd2Merge *merge);
extern void scd2_match_columns(Scd2Merge *merge);
extern void scd2_check_snapshot(Scd2Merge *merge);
extern bool scd2_is_heap(Oid relation);

/* scd2_source.c */
extern void scd2_describe_source(Scd2Merge *merge);
extern void scd2_stream_source(Scd2Merge *merge, Scd2RowHandler handler, void *state);
extern void scd2_check_time(Scd2Merge *merge, TimestampTz at);
pg_noreturn extern void scd2_null_key_error(Scd2Merge *merge, int column);
pg_noreturn extern void scd2_duplicate_key_error(Scd2Merge *merge, Datum *values);
pg_noreturn extern void scd2_two_currents_error(Scd2Merge *merge, Datum *values);

/* scd2_hash.c */

/* Odd constants with evenly spread bits: digits of the square roots of 2, 3, 5 and 7 */
#define SCD2_MULTIPLIER_1	UINT64CONST(0x6a09e667f3bcc909)
#define SCD2_MULTIPLIER_2	UINT64CONST(0xbb67ae8584caa73b)
#define SCD2_MULTIPLIER_3	UINT64CONST(0x3c6ef372fe94f82b)
#define SCD2_MULTIPLIER_4	UINT64CONST(0xa54ff53a5f1d36f1)

/* Multiplies two words; returns the low half of the product, and the high half apart */
static inline uint64
scd2_multiply(uint64 a, uint64 b, uint64 *high)
{
#ifdef HAVE_INT128
	uint128		product = (uint128) a * b;

	*high = (uint64) (product >> 64);
	return (uint64) product;
#else
	uint64		low_low = (a & 0xffffffff) * (b & 0xffffffff);
	uint64		low_high = (a & 0xffffffff) * (b >> 32);
	uint64		high_low = (a >> 32) * (b & 0xffffffff);
	uint64		middle = (low_low >> 32) + (low_high & 0xffffffff) + (high_low & 0xffffffff);

	*high = (a >> 32) * (b >> 32) + (low_high >> 32) + (high_low >> 32) + (middle >> 32);
	return (middle << 32) | (low_low & 0xffffffff);
#endif
}

/* Mixes two words: both halves of their product */
static inline uint64
scd2_fold(uint64 a, uint64 b)
{
	uint64		high;
	uint64		low = scd2_multiply(a, b, &high);

	return low ^ high;
}

/* Adds a word to a hash */
static inline uint64
scd2_hash_word(uint64 word, uint64 hash)
{
	return scd2_fold(word ^ SCD2_MULTIPLIER_1, hash ^ SCD2_MULTIPLIER_2) + SCD2_MULTIPLIER_3;
}

/* Maps a hash to [0, size) */
static inline uint64
scd2_scale_hash(uint64 hash, uint64 size)
{
	uint64		high;

	(void) scd2_multiply(hash, size, &high);
	return high;
}

extern uint64 scd2_hash_bytes(const void *data, Size size, uint64 seed);
extern uint64 scd2_hash_value(Datum value, int16 typlen, bool typbyval, uint64 seed);
extern int64 scd2_hash_tracked(Scd2Merge *merge, Datum *values, bool *nulls);
extern bool scd2_values_equal(Scd2Column *column, Datum left, bool left_null, Datum right, bool right_null);

/* scd2_detect.c */
extern bool scd2_detect_by_hash(Scd2Merge *merge);
extern void scd2_detect_init(void);

/* scd2_join.c */
extern void scd2_detect_by_join(Scd2Merge *merge);

/* scd2_delta.c */
extern void scd2_create_delta(Scd2Merge *merge);
extern void scd2_put_delta(Scd2Merge *merge, Datum *values, bool *nulls);
extern bool scd2_put_delta_slot(void *merge, TupleTableSlot *slot);

/* scd2_apply.c */
extern void scd2_apply_delta(Scd2Merge *merge);
extern void scd2_check_written(Scd2Merge *merge, uint64 written, int64 expected);
extern void scd2_append_insert(StringInfo sql, Scd2Merge *merge, const char *from, const char *to,
							   const char *deleted);
extern void scd2_log_observations(Scd2Merge *merge, const char *source);

/* scd2_history.c */
extern void scd2_rebuild_histories(Scd2Merge *merge);

/* scd2_sql.c */
extern char *scd2_qualified_name(Oid relation);
extern char *scd2_operator_name(Oid operator_oid);
extern void scd2_append_keys_equal(StringInfo sql, Scd2Merge *merge, const char *left, const char *right,
								   bool right_is_numbered);
extern void scd2_append_distinct(StringInfo sql, Scd2Column *column, const char *left, const char *right);
extern const char *scd2_column_name(Scd2Column *column);
extern const char *scd2_control_name(const char *name);
extern void scd2_append_key_list(StringInfo sql, Scd2Merge *merge, const char *prefix);
extern const char *scd2_publish(Scd2Merge *merge, const char *name, TupleDesc desc, Tuplestorestate *store,
								double rows);
extern void scd2_withdraw(Scd2Merge *merge, const char *name);
extern uint64 scd2_rows_written(int result, int expected);
extern uint64 scd2_execute(const char *sql, int nargs, Oid *types, Datum *values, int expected);
extern void scd2_query(const char *sql, int nargs, Oid *types, Datum *values, Scd2RowHandler handler, void *state);

#endif							/* FLOWLENS_SCD2_INTERNAL_H */

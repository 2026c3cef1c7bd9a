/*
 * json_schema_cache.c
 *		Compiled JSON Schemas of this backend.
 *
 * A program is never stored with its schema: it is compiled when it is first
 * needed and kept in a small cache, from which the least recently used one
 * goes.  Who uses a program pins it until the user's memory context ends.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "nodes/primnodes.h"
#include "utils/memutils.h"

#include "compat.h"
#include "json_schema_cache.h"
#include "json_schema_compile.h"

/* What the cache may hold; pinned programs stay whatever happens */
#define CACHE_PROGRAMS	64
#define CACHE_BYTES		(64 * 1024 * 1024)

/* How much of a schema is hashed */
#define SAMPLES			16
#define SAMPLE_BYTES	64

typedef struct CacheEntry
{
	dlist_node	node;			/* in use order, most recent first */
	uint32		hash;
	Jsonb	   *schema;
	JsonSchemaProgram *program;
	MemoryContext context;		/* holds all of this */
	Size		size;
	int			pins;
	bool		cached;			/* false: dropped from the cache, but pinned */
} CacheEntry;

/* A pin, released by its memory context */
typedef struct Pin
{
	MemoryContextCallback callback;
	CacheEntry *entry;
} Pin;

static dlist_head entries = DLIST_STATIC_INIT(entries);
static int	entry_count = 0;
static Size entry_bytes = 0;

/* Compares two schemas as stored */
static bool
same_schema(const CacheEntry *entry, const Jsonb *schema, uint32 hash)
{
	return entry->hash == hash && VARSIZE(entry->schema) == VARSIZE(schema) &&
		memcmp(entry->schema, schema, VARSIZE(schema)) == 0;
}

/*
 * Hashes a schema by its size and samples of it: the whole is compared anyway,
 * and hashing all of a large schema would cost more than validating with it.
 */
static uint32
hash_schema(const Jsonb *schema)
{
	const unsigned char *bytes = (const unsigned char *) schema;
	Size		size = VARSIZE(schema);
	uint32		hash = hash_bytes_uint32((uint32) size);
	int			i;

	if (size <= SAMPLES * SAMPLE_BYTES)
		return hash_combine(hash, hash_bytes(bytes, size));
	for (i = 0; i < SAMPLES; i++)
		hash = hash_combine(hash, hash_bytes(bytes + (size - SAMPLE_BYTES) / (SAMPLES - 1) * i,
											 SAMPLE_BYTES));
	return hash;
}

/* Takes an entry out of the cache, and frees it unless somebody uses it */
static void
drop_entry(CacheEntry *entry)
{
	dlist_delete(&entry->node);
	entry_count--;
	entry_bytes -= entry->size;
	entry->cached = false;
	if (entry->pins == 0)
		MemoryContextDelete(entry->context);
}

/* Makes room, least recently used programs first, keeping the newest */
static void
shrink_cache(void)
{
	while (entry_count > 1 && (entry_count > CACHE_PROGRAMS || entry_bytes > CACHE_BYTES))
		drop_entry(dlist_container(CacheEntry, node, dlist_tail_node(&entries)));
}

/* Compiles a schema and puts it into the cache */
static CacheEntry *
add_entry(const Jsonb *schema, uint32 hash)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "JSON schema program",
												  ALLOCSET_DEFAULT_SIZES);
	JsonSchemaOptions options = {.assert_formats = -1};
	CacheEntry *entry = MemoryContextAllocZero(context, sizeof(CacheEntry));

	entry->context = context;
	entry->hash = hash;
	entry->schema = MemoryContextAlloc(context, VARSIZE(schema));
	memcpy(entry->schema, schema, VARSIZE(schema));
	entry->program = json_schema_compile(entry->schema, &options, context);
	/* until here an error frees everything with the caller's context */
	MemoryContextSetParent(context, TopMemoryContext);
	entry->size = MemoryContextMemAllocated(context, true);
	entry->cached = true;
	dlist_push_head(&entries, &entry->node);
	entry_count++;
	entry_bytes += entry->size;
	return entry;
}

/* Ends a pin */
static void
release_pin(void *argument)
{
	CacheEntry *entry = ((Pin *) argument)->entry;

	entry->pins--;
	if (entry->pins == 0 && !entry->cached)
		MemoryContextDelete(entry->context);
}

/* Keeps an entry alive until a memory context ends */
static void
pin_entry(CacheEntry *entry, MemoryContext owner)
{
	Pin		   *pin = MemoryContextAlloc(owner, sizeof(Pin));

	pin->entry = entry;
	pin->callback.func = release_pin;
	pin->callback.arg = pin;
	MemoryContextRegisterResetCallback(owner, &pin->callback);
	entry->pins++;
}

/* Returns the program of a schema, compiled or from the cache, pinned by owner */
JsonSchemaProgram *
json_schema_acquire(const Jsonb *schema, MemoryContext owner)
{
	uint32		hash = hash_schema(schema);
	CacheEntry *found = NULL;
	dlist_iter	iterator;

	dlist_foreach(iterator, &entries)
	{
		CacheEntry *entry = dlist_container(CacheEntry, node, iterator.cur);

		if (same_schema(entry, schema, hash))
		{
			found = entry;
			break;
		}
	}
	if (found != NULL)
		dlist_move_head(&entries, &found->node);
	else
		found = add_entry(schema, hash);
	pin_entry(found, owner);
	shrink_cache();
	return found->program;
}

/* How many schemas one call site tells apart without detoasting them */
#define CALL_SCHEMAS	64

/* A schema that a call site has seen */
typedef struct CallSchema
{
	struct varlena *datum;		/* as it came, perhaps compressed or a TOAST pointer */
	JsonSchemaProgram *program;
	MemoryContext context;		/* holds the datum and the pin of the program */
} CallSchema;

/* What one call site of a function keeps in fn_extra */
typedef struct CallSite
{
	bool		constant;		/* the schema is a literal: never compare */
	int			count;
	CallSchema	schemas[CALL_SCHEMAS];	/* most recently used first */
} CallSite;

/* Says whether an argument of the call is a literal of the statement */
static bool
argument_is_literal(FmgrInfo *flinfo, int number)
{
	List	   *arguments = NIL;

	/* a parameter is no literal: PL/pgSQL changes its value between calls */
	if (flinfo->fn_expr != NULL && IsA(flinfo->fn_expr, FuncExpr))
		arguments = ((FuncExpr *) flinfo->fn_expr)->args;
	return number < list_length(arguments) && IsA(list_nth(arguments, number), Const);
}

/* Compares two schemas as they came; a difference may only be one of storage */
static bool
same_datum(const struct varlena *a, const struct varlena *b)
{
	/* what only points into memory may have changed behind the pointer */
	if (VARATT_IS_EXTERNAL(a) && !VARATT_IS_EXTERNAL_ONDISK(a))
		return false;
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/* Returns the call site's state, made when it is called first */
static CallSite *
call_site(FmgrInfo *flinfo, int number)
{
	CallSite   *site = flinfo->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(CallSite));
		site->constant = argument_is_literal(flinfo, number);
		flinfo->fn_extra = site;
	}
	return site;
}

/* Puts a schema in front of those that the call site has seen, from a position */
static void
move_to_front(CallSite *site, int position)
{
	CallSchema	schema = site->schemas[position];

	memmove(site->schemas + 1, site->schemas, sizeof(CallSchema) * position);
	site->schemas[0] = schema;
}

/* Compiles or finds the program of a schema that is new to the call site */
static CallSchema
add_call_schema(FmgrInfo *flinfo, struct varlena *datum)
{
	CallSchema	added;
	Jsonb	   *schema = (Jsonb *) PG_DETOAST_DATUM(PointerGetDatum(datum));

	added.context = AllocSetContextCreate(flinfo->fn_mcxt, "JSON schema of a call",
										  ALLOCSET_SMALL_SIZES);
	added.program = json_schema_acquire(schema, added.context);
	added.datum = MemoryContextAlloc(added.context, VARSIZE_ANY(datum));
	memcpy(added.datum, datum, VARSIZE_ANY(datum));
	if ((void *) schema != (void *) datum)
		pfree(schema);
	return added;
}

/*
 * Returns the program for a schema argument of a function.
 *
 * The same call usually gets one schema for all rows, or a few in turn.
 * Comparing them as they came, still compressed or as TOAST pointers, saves
 * detoasting them.
 */
JsonSchemaProgram *
json_schema_for_call(FunctionCallInfo fcinfo, int number)
{
	struct varlena *datum = (struct varlena *) PG_GETARG_POINTER(number);
	CallSite   *site = call_site(fcinfo->flinfo, number);
	CallSchema	added;
	int			i;

	if (site->constant && site->count > 0)
		return site->schemas[0].program;
	for (i = 0; i < site->count; i++)
	{
		if (!same_datum(datum, site->schemas[i].datum))
			continue;
		if (i > 0)
			move_to_front(site, i);
		return site->schemas[0].program;
	}
	added = add_call_schema(fcinfo->flinfo, datum);
	if (site->count == CALL_SCHEMAS)
		MemoryContextDelete(site->schemas[--site->count].context);
	site->schemas[site->count++] = added;
	move_to_front(site, site->count - 1);
	return added.program;
}

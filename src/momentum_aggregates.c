/*
 * momentum_aggregates.c
 *		Aggregates over the history of a repository: star_momentum,
 *		momentum_state and push_activity.
 *
 * Rows may come in any order and from parallel workers; a row with a NULL
 * argument or outside the window counts for nothing.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "momentum.h"
#include "momentum_functions.h"
#include "util_days.h"

/* Returns the memory in which the state of an aggregate lives */
static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "momentum aggregate function called in non-aggregate context");
	return context;
}

/* Returns the state argument or NULL */
static MomentumSlots *
slots_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : (MomentumSlots *) PG_GETARG_POINTER(argument);
}

/* Makes a state without observations */
static MomentumSlots *
make_slots(FunctionCallInfo fcinfo, DateADT as_of, bool floating)
{
	MomentumSlots *slots = MemoryContextAlloc(aggregate_context(fcinfo), momentum_slots_size(false));

	momentum_slots_init(slots, as_of, floating);
	return slots;
}

/* Adds an observation and returns the state, which moves when it is widened */
static MomentumSlots *
add_observation(FunctionCallInfo fcinfo, MomentumSlots *slots, DateADT day, int64 stars)
{
	MomentumSlots *wide;

	if (momentum_slots_add(slots, day, stars))
		return slots;
	wide = MemoryContextAlloc(aggregate_context(fcinfo), momentum_slots_size(true));
	momentum_slots_widen(slots, wide);
	pfree(slots);
	(void) momentum_slots_add(wide, day, stars);
	return wide;
}

/* Raises an error unless both days are the same */
static void
check_same_as_of(DateADT known, DateADT given)
{
	if (known != given)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of must be the same in all rows of a group")));
}

/* Returns what a transition function returns: the state, or NULL before the first row */
static Datum
slots_result(FunctionCallInfo fcinfo, MomentumSlots *slots)
{
	if (slots == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(slots);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_accum);

/* Adds a row (as_of, snapshot_date, stars) */
Datum
flowlens_momentum_accum(PG_FUNCTION_ARGS)
{
	MomentumSlots *slots = slots_argument(fcinfo, 0);
	DateADT		as_of;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return slots_result(fcinfo, slots);
	as_of = PG_GETARG_DATEADT(1);
	check_stars(PG_GETARG_INT64(3));
	if (slots == NULL)
	{
		check_day(as_of, "as_of");
		slots = make_slots(fcinfo, as_of, false);
	}
	check_same_as_of(slots->as_of, as_of);
	PG_RETURN_POINTER(add_observation(fcinfo, slots, PG_GETARG_DATEADT(2), PG_GETARG_INT64(3)));
}

PG_FUNCTION_INFO_V1(flowlens_momentum_accum_newest);

/* Adds a row (snapshot_date, stars); the newest day is the day that is scored */
Datum
flowlens_momentum_accum_newest(PG_FUNCTION_ARGS)
{
	MomentumSlots *slots = slots_argument(fcinfo, 0);

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return slots_result(fcinfo, slots);
	check_day(PG_GETARG_DATEADT(1), "snapshot_date");
	check_stars(PG_GETARG_INT64(2));
	if (slots == NULL)
		slots = make_slots(fcinfo, PG_GETARG_DATEADT(1), true);
	PG_RETURN_POINTER(add_observation(fcinfo, slots, PG_GETARG_DATEADT(1), PG_GETARG_INT64(2)));
}

/* Takes a row out; NULL makes the executor start the frame anew */
static Datum
remove_observation(FunctionCallInfo fcinfo, int day_argument)
{
	MomentumSlots *slots = slots_argument(fcinfo, 0);

	(void) aggregate_context(fcinfo);
	if (slots != NULL && !momentum_slots_remove(slots, PG_GETARG_DATEADT(day_argument)))
		PG_RETURN_NULL();
	return slots_result(fcinfo, slots);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_remove);

/* Takes a row (as_of, snapshot_date, stars) out of a moving frame */
Datum
flowlens_momentum_remove(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return slots_result(fcinfo, slots_argument(fcinfo, 0));
	return remove_observation(fcinfo, 2);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_remove_newest);

/* Takes a row (snapshot_date, stars) out of a moving frame */
Datum
flowlens_momentum_remove_newest(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return slots_result(fcinfo, slots_argument(fcinfo, 0));
	return remove_observation(fcinfo, 1);
}

/* Adds the observations of one state to another and returns the latter */
static MomentumSlots *
merge_slots(FunctionCallInfo fcinfo, MomentumSlots *into, const MomentumSlots *from)
{
	MomentumWindow window;
	int			i;

	if (!into->floating)
		check_same_as_of(into->as_of, from->as_of);
	into->repeated |= from->repeated;
	momentum_slots_window(from, &window);
	for (i = 0; i < window.count; i++)
		into = add_observation(fcinfo, into, from->as_of - window.age[i], window.stars[i]);
	return into;
}

PG_FUNCTION_INFO_V1(flowlens_momentum_combine);

/* Merges the states of two workers */
Datum
flowlens_momentum_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	MomentumSlots *into = slots_argument(fcinfo, 0);
	MomentumSlots *from = slots_argument(fcinfo, 1);

	if (from == NULL)
		return slots_result(fcinfo, into);
	if (into == NULL)
	{
		/* the second state lives shorter than the aggregate */
		into = MemoryContextAlloc(context, momentum_slots_size(from->wide));
		memcpy(into, from, momentum_slots_size(from->wide));
		return slots_result(fcinfo, into);
	}
	return slots_result(fcinfo, merge_slots(fcinfo, into, from));
}

PG_FUNCTION_INFO_V1(flowlens_momentum_serialize);

/* Packs a state for the way between two processes of one server */
Datum
flowlens_momentum_serialize(PG_FUNCTION_ARGS)
{
	MomentumSlots *slots = slots_argument(fcinfo, 0);
	size_t		size = momentum_slots_size(slots->wide);
	bytea	   *packed = palloc(VARHDRSZ + size);

	(void) aggregate_context(fcinfo);
	SET_VARSIZE(packed, VARHDRSZ + size);
	memcpy(VARDATA(packed), slots, size);
	PG_RETURN_BYTEA_P(packed);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_deserialize);

/* Unpacks a state */
Datum
flowlens_momentum_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *packed = PG_GETARG_BYTEA_PP(0);
	size_t		size = VARSIZE_ANY_EXHDR(packed);
	MomentumSlots *slots = palloc(size);

	(void) aggregate_context(fcinfo);
	memcpy(slots, VARDATA_ANY(packed), size);
	PG_RETURN_POINTER(slots);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_final);

/* Returns M of a state */
Datum
flowlens_momentum_final(PG_FUNCTION_ARGS)
{
	MomentumSlots *slots = slots_argument(fcinfo, 0);
	MomentumWindow window;
	double		m;

	(void) aggregate_context(fcinfo);
	if (slots == NULL)
		PG_RETURN_NULL();
	momentum_slots_window(slots, &window);
	if (momentum_of_window(momentum_default_model(), &window, MOMENTUM_UNKNOWN_AGE, &m) != MOMENTUM_SCORED)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(m);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_state_final);

/* Returns the compact history of a state */
Datum
flowlens_momentum_state_final(PG_FUNCTION_ARGS)
{
	MomentumSlots *slots = slots_argument(fcinfo, 0);
	MomentumWindow window;
	MomentumHistory history;

	(void) aggregate_context(fcinfo);
	if (slots == NULL || slots->present == 0)
		PG_RETURN_NULL();
	momentum_slots_window(slots, &window);
	momentum_history_from_window(&history, slots->as_of, &window);
	PG_RETURN_BYTEA_P(momentum_history_bytea(&history));
}

/* Returns the state argument of push_activity or NULL */
static ActivityDays *
activity_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : (ActivityDays *) PG_GETARG_POINTER(argument);
}

/* Returns what a transition function of push_activity returns */
static Datum
activity_result(FunctionCallInfo fcinfo, ActivityDays *days)
{
	if (days == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(days);
}

PG_FUNCTION_INFO_V1(flowlens_activity_accum);

/* Adds a row (as_of, snapshot_date, pushed_at); the push cannot be later than the day it was seen */
Datum
flowlens_activity_accum(PG_FUNCTION_ARGS)
{
	ActivityDays *days = activity_argument(fcinfo, 0);
	DateADT		as_of;
	DateADT		seen_on;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_GETARG_DATEADT(2) > PG_GETARG_DATEADT(1))
		return activity_result(fcinfo, days);
	as_of = PG_GETARG_DATEADT(1);
	seen_on = PG_GETARG_DATEADT(2);
	if (days == NULL)
	{
		check_day(as_of, "as_of");
		days = MemoryContextAllocZero(aggregate_context(fcinfo), sizeof(ActivityDays));
		days->as_of = as_of;
	}
	check_same_as_of(days->as_of, as_of);
	if (!PG_ARGISNULL(3) && !TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(3)))
		activity_days_add(days, as_of - (int64) Min(utc_day(PG_GETARG_TIMESTAMPTZ(3)), seen_on));
	return activity_result(fcinfo, days);
}

PG_FUNCTION_INFO_V1(flowlens_activity_combine);

/* Merges the states of two workers */
Datum
flowlens_activity_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	ActivityDays *into = activity_argument(fcinfo, 0);
	ActivityDays *from = activity_argument(fcinfo, 1);
	int			i;

	if (from == NULL)
		return activity_result(fcinfo, into);
	if (into == NULL)
	{
		into = MemoryContextAlloc(context, sizeof(ActivityDays));
		memcpy(into, from, sizeof(ActivityDays));
		return activity_result(fcinfo, into);
	}
	check_same_as_of(into->as_of, from->as_of);
	for (i = 0; i < (int) lengthof(into->pushed); i++)
		into->pushed[i] |= from->pushed[i];
	return activity_result(fcinfo, into);
}

PG_FUNCTION_INFO_V1(flowlens_activity_serialize);

/* Packs a state for the way between two processes of one server */
Datum
flowlens_activity_serialize(PG_FUNCTION_ARGS)
{
	bytea	   *packed = palloc(VARHDRSZ + sizeof(ActivityDays));

	(void) aggregate_context(fcinfo);
	SET_VARSIZE(packed, VARHDRSZ + sizeof(ActivityDays));
	memcpy(VARDATA(packed), activity_argument(fcinfo, 0), sizeof(ActivityDays));
	PG_RETURN_BYTEA_P(packed);
}

PG_FUNCTION_INFO_V1(flowlens_activity_deserialize);

/* Unpacks a state */
Datum
flowlens_activity_deserialize(PG_FUNCTION_ARGS)
{
	ActivityDays *days = palloc(sizeof(ActivityDays));

	(void) aggregate_context(fcinfo);
	memcpy(days, VARDATA_ANY(PG_GETARG_BYTEA_PP(0)), sizeof(ActivityDays));
	PG_RETURN_POINTER(days);
}

PG_FUNCTION_INFO_V1(flowlens_activity_final);

/* Returns the share of days with a push */
Datum
flowlens_activity_final(PG_FUNCTION_ARGS)
{
	(void) aggregate_context(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(activity_days_share(activity_argument(fcinfo, 0)));
}

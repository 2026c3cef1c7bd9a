/*
 * momentum_functions.c
 *		SQL functions over the momentum core, one row at a time.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "momentum.h"
#include "momentum_model.h"
#include "momentum_functions.h"

/* Raises an error unless the count can be a star count */
void
check_stars(int64 stars)
{
	if (stars < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stars must not be negative")));
}

/* Raises an error unless the day is finite */
void
check_day(DateADT day, const char *name)
{
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be finite", name)));
}

/* Raises an error about bytes that are no momentum state */
pg_noreturn static void
report_malformed_state(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid momentum state"),
			 errhint("The aggregate flowlens.momentum_state makes one from the history.")));
}

PG_FUNCTION_INFO_V1(flowlens_momentum_score);

/* Maps M to [0, 1); arguments M and constants */
Datum
flowlens_momentum_score(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(momentum_unit_score(momentum_model_of_call(fcinfo, 1), PG_GETARG_FLOAT8(0)));
}

PG_FUNCTION_INFO_V1(flowlens_star_velocity);

/* Returns the expected stars a day of M */
Datum
flowlens_star_velocity(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(momentum_velocity(PG_GETARG_FLOAT8(0)));
}

PG_FUNCTION_INFO_V1(flowlens_growth_score);

/* Returns the velocity relative to the size */
Datum
flowlens_growth_score(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(growth_of_velocity(PG_GETARG_FLOAT8(0), PG_GETARG_INT64(1)));
}

PG_FUNCTION_INFO_V1(flowlens_recency_score);

/* Returns the recency step; an unknown time of creation scores 0 */
Datum
flowlens_recency_score(PG_FUNCTION_ARGS)
{
	TimestampTz created_at;
	TimestampTz as_of;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	as_of = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of must be finite")));
	if (PG_ARGISNULL(0) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(0)))
		PG_RETURN_FLOAT8(0);
	created_at = PG_GETARG_TIMESTAMPTZ(0);
	/* both are within the range of timestamps, whose difference fits 64 bits */
	PG_RETURN_FLOAT8(recency_of_age(as_of > created_at ? (as_of - created_at) / USECS_PER_DAY : 0));
}

PG_FUNCTION_INFO_V1(flowlens_trender_score);

/* Returns the seed formula of its parts */
Datum
flowlens_trender_score(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(trender_of_parts(PG_GETARG_FLOAT8(0), PG_GETARG_INT64(1), PG_GETARG_INT64(2)));
}

PG_FUNCTION_INFO_V1(flowlens_star_momentum_of_newborn);

/* Scores one observation by the day of creation, or returns NULL where that says nothing */
Datum
flowlens_star_momentum_of_newborn(PG_FUNCTION_ARGS)
{
	DateADT		as_of = PG_GETARG_DATEADT(0);
	int64		age = (int64) as_of - PG_GETARG_DATEADT(2);
	int64		stars = PG_GETARG_INT64(3);
	double		m;

	check_day(as_of, "as_of");
	check_stars(stars);
	if (age < 0 || age > MOMENTUM_WINDOW_DAYS ||
		!momentum_of_newborn(momentum_default_model(), (int) age,
							 momentum_created_age(as_of, PG_GETARG_DATEADT(1)), stars, &m))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(m);
}

PG_FUNCTION_INFO_V1(flowlens_activity_push_share);

/* Carries the share of push days on; arguments previous, days, pushed, push_age */
Datum
flowlens_activity_push_share(PG_FUNCTION_ARGS)
{
	double		previous = PG_ARGISNULL(0) ? 0 : PG_GETARG_FLOAT8(0);
	int64		days = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	bool		pushed = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	int64		push_age = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);

	if (!(previous >= 0 && previous <= 1) || days < 0 || push_age < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("previous must be within 0 and 1, days and push_age not negative")));
	PG_RETURN_FLOAT8(activity_push_share(previous, days, pushed ? push_age : -1));
}

/* Reads a state argument; NULL is the state without observations */
static void
read_state(FunctionCallInfo fcinfo, int argument, MomentumHistory *history)
{
	momentum_history_init(history);
	if (!PG_ARGISNULL(argument))
	{
		bytea	   *state = PG_GETARG_BYTEA_PP(argument);

		if (!momentum_history_read(history, (uint8 *) VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state)))
			report_malformed_state();
	}
}

/* Returns the written form of a history, NULL of an empty one */
bytea *
momentum_history_bytea(const MomentumHistory *history)
{
	bytea	   *state;

	if (history->empty)
		return NULL;
	state = palloc(VARHDRSZ + MOMENTUM_HISTORY_BYTES);
	SET_VARSIZE(state, VARHDRSZ + momentum_history_write(history, (uint8 *) VARDATA(state)));
	return state;
}

PG_FUNCTION_INFO_V1(flowlens_momentum_state_push);

/* Adds an observation to a state; a missing one leaves it as it is */
Datum
flowlens_momentum_state_push(PG_FUNCTION_ARGS)
{
	MomentumHistory history;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	check_day(PG_GETARG_DATEADT(1), "snapshot_date");
	check_stars(PG_GETARG_INT64(2));
	read_state(fcinfo, 0, &history);
	if (!momentum_history_push(&history, PG_GETARG_DATEADT(1), PG_GETARG_INT64(2)))
		report_malformed_state();
	PG_RETURN_BYTEA_P(momentum_history_bytea(&history));
}

PG_FUNCTION_INFO_V1(flowlens_momentum_state_score);

/* Returns M of a state; arguments as_of, state, created_on, constants */
Datum
flowlens_momentum_state_score(PG_FUNCTION_ARGS)
{
	MomentumHistory history;
	DateADT		as_of;
	int			created_age = MOMENTUM_UNKNOWN_AGE;
	double		m;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	as_of = PG_GETARG_DATEADT(0);
	check_day(as_of, "as_of");
	if (!PG_ARGISNULL(2))
		created_age = momentum_created_age(as_of, PG_GETARG_DATEADT(2));
	read_state(fcinfo, 1, &history);
	switch (momentum_history_score(&history, as_of, created_age, momentum_model_of_call(fcinfo, 3), &m))
	{
		case MOMENTUM_SCORED:
			PG_RETURN_FLOAT8(m);
		case MOMENTUM_NO_OBSERVATION:
			break;
		case MOMENTUM_BEFORE_NEWEST:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("as_of lies before the newest day of the momentum state"),
					 errhint("Score an earlier day from the history with flowlens.star_momentum.")));
			break;
		case MOMENTUM_MALFORMED:
			report_malformed_state();
			break;
	}
	PG_RETURN_NULL();
}

PG_FUNCTION_INFO_V1(flowlens_momentum_state_is_outlier);

/* Returns whether the score of a state is not to be believed; arguments state, constants */
Datum
flowlens_momentum_state_is_outlier(PG_FUNCTION_ARGS)
{
	MomentumHistory history;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	read_state(fcinfo, 0, &history);
	PG_RETURN_BOOL(momentum_history_is_outlier(&history, momentum_model_of_call(fcinfo, 1)));
}

PG_FUNCTION_INFO_V1(flowlens_momentum_state_observations);

/* Lists the observations in a state, newest first */
Datum
flowlens_momentum_state_observations(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MomentumHistory history;
	MomentumWindow window;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	read_state(fcinfo, 0, &history);
	if (!momentum_history_window(&history, &window))
		report_malformed_state();
	for (i = 0; i < window.count; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = DateADTGetDatum(history.last_day - window.age[i]);
		values[1] = Int64GetDatum(window.stars[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

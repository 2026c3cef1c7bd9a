/*
 * momentum_model.c
 *		Constants of a momentum model, from and to jsonb.
 *
 * A key that is left out keeps the value of the default model.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"
#include "momentum_model.h"

#define FORMULA_KEY "formula"
#define WINDOW_DAYS_KEY "window_days"

/* Names of the formulas, by MomentumFormula */
static const char *const formula_names[] = {"power_kernel"};

/* Constants that are floating point numbers */
static const struct
{
	const char *name;
	size_t		offset;
}			model_constants[] = {
	{"kernel_exponent", offsetof(MomentumModel, kernel_exponent)},
	{"prior_weight", offsetof(MomentumModel, prior_weight)},
	{"blend_velocity", offsetof(MomentumModel, blend_velocity)},
	{"single_slope", offsetof(MomentumModel, single_slope)},
	{"single_offset", offsetof(MomentumModel, single_offset)},
	{"score_rate", offsetof(MomentumModel, score_rate)},
	{"outlier_excess", offsetof(MomentumModel, outlier_excess)},
};

/* A model prepared for one call site, and the jsonb it was made of */
typedef struct ModelCache
{
	MomentumModel model;
	Jsonb	   *constants;
} ModelCache;

/* Compares a string of jsonb with a name */
static bool
jsonb_string_is(const JsonbValue *string, const char *name)
{
	return string->val.string.len == (int) strlen(name) &&
		memcmp(string->val.string.val, name, string->val.string.len) == 0;
}

/* Raises an error about a constant of the wrong type or range */
pg_noreturn static void
report_constant(const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for momentum constant \"%s\"", name),
			 errdetail("%s", detail)));
}

/* Returns the formula of that name */
static MomentumFormula
formula_of_value(const JsonbValue *value)
{
	int			i;

	if (value->type == jbvString)
	{
		for (i = 0; i < (int) lengthof(formula_names); i++)
		{
			if (jsonb_string_is(value, formula_names[i]))
				return (MomentumFormula) i;
		}
	}
	report_constant(FORMULA_KEY, "It must be the name of a formula, such as \"power_kernel\".");
}

/* Returns a number of jsonb */
static double
number_of_value(const char *name, const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		report_constant(name, "It must be a number.");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

/* Sets one constant by its key */
static void
set_constant(MomentumModel *model, const JsonbValue *key, const JsonbValue *value)
{
	int			i;

	if (jsonb_string_is(key, FORMULA_KEY))
	{
		model->formula = formula_of_value(value);
		return;
	}
	if (jsonb_string_is(key, WINDOW_DAYS_KEY))
	{
		double		days = number_of_value(WINDOW_DAYS_KEY, value);

		if (!(days >= 1 && days <= MOMENTUM_WINDOW_DAYS && days == (int) days))
			report_constant(WINDOW_DAYS_KEY, "It must be a whole number from 1 to 30.");
		model->window_days = (int) days;
		return;
	}
	for (i = 0; i < (int) lengthof(model_constants); i++)
	{
		if (jsonb_string_is(key, model_constants[i].name))
		{
			*(double *) ((char *) model + model_constants[i].offset) = number_of_value(model_constants[i].name, value);
			return;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown momentum constant \"%s\"", pnstrdup(key->val.string.val, key->val.string.len)),
			 errhint("SELECT flowlens.momentum_constants() shows the constants and their defaults.")));
}

/* Reads constants over those of the default model and prepares the result */
void
momentum_model_from_jsonb(Jsonb *constants, MomentumModel *model)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	const char *wrong;

	if (!JB_ROOT_IS_OBJECT(constants))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("momentum constants must be a JSON object")));
	momentum_model_init(model);
	iterator = JsonbIteratorInit(&constants->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		set_constant(model, &key, &value);
	}
	wrong = momentum_model_prepare(model);
	if (wrong != NULL)
		report_constant(wrong, "It is out of range.");
}

/* Returns the model of a jsonb argument, kept for the call site; NULL means the default model */
const MomentumModel *
momentum_model_of_call(FunctionCallInfo fcinfo, int argument)
{
	ModelCache *cache = fcinfo->flinfo->fn_extra;
	Jsonb	   *constants;

	if (PG_NARGS() <= argument || PG_ARGISNULL(argument))
		return momentum_default_model();
	constants = PG_GETARG_JSONB_P(argument);
	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ModelCache));
	if (cache->constants == NULL || VARSIZE(cache->constants) != VARSIZE(constants) ||
		memcmp(cache->constants, constants, VARSIZE(constants)) != 0)
	{
		/* dropped first, so that an error leaves no model of other constants */
		if (cache->constants != NULL)
			pfree(cache->constants);
		cache->constants = NULL;
		momentum_model_from_jsonb(constants, &cache->model);
		cache->constants = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, VARSIZE(constants));
		memcpy(cache->constants, constants, VARSIZE(constants));
	}
	return &cache->model;
}

/* Returns the days from creation to as_of; what makes no sense counts as unknown */
int
momentum_created_age(DateADT as_of, DateADT created_on)
{
	int64		age = (int64) as_of - created_on;

	return age >= 0 && age <= MOMENTUM_WINDOW_DAYS ? (int) age : MOMENTUM_UNKNOWN_AGE;
}

/* Adds a key and its value to an object under construction */
static void
push_constant(JsonbParseState **state, const char *name, JsonbValue *value)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, value);
}

/* Adds a number to an object under construction */
static void
push_number(JsonbParseState **state, const char *name, double number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(number)));
	push_constant(state, name, &value);
}

PG_FUNCTION_INFO_V1(flowlens_momentum_constants);

/* Completes constants with the defaults, after checking them */
Datum
flowlens_momentum_constants(PG_FUNCTION_ARGS)
{
	const MomentumModel *model = momentum_model_of_call(fcinfo, 0);
	JsonbParseState *state = NULL;
	JsonbValue	formula;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	formula.type = jbvString;
	formula.val.string.val = unconstify(char *, formula_names[model->formula]);
	formula.val.string.len = (int) strlen(formula_names[model->formula]);
	push_constant(&state, FORMULA_KEY, &formula);
	push_number(&state, WINDOW_DAYS_KEY, model->window_days);
	for (i = 0; i < (int) lengthof(model_constants); i++)
		push_number(&state, model_constants[i].name, *(double *) ((char *) model + model_constants[i].offset));
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

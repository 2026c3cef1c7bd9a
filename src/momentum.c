/*
 * momentum.c
 *		Models, and the scores that they give to a window of observations.
 *
 * Pure C: a program links this file and its momentum_*.c siblings without the
 * server.  docs/momentum.md has the formulas.
 */
#include "momentum.h"

#include <math.h>

#define LOG_GAINS 256			/* one-day gains below this are looked up */

static double log_gains[LOG_GAINS];

/* Fills the table of ln(1 + gain) once */
static void
prepare_log_gains(void)
{
	int			i;

	if (log_gains[1] > 0)
		return;
	for (i = 0; i < LOG_GAINS; i++)
		log_gains[i] = log1p(i);
}

/* Sets the constants of the default model; momentum_model_prepare() must follow */
void
momentum_model_init(MomentumModel *model)
{
	model->formula = MOMENTUM_POWER_KERNEL;
	model->window_days = MOMENTUM_WINDOW_DAYS;
	model->kernel_exponent = 0.5;
	model->prior_weight = 0.03;
	model->blend_velocity = 20;
	model->single_slope = 0.5;
	model->single_offset = 2.8;
	model->score_rate = 0.3;
	model->outlier_excess = 7;
}

/* Names the first constant out of its range, or returns NULL */
static const char *
out_of_range(const MomentumModel *model)
{
	/* written so that NaN is out of range everywhere */
	if (!(model->window_days >= 1 && model->window_days <= MOMENTUM_WINDOW_DAYS))
		return "window_days";
	if (!(model->kernel_exponent >= 0 && model->kernel_exponent <= 10))
		return "kernel_exponent";
	if (!(model->prior_weight >= 0 && model->prior_weight <= 10))
		return "prior_weight";
	if (!(model->blend_velocity > 0 && model->blend_velocity <= 1e9))
		return "blend_velocity";
	if (!(model->single_slope >= 0 && model->single_slope <= 10))
		return "single_slope";
	if (!(model->single_offset >= -100 && model->single_offset <= 100))
		return "single_offset";
	if (!(model->score_rate > 0 && model->score_rate <= 100))
		return "score_rate";
	/* histories are searched for gains of more than 200 a day only */
	if (!(model->outlier_excess >= 6 && model->outlier_excess <= 100))
		return "outlier_excess";
	return NULL;
}

/*
 * Checks the constants and derives the kernel.  Returns NULL, or the name of
 * the first constant that is out of range.
 */
const char *
momentum_model_prepare(MomentumModel *model)
{
	const char *wrong = out_of_range(model);
	int			n;

	if (wrong != NULL)
		return wrong;
	prepare_log_gains();
	model->reach[0] = 0;
	for (n = 1; n <= MOMENTUM_WINDOW_DAYS; n++)
		model->reach[n] = model->reach[n - 1] + pow(n, -model->kernel_exponent);
	return NULL;
}

/* Returns the default model, prepared on first use */
const MomentumModel *
momentum_default_model(void)
{
	static MomentumModel model;
	static bool prepared = false;

	if (!prepared)
	{
		momentum_model_init(&model);
		prepared = momentum_model_prepare(&model) == NULL;
	}
	return &model;
}

/* Returns ln(1 + stars gained a day) of an interval; a loss counts as no gain */
double
momentum_log_gain(int64_t gain, int days)
{
	if (gain <= 0)
		return 0;
	if (days == 1 && gain < LOG_GAINS)
		return log_gains[gain];
	return log1p((double) gain / days);
}

/*
 * Returns M of at least one interval.  Days without observation enter with
 * prior_weight, so that one good day does not stand for thirty.  The faster a
 * repository grows, the more its last interval says about the next.
 */
double
momentum_of_sums(const MomentumSums *sums, const MomentumModel *model)
{
	double		weight = model->reach[sums->age] - model->reach[sums->first_age];
	double		missing = model->reach[model->window_days] - weight;
	double		mean = sums->weighted / (weight + model->prior_weight * missing);
	double		pace = sqrt(expm1(mean));
	double		blend = pace / (pace + model->blend_velocity);

	return (1 - blend) * mean + blend * sums->last_log;
}

/*
 * Scores a repository seen once, which was created inside the window: it had no
 * stars on its day of creation.  Created on the day it was observed, the
 * interval counts as one day.  Returns false if the interval does not lie
 * inside the window.
 */
bool
momentum_of_newborn(const MomentumModel *model, int age, int created_age, int64_t stars, double *m)
{
	MomentumSums sums = {age, age, 0, 0};
	int			start = created_age == age ? age + 1 : created_age;

	if (start <= age || start > model->window_days)
		return false;
	momentum_sums_add(&sums, model, start - age, momentum_log_gain(stars, start - age));
	*m = momentum_of_sums(&sums, model);
	return true;
}

/* Returns M of one observation: from the day of creation, else from the count alone */
double
momentum_of_single(const MomentumModel *model, int age, int created_age, int64_t stars)
{
	double		m;

	if (momentum_of_newborn(model, age, created_age, stars, &m))
		return m;
	return fmax(0, model->single_slope * log1p((double) stars) - model->single_offset);
}

/* Scores a window; created_age is MOMENTUM_UNKNOWN_AGE where the day of creation is not known */
MomentumResult
momentum_of_window(const MomentumModel *model, const MomentumWindow *window, int created_age, double *m)
{
	MomentumSums sums = {0};
	int			i;

	if (window->count == 0 || window->age[0] > model->window_days)
		return MOMENTUM_NO_OBSERVATION;

	sums.first_age = sums.age = window->age[0];
	for (i = 1; i < window->count && window->age[i] <= model->window_days; i++)
	{
		int			days = window->age[i] - window->age[i - 1];

		momentum_sums_add(&sums, model, days, momentum_log_gain(window->stars[i - 1] - window->stars[i], days));
	}
	if (i == 1)
		*m = momentum_of_single(model, window->age[0], created_age, window->stars[0]);
	else
		*m = momentum_of_sums(&sums, model);
	return MOMENTUM_SCORED;
}

/* Returns whether the newest count only makes up for a drop by a tenth or more just before it */
static bool
is_full_return(const MomentumWindow *window)
{
	int64_t		drop = window->stars[2] - window->stars[1];

	return drop >= 10 && drop >= window->stars[2] / 10 && window->stars[0] >= window->stars[2] - drop / 10;
}

/* Returns whether the interval that ends with this observation gained more than its past makes plausible */
static bool
is_jump(const MomentumModel *model, const MomentumWindow *window, int i)
{
	int			days = window->age[i + 1] - window->age[i];
	double		log_gain = momentum_log_gain(window->stars[i] - window->stars[i + 1], days);
	MomentumWindow past;
	double		m;
	int			n;

	if (log_gain <= model->outlier_excess)
		return false;
	past.count = window->count - i - 1;
	for (n = 0; n < past.count; n++)
	{
		past.age[n] = window->age[i + 1 + n] - window->age[i + 1];
		past.stars[n] = window->stars[i + 1 + n];
	}
	return momentum_of_window(model, &past, MOMENTUM_UNKNOWN_AGE, &m) == MOMENTUM_SCORED &&
		log_gain > m + model->outlier_excess;
}

/*
 * Returns whether the score is not to be believed: the newest count makes up
 * for a drop, or is a jump that no later observation confirms yet, or more than
 * half of an earlier jump has gone again.
 */
bool
momentum_window_is_outlier(const MomentumModel *model, const MomentumWindow *window)
{
	int			i;

	if (window->count >= 3 && is_full_return(window))
		return true;
	/* a jump needs two observations before it: one alone has no pace */
	for (i = 0; i + 2 < window->count; i++)
	{
		int64_t		gain = window->stars[i] - window->stars[i + 1];

		if (gain > 0 && (i == 0 || window->stars[0] < window->stars[i] - gain / 2) && is_jump(model, window, i))
			return true;
	}
	return false;
}

/* Returns the expected stars a day */
double
momentum_velocity(double m)
{
	return expm1(m);
}

/* Maps M to [0, 1) */
double
momentum_unit_score(const MomentumModel *model, double m)
{
	return -expm1(-model->score_rate * m);
}

/* Returns the growth relative to size; 100 more stars keep tiny repositories quiet */
double
growth_of_velocity(double velocity, int64_t stars)
{
	return velocity / ((stars > 0 ? (double) stars : 0) + 100);
}

/* Returns the recency step of the seed formula for an age in whole days */
double
recency_of_age(int64_t days)
{
	static const struct
	{
		int			days;
		double		recency;
	}			steps[] = {{14, 1.0}, {30, 0.85}, {60, 0.60}, {90, 0.35}, {180, 0.15}, {365, 0.05}};
	size_t		i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		if (days <= steps[i].days)
			return steps[i].recency;
	}
	return 0.01;
}

/* Returns the seed formula: 0.7 recency + 0.3 share of the most starred, each clamped to [0, 1] */
double
trender_of_parts(double recency, int64_t stars, int64_t max_stars)
{
	double		share = max_stars > 0 ? (double) stars / (double) max_stars : 0;

	return 0.7 * fmin(fmax(recency, 0), 1) + 0.3 * fmin(fmax(share, 0), 1);
}

#define ACTIVITY_HALF_LIFE 14.0

/* Returns the weight that is left of a day after so many days */
static double
activity_decay(int64_t days)
{
	return exp2(-(double) days / ACTIVITY_HALF_LIFE);
}

/*
 * Carries the share of days with a push on by the days since it was computed.
 * A new push day lies push_age days before the new day; negative: there is none.
 * Above 1 it holds other events too.
 */
double
activity_push_share(double previous, int64_t days, int64_t push_age)
{
	double		share = previous * activity_decay(days > 0 ? days : 0);

	if (push_age >= 0)
		share += (1 - activity_decay(1)) * activity_decay(push_age);
	return previous > 1 ? share : fmin(fmax(share, 0), 1);
}

/* Returns what events add to the activity: weighted, each decayed from its own day to the day scored */
double
activity_of_events(double events)
{
	return (1 - activity_decay(1)) * events;
}

/* Notes a push so many days before as_of; what lies outside the window is forgotten */
void
activity_days_add(ActivityDays *days, int64_t push_age)
{
	if (push_age >= 0 && push_age < ACTIVITY_WINDOW_DAYS)
		days->pushed[push_age / 64] |= UINT64_C(1) << (push_age % 64);
}

/* Returns the exponentially weighted share of days with a push */
double
activity_days_share(const ActivityDays *days)
{
	double		share = 0;
	int			age;

	/* from the oldest on, as activity_push_share() does from day to day */
	for (age = ACTIVITY_WINDOW_DAYS - 1; age >= 0; age--)
	{
		if (days->pushed[age / 64] >> (age % 64) & 1)
			share += (1 - activity_decay(1)) * activity_decay(age);
	}
	return share;
}

/*
 * momentum_core.c
 *		Unit test of the scoring mathematics, linked without the server.
 *
 * Compares every way to a score with one written out here, on histories from a
 * random number generator with a fixed seed.  Prints TAP.
 */
#include "../src/momentum.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int	tests = 0;
static int	failures = 0;

/* Reports one test */
static void
ok(bool passed, const char *name)
{
	printf("%s %d - %s\n", passed ? "ok" : "not ok", ++tests, name);
	failures += !passed;
}

static uint64_t seed = 42;

/* Returns a pseudo random number below the limit (xorshift) */
static uint64_t
noise(uint64_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % limit;
}

#define DAYS 100

/* One repository: counts by day, -1 where it was not observed */
typedef struct Repository
{
	int64_t		stars[DAYS];
} Repository;

/* Makes up a repository: some grow fast, some are observed rarely, counts fall now and then */
static void
make_repository(Repository *repository)
{
	uint64_t	pace = UINT64_C(1) << noise(33);
	uint64_t	gaps = 1 + noise(10);
	int64_t		stars = (int64_t) noise(UINT64_C(1) << noise(45));
	int			day;

	for (day = 0; day < DAYS; day++)
	{
		uint64_t	event = noise(20);

		if (event == 0)
			stars -= (int64_t) noise(stars / 10 + 1);
		else if (event < 12)
			stars += (int64_t) noise(pace);
		repository->stars[day] = noise(gaps) == 0 || gaps == 1 ? stars : -1;
	}
}

/* The default model, written straight from its definition; false: no observation */
static bool
reference(const Repository *repository, int as_of, double *m)
{
	double		weight = 0;
	double		weighted = 0;
	double		all = 0;
	double		last = 0;
	int			previous = -1;
	int			day;
	int			n;

	for (n = 1; n <= 30; n++)
		all += 1 / sqrt(n);
	for (day = as_of < 30 ? 0 : as_of - 30; day <= as_of && day < DAYS; day++)
	{
		if (repository->stars[day] < 0)
			continue;
		if (previous >= 0)
		{
			double		gain = (double) (repository->stars[day] - repository->stars[previous]);
			double		w = 0;

			for (n = as_of - day + 1; n <= as_of - previous; n++)
				w += 1 / sqrt(n);
			last = log(1 + (gain > 0 ? gain : 0) / (day - previous));
			weight += w;
			weighted += w * last;
		}
		previous = day;
	}
	if (previous < 0)
		return false;
	if (weight == 0)
		*m = fmax(0, 0.5 * log(1 + (double) repository->stars[previous]) - 2.8);
	else
	{
		double		mean = weighted / (weight + 0.03 * (all - weight));
		double		pace = sqrt(exp(mean) - 1);

		*m = mean + (last - mean) * pace / (pace + 20);
	}
	return true;
}

/* Returns whether two outcomes are the same to 1e-9 */
static bool
same(bool a_known, double a, bool b_known, double b)
{
	return a_known == b_known && (!a_known || fabs(a - b) <= 1e-9);
}

/* Adds to slots that are wide enough for everything */
static void
add_to(MomentumSlots *slots, int32_t day, int64_t stars)
{
	if (!momentum_slots_add(slots, day, stars))
	{
		char		copy[sizeof(MomentumSlots)];

		memcpy(copy, slots, sizeof(copy));
		momentum_slots_widen((MomentumSlots *) copy, slots);
		(void) momentum_slots_add(slots, day, stars);
	}
}

/* Scores a repository with slots that are filled from a random day on */
static bool
score_slots(const Repository *repository, int as_of, double *m)
{
	union
	{
		MomentumSlots slots;
		char		room[512];
	}			state;
	MomentumWindow window;
	int			first = (int) noise(DAYS);
	int			i;

	momentum_slots_init(&state.slots, as_of, false);
	for (i = 0; i < DAYS; i++)
	{
		/* 37 and DAYS have no common divisor: every day comes once */
		int			day = (first + i * 37) % DAYS;

		if (repository->stars[day] >= 0)
			add_to(&state.slots, day, repository->stars[day]);
	}
	momentum_slots_window(&state.slots, &window);
	return momentum_of_window(momentum_default_model(), &window, MOMENTUM_UNKNOWN_AGE, m) == MOMENTUM_SCORED;
}

/* Scores every day from carried histories and from slots */
static void
test_scores(void)
{
	int			histories_wrong = 0;
	int			slots_wrong = 0;
	int			bytes_wrong = 0;
	int			scores = 0;
	int			i;

	for (i = 0; i < 2000; i++)
	{
		Repository	repository;
		MomentumHistory history;
		MomentumHistory copy;
		uint8_t		bytes[MOMENTUM_HISTORY_BYTES];
		int			day;

		make_repository(&repository);
		momentum_history_init(&history);
		for (day = 0; day < DAYS + 31; day++)
		{
			double		expected = 0;
			double		m = 0;
			bool		known = reference(&repository, day, &expected);
			bool		found;

			if (day < DAYS && repository.stars[day] >= 0)
				momentum_history_push(&history, day, repository.stars[day]);
			found = momentum_history_score(&history, day, MOMENTUM_UNKNOWN_AGE, momentum_default_model(), &m) == MOMENTUM_SCORED;
			histories_wrong += !same(known, expected, found, m);
			scores += known;
			if (day % 10 == 0)
			{
				found = score_slots(&repository, day, &m);
				slots_wrong += !same(known, expected, found, m);
			}
			/* carried on from the written form, as from one day's row to the next */
			if (history.empty)
				continue;
			if (!momentum_history_read(&copy, bytes, momentum_history_write(&history, bytes)) ||
				copy.size != history.size || copy.last_day != history.last_day || copy.last_stars != history.last_stars ||
				memcmp(copy.steps, history.steps, copy.size) != 0)
				bytes_wrong++;
			history = copy;
		}
	}
	ok(scores > 100000, "enough scores compared");
	ok(histories_wrong == 0, "carried histories score as the definition");
	ok(slots_wrong == 0, "slots filled in any order score as the definition");
	ok(bytes_wrong == 0, "histories survive being written and read");
}

/* Reads random bytes, and damaged histories: whatever comes out, nothing is overrun */
static void
test_malformed(void)
{
	int			refused = 0;
	int			i;

	for (i = 0; i < 300000; i++)
	{
		uint8_t		bytes[MOMENTUM_HISTORY_BYTES];
		size_t		size = noise(sizeof(bytes)) + 1;
		MomentumHistory history;
		MomentumWindow window;
		double		m = 0;
		size_t		n;

		for (n = 0; n < size; n++)
			bytes[n] = (uint8_t) (n == 0 ? 1 : noise(2) ? noise(256) : 240 + noise(12));
		if (!momentum_history_read(&history, bytes, size))
		{
			refused++;
			continue;
		}
		refused += !momentum_history_window(&history, &window);
		(void) momentum_history_is_outlier(&history, momentum_default_model());
		(void) momentum_history_score(&history, history.last_day, MOMENTUM_UNKNOWN_AGE, momentum_default_model(), &m);
		if (history.last_day < INT32_MAX - 3)
			(void) momentum_history_push(&history, history.last_day + 1 + (int) noise(3), (int64_t) noise(1000));
	}
	ok(refused > 100000, "malformed histories are refused");
}

/* Each constant out of its range is named; those at the edges are taken */
static void
test_models(void)
{
	MomentumModel model;

	momentum_model_init(&model);
	ok(momentum_model_prepare(&model) == NULL, "the default model is in range");
	ok(fabs(model.reach[30] - 9.6) < 0.02 && model.reach[1] == 1, "kernel of the default model");
	model.window_days = 1;
	ok(momentum_model_prepare(&model) == NULL, "a window of one day");
	model.window_days = 31;
	ok(momentum_model_prepare(&model) != NULL && strcmp(momentum_model_prepare(&model), "window_days") == 0, "a window of 31 days is refused");
	momentum_model_init(&model);
	model.blend_velocity = 0;
	ok(momentum_model_prepare(&model) != NULL && strcmp(momentum_model_prepare(&model), "blend_velocity") == 0, "blend_velocity 0 is refused");
	momentum_model_init(&model);
	model.prior_weight = NAN;
	ok(momentum_model_prepare(&model) != NULL && strcmp(momentum_model_prepare(&model), "prior_weight") == 0, "NaN is refused");
}

/* The scores of one number */
static void
test_units(void)
{
	const MomentumModel *model = momentum_default_model();

	ok(momentum_unit_score(model, 0) == 0 && momentum_velocity(0) == 0, "M of 0 is nothing");
	ok(fabs(momentum_unit_score(model, 1) - (1 - exp(-0.3))) < 1e-15, "unit score");
	ok(fabs(momentum_velocity(2) - (exp(2) - 1)) < 1e-14, "velocity");
	ok(growth_of_velocity(10, 100) == 0.05 && growth_of_velocity(10, -5) == 0.1, "growth");
	ok(recency_of_age(14) == 1 && recency_of_age(15) == 0.85 && recency_of_age(366) == 0.01, "recency");
	ok(fabs(trender_of_parts(0.5, 50, 100) - 0.5) < 1e-15 && trender_of_parts(5, 5, 0) == 0.7, "seed formula");
	ok(activity_push_share(1, 1, 0) == 1 && fabs(activity_push_share(0.5, 14, -1) - 0.25) < 1e-15, "activity");
}

int
main(void)
{
	test_scores();
	test_malformed();
	test_models();
	test_units();
	printf("1..%d\n", tests);
	return failures > 0;
}

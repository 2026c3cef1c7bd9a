/*
 * momentum.h
 *		The scoring mathematics, free of server types.
 *
 * Days are whole UTC days, counted from any fixed day (the SQL functions count
 * as the type date does, from 2000-01-01).  The age of an observation is the
 * number of days between it and the day that is scored.
 */
#ifndef FLOWLENS_MOMENTUM_H
#define FLOWLENS_MOMENTUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOMENTUM_WINDOW_DAYS	30	/* longest window of any model */
#define MOMENTUM_SLOTS			(MOMENTUM_WINDOW_DAYS + 1)	/* its days, both ends included */
#define MOMENTUM_UNKNOWN_AGE	(-1)	/* creation day not known */

/* --- models ------------------------------------------------------------- */

typedef enum MomentumFormula
{
	MOMENTUM_POWER_KERNEL		/* log gains weighted with (age + 1)^-exponent */
} MomentumFormula;

typedef struct MomentumModel
{
	/* constants */
	MomentumFormula formula;
	int			window_days;	/* observations older than this count for nothing */
	double		kernel_exponent;	/* how fast the weight of a day falls */
	double		prior_weight;	/* weight of a day without observation, as one without gain */
	double		blend_velocity; /* square root of stars a day from which the last interval leads */
	double		single_slope;	/* one observation: slope over ln(1 + stars) ... */
	double		single_offset;	/* ... and what is subtracted */
	double		score_rate;		/* steepness of the score in [0, 1) */
	double		outlier_excess; /* a log gain that exceeds M of the days before by more is not believed */

	/* derived by momentum_model_prepare() */
	double		reach[MOMENTUM_SLOTS];	/* sum of the weights of the n newest days */
} MomentumModel;

extern void momentum_model_init(MomentumModel *model);
extern const char *momentum_model_prepare(MomentumModel *model);
extern const MomentumModel *momentum_default_model(void);

/* --- one window of observations ------------------------------------------ */

typedef struct MomentumWindow
{
	int			count;
	int			age[MOMENTUM_SLOTS];	/* strictly ascending: newest first */
	int64_t		stars[MOMENTUM_SLOTS];	/* never negative */
} MomentumWindow;

typedef enum MomentumResult
{
	MOMENTUM_SCORED,
	MOMENTUM_NO_OBSERVATION,	/* nothing inside the window: no score */
	MOMENTUM_BEFORE_NEWEST,		/* a history cannot be scored before its newest day */
	MOMENTUM_MALFORMED			/* not the bytes of a history */
} MomentumResult;

extern MomentumResult momentum_of_window(const MomentumModel *model, const MomentumWindow *window,
										 int created_age, double *m);
extern bool momentum_of_newborn(const MomentumModel *model, int age, int created_age, int64_t stars, double *m);

extern bool momentum_window_is_outlier(const MomentumModel *model, const MomentumWindow *window);

/* --- transition state of the aggregates ---------------------------------- */

/*
 * Star counts of up to 31 days, each as an offset from the first count seen, so
 * that rows may come in any order.  Offsets have 12 bits, two in three bytes, so
 * that a million states stay small; when one does not fit, the state is made
 * wide and has 64-bit offsets behind the struct.
 */
typedef struct MomentumSlots
{
	int32_t		as_of;			/* day of age 0 */
	uint32_t	present;		/* bit n: there is an observation of age n */
	int64_t		base;			/* stars of the first observation */
	bool		floating:1;		/* as_of is the newest day seen, else it is fixed */
	bool		wide:1;			/* offsets have 64 bits */
	bool		repeated:1;		/* some day was observed more than once */
	uint8_t		packed[MOMENTUM_SLOTS * 3 / 2 + 1];
} MomentumSlots;

extern size_t momentum_slots_size(bool wide);
extern void momentum_slots_init(MomentumSlots *slots, int32_t as_of, bool floating);
extern bool momentum_slots_add(MomentumSlots *slots, int32_t day, int64_t stars);
extern bool momentum_slots_remove(MomentumSlots *slots, int32_t day);
extern void momentum_slots_widen(const MomentumSlots *narrow, MomentumSlots *wide);
extern void momentum_slots_window(const MomentumSlots *slots, MomentumWindow *window);

/* --- history: the last 30 days in a few bytes ----------------------------- */

#define MOMENTUM_STEP_BYTES		12	/* longest step */
#define MOMENTUM_STEPS_MAX		(MOMENTUM_WINDOW_DAYS * 11) /* longest steps of one window */
#define MOMENTUM_HISTORY_BYTES	(1 + 5 + 10 + MOMENTUM_STEPS_MAX)	/* longest written form */

typedef struct MomentumHistory
{
	bool		empty;			/* no observation yet; the rest means nothing */
	int32_t		last_day;		/* newest observation */
	int64_t		last_stars;
	int			size;			/* bytes used in steps */
	uint8_t		steps[MOMENTUM_STEPS_MAX + MOMENTUM_STEP_BYTES];	/* intervals between observations, newest first */
} MomentumHistory;

extern void momentum_history_init(MomentumHistory *history);
extern bool momentum_history_push(MomentumHistory *history, int32_t day, int64_t stars);
extern MomentumResult momentum_history_score(const MomentumHistory *history, int32_t as_of, int created_age,
											 const MomentumModel *model, double *m);
extern bool momentum_history_is_outlier(const MomentumHistory *history, const MomentumModel *model);
extern bool momentum_history_read(MomentumHistory *history, const uint8_t *bytes, size_t size);
extern size_t momentum_history_write(const MomentumHistory *history, uint8_t *bytes);
extern bool momentum_history_window(const MomentumHistory *history, MomentumWindow *window);
extern void momentum_history_from_window(MomentumHistory *history, int32_t as_of, const MomentumWindow *window);

/* --- what is read from M, and the other scores ---------------------------- */

extern double momentum_velocity(double m);
extern double momentum_unit_score(const MomentumModel *model, double m);
extern double growth_of_velocity(double velocity, int64_t stars);
extern double recency_of_age(int64_t days);
extern double trender_of_parts(double recency, int64_t stars, int64_t max_stars);

/* --- activity: days with a push, and other events -------------------------- */

#define ACTIVITY_WINDOW_DAYS	256 /* a day's weight has halved 18 times then */

typedef struct ActivityDays
{
	int32_t		as_of;
	uint64_t	pushed[ACTIVITY_WINDOW_DAYS / 64];	/* bit n: a push was seen n days before as_of */
} ActivityDays;

extern double activity_push_share(double previous, int64_t days, int64_t push_age);
extern double activity_of_events(double events);
extern void activity_days_add(ActivityDays *days, int64_t push_age);
extern double activity_days_share(const ActivityDays *days);

/* --- shared by the files of the core --------------------------------------- */

/* Sums over the intervals of one window, added newest first */
typedef struct MomentumSums
{
	int			first_age;		/* age of the newest observation */
	int			age;			/* age of the oldest observation added so far */
	double		weighted;		/* sum of weight times log gain */
	double		last_log;		/* log gain of the newest interval */
} MomentumSums;

/* Adds the interval of so many days that ends where the last one began */
static inline void
momentum_sums_add(MomentumSums *sums, const MomentumModel *model, int days, double log_gain)
{
	int			start = sums->age + days;

	if (sums->age == sums->first_age)
		sums->last_log = log_gain;
	sums->weighted += (model->reach[start] - model->reach[sums->age]) * log_gain;
	sums->age = start;
}

extern double momentum_log_gain(int64_t gain, int days);
extern double momentum_of_sums(const MomentumSums *sums, const MomentumModel *model);
extern double momentum_of_single(const MomentumModel *model, int age, int created_age, int64_t stars);

#endif							/* FLOWLENS_MOMENTUM_H */

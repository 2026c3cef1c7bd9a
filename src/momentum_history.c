/*
 * momentum_history.c
 *		The observations of the last 30 days in a few bytes, without loss.
 *
 * Today's score needs every interval of the window, because the kernel
 * (age + 1)^-0.5 is not a recursion.  So the day's row carries the intervals,
 * newest first, behind the newest day and its count:
 *
 *	1 .. 30		so many steps of one day without a gain
 *	32 .. 231	a step of one day that gained 1 .. 200 stars
 *	232 .. 247	a step of one day that lost 1 .. 16 stars
 *	248			a step of one day, its gain follows as a signed varint
 *	249			a longer step: days as a varint, gain as a signed varint
 *
 * Equal observations have equal bytes.  Written form: a version byte, the
 * newest day (varint), its stars (varint), the steps.  Varints have seven bits a
 * byte, low bits first; signed ones are zigzag coded.
 */
#include "momentum.h"

#include <math.h>
#include <string.h>

#define HISTORY_VERSION		1
#define STEP_QUIET_MAX		MOMENTUM_WINDOW_DAYS
#define STEP_GAIN			31	/* plus the gain */
#define STEP_GAIN_MAX		200
#define STEP_LOSS			231 /* plus the loss */
#define STEP_LOSS_MAX		16
#define STEP_DAY			248
#define STEP_DAYS			249

/* Steps of equal length and gain; only days without a gain come more than once */
typedef struct Step
{
	int			repeat;
	int			days;			/* length of each */
	int64_t		gain;			/* of each */
} Step;

/* What a step of one byte says, by that byte; 0 days: it is longer, or no step */
static uint8_t byte_days[256];
static double byte_log[256];	/* log gain */

/* Fills the tables once */
static void
prepare_byte_tables(void)
{
	int			byte;

	if (byte_days[1] > 0)
		return;
	for (byte = 1; byte <= STEP_QUIET_MAX; byte++)
		byte_days[byte] = (uint8_t) byte;
	for (byte = STEP_GAIN + 1; byte <= STEP_LOSS + STEP_LOSS_MAX; byte++)
	{
		byte_days[byte] = 1;
		if (byte <= STEP_GAIN + STEP_GAIN_MAX)
			byte_log[byte] = log1p(byte - STEP_GAIN);
	}
}

/* Appends a varint and returns the byte behind it */
static uint8_t *
put_varint(uint8_t *to, uint64_t value)
{
	while (value >= 0x80)
	{
		*to++ = (uint8_t) (value | 0x80);
		value >>= 7;
	}
	*to++ = (uint8_t) value;
	return to;
}

/* Reads a varint and returns the byte behind it, or NULL */
static const uint8_t *
get_varint(const uint8_t *from, const uint8_t *end, uint64_t *value)
{
	int			shift;

	*value = 0;
	for (shift = 0; shift < 64 && from < end; shift += 7)
	{
		*value |= (uint64_t) (*from & 0x7f) << shift;
		if (!(*from++ & 0x80))
			return from;
	}
	return NULL;
}

/* Codes a signed number so that small ones of either sign stay small */
static uint64_t
zigzag(int64_t value)
{
	return value < 0 ? ~((uint64_t) value << 1) : (uint64_t) value << 1;
}

/* Reverses zigzag() */
static int64_t
unzigzag(uint64_t value)
{
	return (int64_t) (value >> 1 ^ (~(value & 1) + 1));
}

/* Appends one step and returns the byte behind it */
static uint8_t *
put_step(uint8_t *to, int days, int64_t gain)
{
	if (days > 1)
	{
		*to++ = STEP_DAYS;
		to = put_varint(to, (uint64_t) days);
		return put_varint(to, zigzag(gain));
	}
	if (gain == 0)
		*to++ = 1;
	else if (gain > 0 && gain <= STEP_GAIN_MAX)
		*to++ = (uint8_t) (STEP_GAIN + gain);
	else if (gain < 0 && gain >= -STEP_LOSS_MAX)
		*to++ = (uint8_t) (STEP_LOSS - gain);
	else
	{
		*to++ = STEP_DAY;
		to = put_varint(to, zigzag(gain));
	}
	return to;
}

/* Reads a step that has more than one byte and returns the byte behind it, or NULL */
static const uint8_t *
get_long_step(const uint8_t *from, const uint8_t *end, Step *step)
{
	uint64_t	days = 1;
	uint64_t	gain;

	if (*from != STEP_DAY && *from != STEP_DAYS)
		return NULL;
	if (*from++ == STEP_DAYS)
	{
		from = get_varint(from, end, &days);
		if (from == NULL || days < 2 || days > MOMENTUM_WINDOW_DAYS)
			return NULL;
	}
	from = get_varint(from, end, &gain);
	step->days = (int) days;
	step->gain = unzigzag(gain);
	return from;
}

/* Reads a step and returns the byte behind it, or NULL */
static const uint8_t *
get_step(const uint8_t *from, const uint8_t *end, Step *step)
{
	step->repeat = 1;
	step->days = 1;
	if (*from > STEP_GAIN && *from <= STEP_LOSS)
		step->gain = *from - STEP_GAIN;
	else if (*from >= 1 && *from <= STEP_QUIET_MAX)
	{
		step->repeat = *from;
		step->gain = 0;
	}
	else if (*from > STEP_LOSS && *from <= STEP_LOSS + STEP_LOSS_MAX)
		step->gain = STEP_LOSS - *from;
	else
		return get_long_step(from, end, step);
	return from + 1;
}

/* Starts a history without observations */
void
momentum_history_init(MomentumHistory *history)
{
	prepare_byte_tables();
	history->empty = true;
	history->size = 0;
}

/* Forgets steps that begin before the window of the newest day; false: malformed */
static bool
trim_steps(MomentumHistory *history)
{
	const uint8_t *at = history->steps;
	const uint8_t *end = at + history->size;
	int			left = MOMENTUM_WINDOW_DAYS;

	while (at < end)
	{
		Step		step;
		const uint8_t *next = at + 1;
		int			days = byte_days[*at];

		if (days == 0)
		{
			next = get_step(at, end, &step);
			if (next == NULL)
				return false;
			days = step.days;
		}
		if (days > left)
		{
			/* part of a quiet run may stay */
			if (*at <= STEP_QUIET_MAX && left > 0)
				history->steps[at++ - history->steps] = (uint8_t) left;
			break;
		}
		left -= days;
		at = next;
	}
	history->size = (int) (at - history->steps);
	return true;
}

/* Puts a step in front of the others; what leaves the window is not yet trimmed */
static void
prepend_step(MomentumHistory *history, int days, int64_t gain)
{
	uint8_t		bytes[MOMENTUM_STEP_BYTES];
	size_t		size = put_step(bytes, days, gain) - bytes;
	bool		quiet = days == 1 && gain == 0;

	if (quiet && history->size > 0 && history->steps[0] <= STEP_QUIET_MAX)
	{
		if (history->steps[0] < STEP_QUIET_MAX)
			history->steps[0]++;
		return;
	}
	memmove(history->steps + size, history->steps, history->size);
	memcpy(history->steps, bytes, size);
	history->size += (int) size;
}

/* Lists the observations with ages counted from the newest; false: malformed */
bool
momentum_history_window(const MomentumHistory *history, MomentumWindow *window)
{
	const uint8_t *at = history->steps;
	const uint8_t *end = at + history->size;
	int			age = 0;
	int64_t		stars = history->last_stars;

	window->count = 0;
	if (history->empty)
		return true;
	window->age[window->count] = 0;
	window->stars[window->count++] = stars;
	while (at < end)
	{
		Step		step;

		at = get_step(at, end, &step);
		if (at == NULL)
			return false;
		while (step.repeat-- > 0)
		{
			age += step.days;
			/* unsigned, because malformed bytes may overflow */
			stars = (int64_t) ((uint64_t) stars - (uint64_t) step.gain);
			if (age > MOMENTUM_WINDOW_DAYS || stars < 0)
				return false;
			window->age[window->count] = age;
			window->stars[window->count++] = stars;
		}
	}
	return true;
}

/* Makes the history of a window whose ages count from as_of */
void
momentum_history_from_window(MomentumHistory *history, int32_t as_of, const MomentumWindow *window)
{
	int			i;

	momentum_history_init(history);
	for (i = window->count - 1; i >= 0; i--)
	{
		/* what is too old for the newest observation stays out */
		if (window->age[i] - window->age[0] <= MOMENTUM_WINDOW_DAYS)
			momentum_history_push(history, as_of - window->age[i], window->stars[i]);
	}
}

/* Adds an observation that is not newer than the newest; false: malformed */
static bool
insert_observation(MomentumHistory *history, int age, int64_t stars)
{
	MomentumWindow window;
	int			i;

	if (!momentum_history_window(history, &window))
		return false;
	for (i = 0; i < window.count && window.age[i] < age; i++)
		;
	if (i < window.count && window.age[i] == age)
	{
		if (stars > window.stars[i])
			window.stars[i] = stars;
	}
	else
	{
		memmove(window.age + i + 1, window.age + i, (window.count - i) * sizeof(window.age[0]));
		memmove(window.stars + i + 1, window.stars + i, (window.count - i) * sizeof(window.stars[0]));
		window.age[i] = age;
		window.stars[i] = stars;
		window.count++;
	}
	momentum_history_from_window(history, history->last_day, &window);
	return true;
}

/*
 * Adds an observation, in any order of days; of two on one day the higher count
 * stays, and what is 30 days older than the newest is forgotten.  Returns false
 * if the history turns out to be malformed.
 */
bool
momentum_history_push(MomentumHistory *history, int32_t day, int64_t stars)
{
	int64_t		days = (int64_t) day - history->last_day;

	if (history->empty || days > MOMENTUM_WINDOW_DAYS)
	{
		history->empty = false;
		history->size = 0;
	}
	else if (days <= 0)
		return days < -MOMENTUM_WINDOW_DAYS || insert_observation(history, (int) -days, stars);
	else
		prepend_step(history, (int) days, stars - history->last_stars);
	history->last_day = day;
	history->last_stars = stars;
	return trim_steps(history);
}

/* Adds the steps that lie inside the model's window, newest first; false: malformed */
static bool
sum_steps(const MomentumHistory *history, const MomentumModel *model, MomentumSums *sums)
{
	const uint8_t *at = history->steps;
	const uint8_t *end = at + history->size;

	while (at < end && sums->age < model->window_days)
	{
		Step		step;
		int			days = byte_days[*at];
		double		log_gain = byte_log[*at];
		bool		is_run = *at <= STEP_QUIET_MAX;

		if (days > 0)
			at++;
		else
		{
			at = get_step(at, end, &step);
			if (at == NULL)
				return false;
			days = step.days;
			log_gain = momentum_log_gain(step.gain, days);
		}
		if (days > model->window_days - sums->age)
		{
			/* of a quiet run, the days inside count */
			if (!is_run)
				break;
			days = model->window_days - sums->age;
		}
		momentum_sums_add(sums, model, days, log_gain);
	}
	return true;
}

/* Scores a day that is not before the newest observation, as the full history would */
MomentumResult
momentum_history_score(const MomentumHistory *history, int32_t as_of, int created_age,
					   const MomentumModel *model, double *m)
{
	int64_t		age = (int64_t) as_of - history->last_day;
	MomentumSums sums = {0};

	if (history->empty || age > model->window_days)
		return MOMENTUM_NO_OBSERVATION;
	if (age < 0)
		return MOMENTUM_BEFORE_NEWEST;

	sums.first_age = sums.age = (int) age;
	if (!sum_steps(history, model, &sums))
		return MOMENTUM_MALFORMED;
	if (sums.age == sums.first_age)
		*m = momentum_of_single(model, (int) age, created_age, history->last_stars);
	else
		*m = momentum_of_sums(&sums, model);
	return MOMENTUM_SCORED;
}

/* Returns false where no outlier can be, which few bytes tell of most histories */
static bool
may_be_outlier(const MomentumHistory *history)
{
	const uint8_t *steps = history->steps;

	if (history->empty || history->size < 2)
		return false;
	/* large gains have long steps; what looks like one inside a number is sorted out later */
	if (memchr(steps, STEP_DAY, history->size) != NULL || memchr(steps, STEP_DAYS, history->size) != NULL)
		return true;
	return steps[0] > STEP_GAIN && steps[0] <= STEP_LOSS && steps[1] > STEP_LOSS;
}

/* Returns whether the score of a history is not to be believed, as momentum_window_is_outlier() says */
bool
momentum_history_is_outlier(const MomentumHistory *history, const MomentumModel *model)
{
	MomentumWindow window;

	return may_be_outlier(history) && momentum_history_window(history, &window) &&
		momentum_window_is_outlier(model, &window);
}

/* Reads the written form; steps are checked where they are used */
bool
momentum_history_read(MomentumHistory *history, const uint8_t *bytes, size_t size)
{
	const uint8_t *end = bytes + size;
	uint64_t	day;
	uint64_t	stars;

	prepare_byte_tables();
	if (size == 0 || *bytes++ != HISTORY_VERSION)
		return false;
	bytes = get_varint(bytes, end, &day);
	if (bytes == NULL || day > UINT32_MAX)
		return false;
	bytes = get_varint(bytes, end, &stars);
	if (bytes == NULL || stars > INT64_MAX || end - bytes > MOMENTUM_STEPS_MAX)
		return false;

	history->empty = false;
	history->last_day = (int32_t) (uint32_t) day;
	history->last_stars = (int64_t) stars;
	history->size = (int) (end - bytes);
	memcpy(history->steps, bytes, history->size);
	return true;
}

/* Writes a history that is not empty and returns its bytes, at most MOMENTUM_HISTORY_BYTES */
size_t
momentum_history_write(const MomentumHistory *history, uint8_t *bytes)
{
	uint8_t    *at = bytes;

	*at++ = HISTORY_VERSION;
	at = put_varint(at, (uint32_t) history->last_day);
	at = put_varint(at, (uint64_t) history->last_stars);
	memcpy(at, history->steps, history->size);
	return at + history->size - bytes;
}

/*
 * momentum_slots.c
 *		The transition state of the momentum aggregates: one slot for each day.
 *
 * A gain is known only between neighbouring days, so sums alone cannot take a
 * row that comes late.  Slots can, and merge and take rows out as easily.  Of
 * two rows of one day the higher count wins, whichever comes first.
 */
#include "momentum.h"

#include <string.h>

/* Returns where 64-bit offsets are kept */
static int64_t *
wide_offsets(const MomentumSlots *slots)
{
	return (int64_t *) ((char *) slots + sizeof(MomentumSlots));
}

/* Returns the bytes of a state; 64-bit offsets stand behind the struct */
size_t
momentum_slots_size(bool wide)
{
	return sizeof(MomentumSlots) + (wide ? MOMENTUM_SLOTS * sizeof(int64_t) : 0);
}

/* Starts a state without observations; a floating one follows the newest day */
void
momentum_slots_init(MomentumSlots *slots, int32_t as_of, bool floating)
{
	slots->as_of = as_of;
	slots->present = 0;
	slots->base = 0;
	slots->floating = floating;
	slots->wide = false;
	slots->repeated = false;
	slots->unused = 0;
}

/* Copies a narrow state into wide memory */
void
momentum_slots_widen(const MomentumSlots *narrow, MomentumSlots *wide)
{
	int			age;

	memcpy(wide, narrow, sizeof(MomentumSlots));
	wide->wide = true;
	for (age = 0; age < MOMENTUM_SLOTS; age++)
		wide_offsets(wide)[age] = narrow->present >> age & 1 ? narrow->offset.narrow[age] : 0;
}

/* Moves the window of a floating state to a newer day */
static void
follow_newest_day(MomentumSlots *slots, int32_t day)
{
	int64_t		days = (int64_t) day - slots->as_of;
	size_t		kept = days < MOMENTUM_SLOTS ? MOMENTUM_SLOTS - days : 0;

	slots->as_of = day;
	slots->present = kept > 0 ? (slots->present << days) & ((UINT32_C(1) << MOMENTUM_SLOTS) - 1) : 0;
	if (kept == 0)
		return;
	if (slots->wide)
		memmove(wide_offsets(slots) + days, wide_offsets(slots), kept * sizeof(int64_t));
	else
		memmove(slots->offset.narrow + days, slots->offset.narrow, kept * sizeof(int16_t));
}

/* Returns the star count in a slot that is present */
static int64_t
slot_stars(const MomentumSlots *slots, int age)
{
	return slots->base + (slots->wide ? wide_offsets(slots)[age] : slots->offset.narrow[age]);
}

/*
 * Adds an observation; outside the window it is ignored.  Returns false, with
 * nothing changed but the newest day, if the state must be widened first.
 */
bool
momentum_slots_add(MomentumSlots *slots, int32_t day, int64_t stars)
{
	int64_t		age;
	int64_t		offset;
	uint32_t	bit;

	if (slots->floating && day > slots->as_of)
		follow_newest_day(slots, day);
	age = (int64_t) slots->as_of - day;
	if (age < 0 || age > MOMENTUM_WINDOW_DAYS)
		return true;

	bit = UINT32_C(1) << age;
	if (slots->present == 0)
		slots->base = stars;
	else if (slots->present & bit)
	{
		slots->repeated = true;
		if (stars <= slot_stars(slots, (int) age))
			return true;
	}

	offset = stars - slots->base;
	if (slots->wide)
		wide_offsets(slots)[age] = offset;
	else if (offset >= INT16_MIN && offset <= INT16_MAX)
		slots->offset.narrow[age] = (int16_t) offset;
	else
		return false;
	slots->present |= bit;
	return true;
}

/*
 * Takes the observation of a day out.  Returns false if the state does not know
 * what is left: after a repeated day, and when the newest day of a floating
 * state goes.
 */
bool
momentum_slots_remove(MomentumSlots *slots, int32_t day)
{
	int64_t		age = (int64_t) slots->as_of - day;

	if (slots->repeated || (slots->floating && age <= 0))
		return false;
	if (age >= 0 && age <= MOMENTUM_WINDOW_DAYS)
		slots->present &= ~(UINT32_C(1) << age);
	return true;
}

/* Lists the observations, newest first */
void
momentum_slots_window(const MomentumSlots *slots, MomentumWindow *window)
{
	int			age;

	window->count = 0;
	for (age = 0; age < MOMENTUM_SLOTS; age++)
	{
		if (slots->present >> age & 1)
		{
			window->age[window->count] = age;
			window->stars[window->count++] = slot_stars(slots, age);
		}
	}
}

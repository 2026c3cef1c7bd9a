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

#define PACKED_MIN	(-2048)		/* what twelve bits hold */
#define PACKED_MAX	2047

/* Returns where 64-bit offsets are kept */
static inline int64_t *
wide_offsets(const MomentumSlots *slots)
{
	return (int64_t *) ((char *) slots + sizeof(MomentumSlots));
}

/* Reads a packed offset */
static inline int64_t
packed_offset(const MomentumSlots *slots, int age)
{
	const uint8_t *at = slots->packed + age * 3 / 2;
	int			pair = at[0] | at[1] << 8;
	int			bits = (age & 1 ? pair >> 4 : pair) & 0xfff;

	return (bits ^ 0x800) - 0x800;
}

/* Writes a packed offset */
static inline void
set_packed_offset(MomentumSlots *slots, int age, int64_t offset)
{
	uint8_t    *at = slots->packed + age * 3 / 2;
	int			bits = (int) offset & 0xfff;

	if (age & 1)
	{
		at[0] = (uint8_t) ((at[0] & 0x0f) | bits << 4);
		at[1] = (uint8_t) (bits >> 4);
	}
	else
	{
		at[0] = (uint8_t) bits;
		at[1] = (uint8_t) ((at[1] & 0xf0) | bits >> 8);
	}
}

/* Returns the star count in a slot; only that of a present one means anything */
static inline int64_t
slot_stars(const MomentumSlots *slots, int age)
{
	int64_t		offset = slots->wide ? wide_offsets(slots)[age] : packed_offset(slots, age);

	return (int64_t) ((uint64_t) slots->base + (uint64_t) offset);
}

/* Returns the bytes of a state */
size_t
momentum_slots_size(bool wide)
{
	return sizeof(MomentumSlots) + (wide ? MOMENTUM_SLOTS * sizeof(int64_t) : 0);
}

/* Starts a state without observations; a floating one follows the newest day */
void
momentum_slots_init(MomentumSlots *slots, int32_t as_of, bool floating)
{
	memset(slots, 0, sizeof(MomentumSlots));
	slots->as_of = as_of;
	slots->floating = floating;
}

/* Copies a narrow state into wide memory */
void
momentum_slots_widen(const MomentumSlots *narrow, MomentumSlots *wide)
{
	int			age;

	memcpy(wide, narrow, sizeof(MomentumSlots));
	wide->wide = true;
	for (age = 0; age < MOMENTUM_SLOTS; age++)
		wide_offsets(wide)[age] = packed_offset(narrow, age);
}

/* Moves the window of a floating state to a newer day */
static void
follow_newest_day(MomentumSlots *slots, int32_t day)
{
	int64_t		days = (int64_t) day - slots->as_of;
	int			age;

	slots->as_of = day;
	if (days > MOMENTUM_WINDOW_DAYS)
	{
		slots->present = 0;
		return;
	}
	slots->present = (slots->present << days) & ((UINT32_C(1) << MOMENTUM_SLOTS) - 1);
	for (age = MOMENTUM_WINDOW_DAYS; age >= days; age--)
	{
		if (slots->wide)
			wide_offsets(slots)[age] = wide_offsets(slots)[age - days];
		else
			set_packed_offset(slots, age, packed_offset(slots, age - (int) days));
	}
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
	else if (offset >= PACKED_MIN && offset <= PACKED_MAX)
		set_packed_offset(slots, (int) age, offset);
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
	uint32_t	left = slots->present;
	int			age;
	int			count = 0;

	for (age = 0; left != 0; age++, left >>= 1)
	{
		/* without a branch: a slot that is not present is overwritten by the next */
		window->age[count] = age;
		window->stars[count] = slot_stars(slots, age);
		count += left & 1;
	}
	window->count = count;
}

/*
 * momentum_functions.h
 *		What the SQL functions and aggregates of the momentum topic share.
 */
#ifndef FLOWLENS_MOMENTUM_FUNCTIONS_H
#define FLOWLENS_MOMENTUM_FUNCTIONS_H

#include "postgres.h"

#include "utils/date.h"

#include "momentum.h"

extern void check_stars(int64 stars);
extern void check_day(DateADT day, const char *name);
extern bytea *momentum_history_bytea(const MomentumHistory *history);

#endif							/* FLOWLENS_MOMENTUM_FUNCTIONS_H */

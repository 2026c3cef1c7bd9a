/*
 * momentum_model.h
 *		Momentum models as they are written in SQL.
 */
#ifndef FLOWLENS_MOMENTUM_MODEL_H
#define FLOWLENS_MOMENTUM_MODEL_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/date.h"
#include "utils/jsonb.h"

#include "momentum.h"

extern void momentum_model_from_jsonb(Jsonb *constants, MomentumModel *model);
extern const MomentumModel *momentum_model_of_call(FunctionCallInfo fcinfo, int argument);
extern int	momentum_created_age(DateADT as_of, DateADT created_on);

#endif							/* FLOWLENS_MOMENTUM_MODEL_H */

/*
 * sharding.h
 *		Tables whose rows another engine keeps on other servers.
 */
#ifndef FLOWLENS_SHARDING_H
#define FLOWLENS_SHARDING_H

#include "postgres.h"

extern bool is_distributed(Oid relation);

#endif							/* FLOWLENS_SHARDING_H */

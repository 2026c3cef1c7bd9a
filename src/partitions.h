/*
 * partitions.h
 *		Partitions by UTC day, created before a row needs them.
 */
#ifndef FLOWLENS_PARTITIONS_H
#define FLOWLENS_PARTITIONS_H

#include "postgres.h"

#include "utils/date.h"
#include "utils/relcache.h"

extern Oid	flowlens_relation(const char *name);
extern bool relation_is_published(Relation relation);
extern Oid	partition_of_day(Oid parent, DateADT day, bool *single_day);
extern bool ensure_partition(Oid parent, DateADT day);
extern void allow_default_partition(Oid parent, DateADT day);
extern char *day_literal(DateADT day, bool as_instant);
extern char *partition_name(const char *parent_name, DateADT day);

#endif							/* FLOWLENS_PARTITIONS_H */

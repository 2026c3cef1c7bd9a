/*
 * partitions.h
 *		Partitions by UTC day, created before a row needs them.
 */
#ifndef FLOWLENS_PARTITIONS_H
#define FLOWLENS_PARTITIONS_H

#include "postgres.h"

#include "utils/date.h"

extern Oid	flowlens_relation(const char *name);
extern bool partition_exists(Oid parent, DateADT day);
extern bool ensure_partition(Oid parent, DateADT day);
extern char *partition_name(const char *parent_name, DateADT day);

#endif							/* FLOWLENS_PARTITIONS_H */

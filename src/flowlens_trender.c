/*
 * flowlens_trender.c
 *		Loading of the library: the magic block and one init call per topic.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "scd2.h"
#include "snapshots.h"
#include "webhook.h"
#include "work_queue.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "flowlens_trender", .version = FLOWLENS_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

/* Prepares the library for a backend */
void
_PG_init(void)
{
	scd2_init();
	snapshots_init();
	webhook_init();
	work_queue_init();
	MarkGUCPrefixReserved("flowlens");
}

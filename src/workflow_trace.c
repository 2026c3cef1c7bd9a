/*
 * workflow_trace.c
 *		Tells whether the backend that runs a workflow still lives.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(flowlens_backend_is_running);

/*
 * SQL: whether a backend with this process id and start time exists
 *
 * pg_stat_activity hides the start time of other roles' backends; process ids
 * alone are used again.
 */
Datum
flowlens_backend_is_running(PG_FUNCTION_ARGS)
{
	int			pid = PG_GETARG_INT32(0);
	TimestampTz started_at = PG_GETARG_TIMESTAMPTZ(1);
	int			count = pgstat_fetch_stat_numbackends();
	int			i;

	for (i = 1; i <= count; i++)
	{
		PgBackendStatus *backend = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (backend->st_procpid == pid && backend->st_proc_start_timestamp == started_at)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

PG_FUNCTION_INFO_V1(flowlens_backend_start);

/* SQL: when this backend started */
Datum
flowlens_backend_start(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(MyStartTimestamp);
}

#include "postgres.h"
#include "compat.h"
#include "scd2_internal.h"
bool
scd2_detect_by_hash(Scd2Merge *merge)
{
	return false;
}

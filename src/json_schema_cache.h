/*
 * json_schema_cache.h
 *		Compiled JSON Schemas for the calls of SQL functions.
 */
#ifndef FLOWLENS_JSON_SCHEMA_CACHE_H
#define FLOWLENS_JSON_SCHEMA_CACHE_H

#include "postgres.h"

#include "fmgr.h"

#include "json_schema.h"

extern JsonSchemaProgram *json_schema_for_call(FunctionCallInfo fcinfo, int number);

#endif							/* FLOWLENS_JSON_SCHEMA_CACHE_H */

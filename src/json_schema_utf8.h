/*
 * json_schema_utf8.h
 *		Reading of UTF-8 that never fails and never reads past the end.
 *
 * Plain C without server types: the format checks and the pattern parser use
 * it, and a program without a server can link them.
 */
#ifndef FLOWLENS_JSON_SCHEMA_UTF8_H
#define FLOWLENS_JSON_SCHEMA_UTF8_H

#include <stdint.h>

#define JSON_SCHEMA_MAX_CODE_POINT 0x10FFFF

/* What an octet counts as that starts no valid sequence (SQL_ASCII databases) */
#define JSON_SCHEMA_REPLACEMENT 0xFFFD

/* Returns whether the octet continues a sequence */
static inline int
json_schema_utf8_continues(unsigned char octet)
{
	return (octet & 0xC0) == 0x80;
}

/* Reads the code point at a non-empty text, and how many octets it takes */
static inline uint32_t
json_schema_utf8_decode(const unsigned char *at, const unsigned char *end, int *length)
{
	uint32_t	code = at[0];

	*length = 1;
	if (code < 0x80)
		return code;
	if (code >= 0xC2 && code <= 0xDF && end - at >= 2 && json_schema_utf8_continues(at[1]))
	{
		*length = 2;
		return (code & 0x1F) << 6 | (at[1] & 0x3F);
	}
	if (code >= 0xE0 && code <= 0xEF && end - at >= 3 &&
		json_schema_utf8_continues(at[1]) && json_schema_utf8_continues(at[2]))
	{
		code = (code & 0x0F) << 12 | (uint32_t) (at[1] & 0x3F) << 6 | (at[2] & 0x3F);
		if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF))
		{
			*length = 3;
			return code;
		}
	}
	else if (code >= 0xF0 && code <= 0xF4 && end - at >= 4 &&
			 json_schema_utf8_continues(at[1]) && json_schema_utf8_continues(at[2]) &&
			 json_schema_utf8_continues(at[3]))
	{
		code = (code & 0x07) << 18 | (uint32_t) (at[1] & 0x3F) << 12 |
			(uint32_t) (at[2] & 0x3F) << 6 | (at[3] & 0x3F);
		if (code >= 0x10000 && code <= JSON_SCHEMA_MAX_CODE_POINT)
		{
			*length = 4;
			return code;
		}
	}
	return JSON_SCHEMA_REPLACEMENT;
}

#endif							/* FLOWLENS_JSON_SCHEMA_UTF8_H */

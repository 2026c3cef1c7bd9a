/*
 * json_schema_formats.c
 *		The names of the formats, and the formats that are only a line or two.
 *
 * Dates and times are in json_schema_formats_time.c, hosts and mailboxes in
 * json_schema_formats_host.c, URIs in json_schema_formats_uri.c.
 */
#include <string.h>

#include "json_schema_formats.h"
#include "json_schema_pattern_parser.h"

/* Returns the value of a hexadecimal digit, or -1 */
static int
hex_digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Checks a UUID of any version and variant in its 36 character form (RFC 4122) */
static bool
is_uuid(const char *text, int length)
{
	int			i;

	if (length != 36)
		return false;
	for (i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (text[i] != '-')
				return false;
		}
		else if (hex_digit_value(text[i]) < 0)
			return false;
	}
	return true;
}

/* Checks a JSON Pointer in its string representation (RFC 6901) */
static bool
is_json_pointer(const char *text, int length)
{
	int			i;

	if (length > 0 && text[0] != '/')
		return false;
	for (i = 0; i < length; i++)
	{
		if (text[i] != '~')
			continue;
		if (i + 1 >= length || (text[i + 1] != '0' && text[i + 1] != '1'))
			return false;
	}
	return true;
}

/* Checks a number of levels up followed by "#" or a JSON Pointer (draft-handrews-relative-json-pointer-01) */
static bool
is_relative_json_pointer(const char *text, int length)
{
	int			i = 0;

	while (i < length && text[i] >= '0' && text[i] <= '9')
		i++;
	if (i == 0 || (i > 1 && text[0] == '0'))
		return false;
	if (i < length && text[i] == '#')
		return i + 1 == length;
	return is_json_pointer(text + i, length - i);
}

typedef struct FormatName
{
	const char *name;
	json_schema_format_check check;
} FormatName;

static const FormatName format_names[] = {
	{"date", json_schema_is_date},
	{"date-time", json_schema_is_date_time},
	{"duration", json_schema_is_duration},
	{"email", json_schema_is_email},
	{"hostname", json_schema_is_hostname},
	{"idn-email", json_schema_is_idn_email},
	{"ipv4", json_schema_is_ipv4},
	{"ipv6", json_schema_is_ipv6},
	{"iri", json_schema_is_iri},
	{"iri-reference", json_schema_is_iri_reference},
	{"json-pointer", is_json_pointer},
	{"regex", json_schema_pattern_is_valid},
	{"relative-json-pointer", is_relative_json_pointer},
	{"time", json_schema_is_time},
	{"uri", json_schema_is_uri},
	{"uri-reference", json_schema_is_uri_reference},
	{"uri-template", json_schema_is_uri_template},
	{"uuid", is_uuid}
};

/* Returns the check of a format, or NULL when the name is unknown */
json_schema_format_check
json_schema_find_format(const char *name, int length)
{
	size_t		i;

	for (i = 0; i < sizeof(format_names) / sizeof(format_names[0]); i++)
	{
		if ((size_t) length == strlen(format_names[i].name) &&
			memcmp(name, format_names[i].name, length) == 0)
			return format_names[i].check;
	}
	return NULL;
}

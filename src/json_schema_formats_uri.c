/*
 * json_schema_formats_uri.c
 *		The formats "uri", "uri-reference" (RFC 3986), "iri", "iri-reference"
 *		(RFC 3987) and "uri-template" (RFC 6570).
 */
#include <stddef.h>

#include "json_schema_formats.h"
#include "json_schema_utf8.h"

/* In which parts an ASCII character may stand unescaped */
#define IN_SCHEME 0x01
#define IN_USERINFO 0x02
#define IN_HOST 0x04
#define IN_PATH 0x08			/* pchar and "/" */
#define IN_QUERY 0x10			/* also in the fragment */
#define IN_HEX 0x20				/* a hexadecimal digit */
#define IN_NAME 0x40			/* of a template variable */
#define IN_LITERAL 0x80			/* of a template, with the apostrophe of erratum 6937 */

static const unsigned char character_parts[128] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x9E, 0x00, 0x80, 0x9E, 0x00, 0x9E, 0x9E,
	0x9E, 0x9E, 0x9E, 0x9F, 0x9E, 0x9F, 0x9F, 0x98,
	0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0xFF, 0xFF, 0x9A, 0x9E, 0x00, 0x9E, 0x00, 0x90,
	0x98, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xDF,
	0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF,
	0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF,
	0xDF, 0xDF, 0xDF, 0x80, 0x00, 0x80, 0x00, 0xDE,
	0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xDF,
	0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF,
	0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF, 0xDF,
	0xDF, 0xDF, 0xDF, 0x00, 0x00, 0x00, 0x9E, 0x00
};

/* Which characters outside ASCII are let in */
typedef enum HighCharacters
{
	HIGH_NONE,
	HIGH_UCSCHAR,				/* RFC 3987 "ucschar" */
	HIGH_IPRIVATE				/* and the private use areas */
} HighCharacters;

/* What is left of a text */
typedef struct Rest
{
	const unsigned char *at;
	const unsigned char *end;
} Rest;

/* Returns whether the rest starts with the character */
static bool
at_char(const Rest *rest, char c)
{
	return rest->at < rest->end && *rest->at == (unsigned char) c;
}

/* Returns whether an ASCII character may stand in one of the parts */
static bool
is_in(unsigned char c, int parts)
{
	return c < 128 && (character_parts[c] & parts) != 0;
}

/* Returns whether the code point is an ASCII digit */
static bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* Returns whether the code point is an ASCII letter */
static bool
is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Returns whether an IRI may hold the code point unescaped */
static bool
is_high_character(uint32_t code, HighCharacters high)
{
	if ((code >= 0xE000 && code <= 0xF8FF) || code >= 0xF0000)
		return high == HIGH_IPRIVATE && (code & 0xFFFE) != 0xFFFE;
	if (code < 0xA0 || (code >= 0xFDD0 && code <= 0xFDEF) || (code >= 0xFFF0 && code <= 0xFFFF))
		return false;
	/* the tags E0000 to E0FFF are left out of "ucschar" */
	return (code & 0xFFFE) != 0xFFFE && (code < 0xE0000 || code > 0xE0FFF);
}

/* Skips a percent sign with its two digits */
static bool
skip_percent(Rest *rest)
{
	if (rest->end - rest->at < 3 || !is_in(rest->at[1], IN_HEX) || !is_in(rest->at[2], IN_HEX))
		return false;
	rest->at += 3;
	return true;
}

/* Skips the characters of a part; stops before the first that may not stand there */
static void
skip_part(Rest *rest, int part, HighCharacters high)
{
	while (rest->at < rest->end)
	{
		unsigned char c = *rest->at;

		if (c < 128 && (character_parts[c] & part))
			rest->at++;
		else if (c == '%')
		{
			if (!skip_percent(rest))
				return;
		}
		else if (c >= 128 && high != HIGH_NONE)
		{
			int			length;

			if (!is_high_character(json_schema_utf8_decode(rest->at, rest->end, &length), high))
				return;
			rest->at += length;
		}
		else
			return;
	}
}

/* Checks the content of the brackets of a host: an IPv6 address or "IPvFuture" */
static bool
is_ip_literal(const unsigned char *at, const unsigned char *end)
{
	const unsigned char *start;

	if (at == end || (*at != 'v' && *at != 'V'))
		return json_schema_is_ipv6((const char *) at, (int) (end - at));
	start = ++at;
	while (at < end && is_in(*at, IN_HEX))
		at++;
	if (at == start || at == end || *at++ != '.')
		return false;
	start = at;
	while (at < end && is_in(*at, IN_USERINFO))
		at++;
	return at > start && at == end;
}

/* Skips "[host]" */
static bool
skip_ip_literal(Rest *rest)
{
	const unsigned char *start = ++rest->at;

	while (rest->at < rest->end && *rest->at != ']')
		rest->at++;
	return rest->at < rest->end && is_ip_literal(start, rest->at++);
}

/* Skips userinfo, host and port up to the path, query, fragment or end */
static bool
skip_authority(Rest *rest, HighCharacters high)
{
	Rest		userinfo = *rest;

	skip_part(&userinfo, IN_USERINFO, high);
	if (at_char(&userinfo, '@'))
		rest->at = userinfo.at + 1;
	if (at_char(rest, '['))
	{
		if (!skip_ip_literal(rest))
			return false;
	}
	else
		skip_part(rest, IN_HOST, high);
	if (at_char(rest, ':'))
	{
		rest->at++;
		while (rest->at < rest->end && is_digit(*rest->at))
			rest->at++;
	}
	return rest->at == rest->end || *rest->at == '/' || *rest->at == '?' || *rest->at == '#';
}

/*
 * Skips "scheme:" if it is there.  Without a scheme no colon may stand in the
 * first segment of the path.
 */
static bool
skip_scheme(Rest *rest, bool required)
{
	const unsigned char *at = rest->at;

	if (at < rest->end && is_letter(*at))
	{
		while (at < rest->end && is_in(*at, IN_SCHEME))
			at++;
		if (at < rest->end && *at == ':')
		{
			rest->at = at + 1;
			return true;
		}
	}
	if (required)
		return false;
	while (at < rest->end && *at != '/' && *at != '?' && *at != '#')
	{
		if (*at++ == ':')
			return false;
	}
	return true;
}

/* Checks a URI or IRI, or a reference to one when no scheme is required */
static bool
is_reference(const char *text, int length, bool scheme_required, bool international)
{
	Rest		rest = {(const unsigned char *) text, (const unsigned char *) text + length};
	HighCharacters high = international ? HIGH_UCSCHAR : HIGH_NONE;

	if (!skip_scheme(&rest, scheme_required))
		return false;
	if (rest.end - rest.at >= 2 && rest.at[0] == '/' && rest.at[1] == '/')
	{
		rest.at += 2;
		if (!skip_authority(&rest, high))
			return false;
	}
	skip_part(&rest, IN_PATH, high);
	if (at_char(&rest, '?'))
	{
		rest.at++;
		skip_part(&rest, IN_QUERY, international ? HIGH_IPRIVATE : HIGH_NONE);
	}
	if (at_char(&rest, '#'))
	{
		rest.at++;
		skip_part(&rest, IN_QUERY, high);
	}
	return rest.at == rest.end;
}

/* Checks the format "uri" */
bool
json_schema_is_uri(const char *text, int length)
{
	return is_reference(text, length, true, false);
}

/* Checks the format "uri-reference" */
bool
json_schema_is_uri_reference(const char *text, int length)
{
	return is_reference(text, length, false, false);
}

/* Checks the format "iri" */
bool
json_schema_is_iri(const char *text, int length)
{
	return is_reference(text, length, true, true);
}

/* Checks the format "iri-reference" */
bool
json_schema_is_iri_reference(const char *text, int length)
{
	return is_reference(text, length, false, true);
}

/* Skips the name of a template variable: words joined by single dots */
static bool
skip_variable_name(Rest *rest)
{
	for (;;)
	{
		const unsigned char *start = rest->at;

		skip_part(rest, IN_NAME, HIGH_NONE);
		if (rest->at == start)
			return false;
		if (!at_char(rest, '.'))
			return true;
		rest->at++;
	}
}

/* Skips "*" or ":" with a number from 1 to 9999 behind a variable, if it is there */
static bool
skip_modifier(Rest *rest)
{
	int			digits = 0;

	if (at_char(rest, '*'))
		rest->at++;
	else if (at_char(rest, ':'))
	{
		rest->at++;
		if (at_char(rest, '0'))
			return false;
		while (digits < 4 && rest->at < rest->end && is_digit(*rest->at))
		{
			rest->at++;
			digits++;
		}
		return digits > 0;
	}
	return true;
}

/* Returns whether the character is an operator, the reserved ones included */
static bool
is_operator(unsigned char c)
{
	const char *operator;

	for (operator = "+#./;?&=,!@|"; *operator != '\0'; operator++)
	{
		if (c == (unsigned char) *operator)
			return true;
	}
	return false;
}

/* Skips an expression, from "{" to "}" */
static bool
skip_expression(Rest *rest)
{
	rest->at++;
	if (rest->at < rest->end && is_operator(*rest->at))
		rest->at++;
	for (;;)
	{
		if (!skip_variable_name(rest) || !skip_modifier(rest) || rest->at == rest->end)
			return false;
		if (*rest->at == '}')
			break;
		if (*rest->at++ != ',')
			return false;
	}
	rest->at++;
	return true;
}

/* Checks the format "uri-template" */
bool
json_schema_is_uri_template(const char *text, int length)
{
	Rest		rest = {(const unsigned char *) text, (const unsigned char *) text + length};

	for (;;)
	{
		skip_part(&rest, IN_LITERAL, HIGH_IPRIVATE);
		if (rest.at == rest.end)
			return true;
		if (*rest.at != '{' || !skip_expression(&rest))
			return false;
	}
}

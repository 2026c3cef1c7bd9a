/*
 * json_schema_formats_host.c
 *		The formats of internet hosts and mailboxes: "ipv4", "ipv6", "hostname",
 *		"email" and "idn-email".
 */
#include <string.h>

#include "json_schema_formats.h"

#define MAX_LABEL_LENGTH 63
#define MAX_HOSTNAME_LENGTH 253
#define MAX_LOCAL_PART_LENGTH 64	/* RFC 5321, section 4.5.3.1.1 */
#define MAX_MAIL_DOMAIN_LENGTH 255	/* RFC 5321, section 4.5.3.1.2 */

/* Returns whether the character is an ASCII digit */
static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Returns whether the character is a hexadecimal digit */
static bool
is_hex_digit(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Returns whether the character is an ASCII letter or digit */
static bool
is_alphanumeric(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Returns whether the octet belongs to a character outside ASCII */
static bool
is_high(char c)
{
	return ((unsigned char) c & 0x80) != 0;
}

/* Returns the length of one decimal octet without leading zeros, or 0 */
static int
dec_octet_length(const char *text, int length)
{
	int			value = 0;
	int			i;

	for (i = 0; i < length && i < 3 && is_digit(text[i]); i++)
		value = value * 10 + (text[i] - '0');
	if (i == 0 || value > 255 || (i > 1 && text[0] == '0'))
		return 0;
	return i;
}

/* Checks an IPv4 address in dotted decimal form (RFC 2673, section 3.2) */
bool
json_schema_is_ipv4(const char *text, int length)
{
	const char *end = text + length;
	int			octet;

	for (octet = 0; octet < 4; octet++)
	{
		int			taken;

		if (octet > 0 && (text == end || *text++ != '.'))
			return false;
		taken = dec_octet_length(text, (int) (end - text));
		if (taken == 0)
			return false;
		text += taken;
	}
	return text == end;
}

/* Returns how many hexadecimal digits, at most four, the text starts with */
static int
h16_length(const char *text, const char *end)
{
	int			i;

	for (i = 0; i < 4 && text + i < end && is_hex_digit(text[i]); i++)
		continue;
	return i;
}

/* Checks an IPv6 address without zone (RFC 4291, section 2.2) */
bool
json_schema_is_ipv6(const char *text, int length)
{
	const char *end = text + length;
	int			groups = 0;
	bool		shortened = false;

	if (length >= 2 && text[0] == ':' && text[1] == ':')
	{
		shortened = true;
		text += 2;
	}
	while (text < end)
	{
		int			digits = h16_length(text, end);

		if (digits > 0 && text + digits < end && text[digits] == '.')
		{
			if (!json_schema_is_ipv4(text, (int) (end - text)))
				return false;
			groups += 2;
			break;
		}
		if (digits == 0 || ++groups > 8)
			return false;
		text += digits;
		if (text == end)
			break;
		if (*text++ != ':' || text == end)
			return false;
		if (*text == ':')
		{
			if (shortened)
				return false;
			shortened = true;
			text++;
		}
	}
	/* "::" stands for at least one group */
	return shortened ? groups < 8 : groups == 8;
}

/* Checks labels of letters, digits and inner hyphens; with_unicode lets any other character in too */
static bool
is_domain(const char *text, int length, int max_length, bool with_unicode)
{
	int			label_length = 0;
	int			i;

	if (length == 0 || length > max_length)
		return false;
	for (i = 0; i <= length; i++)
	{
		if (i == length || text[i] == '.')
		{
			if (label_length == 0 || text[i - 1] == '-')
				return false;
			label_length = 0;
			continue;
		}
		if (++label_length > MAX_LABEL_LENGTH)
			return false;
		if (!is_alphanumeric(text[i]) && !(text[i] == '-' && label_length > 1) &&
			!(with_unicode && is_high(text[i])))
			return false;
	}
	return true;
}

/* Checks a host name (RFC 1123, section 2.1) */
bool
json_schema_is_hostname(const char *text, int length)
{
	return is_domain(text, length, MAX_HOSTNAME_LENGTH, false);
}

/* Returns whether an atom of a local part may hold the character ("atext") */
static bool
is_atom_character(char c, bool with_unicode)
{
	if (is_alphanumeric(c))
		return true;
	if (is_high(c))
		return with_unicode;
	return c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

/* Returns the length of a quoted local part with its quotes, or 0 */
static int
quoted_string_length(const char *text, int length, bool with_unicode)
{
	int			i;

	for (i = 1; i < length; i++)
	{
		char		c = text[i];

		if (c == '"')
			return i + 1;
		if (c == '\\')
		{
			if (++i >= length)
				return 0;
			c = text[i];
		}
		if (is_high(c) ? !with_unicode : (c < ' ' || c > '~'))
			return 0;
	}
	return 0;
}

/* Returns the length of atoms joined by dots, or 0 */
static int
dot_string_length(const char *text, int length, bool with_unicode)
{
	int			i;

	for (i = 0; i < length; i++)
	{
		if (text[i] == '.')
		{
			if (i == 0 || text[i - 1] == '.')
				return 0;
		}
		else if (!is_atom_character(text[i], with_unicode))
			break;
	}
	return i > 0 && text[i - 1] == '.' ? 0 : i;
}

/* Checks the content of an address in brackets ("IPv4-address-literal" or "IPv6-address-literal") */
static bool
is_address_literal(const char *text, int length)
{
	static const char tag[] = "ipv6:";
	int			i;

	for (i = 0; i < 5 && i < length; i++)
	{
		char		c = text[i];

		if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != tag[i])
			break;
	}
	if (i == 5)
		return json_schema_is_ipv6(text + 5, length - 5);
	return json_schema_is_ipv4(text, length);
}

/* Checks a mailbox: local part, "@", domain or address literal (RFC 5321, section 4.1.2; RFC 6531) */
static bool
is_mailbox(const char *text, int length, bool with_unicode)
{
	int			local_length;

	if (length > 0 && text[0] == '"')
		local_length = quoted_string_length(text, length, with_unicode);
	else
		local_length = dot_string_length(text, length, with_unicode);
	if (local_length == 0 || local_length > MAX_LOCAL_PART_LENGTH ||
		local_length >= length || text[local_length] != '@')
		return false;
	text += local_length + 1;
	length -= local_length + 1;
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']')
		return is_address_literal(text + 1, length - 2);
	return is_domain(text, length, MAX_MAIL_DOMAIN_LENGTH, with_unicode);
}

/* Checks the format "email" */
bool
json_schema_is_email(const char *text, int length)
{
	return is_mailbox(text, length, false);
}

/* Checks the format "idn-email": the same with characters outside ASCII on both sides */
bool
json_schema_is_idn_email(const char *text, int length)
{
	return is_mailbox(text, length, true);
}

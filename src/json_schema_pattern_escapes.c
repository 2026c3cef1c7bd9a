/*
 * json_schema_pattern_escapes.c
 *		Escapes and classes of regular expressions of ECMA-262.
 */
#include "json_schema_pattern_reader.h"

/* Returns the value of a hexadecimal digit, or -1 */
static int
hex_digit_value(unsigned char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads exactly so many hexadecimal digits if they are there */
static bool
read_hex(Parser *parser, int digits, uint32_t *code)
{
	int			i;

	if (parser->end - parser->at < digits)
		return false;
	*code = 0;
	for (i = 0; i < digits; i++)
	{
		int			value = hex_digit_value(parser->at[i]);

		if (value < 0)
			return false;
		*code = *code << 4 | (uint32_t) value;
	}
	parser->at += digits;
	return true;
}

/* Reads what follows "\u": four digits, two surrogates of four digits, or digits in braces */
bool
json_schema_read_unicode_escape(Parser *parser, uint32_t *code)
{
	const unsigned char *after;
	uint32_t	low;

	if (read_char(parser, '{'))
	{
		const unsigned char *digits = parser->at;

		for (*code = 0; parser->at < parser->end && hex_digit_value(*parser->at) >= 0; parser->at++)
		{
			*code = *code << 4 | (uint32_t) hex_digit_value(*parser->at);
			if (*code > JSON_SCHEMA_MAX_CODE_POINT)
				return fail(parser, "The code point is above 10FFFF");
		}
		if (parser->at == digits || !read_char(parser, '}'))
			return fail(parser, "\"\\u{\" needs hexadecimal digits and \"}\"");
		return true;
	}
	if (!read_hex(parser, 4, code))
		return fail(parser, "\"\\u\" needs four hexadecimal digits");
	if (*code < 0xD800 || *code > 0xDBFF)
		return true;
	after = parser->at;
	if (read_word(parser, "\\u") && read_hex(parser, 4, &low) && low >= 0xDC00 && low <= 0xDFFF)
		*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	else
		parser->at = after;
	return true;
}

/* Reads the name of a property between braces and adds its code points to the set */
static bool
parse_property(Parser *parser, JsonSchemaSet *set, bool negated)
{
	const unsigned char *name = parser->at + 1;
	const unsigned char *value = NULL;
	const unsigned char *close;

	if (!read_char(parser, '{'))
		return fail(parser, "\"\\p\" and \"\\P\" need the name of a property in braces");
	while (parser->at < parser->end && *parser->at != '}')
	{
		if (*parser->at == '=' && value == NULL)
			value = parser->at + 1;
		parser->at++;
	}
	close = parser->at;
	if (!read_char(parser, '}'))
		return fail(parser, "\"\\p{\" needs \"}\"");
	if (!json_schema_set_add_property(&parser->arena, set, (const char *) name,
									  (int) ((value ? value - 1 : close) - name),
									  (const char *) value, value ? (int) (close - value) : 0, negated))
		return fail(parser, "The property is unknown or not supported");
	return true;
}

/* Reads an escape that stands for a class, behind its backslash; found tells whether there is one */
bool
json_schema_parse_class_escape(Parser *parser, JsonSchemaSet *set, bool *found)
{
	unsigned char c = parser->at < parser->end ? *parser->at : '\0';

	*found = true;
	switch (c)
	{
		case 'd':
		case 'D':
			json_schema_set_add_class(&parser->arena, set, JSON_SCHEMA_CLASS_DIGIT, c == 'D');
			break;
		case 's':
		case 'S':
			json_schema_set_add_class(&parser->arena, set, JSON_SCHEMA_CLASS_SPACE, c == 'S');
			break;
		case 'w':
		case 'W':
			json_schema_set_add_class(&parser->arena, set, JSON_SCHEMA_CLASS_WORD, c == 'W');
			break;
		case 'p':
		case 'P':
			parser->at++;
			return parse_property(parser, set, c == 'P');
		default:
			*found = false;
			return true;
	}
	parser->at++;
	return true;
}

/* Reads a punctuation character that stands for itself behind a backslash */
static bool
parse_identity_escape(Parser *parser, bool in_class, uint32_t *code)
{
	unsigned char c = *parser->at;

	if (c < 0x80 && c != '\0' && strchr("^$\\.*+?()[]{}|/", c) == NULL && !(in_class && c == '-') &&
		(parser->strict || is_letter(c) || is_digit(c)))
		return fail(parser, "The escape sequence is unknown");
	if (parser->strict && (c == '\0' || c >= 0x80))
		return fail(parser, "The escape sequence is unknown");
	*code = read_code_point(parser);
	return true;
}

/* Reads an escape that stands for one code point, behind its backslash */
bool
json_schema_parse_character_escape(Parser *parser, bool in_class, uint32_t *code)
{
	static const char letters[] = "tnvfr";
	static const char values[] = "\t\n\v\f\r";
	const char *letter;

	if (parser->at == parser->end)
		return fail(parser, "There is nothing behind the backslash");
	letter = *parser->at != '\0' ? strchr(letters, *parser->at) : NULL;
	if (letter != NULL)
	{
		*code = (unsigned char) values[letter - letters];
		parser->at++;
		return true;
	}
	if (read_char(parser, 'c'))
	{
		if (parser->at == parser->end || !is_letter(*parser->at))
			return fail(parser, "\"\\c\" needs a letter");
		*code = *parser->at++ % 32;
		return true;
	}
	if (read_char(parser, '0'))
	{
		*code = 0;
		if (parser->at < parser->end && is_digit(*parser->at))
			return fail(parser, "\"\\0\" must not be followed by a digit");
		return true;
	}
	if (read_char(parser, 'x'))
		return read_hex(parser, 2, code) || fail(parser, "\"\\x\" needs two hexadecimal digits");
	if (read_char(parser, 'u'))
		return json_schema_read_unicode_escape(parser, code);
	return parse_identity_escape(parser, in_class, code);
}

/* Reads one member of a class: a code point, or a class escape that goes into the set at once */
static bool
parse_class_member(Parser *parser, JsonSchemaSet *set, bool *is_class, uint32_t *code)
{
	*is_class = false;
	if (!read_char(parser, '\\'))
	{
		*code = read_code_point(parser);
		return true;
	}
	if (!json_schema_parse_class_escape(parser, set, is_class))
		return false;
	if (*is_class)
		return true;
	if (read_char(parser, 'b'))
	{
		*code = '\b';
		return true;
	}
	return json_schema_parse_character_escape(parser, true, code);
}

/* Reads a member of a class and the range it may start */
static bool
parse_class_range(Parser *parser, JsonSchemaSet *set)
{
	bool		first_is_class;
	bool		last_is_class;
	uint32_t	first = 0;
	uint32_t	last = 0;

	if (!parse_class_member(parser, set, &first_is_class, &first))
		return false;
	if (!at_char(parser, '-') || parser->end - parser->at < 2 || parser->at[1] == ']')
	{
		if (!first_is_class)
			json_schema_set_add(&parser->arena, set, first, first);
		return true;
	}
	parser->at++;
	if (!parse_class_member(parser, set, &last_is_class, &last))
		return false;
	if (!first_is_class && !last_is_class)
	{
		if (first > last)
			return fail(parser, "The range of a class is out of order");
		json_schema_set_add(&parser->arena, set, first, last);
		return true;
	}
	if (parser->strict)
		return fail(parser, "A class escape cannot limit a range");
	json_schema_set_add(&parser->arena, set, '-', '-');
	if (!first_is_class)
		json_schema_set_add(&parser->arena, set, first, first);
	if (!last_is_class)
		json_schema_set_add(&parser->arena, set, last, last);
	return true;
}

/* Reads a class behind its "["; the set is normal */
bool
json_schema_parse_class(Parser *parser, JsonSchemaSet *set)
{
	bool		negated = read_char(parser, '^');

	while (!read_char(parser, ']'))
	{
		if (parser->at == parser->end)
			return fail(parser, "The class is not closed");
		if (!parse_class_range(parser, set))
			return false;
	}
	json_schema_set_normalize(set);
	if (negated)
		*set = json_schema_set_complement(&parser->arena, set);
	return true;
}

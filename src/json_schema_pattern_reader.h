/*
 * json_schema_pattern_reader.h
 *		What the files of the pattern parser share: reading of the source.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_READER_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_READER_H

#include <string.h>

#include "json_schema_pattern_parser.h"
#include "json_schema_utf8.h"

typedef JsonSchemaPatternParser Parser;

/* Reads what follows "\u": four digits, two surrogates of four digits, or digits in braces */
extern bool json_schema_read_unicode_escape(Parser *parser, uint32_t *code);

/* Reads an escape that stands for a class, behind its backslash; found tells whether there is one */
extern bool json_schema_parse_class_escape(Parser *parser, JsonSchemaSet *set, bool *found);

/* Reads an escape that stands for one code point, behind its backslash */
extern bool json_schema_parse_character_escape(Parser *parser, bool in_class, uint32_t *code);

/* Reads a class behind its "["; the set is normal */
extern bool json_schema_parse_class(Parser *parser, JsonSchemaSet *set);

/* Notes the first error; always returns false */
static inline bool
fail(Parser *parser, const char *error)
{
	if (parser->error == NULL)
	{
		parser->error = error;
		parser->error_offset = (int) (parser->at - parser->source);
	}
	return false;
}

/* Returns whether the rest starts with the character */
static inline bool
at_char(const Parser *parser, char c)
{
	return parser->at < parser->end && *parser->at == (unsigned char) c;
}

/* Returns whether the rest starts with the word */
static inline bool
at_word(const Parser *parser, const char *word)
{
	size_t		length = strlen(word);

	return (size_t) (parser->end - parser->at) >= length && memcmp(parser->at, word, length) == 0;
}

/* Reads one given character if it is there */
static inline bool
read_char(Parser *parser, char c)
{
	if (!at_char(parser, c))
		return false;
	parser->at++;
	return true;
}

/* Reads one given word if it is there */
static inline bool
read_word(Parser *parser, const char *word)
{
	if (!at_word(parser, word))
		return false;
	parser->at += strlen(word);
	return true;
}

/* Reads any code point of a non-empty rest */
static inline uint32_t
read_code_point(Parser *parser)
{
	int			length;
	uint32_t	code = json_schema_utf8_decode(parser->at, parser->end, &length);

	parser->at += length;
	return code;
}

/* Returns whether the octet is an ASCII digit */
static inline bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/* Returns whether the octet is an ASCII letter */
static inline bool
is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_READER_H */

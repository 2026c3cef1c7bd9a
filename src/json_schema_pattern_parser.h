/*
 * json_schema_pattern_parser.h
 *		The grammar of regular expressions of ECMA-262 with the flag "u".
 *
 * Plain C without server types, like json_schema_pattern_sets.h.
 */
#ifndef FLOWLENS_JSON_SCHEMA_PATTERN_PARSER_H
#define FLOWLENS_JSON_SCHEMA_PATTERN_PARSER_H

#include "json_schema_pattern_sets.h"

/* No upper limit of a repetition: no text of a JSONB value is as long */
#define JSON_SCHEMA_UNBOUNDED (1 << 29)

#define JSON_SCHEMA_MAX_GROUP_NAMES 256

typedef enum JsonSchemaPatternNodeType
{
	JSON_SCHEMA_NODE_EMPTY,		/* matches the empty text */
	JSON_SCHEMA_NODE_SET,		/* one code point of a set */
	JSON_SCHEMA_NODE_SEQUENCE,	/* the children one after the other */
	JSON_SCHEMA_NODE_CHOICE,	/* one of the children */
	JSON_SCHEMA_NODE_GROUP,		/* the child, in parentheses */
	JSON_SCHEMA_NODE_REPEAT,	/* the child, min to max times */
	JSON_SCHEMA_NODE_START,		/* ^ */
	JSON_SCHEMA_NODE_END,		/* $ */
	JSON_SCHEMA_NODE_WORD_EDGE, /* \b, negated \B */
	JSON_SCHEMA_NODE_LOOK,		/* the child lies ahead or behind, or not */
	JSON_SCHEMA_NODE_BACK_REFERENCE /* what the group matched */
} JsonSchemaPatternNodeType;

typedef struct JsonSchemaPatternNode
{
	JsonSchemaPatternNodeType type;
	bool		negated;		/* of \B, (?! and (?<! */
	bool		behind;			/* of (?<= and (?<! */
	int			group;			/* number of the group, 0 when it captures nothing */
	int			min;
	int			max;
	bool		lazy;			/* of *?, +?, ?? and {}? */
	JsonSchemaSet set;
	struct JsonSchemaPatternNode *child;	/* first child */
	struct JsonSchemaPatternNode *next;	/* next child of the parent */
} JsonSchemaPatternNode;

typedef struct JsonSchemaPatternParser
{
	const unsigned char *source;
	const unsigned char *at;
	const unsigned char *end;
	bool		strict;
	JsonSchemaArena arena;
	int			depth;
	int			group_count;	/* of the whole pattern */
	int			groups_opened;	/* of what has been read */
	bool		has_references; /* among what has been read */
	int			name_count;
	struct
	{
		const unsigned char *at;
		int			group;
	}			names[JSON_SCHEMA_MAX_GROUP_NAMES];
	const char *error;			/* a sentence without its period, or NULL */
	int			error_offset;	/* in octets of the source */
	JsonSchemaPatternNode scratch;		/* every node of a parser without arena */
} JsonSchemaPatternParser;

extern JsonSchemaPatternNode *json_schema_parse_pattern(JsonSchemaPatternParser *parser, JsonSchemaArena arena,
												 const char *source, int length, bool strict);

/* Checks the format "regex": a text that ECMA-262 accepts as pattern with the flag "u" */
extern bool json_schema_pattern_is_valid(const char *source, int length);

#endif							/* FLOWLENS_JSON_SCHEMA_PATTERN_PARSER_H */

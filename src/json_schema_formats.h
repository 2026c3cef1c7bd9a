/*
 * json_schema_formats.h
 *		The checks behind the keyword "format".
 *
 * Plain C without server types: a program without a server can link them.  A
 * text is UTF-8 and not terminated; no check allocates, raises or recurses
 * deeper than a constant.
 */
#ifndef FLOWLENS_JSON_SCHEMA_FORMATS_H
#define FLOWLENS_JSON_SCHEMA_FORMATS_H

#include <stdbool.h>

/* Returns whether the text conforms to a format */
typedef bool (*json_schema_format_check) (const char *text, int length);

/* Returns the check of a format, or NULL when the name is unknown */
extern json_schema_format_check json_schema_find_format(const char *name, int length);

/* The checks of each file, for json_schema_find_format() and for each other */
extern bool json_schema_is_date_time(const char *text, int length);
extern bool json_schema_is_date(const char *text, int length);
extern bool json_schema_is_time(const char *text, int length);
extern bool json_schema_is_duration(const char *text, int length);

extern bool json_schema_is_ipv4(const char *text, int length);
extern bool json_schema_is_ipv6(const char *text, int length);
extern bool json_schema_is_hostname(const char *text, int length);
extern bool json_schema_is_email(const char *text, int length);
extern bool json_schema_is_idn_email(const char *text, int length);

extern bool json_schema_is_uri(const char *text, int length);
extern bool json_schema_is_uri_reference(const char *text, int length);
extern bool json_schema_is_iri(const char *text, int length);
extern bool json_schema_is_iri_reference(const char *text, int length);
extern bool json_schema_is_uri_template(const char *text, int length);

#endif							/* FLOWLENS_JSON_SCHEMA_FORMATS_H */

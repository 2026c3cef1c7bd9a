/*
 * json_schema_uri.c
 *		Resolution of URI references, RFC 3986 section 5.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "compat.h"
#include "json_schema_compile.h"

/* A part of a URI; data is NULL when the part is absent */
typedef JsonSchemaString UriPart;

typedef struct Uri
{
	UriPart		scheme;
	UriPart		authority;
	UriPart		path;			/* never absent */
	UriPart		query;
	UriPart		fragment;
} Uri;

/* Returns the length of a scheme with its colon, 0 when there is none */
static int
scheme_length(const char *text)
{
	const char *c = text;

	if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')))
		return 0;
	while ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
		   (*c >= '0' && *c <= '9') || *c == '+' || *c == '-' || *c == '.')
		c++;
	return *c == ':' ? (int) (c - text) + 1 : 0;
}

/* Cuts a URI reference into its parts */
static void
split_uri(const char *text, Uri *uri)
{
	int			length = scheme_length(text);

	memset(uri, 0, sizeof(Uri));
	if (length > 0)
	{
		uri->scheme.data = text;
		uri->scheme.length = length;
		text += length;
	}
	if (text[0] == '/' && text[1] == '/')
	{
		uri->authority.data = text;
		uri->authority.length = 2 + strcspn(text + 2, "/?#");
		text += uri->authority.length;
	}
	uri->path.data = text;
	uri->path.length = strcspn(text, "?#");
	text += uri->path.length;
	if (*text == '?')
	{
		uri->query.data = text;
		uri->query.length = strcspn(text, "#");
		text += uri->query.length;
	}
	if (*text == '#')
	{
		uri->fragment.data = text;
		uri->fragment.length = strlen(text);
	}
}

/* Appends a path without its "." and ".." segments */
static void
append_path(StringInfo result, const char *path)
{
	int			start = result->len;

	while (*path != '\0')
	{
		int			length = 1 + strcspn(path + 1, "/");
		const char *segment = *path == '/' ? path + 1 : path;
		int			segment_length = length - (int) (segment - path);
		bool		last = path[length] == '\0';

		if (segment_length == 1 && segment[0] == '.')
		{
			if (last && *path == '/')
				appendStringInfoChar(result, '/');
		}
		else if (segment_length == 2 && segment[0] == '.' && segment[1] == '.')
		{
			while (result->len > start && result->data[result->len - 1] != '/')
				result->len--;
			if (result->len > start)
				result->len--;
			result->data[result->len] = '\0';
			if (last && *path == '/')
				appendStringInfoChar(result, '/');
		}
		else
			appendBinaryStringInfo(result, path, length);
		path += length;
	}
}

/* Appends a part, if it is there */
static void
append_part(StringInfo result, UriPart part)
{
	if (part.data != NULL)
		appendBinaryStringInfo(result, part.data, part.length);
}

/* Returns the path of a reference that has a relative one, seen from its base */
static char *
merge_paths(const Uri *base, const Uri *reference)
{
	int			keep = base->path.length;
	StringInfoData path;

	initStringInfo(&path);
	while (keep > 0 && base->path.data[keep - 1] != '/')
		keep--;
	if (base->authority.data != NULL && base->path.length == 0)
		appendStringInfoChar(&path, '/');
	appendBinaryStringInfo(&path, base->path.data, keep);
	append_part(&path, reference->path);
	return path.data;
}

/* Resolves a URI reference against a base, which may be empty */
char *
json_schema_resolve_uri(const char *base_text, const char *reference_text)
{
	Uri			base;
	Uri			reference;
	StringInfoData result;
	bool		own_path;

	split_uri(base_text, &base);
	split_uri(reference_text, &reference);
	initStringInfo(&result);
	if (reference.scheme.data != NULL)
	{
		/* without a base to combine with, the path stays as it is */
		appendStringInfoString(&result, reference_text);
		return result.data;
	}
	append_part(&result, base.scheme);
	append_part(&result, reference.authority.data ? reference.authority : base.authority);
	own_path = reference.authority.data != NULL || reference.path.length > 0;
	if (!own_path)
		append_part(&result, base.path);
	else if (reference.authority.data != NULL || *reference.path.data == '/')
		append_path(&result, pnstrdup(reference.path.data, reference.path.length));
	else
		append_path(&result, merge_paths(&base, &reference));
	if (own_path || reference.query.data != NULL)
		append_part(&result, reference.query);
	else
		append_part(&result, base.query);
	append_part(&result, reference.fragment);
	return result.data;
}

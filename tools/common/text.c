/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * text.c - escapes control bytes, and quotes words for a shell.
 */
#include "tools/common/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/utf8.h"

/* How many bytes the character at p has, if a terminal may get it: printable and
 * well-formed, no control character (U+0080..U+009F are, and their second bytes
 * alone, to some). 0: it may not. */
static size_t printable(const unsigned char *p)
{
	if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
		return 0;
	return utf8_len((const char *)p);
}

/* Bytes in specials get a backslash. */
static char *escape(const char *text, const char *specials)
{
	/* bounded: a line of a message in memory */
	char *escaped = malloc(4 * strlen(text) + 1), *to = escaped;

	if (!escaped)
		return NULL;
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t len = printable(p);

		if (!len) {
			to += sprintf(to, "\\x%02x", *p++);
			continue;
		}
		if (strchr(specials, *p))
			*to++ = '\\';
		while (len--)
			*to++ = (char)*p++;
	}
	*to = '\0';
	return escaped;
}

char *text_escape(const char *text)
{
	return escape(text, "");
}

/* $'...' of bash, zsh, ksh: what no terminal should get stands as \xNN. */
static char *quote_control(const char *word)
{
	char *escaped = escape(word, "\\'"), *quoted = NULL;

	if (escaped && asprintf(&quoted, "$'%s'", escaped) < 0)
		quoted = NULL;
	free(escaped);
	return quoted;
}

static bool has_control(const char *word)
{
	char *escaped = text_escape(word);
	bool differs = escaped && strcmp(escaped, word);

	free(escaped);
	return differs;
}

static char *quote(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789%+,-./:=@_";
	char *quoted, *to;

	if (*word && !word[strspn(word, plain)])
		return strdup(word);
	if (has_control(word))
		return quote_control(word);
	/* bounded: a word of a command line */
	quoted = to = malloc(4 * strlen(word) + 3);
	if (!quoted)
		return NULL;
	/* cppcheck-suppress uninitdata ; written, not read */
	*to++ = '\'';
	for (; *word; word++)
		if (*word == '\'')
			to += sprintf(to, "'\\''");
		else
			*to++ = *word;
	*to++ = '\'';
	*to = '\0';
	return quoted;
}

char *text_quote_words(const char *const *words)
{
	char *line = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&line, &len);

	if (!stream)
		return NULL;
	for (size_t i = 0; words[i]; i++) {
		char *quoted = quote(words[i]);

		fprintf(stream, "%s%s", i ? " " : "", quoted ? quoted : words[i]);
		free(quoted);
	}
	return fclose(stream) ? NULL : line;
}

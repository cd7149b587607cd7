/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_uri.c - takes the URI of an NBD export apart. What it does not know it
 * refuses: a part that is passed over might have meant another disk.
 */
#include "tools/remote/remote_uri.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

#define TCP_PREFIX "nbd://"
#define UNIX_PREFIX "nbd+unix://"
#define SOCKET_KEY "socket="
#define PORT_DEFAULT "10809"

void remote_uri_clear(struct remote_uri *uri)
{
	free(uri->host);
	free(uri->port);
	free(uri->socket);
	free(uri->export);
	memset(uri, 0, sizeof(*uri));
}

static int hex_of(char letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	if (letter >= 'A' && letter <= 'Z')
		letter = (char)(letter - 'A' + 'a');
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The text from "from" to "to" with %XX decoded; the caller's. */
static int part_decode(const char *from, const char *to, char **ret_part, struct cow_err *err)
{
	char *part = strndup(from, (size_t)(to - from)), *out = part;

	if (!part)
		return cow_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	for (const char *in = part; *in; in++) {
		int high = *in == '%' ? hex_of(in[1]) : 0;
		int low = *in == '%' && high >= 0 ? hex_of(in[2]) : 0;

		if (*in == '%' && (high < 0 || low < 0 || !(high + low))) {
			free(part);
			return cow_refuse(err, -EINVAL, "usage", NULL,
					  "\"%%\" in the URI is not followed by two hexadecimal "
					  "digits");
		}
		if (*in == '%') {
			*out++ = (char)(uint8_t)(high * 16 + low);
			in += 2;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	*ret_part = part;
	return 0;
}

/* HOST[:PORT], where HOST may be an IPv6 address in brackets. */
static int authority_parse(const char *from, const char *to, struct remote_uri *uri,
			   struct cow_err *err)
{
	bool has_brackets = *from == '[';
	const char *bracket = has_brackets ? memchr(from, ']', (size_t)(to - from)) : NULL;
	const char *end = has_brackets ? bracket : memchr(from, ':', (size_t)(to - from));
	const char *port;
	int ret;

	if (memchr(from, '@', (size_t)(to - from)))
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "a user in the URI needs TLS, which is not supported");
	if (has_brackets && !bracket)
		return cow_refuse(err, -EINVAL, "usage", NULL, "\"]\" is missing in the URI");
	end = end ? end : to;
	port = end + (has_brackets ? 1 : 0);
	if (end == from || (port < to && *port != ':') || port + 1 == to)
		return cow_refuse(err, -EINVAL, "usage", NULL,
				  "the URI is not of the form nbd://HOST[:PORT]/EXPORT");
	ret = part_decode(from + (has_brackets ? 1 : 0), end, &uri->host, err);
	if (!ret && port < to)
		ret = part_decode(port + 1, to, &uri->port, err);
	if (!ret && !uri->port) {
		uri->port = strdup(PORT_DEFAULT);
		if (!uri->port)
			ret = cow_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	}
	return ret;
}

/* What follows the authority: [/EXPORT][?socket=PATH]. */
static int rest_parse(const char *rest, bool is_unix, struct remote_uri *uri, struct cow_err *err)
{
	const char *query = strchr(rest, '?'), *end = rest + strlen(rest);
	int ret =
		part_decode(*rest == '/' ? rest + 1 : rest, query ? query : end, &uri->export, err);

	if (ret)
		return ret;
	if (!query && !is_unix)
		return 0;
	if (!is_unix || !query || strncmp(query + 1, SOCKET_KEY, strlen(SOCKET_KEY)) ||
	    strchr(query, '&') || query + 1 + strlen(SOCKET_KEY) == end)
		return cow_refuse(err, -EINVAL, "usage", NULL, "the URI is not of the form %s",
				  is_unix ? "nbd+unix:///EXPORT?socket=PATH"
					  : "nbd://HOST[:PORT]/EXPORT");
	return part_decode(query + 1 + strlen(SOCKET_KEY), end, &uri->socket, err);
}

int remote_uri_parse(const char *text, struct remote_uri *ret_uri, struct cow_err *err)
{
	bool is_unix = !strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX));
	const char *from, *to;
	int ret = 0;

	memset(ret_uri, 0, sizeof(*ret_uri));
	if (!is_unix && strncmp(text, TCP_PREFIX, strlen(TCP_PREFIX)) != 0)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "encrypted connections (nbds://, nbds+unix://) are not supported "
				  "by this version; a tunnel (ssh -L, stunnel) gives nbd://");
	if (strchr(text, '#'))
		return cow_refuse(err, -EINVAL, "usage", NULL, "\"#\" in the URI has no meaning");
	from = text + strlen(is_unix ? UNIX_PREFIX : TCP_PREFIX);
	to = from + strcspn(from, "/?");
	if (is_unix && to != from)
		return cow_refuse(err, -EINVAL, "usage", NULL,
				  "the URI is not of the form nbd+unix:///EXPORT?socket=PATH");
	if (!is_unix)
		ret = authority_parse(from, to, ret_uri, err);
	return ret ? ret : rest_parse(to, is_unix, ret_uri, err);
}

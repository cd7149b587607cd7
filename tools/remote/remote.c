/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote.c - NBD servers: connects to the exports that specifications name, starts a courier
 * for each (remote_courier.h), and makes images of them later.
 *
 * Nobody can find out who else uses an export, or what lies below it. So an export
 * is opened once; only a look that will not be written may share it.
 */
#include "tools/remote/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcow/base/err.h"
#include "tools/remote/remote_image.h"
#include "tools/remote/remote_lib.h"
#include "tools/remote/remote_uri.h"

/* Exports at a time; a command line names few images. */
#define SERVERS_MAX 32
/* So many of them get several connections. */
#define SERVERS_MANY 8

struct server {
	char *text; /* the URI, as typed */
	struct remote_uri uri;
	/* The first one is connected, the others are on their way; then the courier's. A server
	 * may take one client at a time, and not in the order of their coming. */
	int fds[REMOTE_PER_EXPORT];
	size_t nr_fds;
	struct remote_courier *courier;
	/* Once it has greeted. */
	struct remote_export export;
	struct remote_slots *slots;
	bool is_used; /* by an image, other than one to have a look */
};

static struct {
	const struct remote_lib *lib;
	struct server servers[SERVERS_MAX];
	size_t nr_servers;
} remote;

static bool is_text_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same(const struct remote_uri *a, const struct remote_uri *b)
{
	return is_text_same(a->host, b->host) && is_text_same(a->port, b->port) &&
	       is_text_same(a->socket, b->socket) && is_text_same(a->export, b->export);
}

static struct server *server_find(const struct remote_uri *uri)
{
	for (size_t i = 0; i < remote.nr_servers; i++)
		if (is_same(&remote.servers[i].uri, uri))
			return &remote.servers[i];
	return NULL;
}

bool remote_has_servers(void)
{
	return remote.nr_servers > 0;
}

/* ------------------------------------------------------------ connecting */

static struct sockaddr_un unix_address(const struct remote_uri *uri)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, uri->socket, strlen(uri->socket));
	return address;
}

static int unix_connect(const struct remote_uri *uri, int *ret_fd, struct cow_err *err)
{
	struct sockaddr_un address;
	int fd, code;

	if (strlen(uri->socket) >= sizeof(address.sun_path))
		return cow_refuse(err, -ENAMETOOLONG, "connection", NULL,
				  "the path of a socket has at most %zu bytes",
				  sizeof(address.sun_path) - 1);
	address = unix_address(uri);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		*ret_fd = fd;
		return 0;
	}
	code = errno;
	if (fd >= 0)
		close(fd);
	return cow_refuse(err, -code, "connection", NULL, "cannot connect to %s: %s", uri->socket,
			  strerror(code));
}

static void no_delay(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Gives a socket, or a negative errno. */
static int address_connect(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
	int code;

	if (fd < 0)
		return -errno;
	if (connect(fd, at->ai_addr, at->ai_addrlen)) {
		code = errno;
		close(fd);
		return -code;
	}
	no_delay(fd);
	return fd;
}

static int tcp_connect(const struct remote_uri *uri, int *ret_fd, struct cow_err *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int code = getaddrinfo(uri->host, uri->port, &hints, &list), fd = -EHOSTUNREACH;

	if (code)
		return cow_refuse(err, -EHOSTUNREACH, "connection", NULL,
				  "the host \"%s\" is not found: %s", uri->host,
				  gai_strerror(code));
	for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
		fd = address_connect(at);
	freeaddrinfo(list);
	if (fd < 0)
		return cow_refuse(err, fd, "connection", NULL, "cannot connect to %s, port %s: %s",
				  uri->host, uri->port, strerror(-fd));
	*ret_fd = fd;
	return 0;
}

/* One more connection to where the first one leads, without waiting for it: a server may
 * take one client at a time. Gives a socket, or -1. */
static int another_connect(const struct server *server)
{
	struct sockaddr_storage address = { .ss_family = AF_UNIX };
	const struct sockaddr_un path =
		server->uri.socket ? unix_address(&server->uri) : (struct sockaddr_un){ 0 };
	socklen_t len = server->uri.socket ? sizeof(path) : sizeof(address);
	int fd;

	if (server->uri.socket)
		memcpy(&address, &path, sizeof(path));
	else if (getpeername(server->fds[0], (struct sockaddr *)&address, &len))
		return -1;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, len) && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	if (!server->uri.socket)
		no_delay(fd);
	return fd;
}

/* The name of the export is the courier's copy of ours. */
static int server_connected(struct server *server, struct cow_err *err)
{
	size_t wanted = remote.nr_servers < SERVERS_MANY ? REMOTE_PER_EXPORT : 1;
	int fd = server->fds[0], ret;

	while (fd >= 0) {
		server->fds[server->nr_fds++] = fd;
		fd = server->nr_fds < wanted ? another_connect(server) : -1;
	}
	ret = remote_courier_start(remote.lib, server->uri.export, server->fds, server->nr_fds,
				   &server->courier, err);
	remote.nr_servers += !ret;
	return ret;
}

static int server_add(const char *text, struct cow_err *err)
{
	struct server *server = &remote.servers[remote.nr_servers];
	int ret = remote_lib_load(&remote.lib, err);

	if (!ret)
		ret = remote_uri_parse(text, &server->uri, err);
	if (ret || server_find(&server->uri)) {
		remote_uri_clear(&server->uri);
		return ret;
	}
	if (remote.nr_servers == SERVERS_MAX - 1)
		return cow_refuse(err, -E2BIG, "connection", NULL,
				  "more than %d exports of NBD servers", SERVERS_MAX - 1);
	server->text = strdup(text);
	if (!server->text)
		return cow_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	ret = server->uri.socket ? unix_connect(&server->uri, &server->fds[0], err)
				 : tcp_connect(&server->uri, &server->fds[0], err);
	return ret ? ret : server_connected(server, err);
}

/* For cow_spec_uris(). */
static int on_uri(void *user, const char *uri)
{
	struct cow_err *err = user;
	int ret = server_add(uri, err);

	if (ret && !*err->image)
		snprintf(err->image, sizeof(err->image), "%s", uri);
	return ret;
}

int remote_connect(const char *spec, struct cow_err *err)
{
	return strstr(spec, "nbd") ? cow_spec_uris(spec, on_uri, err, err) : 0;
}

/* --------------------------------------------------------------- opening */

static int server_begin(struct server *server, struct cow_err *err)
{
	int ret;

	if (server->slots)
		return 0;
	if (!server->courier)
		return cow_refuse(err, -EIO, "connection", NULL,
				  "the connection to the server was lost");
	ret = remote_courier_export(server->courier, &server->export, err);
	if (ret)
		server->courier = NULL;
	return ret ? ret
		   : remote_slots_new(server->courier, server->export.block_max_bytes,
				      &server->slots, err);
}

/* Can this export be written as a job must write? */
static int check_writable(const struct server *server, struct cow_err *err)
{
	int64_t block = server->export.block_min_bytes;

	if (server->export.is_read_only)
		return cow_refuse(err, -EROFS, "read-only", NULL,
				  "the server gives the export for reading only");
	if (!server->export.can_flush)
		return cow_refuse(err, -EOPNOTSUPP, "no-flush", NULL,
				  "the server cannot flush: what is written would not be durable, "
				  "and a power cut could lose both copies");
	if (block > 512)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "the server wants writes of whole blocks of %" PRId64
				  " bytes; 512 are supported",
				  block);
	return 0;
}

static int image_open(struct server *server, uint32_t flags, struct cow_image **ret_image,
		      struct cow_err *err)
{
	struct remote_image_params params = {
		.name = server->text,
		.export = &server->export,
		.is_writable = flags & COW_OPEN_WRITE,
	};
	int64_t size;
	int ret = server_begin(server, err);

	if (!ret && flags & (COW_OPEN_WRITE | COW_OPEN_REHEARSE))
		ret = check_writable(server, err);
	if (ret)
		return ret;
	params.slots = server->slots;
	if (server->export.block_min_bytes > 4096)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "the server gives whole blocks of more than 4096 bytes only");
	size = server->export.size_bytes;
	params.is_used = flags & COW_OPEN_BUSY ? NULL : &server->is_used;
	params.size_bytes = size > 0 ? (uint64_t)size / 512 * 512 : 0;
	if (!params.size_bytes)
		return cow_refuse(err, -ERANGE, "bounds", NULL,
				  "the export is empty, or shorter than a sector of 512 bytes");
	return remote_image_new(&params, ret_image, err);
}

int remote_open(void *user, const char *uri, uint32_t flags, struct cow_image **ret_image,
		struct cow_err *err)
{
	struct remote_uri parts;
	struct server *server;
	int ret = remote_uri_parse(uri, &parts, err);

	(void)user;
	server = ret ? NULL : server_find(&parts);
	remote_uri_clear(&parts);
	if (ret)
		return ret;
	if (!server)
		return cow_refuse(
			err, -EPERM, "unsupported", NULL,
			"exports of NBD servers are connected to when the program starts; "
			"this one was not on the command line as an image");
	if (server->is_used && !(flags & COW_OPEN_BUSY))
		return cow_refuse(err, -EPERM, "overlap", NULL,
				  "this export is named twice; what is written to one image of "
				  "a job must not be another one");
	return image_open(server, flags, ret_image, err);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote.c - NBD servers: finds the exports that a command line names, connects to
 * them before the sandbox begins, and makes images of them later.
 *
 * Nobody can find out who else uses an export, or what lies below it. So an export
 * is opened once; only a look that will not be written may share it.
 */
#include "tools/images/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/common/sandbox.h"
#include "tools/images/remote_image.h"
#include "tools/images/remote_pump.h"
#include "tools/images/remote_uri.h"

/* Exports at a time; a command line names few images. */
#define SERVERS_MAX 32
/* So many of them get several connections; together with those of the others they are
 * below REMOTE_CONNECTIONS_MAX. */
#define SERVERS_MANY 8
/* How long a server may take to greet on its other connections, at most. */
#define GREETING_ROUNDS 4
#define GREETING_MS 25

struct server {
	char *text; /* the URI, as typed */
	struct remote_uri uri;
	/* The first one is connected, the others are on their way. -1: libnbd's, or closed.
	 * A server may take one client at a time, and not in the order of their coming. */
	int fds[REMOTE_PER_EXPORT];
	size_t nr_fds;
	/* Once hands were shaken. */
	struct nbd_handle *nbds[REMOTE_PER_EXPORT];
	size_t nr_nbds;
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
		return cli_refuse(err, -ENAMETOOLONG, "connection", NULL,
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
	return cli_refuse(err, -code, "connection", NULL, "cannot connect to %s: %s", uri->socket,
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
		return cli_refuse(err, -EHOSTUNREACH, "connection", NULL,
				  "the host \"%s\" is not found: %s", uri->host,
				  gai_strerror(code));
	for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
		fd = address_connect(at);
	freeaddrinfo(list);
	if (fd < 0)
		return cli_refuse(err, fd, "connection", NULL, "cannot connect to %s, port %s: %s",
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

static void server_connected(struct server *server)
{
	size_t wanted = remote.nr_servers < SERVERS_MANY ? REMOTE_PER_EXPORT : 1;
	int fd = server->fds[0];

	while (fd >= 0) {
		sandbox_keep_socket(fd);
		server->fds[server->nr_fds++] = fd;
		fd = server->nr_fds < wanted ? another_connect(server) : -1;
	}
	remote.nr_servers++;
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
		return cli_refuse(err, -E2BIG, "connection", NULL,
				  "more than %d exports of NBD servers", SERVERS_MAX - 1);
	server->text = strdup(text);
	if (!server->text)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	ret = server->uri.socket ? unix_connect(&server->uri, &server->fds[0], err)
				 : tcp_connect(&server->uri, &server->fds[0], err);
	if (!ret)
		server_connected(server);
	return ret;
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

/* What follows "--option=" or "NAME=" in a word; NULL: nothing does. */
static const char *value_of(const char *word)
{
	size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_.+-");

	return word[len] == '=' ? word + len + 1 : NULL;
}

/* "SPEC", "--option=SPEC", "NAME=SPEC", "--image=NAME=SPEC". */
static int word_connect(const char *word, struct cow_err *err)
{
	int ret = 0;

	for (const char *spec = word; spec && !ret; spec = value_of(spec))
		if (strstr(spec, "nbd"))
			ret = cow_spec_uris(spec, on_uri, err, err);
	return ret;
}

int remote_connect_all(int argc, char *const *argv, struct cow_err *err)
{
	int ret = 0;

	for (int i = 1; i < argc && !ret; i++)
		ret = word_connect(argv[i], err);
	return ret;
}

/* --------------------------------------------------------------- opening */

static int server_fail(struct cow_err *err)
{
	const char *why = remote.lib->nbd_get_error();

	return cli_refuse(err, -EIO, "connection", NULL, "the server does not give the export: %s",
			  why ? why : "no reason is known");
}

/* Shakes hands on a connection, which is libnbd's then, after a failure too. What the
 * server says is believed as far as it does no harm. NULL: see nbd_get_error(3). */
static struct nbd_handle *hands_shake(const struct server *server, int fd)
{
	const struct remote_lib *lib = remote.lib;
	struct nbd_handle *nbd = lib->nbd_create();

	if (!nbd) {
		close(fd);
		return NULL;
	}
	if (lib->nbd_set_tls(nbd, LIBNBD_TLS_DISABLE) ||
	    lib->nbd_set_export_name(nbd, server->uri.export) ||
	    lib->nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) ||
	    lib->nbd_connect_socket(nbd, fd)) {
		lib->nbd_close(nbd);
		return NULL;
	}
	return nbd;
}

static void handle_add(struct server *server, struct nbd_handle *nbd)
{
	server->nbds[server->nr_nbds++] = nbd;
	remote_pump_add(nbd);
}

/* Which further connections the server has greeted on; waits for up to timeout_ms, -1: for
 * one. Returns their number. */
static size_t greeted(const struct server *server, int timeout_ms, bool is_greeted[])
{
	struct pollfd fds[REMOTE_PER_EXPORT];
	size_t nr = 0;

	for (size_t i = 0; i < server->nr_fds; i++)
		fds[i] = (struct pollfd){ .fd = is_greeted[i] ? -1 : server->fds[i],
					  .events = POLLIN };
	while (poll(fds, server->nr_fds, timeout_ms) < 0 && errno == EINTR)
		;
	for (size_t i = 0; i < server->nr_fds; i++)
		if (fds[i].fd >= 0 && fds[i].revents & POLLIN) {
			is_greeted[i] = true;
			nr++;
		}
	return nr;
}

/* The connection to begin with: one that the server has greeted on. If it goes away
 * without, the first one tells why. */
static size_t first_greeted(const struct server *server)
{
	bool is_greeted[REMOTE_PER_EXPORT] = { false };
	size_t first = 0;

	if (!greeted(server, -1, is_greeted))
		return 0;
	while (!is_greeted[first])
		first++;
	return first;
}

/* A server that has many clients greets all of them at once, one that takes them one by
 * one never: the wait is for the way there and back, and for a busy machine. */
static void others_wait(const struct server *server, bool is_greeted[])
{
	size_t nr = 0;

	for (size_t i = 0; i < server->nr_fds; i++)
		nr += server->fds[i] >= 0;
	for (int round = 0; nr && round < GREETING_ROUNDS; round++)
		nr -= greeted(server, GREETING_MS, is_greeted);
}

/* The other connections, where a flush on one counts for all, and where the server has
 * greeted. The rest is closed. */
static void others_begin(struct server *server)
{
	const struct remote_lib *lib = remote.lib;
	bool is_wanted = server->nr_nbds && lib->nbd_can_multi_conn(server->nbds[0]) == 1;
	bool is_greeted[REMOTE_PER_EXPORT] = { false };

	if (is_wanted)
		others_wait(server, is_greeted);
	for (size_t i = 0; i < server->nr_fds; i++) {
		struct nbd_handle *nbd = NULL;

		if (server->fds[i] < 0)
			continue;
		if (is_greeted[i])
			nbd = hands_shake(server, server->fds[i]);
		else
			close(server->fds[i]);
		server->fds[i] = -1;
		if (nbd && lib->nbd_get_size(nbd) == lib->nbd_get_size(server->nbds[0]))
			handle_add(server, nbd);
		else if (nbd)
			lib->nbd_close(nbd);
	}
}

static int server_begin(struct server *server, struct cow_err *err)
{
	struct nbd_handle *nbd;
	size_t first;
	int ret = 0;

	if (server->nr_nbds)
		return 0;
	if (!server->nr_fds)
		return cli_refuse(err, -EIO, "connection", NULL,
				  "the connection to the server was lost");
	first = first_greeted(server);
	nbd = hands_shake(server, server->fds[first]);
	server->fds[first] = -1;
	if (nbd)
		handle_add(server, nbd);
	else
		ret = server_fail(err);
	others_begin(server);
	server->nr_fds = 0;
	return ret;
}

/* Can this export be written as a job must write? */
static int check_writable(const struct server *server, struct cow_err *err)
{
	const struct remote_lib *lib = remote.lib;
	int64_t block = lib->nbd_get_block_size(server->nbds[0], LIBNBD_SIZE_MINIMUM);

	if (lib->nbd_is_read_only(server->nbds[0]) != 0)
		return cli_refuse(err, -EROFS, "read-only", NULL,
				  "the server gives the export for reading only");
	if (lib->nbd_can_flush(server->nbds[0]) != 1)
		return cli_refuse(err, -EOPNOTSUPP, "no-flush", NULL,
				  "the server cannot flush: what is written would not be durable, "
				  "and a power cut could lose both copies");
	if (block > 512)
		return cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "the server wants writes of whole blocks of %" PRId64
				  " bytes; 512 are supported",
				  block);
	return 0;
}

static int image_open(struct server *server, uint32_t flags, struct cow_image **ret_image,
		      struct cow_err *err)
{
	struct remote_image_params params = {
		.lib = remote.lib,
		.name = server->text,
		.is_writable = flags & COW_OPEN_WRITE,
	};
	int64_t size;
	int ret = server_begin(server, err);

	if (!ret && flags & (COW_OPEN_WRITE | COW_OPEN_REHEARSE))
		ret = check_writable(server, err);
	if (ret)
		return ret;
	params.nbds = server->nbds;
	params.nr_nbds = server->nr_nbds;
	if (remote.lib->nbd_get_block_size(server->nbds[0], LIBNBD_SIZE_MINIMUM) > 4096)
		return cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "the server gives whole blocks of more than 4096 bytes only");
	params.is_used = flags & COW_OPEN_BUSY ? NULL : &server->is_used;
	size = remote.lib->nbd_get_size(server->nbds[0]);
	params.size_bytes = size > 0 ? (uint64_t)size / 512 * 512 : 0;
	if (!params.size_bytes)
		return cli_refuse(err, -ERANGE, "bounds", NULL,
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
		return cli_refuse(err, -EPERM, "unsupported", NULL,
				  "exports of NBD servers are connected to when the tool starts; "
				  "this one was not on the command line as an image");
	if (server->is_used && !(flags & COW_OPEN_BUSY))
		return cli_refuse(err, -EPERM, "overlap", NULL,
				  "this export is named twice; what is written to one image of "
				  "a job must not be another one");
	if (flags & COW_OPEN_WRITE)
		cli_note("%s: a server does not tell who else uses an export, or what it lies on: "
			 "be sure that nobody does",
			 uri);
	return image_open(server, flags, ret_image, err);
}

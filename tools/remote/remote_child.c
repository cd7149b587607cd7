/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_child.c - what a courier does: shakes hands with the server, says what the export
 * is, and passes requests and answers on. All connections are kept going at all times: a
 * server whose answers nobody takes stops sending.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/remote/remote_courier.h"
#include "tools/remote/remote_lib.h"

/* How long a server may take to greet on its other connections, at most. */
#define GREETING_ROUNDS 4
#define GREETING_MS 25

struct pending {
	bool is_used, is_done;
	struct nbd_handle *nbd;
	uint32_t nr_extents;
	int code;
};

struct courier {
	const struct remote_child *child;
	const struct remote_lib *lib;
	int fds[REMOTE_PER_EXPORT]; /* -1: libnbd's, or closed */
	struct nbd_handle *nbds[REMOTE_PER_EXPORT];
	size_t nr_nbds;
	uint64_t nr_requests; /* they take the connections in turns */
	struct pending pending[REMOTE_NR_TAGS];
};

static void answer_send(const struct courier *courier, const struct remote_answer *answer)
{
	ssize_t ret;

	do
		ret = send(courier->child->control_fd, answer, sizeof(*answer), MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	if (ret != sizeof(*answer))
		_exit(0);
}

/* ------------------------------------------------------------ waiting */

/* What poll(2) is to wait for; an fd of -1 is passed over. */
static struct pollfd wanted_of(const struct courier *courier, struct nbd_handle *nbd)
{
	const struct remote_lib *lib = courier->lib;
	struct pollfd wanted = { .fd = -1 };
	unsigned int direction;

	if (lib->nbd_aio_is_dead(nbd) != 0)
		return wanted;
	direction = lib->nbd_aio_get_direction(nbd);
	wanted.fd = lib->nbd_aio_get_fd(nbd);
	wanted.events |= direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0;
	wanted.events |= direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0;
	return wanted;
}

/* One step at a time: what is received may change what is to be sent. */
static void step(const struct courier *courier, struct nbd_handle *nbd, const struct pollfd *done)
{
	bool is_reading = done->events & POLLIN;
	bool has_ended = done->revents & (POLLHUP | POLLERR | POLLNVAL);

	if (done->revents & POLLIN || (has_ended && is_reading))
		(void)courier->lib->nbd_aio_notify_read(nbd);
	else if (done->revents)
		(void)courier->lib->nbd_aio_notify_write(nbd);
}

/* Waits, and goes on with every connection. Gives whether there is a message of ours, or
 * nobody any more who sends some. */
static bool go_on(const struct courier *courier, struct nbd_handle *const *nbds, size_t nr_nbds)
{
	struct pollfd wanted[REMOTE_PER_EXPORT + 1];

	for (size_t i = 0; i < nr_nbds; i++)
		wanted[i] = wanted_of(courier, nbds[i]);
	wanted[nr_nbds] = (struct pollfd){ .fd = courier->child->control_fd, .events = POLLIN };
	if (poll(wanted, nr_nbds + 1, -1) < 0)
		return false;
	for (size_t i = 0; i < nr_nbds; i++)
		if (wanted[i].fd >= 0)
			step(courier, nbds[i], &wanted[i]);
	return wanted[nr_nbds].revents;
}

/* ------------------------------------------------------------ greeting */

/* Shakes hands on a connection, which is libnbd's then, after a failure too. What the
 * server says is believed as far as it does no harm. NULL: see nbd_get_error(3). */
static struct nbd_handle *hands_shake(const struct courier *courier, int fd)
{
	const struct remote_lib *lib = courier->lib;
	struct nbd_handle *nbd = lib->nbd_create();

	if (!nbd)
		return NULL;
	if (lib->nbd_set_tls(nbd, LIBNBD_TLS_DISABLE) ||
	    lib->nbd_set_export_name(nbd, courier->child->export) ||
	    lib->nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) ||
	    lib->nbd_aio_connect_socket(nbd, fd)) {
		lib->nbd_close(nbd);
		return NULL;
	}
	/* nobody asks before the export is there, so a message says that nobody is left */
	while (lib->nbd_aio_is_connecting(nbd) == 1)
		if (go_on(courier, &nbd, 1))
			_exit(0);
	if (lib->nbd_aio_is_ready(nbd) == 1)
		return nbd;
	lib->nbd_close(nbd);
	return NULL;
}

/* Which further connections the server has greeted on; waits for up to timeout_ms, -1: for
 * one. Returns their number. */
static size_t greeted(const struct courier *courier, int timeout_ms, bool is_greeted[])
{
	struct pollfd fds[REMOTE_PER_EXPORT + 1];
	size_t nr_fds = courier->child->nr_fds, nr = 0;

	for (size_t i = 0; i < nr_fds; i++)
		fds[i] = (struct pollfd){ .fd = is_greeted[i] ? -1 : courier->fds[i],
					  .events = POLLIN };
	fds[nr_fds] = (struct pollfd){ .fd = courier->child->control_fd, .events = POLLIN };
	while (poll(fds, nr_fds + 1, timeout_ms) < 0 && errno == EINTR)
		;
	if (fds[nr_fds].revents)
		_exit(0);
	for (size_t i = 0; i < nr_fds; i++)
		if (fds[i].fd >= 0 && fds[i].revents & POLLIN) {
			is_greeted[i] = true;
			nr++;
		}
	return nr;
}

/* The connection to begin with: one that the server has greeted on. If it goes away
 * without, the first one tells why. */
static size_t first_greeted(const struct courier *courier)
{
	bool is_greeted[REMOTE_PER_EXPORT] = { false };
	size_t first = 0;

	if (!greeted(courier, -1, is_greeted))
		return 0;
	while (!is_greeted[first])
		first++;
	return first;
}

/* A server that has many clients greets all of them at once, one that takes them one by
 * one never: the wait is for the way there and back, and for a busy machine. */
static void others_wait(const struct courier *courier, bool is_greeted[])
{
	size_t nr = 0;

	for (size_t i = 0; i < courier->child->nr_fds; i++)
		nr += courier->fds[i] >= 0;
	for (int round = 0; nr && round < GREETING_ROUNDS; round++)
		nr -= greeted(courier, GREETING_MS, is_greeted);
}

/* The other connections, where a flush on one counts for all, and where the server has
 * greeted. The rest is closed. */
static void others_begin(struct courier *courier)
{
	const struct remote_lib *lib = courier->lib;
	bool is_greeted[REMOTE_PER_EXPORT] = { false };

	if (lib->nbd_can_multi_conn(courier->nbds[0]) == 1)
		others_wait(courier, is_greeted);
	for (size_t i = 0; i < courier->child->nr_fds; i++) {
		struct nbd_handle *nbd = NULL;

		if (courier->fds[i] < 0)
			continue;
		if (is_greeted[i])
			nbd = hands_shake(courier, courier->fds[i]);
		else
			close(courier->fds[i]);
		courier->fds[i] = -1;
		if (nbd && lib->nbd_get_size(nbd) == lib->nbd_get_size(courier->nbds[0]))
			courier->nbds[courier->nr_nbds++] = nbd;
		else if (nbd)
			lib->nbd_close(nbd);
	}
}

static void export_look(struct courier *courier)
{
	const struct remote_lib *lib = courier->lib;
	struct remote_export *export = &courier->child->shared->export;
	struct nbd_handle *nbd = courier->nbds[0];

	export->size_bytes = lib->nbd_get_size(nbd);
	export->block_min_bytes = lib->nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);
	export->block_max_bytes = lib->nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);
	export->is_read_only = lib->nbd_is_read_only(nbd) != 0;
	export->can_flush = lib->nbd_can_flush(nbd) == 1;
	export->can_trim = lib->nbd_can_trim(nbd) == 1;
	export->can_zero = lib->nbd_can_zero(nbd) == 1;
	export->has_status = lib->nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
}

static void server_begin(struct courier *courier)
{
	const struct remote_answer answer = { .tag = REMOTE_TAG_EXPORT };
	struct remote_export *export = &courier->child->shared->export;
	size_t first = first_greeted(courier);
	struct nbd_handle *nbd = hands_shake(courier, courier->fds[first]);
	const char *why = nbd ? NULL : courier->lib->nbd_get_error();

	courier->fds[first] = -1;
	if (nbd) {
		courier->nbds[courier->nr_nbds++] = nbd;
		others_begin(courier);
		export_look(courier);
	} else {
		export->code = EIO;
		snprintf(export->why, sizeof(export->why), "%s", why ? why : "no reason is known");
	}
	answer_send(courier, &answer);
	if (!nbd)
		_exit(0);
}

/* ------------------------------------------------------------ requests */

/* nbd_completion_callback. libnbd is not called from here. */
static int on_done(void *user, int *error)
{
	struct pending *pending = user;

	pending->is_done = true;
	pending->code = *error;
	return 1; /* nobody asks libnbd for it */
}

/* nbd_extent_callback: pairs of length and flags. A server that says too much is
 * heard up to where there is room. */
static int on_extents(void *user, const char *context, uint64_t offset_bytes, uint32_t *entries,
		      size_t nr_entries, int *error)
{
	struct courier *courier = user;
	struct remote_extent *extents = courier->child->shared->extents;
	size_t nr = nr_entries / 2 < REMOTE_NR_EXTENTS ? nr_entries / 2 : REMOTE_NR_EXTENTS;

	(void)error, (void)offset_bytes;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	for (size_t i = 0; i < nr; i++)
		extents[i] = (struct remote_extent){ entries[2 * i], entries[2 * i + 1] };
	courier->pending[REMOTE_TAG_CALL].nr_extents = (uint32_t)nr;
	return 0;
}

static int64_t request_pass(struct courier *courier, const struct remote_request *request,
			    struct nbd_handle *nbd)
{
	const struct remote_lib *lib = courier->lib;
	uint64_t at = request->offset_bytes, len = request->len_bytes;
	uint8_t *piece = courier->child->shared->pieces[request->tag % REMOTE_NR_SLOTS];
	nbd_completion_callback done;
	nbd_extent_callback extents;

	memset(&done, 0, sizeof(done));
	done.callback = on_done;
	done.user_data = &courier->pending[request->tag];
	memset(&extents, 0, sizeof(extents));
	extents.callback = on_extents;
	extents.user_data = courier;
	switch (request->kind) {
	case REMOTE_READ:
		return lib->nbd_aio_pread(nbd, piece, (size_t)len, at, done, 0);
	case REMOTE_WRITE:
		return lib->nbd_aio_pwrite(nbd, piece, (size_t)len, at, done, 0);
	case REMOTE_ZERO:
		return lib->nbd_aio_zero(nbd, len, at, done, 0);
	case REMOTE_TRIM:
		return lib->nbd_aio_trim(nbd, len, at, done, 0);
	case REMOTE_FLUSH:
		return lib->nbd_aio_flush(nbd, done, 0);
	default:
		return lib->nbd_aio_block_status(nbd, len, at, extents, done, 0);
	}
}

static void request_begin(struct courier *courier, const struct remote_request *request)
{
	bool is_call = request->tag == REMOTE_TAG_CALL;
	struct pending *pending = &courier->pending[request->tag];

	*pending = (struct pending){ .is_used = true };
	/* what is waited for takes the first one: all writes are answered then */
	pending->nbd = courier->nbds[is_call ? 0 : courier->nr_requests++ % courier->nr_nbds];
	if (request_pass(courier, request, pending->nbd) >= 0)
		return;
	pending->is_done = true;
	pending->code = courier->lib->nbd_get_errno();
	pending->code = pending->code ? pending->code : EIO;
}

static void requests_take(struct courier *courier)
{
	struct remote_request request;
	ssize_t ret;

	for (;;) {
		ret = recv(courier->child->control_fd, &request, sizeof(request), MSG_DONTWAIT);
		if (ret < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* the end of what we work for */
		if (ret != sizeof(request) || request.tag >= REMOTE_NR_TAGS)
			_exit(0);
		request_begin(courier, &request);
	}
}

/* One lost connection of several may have taken writes with it. */
static bool is_any_dead(const struct courier *courier)
{
	for (size_t i = 0; i < courier->nr_nbds; i++)
		if (courier->lib->nbd_aio_is_dead(courier->nbds[i]) != 0)
			return true;
	return false;
}

static void answers_give(struct courier *courier)
{
	bool is_lost = is_any_dead(courier);

	for (uint32_t tag = 0; tag < REMOTE_NR_TAGS; tag++) {
		struct pending *pending = &courier->pending[tag];
		struct remote_answer answer = { .tag = tag, .is_lost = is_lost };

		if (!pending->is_used)
			continue;
		if (!pending->is_done && (!is_lost || !courier->lib->nbd_aio_is_dead(pending->nbd)))
			continue;
		answer.code = pending->is_done ? pending->code : ENOTCONN;
		answer.nr_extents = pending->nr_extents;
		pending->is_used = false;
		answer_send(courier, &answer);
	}
}

void remote_child_run(const struct remote_child *child)
{
	struct courier courier = { .child = child, .lib = child->lib };

	memcpy(courier.fds, child->fds, sizeof(courier.fds));
	server_begin(&courier);
	for (;;) {
		if (go_on(&courier, courier.nbds, courier.nr_nbds))
			requests_take(&courier);
		answers_give(&courier);
	}
}

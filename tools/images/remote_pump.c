/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_pump.c - waits for all NBD connections at once. */
#include "tools/images/remote_pump.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

static struct nbd_handle *connections[REMOTE_CONNECTIONS_MAX];
static size_t nr_connections;

void remote_pump_add(struct nbd_handle *nbd)
{
	if (nr_connections < REMOTE_CONNECTIONS_MAX)
		connections[nr_connections++] = nbd;
}

/* What poll(2) is to wait for; an fd of -1 is passed over. */
static struct pollfd wanted_of(const struct remote_lib *lib, struct nbd_handle *nbd)
{
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
static void notify(const struct remote_lib *lib, struct nbd_handle *nbd, const struct pollfd *done)
{
	bool is_reading = done->events & POLLIN;
	bool has_ended = done->revents & (POLLHUP | POLLERR | POLLNVAL);

	if (done->revents & POLLIN || (has_ended && is_reading))
		(void)lib->nbd_aio_notify_read(nbd);
	else if (done->revents)
		(void)lib->nbd_aio_notify_write(nbd);
}

int remote_pump(const struct remote_lib *lib, int timeout_ms)
{
	struct pollfd wanted[REMOTE_CONNECTIONS_MAX];
	size_t nr_alive = 0;

	for (size_t i = 0; i < nr_connections; i++) {
		wanted[i] = wanted_of(lib, connections[i]);
		nr_alive += wanted[i].fd >= 0;
	}
	if (!nr_alive)
		return -1;
	if (poll(wanted, nr_connections, timeout_ms) < 0)
		return errno == EINTR ? 0 : -1;
	for (size_t i = 0; i < nr_connections; i++)
		if (wanted[i].fd >= 0)
			notify(lib, connections[i], &wanted[i]);
	return 0;
}

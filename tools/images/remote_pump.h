/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_pump.h - keeps all connections going while one of them is waited for: a
 * server whose answers nobody takes stops sending.
 */
#ifndef TOOLS_REMOTE_PUMP_H
#define TOOLS_REMOTE_PUMP_H

#include "tools/images/remote_lib.h"

/* Connections of all exports together. */
#define REMOTE_CONNECTIONS_MAX 64

/* From now on the connection is kept going. It stays the caller's. There is room for
 * REMOTE_CONNECTIONS_MAX. */
void remote_pump_add(struct nbd_handle *nbd);

/* Takes and sends what can be taken and sent on any connection, once there is something,
 * or timeout_ms have gone by (-1: as long as it takes). That a connection was lost shows
 * by nbd_aio_is_dead(). Returns 0, or -1: none of them is alive, or poll(2) failed. */
int remote_pump(const struct remote_lib *lib, int timeout_ms);

#endif

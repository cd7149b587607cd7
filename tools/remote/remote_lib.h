/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_lib.h - libnbd, loaded when an NBD export is named and not before: it brings
 * a TLS library and an XML parser along, which no other run of a tool should start.
 */
#ifndef TOOLS_REMOTE_LIB_H
#define TOOLS_REMOTE_LIB_H

#include <libnbd.h>

#include "libcow.h"

#define REMOTE_LIB_FUNCTIONS(X)                                                                    \
	X(nbd_create)                                                                              \
	X(nbd_close)                                                                               \
	X(nbd_get_error)                                                                           \
	X(nbd_get_errno)                                                                           \
	X(nbd_set_export_name)                                                                     \
	X(nbd_set_tls)                                                                             \
	X(nbd_add_meta_context)                                                                    \
	X(nbd_get_size)                                                                            \
	X(nbd_get_block_size)                                                                      \
	X(nbd_is_read_only)                                                                        \
	X(nbd_can_flush)                                                                           \
	X(nbd_can_trim)                                                                            \
	X(nbd_can_zero)                                                                            \
	X(nbd_can_meta_context)                                                                    \
	X(nbd_can_multi_conn)                                                                      \
	X(nbd_aio_connect_socket)                                                                  \
	X(nbd_aio_is_connecting)                                                                   \
	X(nbd_aio_is_ready)                                                                        \
	X(nbd_aio_flush)                                                                           \
	X(nbd_aio_zero)                                                                            \
	X(nbd_aio_trim)                                                                            \
	X(nbd_aio_block_status)                                                                    \
	X(nbd_aio_pread)                                                                           \
	X(nbd_aio_pwrite)                                                                          \
	X(nbd_aio_is_dead)                                                                         \
	X(nbd_aio_get_fd)                                                                          \
	X(nbd_aio_get_direction)                                                                   \
	X(nbd_aio_notify_read)                                                                     \
	X(nbd_aio_notify_write)

/* The functions, each under its own name. */
struct remote_lib {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define REMOTE_LIB_MEMBER(name) __typeof__(&(name)) name;
	REMOTE_LIB_FUNCTIONS(REMOTE_LIB_MEMBER)
#undef REMOTE_LIB_MEMBER
};

/* Loads libnbd, once; before sandbox_begin(). Errors: -EOPNOTSUPP it is not installed
 * (id "unsupported"). */
int remote_lib_load(const struct remote_lib **ret_lib, struct cow_err *err);

#endif

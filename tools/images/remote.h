/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote.h - images that are exports of NBD servers. The sockets are opened before
 * the sandbox begins, for every export that the command line names; later there are
 * the sockets, and no way to a new one. A connection that is lost stays lost.
 *
 * A tool that is built without libnbd's header has none of this: the functions are
 * weak, and then NULL.
 */
#ifndef TOOLS_REMOTE_H
#define TOOLS_REMOTE_H

#include <stdbool.h>

#include "libcow.h"

/* Connects to the server of each export in the words of a command line. Errors:
 * -ECONNREFUSED and the like as connect(2); -EINVAL, -EOPNOTSUPP a URI that is not
 * understood; -ENOMEM. */
__attribute__((weak)) int remote_connect_all(int argc, char *const *argv, struct cow_err *err);

/* Are there any? */
__attribute__((weak)) bool remote_has_servers(void);

/* cow_imageset_set_opener(): opens an export as an image, over its connection. */
__attribute__((weak)) int remote_open(void *user, const char *uri, uint32_t flags,
				      struct cow_image **ret_image, struct cow_err *err);

#endif

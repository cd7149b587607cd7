/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote.h - images that are exports of NBD servers. They are connected to when a program
 * starts; later there is no way to a new one. A connection that is lost stays lost.
 *
 * What is built without libnbd's header has none of this: the functions are weak, and
 * then NULL. Nothing here prints, or needs more than libcow's lowest floor, so that the
 * plugin for nbdkit has it, too.
 */
#ifndef TOOLS_REMOTE_H
#define TOOLS_REMOTE_H

#include <stdbool.h>

#include "libcow.h"

/* What somebody must know who writes to one. */
#define REMOTE_WRITE_NOTE                                                                          \
	"a server does not tell who else uses an export, or what it lies on: be sure that "        \
	"nobody does"

/* Connects to the server of each export in a specification; err->image: its URI. Errors:
 * -ECONNREFUSED and the like as connect(2); -EINVAL, -EOPNOTSUPP a URI that is not understood;
 * -ENOMEM. */
__attribute__((weak)) int remote_connect(const char *spec, struct cow_err *err);

/* Are there any? */
__attribute__((weak)) bool remote_has_servers(void);

/* cow_imageset_set_opener(): opens an export as an image, over its connection. */
__attribute__((weak)) int remote_open(void *user, const char *uri, uint32_t flags,
				      struct cow_image **ret_image, struct cow_err *err);

#endif

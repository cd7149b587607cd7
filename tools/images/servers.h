/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* servers.h - the exports of NBD servers that a command line names, as images. */
#ifndef TOOLS_SERVERS_H
#define TOOLS_SERVERS_H

#include <stdbool.h>

#include "libcow.h"

/* Connects to the server of each export in the words of a command line, before the sandbox
 * begins. Errors: those of remote_connect(). */
int servers_connect(int argc, char *const *argv, struct cow_err *err);
/* Are there any? */
bool servers_are_named(void);
/* From now on the set opens exports, where the tool was built with libnbd. */
void servers_let(struct cow_imageset *set);

#endif

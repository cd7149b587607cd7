/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_uri.h - the URI of an export of an NBD server, in its parts. */
#ifndef TOOLS_REMOTE_URI_H
#define TOOLS_REMOTE_URI_H

#include "libcow.h"

struct remote_uri {
	char *host, *port; /* NULL: a unix socket */
	char *socket;	   /* its path; NULL: TCP */
	char *export;	   /* may be empty */
};

/*
 * Takes nbd://HOST[:PORT]/[EXPORT] or nbd+unix:///[EXPORT]?socket=PATH apart, as
 * qemu, nbdkit and libnbd write them, with %XX for bytes. The parts are for
 * remote_uri_clear(), after a failure too. Errors: -EINVAL (id "usage"); -EOPNOTSUPP
 * encryption (id "unsupported"); -ENOMEM.
 */
int remote_uri_parse(const char *text, struct remote_uri *ret_uri, struct cow_err *err);
void remote_uri_clear(struct remote_uri *uri);

#endif

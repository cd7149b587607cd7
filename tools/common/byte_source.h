/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * byte_source.h - where a reader of a format gets its bytes: a file, standard
 * input, a member of an archive.
 */
#ifndef TOOLS_BYTE_SOURCE_H
#define TOOLS_BYTE_SOURCE_H

#include <stddef.h>

#include "libcow.h"

/* Gives bytes; *ret_len_bytes 0: there are no more. */
struct byte_source {
	int (*read)(void *user, void *buf, size_t len_bytes, size_t *ret_len_bytes,
		    struct cow_err *err);
	void *user;
	const char *name; /* for sentences */
};

/* Opens a file, or "-" for standard input, without a look into it. Errors: as
 * open(2); -ECANCELED. */
int byte_source_open(const char *path, int *ret_fd, struct cow_err *err);

/*
 * The one place where text and archives are read: a file, a pipe, a terminal may
 * have no end, so SIGINT and SIGTERM are heard before each piece. *ret_len_bytes
 * 0: the end. Errors: -ECANCELED (id "interrupted"); as read(2), with this id.
 */
int byte_source_read_fd(int fd, const char *name, const char *id, void *buf, size_t len_bytes,
			size_t *ret_len_bytes, struct cow_err *err);

#endif

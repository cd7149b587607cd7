/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * tar.h - a pax tar (pax.h), compressed by libarchive. The same input gives the
 * same archive; of a compressed one the bytes are the compressor's. A stream that
 * fails is cut so that every reader notices: in the middle of a member, without
 * the blocks that end an archive.
 *
 * Memory: about 25 bytes for each extent of a sparse member, and 1 MiB.
 */
#ifndef TOOLS_TAR_H
#define TOOLS_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "tools/common/printer.h"
#include "tools/tar/file_entry.h"

struct tar;

struct tar_params {
	/* Takes bytes of the stream. Returns 0 or a negative errno. */
	int (*write)(void *user, const void *buf, size_t len_bytes, struct cow_err *err);
	void *user;
	const char *compress;  /* "none", "gzip:9", ...; NULL: by file_name */
	const char *file_name; /* NULL: none */
	bool is_plain;	       /* no sparse members: pax_set_plain() */
};

/* Tells whether a name ends like that of a tar: .tar, .tar.gz, .tgz, ... */
bool tar_is_name(const char *file_name);

/* Errors: -EINVAL no such compression (id "usage"), -ENOMEM. */
int tar_open(const struct tar_params *params, struct tar **ret_tar, struct cow_err *err);
/* Writes one member. Errors: what params.write and entry->read return, -EIO the
 * compressor (id "tar"), -ENOMEM. */
int tar_add(struct tar *tar, const struct file_entry *entry, struct cow_err *err);
/* A member with what print() prints; it is called twice, because the length
 * stands in front of the text. It flushes the printer. */
int tar_put_text(struct tar *tar, const char *name, int64_t mtime_seconds,
		 int (*print)(const void *user, struct printer *printer, struct cow_err *err),
		 const void *user, struct cow_err *err);
/* Ends the archive; the tar is still to be freed. */
int tar_end(struct tar *tar, struct cow_err *err);
/* Frees; without tar_end() the stream is cut. NULL is allowed. */
void tar_free(struct tar *tar);

/* A member of this tool's own: a regular file of root's, mode 0600, no times but
 * one. The caller adds ranges and read. */
struct file_entry tar_own_entry(const char *name, uint64_t len_bytes, int64_t mtime_seconds);

#endif

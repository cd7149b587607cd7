/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * tar.h - writes a pax tar with sparse members, over libarchive. The same input
 * gives the same bytes. A stream that fails is cut so that every reader notices:
 * in the middle of a member, without the blocks that end an archive.
 *
 * Memory: about 80 bytes for each extent of a sparse member.
 */
#ifndef TOOLS_TAR_H
#define TOOLS_TAR_H

#include <stddef.h>
#include <stdint.h>

#include "tools/common/printer.h"

struct tar;

struct tar_params {
	/* Takes bytes of the stream. Returns 0 or a negative errno. */
	int (*write)(void *user, const void *buf, size_t len_bytes, struct cow_err *err);
	void *user;
	const char *compress;  /* "none", "gzip:9", ...; NULL: by file_name */
	const char *file_name; /* NULL: none */
	int64_t mtime;	       /* seconds since 1970, of every member */
	/* The caller makes the members himself (pax.h): what goes through
	 * tar_data() is the archive, and only compressed here. */
	bool is_stream;
};

/* Tells whether a name ends like that of a tar: .tar, .tar.gz, .tgz, ... */
bool tar_is_name(const char *file_name);

/* Errors: -EINVAL no such compression (id "usage"), -ENOMEM. */
int tar_open(const struct tar_params *params, struct tar **ret_tar, struct cow_err *err);
/* Begins a member; data or holes of exactly len_bytes must follow. */
int tar_begin(struct tar *tar, const char *name, uint64_t len_bytes, struct cow_err *err);
/* The same, sparse: extents are ascending and not adjacent; between them holes
 * must follow. */
int tar_begin_sparse(struct tar *tar, const char *name, uint64_t len_bytes,
		     const struct cow_segment *extents, size_t nr_extents, struct cow_err *err);
int tar_data(struct tar *tar, const void *buf, size_t len_bytes, struct cow_err *err);
int tar_hole(struct tar *tar, uint64_t len_bytes, struct cow_err *err);
/* A member with what print() prints; it is called twice, because the length
 * stands in front of the text. It flushes the printer. */
int tar_put_text(struct tar *tar, const char *name,
		 int (*print)(const void *user, struct printer *printer, struct cow_err *err),
		 const void *user, struct cow_err *err);
/* Ends the archive; the tar is still to be freed. */
int tar_end(struct tar *tar, struct cow_err *err);
/* Frees; without tar_end() the stream is cut. NULL is allowed. */
void tar_free(struct tar *tar);

#endif

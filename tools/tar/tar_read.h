/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * tar_read.h - reads a tar from a stream, over libarchive: member after member,
 * forwards only. Compression is recognised. The tar may come from anywhere;
 * nothing in it becomes a file name or a program.
 */
#ifndef TOOLS_TAR_READ_H
#define TOOLS_TAR_READ_H

#include "tools/common/byte_source.h"

struct tar_reader;

/* Reads what byte_source_open() opened; takes fd over, also on failure. Errors: -EMEDIUMTYPE
 * it is no tar (id "not-a-tar"; perhaps only tar_reader_next() notices),
 * -ENOMEM. */
int tar_reader_open(const char *path, int fd, struct tar_reader **ret_reader, struct cow_err *err);
/* The same from memory, for tests. */
int tar_reader_open_memory(const void *buf, size_t len_bytes, struct tar_reader **ret_reader,
			   struct cow_err *err);
void tar_reader_close(struct tar_reader *reader); /* NULL is allowed */

/* Goes to the next member; *ret_name is NULL behind the last. The name lives
 * until the next call, without "./" before it. Errors: -EIO truncated or
 * damaged (id "tar"), or cannot be read. */
int tar_reader_next(struct tar_reader *reader, const char **ret_name, uint64_t *ret_len_bytes,
		    struct cow_err *err);
/* Gives the next bytes of the member, ascending; between them are zeros.
 * *ret_len_bytes 0: no more. */
int tar_reader_block(struct tar_reader *reader, const void **ret_buf, size_t *ret_len_bytes,
		     uint64_t *ret_offset_bytes, struct cow_err *err);
/* The bytes of the member, one after the other (a text, without holes). */
struct byte_source tar_reader_source(struct tar_reader *reader);
const char *tar_reader_name(const struct tar_reader *reader);

#endif

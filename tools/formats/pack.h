/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pack.h - a store without its data, as snapdump --metadata writes it and
 * snapcheck reads it: libcow-metadata(5).
 */
#ifndef TOOLS_PACK_H
#define TOOLS_PACK_H

#include "tools/common/printer.h"
#include "tools/tar/tar_read.h"

#define PACK_HEAD_MEMBER "metadata.json"
#define PACK_IMAGE_MEMBER "cow.img"
/* In the place of it, one member for each log of a store that has logs. */
#define PACK_LOG_MEMBER "log%" PRIu64 ".img"

/* What metadata.json says. */
struct pack_head {
	uint64_t image_bytes, block_bytes;
	uint64_t origin_bytes, origin_block_bytes; /* 0: no origin was given */
	uint64_t chunk_bytes;			   /* as it was given; 0: it was not */
	uint64_t metadata_bytes;		   /* of cow.img, not holes */
	uint8_t digest[COW_DIGEST_BYTES];	   /* of cow.img, or all logs joined */
	uint64_t nr_logs;			   /* 0: it is of one image */
	const char *specification;		   /* of the extracted logs; written only */
};

int pack_print_head(const struct pack_head *head, struct printer *printer, struct cow_err *err);

/* Does a file begin as a tar does, plain or compressed? */
bool pack_is_tar(int fd);
/* Opens a file that may be a pack, because it is an ordinary file that begins
 * like a tar or a compressed one, and does not look further. ret_max_bytes: so
 * much can be in it. false: it is none, or cannot be opened. */
bool pack_open(const char *path, int *ret_fd, uint64_t *ret_max_bytes);
/* Reads as far as to the name of its first member: is it one? */
bool pack_begins(struct tar_reader *tar);
/*
 * Reads the rest of it: two images in memory that stand in for the COW image,
 * named after the pack, and (or NULL) its origin. Memory in proportion to the
 * metadata; more than max_bytes is refused, whatever the pack says of itself.
 * Errors: -EBADMSG not complete, or not what it says (id "pack"); as
 * tar_reader_next(); -ENOMEM.
 */
int pack_read(struct tar_reader *tar, uint64_t max_bytes, struct cow_image **ret_cow,
	      struct cow_image **ret_origin, struct cow_err *err);

#endif

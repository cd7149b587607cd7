/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_cursor.h - walks over the set bits of one log, by ascending key, with
 * the entry of the map of each. Reads bitmap and map in pieces of bounded size;
 * of a log that is open for writing, from the disk (I12).
 */
#ifndef COW_STORE_SNAPLOG_CURSOR_H
#define COW_STORE_SNAPLOG_CURSOR_H

#include "libcow/image/image.h"
#include "libcow/store/snaplog/snaplog_geometry.h"

/* One set bit. */
struct snaplog_entry {
	uint64_t key;
	uint64_t value;	       /* UINT64_MAX: the map has no room for the key */
	uint64_t offset_bytes; /* of the byte in the bitmap */
	uint8_t raw;	       /* that byte */
};

/* Bytes of a log that were read together. */
struct snaplog_piece {
	uint8_t *bytes;
	uint64_t offset_bytes, len_bytes;
};

struct snaplog_cursor {
	struct cow_image *image;
	const struct snaplog_geometry *geometry;
	struct snaplog_piece bits, map;
	uint64_t next_byte;   /* of the bitmap */
	unsigned int waiting; /* bits of the byte before it that were not given yet */
};

/* image: so long that the data begins within it. Errors: -ENOMEM, -EIO. */
int cow_snaplog_cursor_init(struct snaplog_cursor *cursor, struct cow_image *image,
			    const struct snaplog_geometry *geometry, struct cow_err *err);
void cow_snaplog_cursor_destroy(struct snaplog_cursor *cursor);
/* *ret_found false: no further bit. Errors: -EIO. */
int cow_snaplog_cursor_next(struct snaplog_cursor *cursor, struct snaplog_entry *ret_entry,
			    bool *ret_found, struct cow_err *err);

#endif

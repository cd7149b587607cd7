/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_cursor.c - reads the bitmap of a log, and the entries of the map whose
 * bits are set. Entries whose bit is clear mean nothing: the driver never
 * initialises them.
 */
#include "libcow/store/snaplog/snaplog_cursor.h"

#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define BITS_PIECE_BYTES 65536
#define MAP_PIECE_BYTES 16384

static uint64_t bitmap_bytes(const struct snaplog_geometry *geometry)
{
	return geometry->bitmap_blocks * geometry->block_bytes;
}

static int drop_cache(const struct snaplog_cursor *cursor, struct cow_err *err)
{
	const struct snaplog_geometry *geometry = cursor->geometry;

	if (!cursor->image->is_writable)
		return 0;
	return cow_image_drop_cache(cursor->image, 0, geometry->data_base * geometry->block_bytes,
				    err);
}

int cow_snaplog_cursor_init(struct snaplog_cursor *cursor, struct cow_image *image,
			    const struct snaplog_geometry *geometry, struct cow_err *err)
{
	*cursor = (struct snaplog_cursor){ .image = image, .geometry = geometry };
	cursor->bits.bytes = (uint8_t *)malloc(BITS_PIECE_BYTES);
	cursor->map.bytes = (uint8_t *)malloc(MAP_PIECE_BYTES);
	if (!cursor->bits.bytes || !cursor->map.bytes)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a bitmap");
	return drop_cache(cursor, err);
}

void cow_snaplog_cursor_destroy(struct snaplog_cursor *cursor)
{
	free(cursor->bits.bytes);
	free(cursor->map.bytes);
	cursor->bits.bytes = cursor->map.bytes = NULL;
}

/* Makes the bytes from offset_bytes on, up to end_bytes and the size of a piece,
 * those of the piece, unless it has them. */
static int piece_read(const struct snaplog_cursor *cursor, struct snaplog_piece *piece,
		      uint64_t offset_bytes, uint64_t most_bytes, uint64_t end_bytes,
		      struct cow_err *err)
{
	uint64_t start = floor_to(offset_bytes, most_bytes);
	uint64_t len = min_u64(most_bytes, end_bytes - start);
	int ret;

	if (piece->len_bytes && piece->offset_bytes == start)
		return 0;
	piece->len_bytes = 0;
	ret = cow_image_pread(cursor->image, piece->bytes, len, start, err);
	if (ret)
		return ret;
	piece->offset_bytes = start;
	piece->len_bytes = len;
	return 0;
}

static int value_read(struct snaplog_cursor *cursor, struct snaplog_entry *entry,
		      struct cow_err *err)
{
	const struct snaplog_geometry *geometry = cursor->geometry;
	uint64_t end = geometry->data_base * geometry->block_bytes, offset;
	int ret;

	entry->value = UINT64_MAX;
	if (!cow_snaplog_entry_place(geometry, entry->key, &offset))
		return 0;
	/* an entry never lies in two pieces: both are powers of two */
	ret = piece_read(cursor, &cursor->map, offset, MAP_PIECE_BYTES, end, err);
	if (!ret)
		entry->value = cow_snaplog_entry_decode(
			geometry, cursor->map.bytes + (offset - cursor->map.offset_bytes));
	return ret;
}

/* The first byte from *at on in which a bit that counts is set. */
static int byte_find(struct snaplog_cursor *cursor, uint64_t *at, uint8_t *ret_raw,
		     struct cow_err *err)
{
	uint64_t end = bitmap_bytes(cursor->geometry);
	uint8_t counts = cursor->geometry->has_byte_bitmap ? 1 : 255;

	*ret_raw = 0;
	while (*at < end) {
		const struct snaplog_piece *piece = &cursor->bits;
		uint64_t piece_end;
		int ret = piece_read(cursor, &cursor->bits, *at, BITS_PIECE_BYTES, end, err);

		if (ret)
			return ret;
		piece_end = piece->offset_bytes + piece->len_bytes;
		for (; *at < piece_end; (*at)++) {
			*ret_raw = piece->bytes[*at - piece->offset_bytes];
			if (*ret_raw & counts)
				return 0;
		}
		*ret_raw = 0;
	}
	return 0;
}

int cow_snaplog_cursor_next(struct snaplog_cursor *cursor, struct snaplog_entry *ret_entry,
			    bool *ret_found, struct cow_err *err)
{
	struct snaplog_entry entry = { .raw = 0 };
	int ret = 0;

	*ret_found = false;
	if (!cursor->waiting) {
		ret = byte_find(cursor, &cursor->next_byte, &entry.raw, err);
		if (ret || cursor->next_byte >= bitmap_bytes(cursor->geometry))
			return ret;
		cursor->waiting = cursor->geometry->has_byte_bitmap ? 1 : entry.raw;
		cursor->next_byte++;
	}
	entry.offset_bytes = cursor->next_byte - 1;
	entry.raw = cursor->bits.bytes[entry.offset_bytes - cursor->bits.offset_bytes];
	entry.key = cow_snaplog_bit_key(cursor->geometry, entry.offset_bytes,
					(unsigned int)__builtin_ctz(cursor->waiting));
	cursor->waiting &= cursor->waiting - 1;
	ret = value_read(cursor, &entry, err);
	if (ret)
		return ret;
	*ret_entry = entry;
	*ret_found = true;
	return 0;
}

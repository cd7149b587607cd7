/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_bits.c - clears bits: the bitmap is read in pieces, as it is on the disk,
 * and runs of sectors that change are written back; then the log is flushed. The
 * map and the data stay as they are: without its bit an entry means nothing.
 */
#include "libcow/store/snaplog/snaplog_bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define PIECE_BYTES UINT64_C(65536)

struct clearing {
	struct cow_image *image;
	const struct snaplog_geometry *geometry;
	uint64_t unit_bytes;		 /* of writing */
	uint64_t start_bytes, len_bytes; /* of the piece */
	uint8_t *bytes;
	uint8_t is_dirty[PIECE_BYTES / COW_SECTOR_BYTES]; /* by unit */
};

static int piece_read(struct clearing *clearing, uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t end = clearing->geometry->bitmap_blocks * clearing->geometry->block_bytes;
	int ret;

	clearing->start_bytes = floor_to(offset_bytes, PIECE_BYTES);
	/* units of the device: the bitmap's last block may share one with the map */
	end = min_u64(ceil_to(end, clearing->unit_bytes), clearing->image->size_bytes);
	clearing->len_bytes = min_u64(PIECE_BYTES, end - clearing->start_bytes);
	memset(clearing->is_dirty, 0, sizeof(clearing->is_dirty));
	ret = cow_image_drop_cache(clearing->image, clearing->start_bytes, clearing->len_bytes,
				   err);
	return ret ? ret
		   : cow_image_pread(clearing->image, clearing->bytes, clearing->len_bytes,
				     clearing->start_bytes, err);
}

static int piece_write(const struct clearing *clearing, struct cow_err *err)
{
	uint64_t unit = clearing->unit_bytes, nr = div_ceil(clearing->len_bytes, unit), end;
	int ret = 0;

	for (uint64_t i = 0; !ret && i < nr; i = end) {
		for (end = i; end < nr && clearing->is_dirty[end];)
			end++;
		if (end > i)
			ret = cow_image_pwrite(clearing->image, clearing->bytes + i * unit,
					       min_u64(end * unit, clearing->len_bytes) - i * unit,
					       clearing->start_bytes + i * unit, err);
		else
			end++;
	}
	return ret;
}

static int bit_clear(struct clearing *clearing, uint64_t key, struct cow_err *err)
{
	uint64_t offset;
	uint8_t mask, *byte;
	int ret;

	cow_snaplog_bit_place(clearing->geometry, key, &offset, &mask);
	byte = clearing->bytes + (offset - clearing->start_bytes);
	if (*byte & mask) {
		*byte &= (uint8_t)~mask;
		clearing->is_dirty[(offset - clearing->start_bytes) / clearing->unit_bytes] = 1;
		return 0;
	}
	ret = cow_refuse(err, -EBUSY, "changed", NULL,
			 "the bit of key %" PRIu64 " has just been set: another program writes to "
			 "the log",
			 key);
	cow_err_place(err, clearing->image->name, offset);
	return ret;
}

/* Of one piece; returns how many keys lie in it. */
static int piece_clear(struct clearing *clearing, const uint64_t *keys, size_t nr_keys,
		       size_t *ret_nr, struct cow_err *err)
{
	uint64_t offset;
	uint8_t mask;
	size_t nr = 0;
	int ret;

	cow_snaplog_bit_place(clearing->geometry, keys[0], &offset, &mask);
	ret = piece_read(clearing, offset, err);
	while (!ret && nr < nr_keys) {
		cow_snaplog_bit_place(clearing->geometry, keys[nr], &offset, &mask);
		if (offset >= clearing->start_bytes + clearing->len_bytes)
			break;
		ret = bit_clear(clearing, keys[nr++], err);
	}
	*ret_nr = nr;
	return ret ? ret : piece_write(clearing, err);
}

static int key_compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

int cow_snaplog_bits_clear(const struct snaplog_logs *logs, size_t log, uint64_t *keys,
			   size_t nr_keys, struct cow_err *err)
{
	AUTO_FREE uint8_t *bytes = (uint8_t *)malloc(PIECE_BYTES);
	struct clearing clearing = {
		.image = logs->logs[log].image,
		.geometry = &logs->geometry,
		.unit_bytes = min_u64(logs->logs[log].image->logical_block_bytes, PIECE_BYTES),
		.bytes = bytes,
	};
	int ret = 0;

	if (!bytes)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a bitmap");
	if (!nr_keys)
		return 0;
	qsort(keys, nr_keys, sizeof(*keys), key_compare);
	for (size_t i = 0, nr; !ret && i < nr_keys; i += nr)
		ret = piece_clear(&clearing, keys + i, nr_keys - i, &nr, err);
	return ret ? ret : cow_image_flush(clearing.image, err);
}

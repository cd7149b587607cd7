/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_copy.c - copies a metadata device for a report: block 0, and each block that
 * is one of persistent-data by its checksum, in use or not. What else is on the device
 * may be old data of somebody's, and stays out.
 */
#include "libcow/pdata/pdata_copy.h"

#include <errno.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

static bool is_metadata(const struct pdata_type *super_type, uint64_t block, const uint8_t *raw)
{
	const struct pdata_type *const types[] = { &cow_pdata_node_type, &cow_pdata_array_type,
						   &cow_pdata_index_type, &cow_pdata_bitmap_type,
						   super_type };
	struct pdata_fault fault;

	if (!block)
		return true;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		cow_pdata_block_check(types[i], block, raw, &fault);
		if (fault.what != PDATA_BLOCK_CHECKSUM)
			return true;
	}
	return false;
}

static int piece_copy(const struct pdata_type *super_type, const uint8_t *piece,
		      uint64_t offset_bytes, uint64_t len_bytes, struct cow_image *target,
		      struct cow_err *err)
{
	for (uint64_t at = 0; at + PDATA_BLOCK_BYTES <= len_bytes; at += PDATA_BLOCK_BYTES) {
		int ret;

		if (!is_metadata(super_type, (offset_bytes + at) / PDATA_BLOCK_BYTES, piece + at))
			continue;
		ret = cow_image_pwrite(target, piece + at, PDATA_BLOCK_BYTES, offset_bytes + at,
				       err);
		if (ret)
			return ret;
	}
	return 0;
}

int cow_pdata_copy(struct cow_image *metadata, const struct pdata_type *super_type,
		   const struct cow_callbacks *callbacks, struct cow_image *target,
		   struct cow_err *err)
{
	AUTO_FREE uint8_t *piece = malloc(COW_PIECE_BYTES);
	uint64_t size_bytes, len;
	int ret = 0;

	if (!piece)
		return cow_fail(err, -ENOMEM, "no memory for a piece of the metadata");
	size_bytes = min_u64(metadata->size_bytes, PDATA_BLOCKS_MAX * PDATA_BLOCK_BYTES);
	for (uint64_t at = 0; !ret && at < size_bytes; at += len) {
		len = min_u64(COW_PIECE_BYTES, size_bytes - at);
		ret = cow_callbacks_progress(callbacks, "copy", at, size_bytes, err);
		if (!ret)
			ret = cow_image_pread(metadata, piece, (size_t)len, at, err);
		if (!ret)
			ret = piece_copy(super_type, piece, at, len, target, err);
	}
	return ret ? ret : cow_callbacks_progress(callbacks, "copy", size_bytes, size_bytes, err);
}

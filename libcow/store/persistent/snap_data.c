/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_data.c - reads a chunk of both images piece by piece, until nothing is
 * left to be learnt.
 */
#include "libcow/store/persistent/snap_data.h"

#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"

int cow_snap_data_compare(struct cow_image *cow, struct cow_image *origin,
			  const struct snap_layout *layout, const struct snap_record *record,
			  uint8_t *buf, struct snap_data_compare *ret_compare, struct cow_err *err)
{
	uint64_t old = record->old_chunk << layout->chunk_shift, done, piece;
	uint64_t new = record->new_chunk << layout->chunk_shift;
	uint64_t len = min_u64(layout->chunk_bytes, cow_image_size(origin) - old); /* I11 */
	struct snap_data_compare compare = { .is_same = true, .is_zero = true };
	int ret = 0;

	for (done = 0; done < len && (compare.is_same || compare.is_zero); done += piece) {
		piece = min_u64(len - done, COW_PIECE_BYTES);
		ret = cow_image_pread(cow, buf, piece, new + done, err);
		if (!ret)
			ret = cow_image_pread(origin, buf + COW_PIECE_BYTES, piece, old + done,
					      err);
		if (ret)
			return ret;
		compare.is_zero = compare.is_zero && is_all_zero(buf, piece);
		compare.is_same = compare.is_same && !memcmp(buf, buf + COW_PIECE_BYTES, piece);
	}
	*ret_compare = compare;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * salvage.c - reads in pieces that get smaller where a read fails, down to
 * sectors.
 */
#include "libcow/image/salvage.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"

/* What a read is cut into when it has failed; the last is a sector. */
static const uint64_t steps_bytes[] = { UINT64_C(1) << 16, UINT64_C(1) << 12, COW_SECTOR_BYTES };
#define NR_STEPS (sizeof(steps_bytes) / sizeof(steps_bytes[0]))

/* A stop must not wait for everything that still fails. */
static int tell(const struct salvage *salvage, struct cow_err *err)
{
	const struct cow_callbacks *callbacks = salvage->callbacks;
	const struct cow_progress now = { .size = sizeof(now),
					  .phase = "skip",
					  .done_bytes = salvage->bad->total_bytes };

	if (!callbacks || !callbacks->progress || !callbacks->progress(callbacks->user, &now))
		return 0;
	return cow_fail(err, -ECANCELED, "stopped on request");
}

/* Whole sectors are bad, whatever was asked for. */
static int give_up(uint8_t *buf, uint64_t len_bytes, uint64_t offset_bytes,
		   const struct salvage *salvage, struct cow_err *err)
{
	uint64_t start = floor_to(offset_bytes, COW_SECTOR_BYTES);
	uint64_t end = div_ceil(offset_bytes + len_bytes, COW_SECTOR_BYTES) * COW_SECTOR_BYTES;
	int ret = cow_ranges_add(salvage->bad, start, end - start, err);

	memset(buf, 0, len_bytes);
	return ret ? ret : tell(salvage, err);
}

/* Nothing in this range is known to be bad. As deep as there are steps. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int read_piece(struct cow_image *image, uint8_t *buf, uint64_t len_bytes,
		      uint64_t offset_bytes, size_t step, const struct salvage *salvage,
		      struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	uint64_t piece;
	int ret;

	ret = cow_image_pread(image, buf, len_bytes, offset_bytes, &why);
	if (ret && ret != -EIO && err)
		*err = why;
	if (ret != -EIO)
		return ret;
	/* it may be shorter than a sector, and lie in two */
	while (step < NR_STEPS && offset_bytes % steps_bytes[step] + len_bytes <= steps_bytes[step])
		step++;
	if (step == NR_STEPS)
		return give_up(buf, len_bytes, offset_bytes, salvage, err);
	for (ret = 0; len_bytes && !ret; len_bytes -= piece) {
		piece = min_u64(len_bytes, steps_bytes[step] - offset_bytes % steps_bytes[step]);
		ret = read_piece(image, buf, piece, offset_bytes, step + 1, salvage, err);
		buf += piece;
		offset_bytes += piece;
	}
	return ret;
}

int cow_salvage_read(struct cow_image *image, uint8_t *buf, uint64_t len_bytes,
		     uint64_t offset_bytes, const struct salvage *salvage, struct cow_err *err)
{
	struct cow_segment bad;
	uint64_t piece;
	int ret = 0;

	for (; len_bytes && !ret; len_bytes -= piece) {
		piece = len_bytes;
		if (cow_ranges_next(salvage->bad, offset_bytes, &bad) &&
		    bad.offset_bytes == offset_bytes) {
			piece = min_u64(piece, bad.len_bytes);
			memset(buf, 0, piece);
		} else {
			if (cow_ranges_next(salvage->bad, offset_bytes, &bad))
				piece = min_u64(piece, bad.offset_bytes - offset_bytes);
			ret = read_piece(image, buf, piece, offset_bytes, 0, salvage, err);
		}
		buf += piece;
		offset_bytes += piece;
	}
	return ret;
}

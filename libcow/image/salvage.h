/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * salvage.h - reads what can be read. A read that fails is repeated in smaller
 * and smaller pieces, down to sectors: few attempts on what is good, few on
 * what is bad, because a failing disk may take seconds for each.
 */
#ifndef COW_IMAGE_SALVAGE_H
#define COW_IMAGE_SALVAGE_H

#include "libcow/image/ranges.h"

struct salvage {
	/* What is known not to be readable, and is not tried again; what fails
	 * is added. Offsets on the image. */
	struct cow_ranges *bad;
	/* Hear of every failure (phase "skip", bytes skipped so far), so that
	 * a stop does not wait for a slow disk. May be NULL. */
	const struct cow_callbacks *callbacks;
};

/*
 * Reads len_bytes at offset_bytes; sectors that cannot be read are zeros in
 * buf and in salvage->bad. Errors: those of the image but -EIO; -ECANCELED,
 * -ENOMEM.
 */
int cow_salvage_read(struct cow_image *image, uint8_t *buf, uint64_t len_bytes,
		     uint64_t offset_bytes, const struct salvage *salvage, struct cow_err *err);

#endif

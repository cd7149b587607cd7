/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_data.h - compares the data that a record names with the origin's.
 */
#ifndef COW_STORE_SNAP_DATA_H
#define COW_STORE_SNAP_DATA_H

#include "libcow/image/image.h"
#include "libcow/store/persistent/snap_disk.h"

struct snap_data_compare {
	bool is_same; /* the origin holds all of it */
	bool is_zero; /* it is zeros only, which speak for nothing */
};

/*
 * Compares all of the record's chunk with the origin, as far as the origin goes
 * (I11). Both chunks must lie on the images. buf holds two pieces of
 * COW_PIECE_BYTES. Errors: -EIO.
 */
int cow_snap_data_compare(struct cow_image *cow, struct cow_image *origin,
			  const struct snap_layout *layout, const struct snap_record *record,
			  uint8_t *buf, struct snap_data_compare *ret_compare, struct cow_err *err);

#endif

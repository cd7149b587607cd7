/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_build.h - makes the metadata of a clone, block by block, as the kernel
 * lays it out when it formats a device, but with bits set.
 */
#ifndef TESTS_AIDS_CLONE_BUILD_H
#define TESTS_AIDS_CLONE_BUILD_H

#include "tests/aids/pdata_build.h"

struct clone_build {
	uint64_t region_sectors, target_sectors;
	uint64_t nr_regions;
	uint8_t *bits; /* a byte for each region, 0 or 1 */
};

/* The blocks of the image that are used. Up to 252 array blocks and one bitmap. */
uint64_t clone_build(struct cow_image *metadata, const struct clone_build *clone);

#endif

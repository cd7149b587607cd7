/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_build.h - makes a small pool in memory, in the simplest way that reads like the
 * description of the format: four devices, of which two share a root, two a leaf, and
 * two one data block.
 */
#ifndef TESTS_AIDS_THIN_BUILD_H
#define TESTS_AIDS_THIN_BUILD_H

#include "libcow.h"

#define THIN_BUILD_BLOCKS 24 /* of metadata */
#define THIN_BUILD_DATA 24   /* data blocks of 64 KiB */

/* The constant in the checksum of each block: of a free one 0. */
void thin_build(struct cow_image *image, uint32_t ret_constants[THIN_BUILD_BLOCKS]);

#endif

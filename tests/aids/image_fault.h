/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_fault.h - an image that passes everything on to a lower one and fails
 * as planned. One plan may serve several images; then the operations of all
 * of them are counted together. Without nth a plan only counts, so a first
 * run tells how many runs the loop "fail the n-th, for every n" needs.
 */
#ifndef TESTS_AIDS_IMAGE_FAULT_H
#define TESTS_AIDS_IMAGE_FAULT_H

#include "libcow.h"

#define FAULT_READ (1u << 0)
#define FAULT_WRITE (1u << 1)
#define FAULT_ZERO (1u << 2)
#define FAULT_CLONE (1u << 3)
#define FAULT_DISCARD (1u << 4)
#define FAULT_FLUSH (1u << 5)
#define FAULT_NEXT_DATA (1u << 6)
#define FAULT_CHANGES (FAULT_WRITE | FAULT_ZERO | FAULT_CLONE | FAULT_DISCARD | FAULT_FLUSH)
#define FAULT_ANY (FAULT_CHANGES | FAULT_READ | FAULT_NEXT_DATA)

/* What a write (also of zeros) that fails has done before. A sector of 512
 * bytes on the image is never torn itself (I9). */
enum fault_torn {
	FAULT_TORN_NOTHING,
	FAULT_TORN_PREFIX, /* a random number of sectors from the start */
	FAULT_TORN_SUBSET, /* each sector or not, at random */
	FAULT_TORN_ALL,	   /* everything was written, and still it fails */
};

struct fault_plan {
	uint32_t kinds; /* FAULT_*: which operations count */
	uint64_t nth;	/* the first to fail, from 1; 0: none */
	bool for_ever;	/* and all that count after it */
	int error;	/* negative errno; 0: -EIO */
	enum fault_torn torn;
	uint64_t random; /* state of the random numbers; set it to the seed */

	uint64_t nr_ops;    /* counted so far */
	uint64_t nr_faults; /* failed so far */
};

/* lower and plan stay the caller's and must outlive the image. */
int fault_new(struct cow_image *lower, struct fault_plan *plan, struct cow_image **ret_image,
	      struct cow_err *err);

#endif

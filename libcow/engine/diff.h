/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * diff.h - the walk over two images, for the jobs that are built on it.
 */
#ifndef COW_ENGINE_DIFF_H
#define COW_ENGINE_DIFF_H

#include "libcow.h"
#include "libcow/image/image.h"

enum diff_kind {
	DIFF_SAME, /* never given away */
	DIFF_DATA,
	DIFF_ZERO, /* differs, and is all zeros in the second image */
};

struct diff_walk_params {
	const char *phase;
	uint64_t granule_bytes; /* whole sectors, up to 1 MiB */
	const struct cow_callbacks *callbacks;
	/*
	 * A run of granules that differ, at most 1 MiB, ascending; buf holds
	 * the second image's bytes for DIFF_DATA and is nothing for DIFF_ZERO.
	 */
	int (*piece)(void *user, enum diff_kind kind, uint64_t offset_bytes, const uint8_t *buf,
		     uint64_t len_bytes, struct cow_err *err);
	void *user;
};

/* Errors: -EPERM the sizes differ (id "size"), -EIO, -ENOMEM, -ECANCELED, or
 * what the callback returned. */
int cow_diff_walk(struct cow_image *base, struct cow_image *image,
		  const struct diff_walk_params *params, struct cow_err *err);

/* As cow_diff_fill(), of an empty store; what is not written of a chunk comes from under,
 * which may be longer than base. */
int cow_diff_fill_over(struct cow_store *store, struct cow_image *under, struct cow_image *base,
		       struct cow_image *image, const struct cow_callbacks *callbacks,
		       struct cow_patch_stats *ret_stats, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copies.c - before a merge into an origin of which every byte has several copies, the
 * legs of a raid1: are they alike? What the merge overwrites need not be. It is the same
 * on all legs when the merge has finished, and a run that was cut off between two legs
 * has left a difference there. Everywhere else no tool could know which leg is right, and
 * the kernel reads now the one, now the other.
 */
#include "libcow/engine/copies.h"

#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

/* Compared between two calls of the progress. */
#define STEP_BYTES (UINT64_C(1) << 20)

static int range_check(const struct cow_store *store, uint64_t offset_bytes, uint64_t end_bytes,
		       const struct cow_callbacks *callbacks, struct cow_err *err)
{
	struct cow_image *target = store->target;
	uint64_t step;
	int ret = 0;

	for (; offset_bytes < end_bytes && !ret; offset_bytes += step) {
		step = min_u64(end_bytes - offset_bytes, STEP_BYTES);
		ret = cow_image_copies_check(target, offset_bytes, step, err);
		if (!ret)
			ret = cow_callbacks_progress(callbacks, "compare legs", offset_bytes + step,
						     target->size_bytes, err);
	}
	return ret;
}

int cow_copies_check(const struct cow_store *store, const struct cow_merge_params *params,
		     struct cow_err *err)
{
	uint64_t at = 0, size_bytes = store->target->size_bytes;
	struct cow_segment written;
	int ret = 0;

	if (cow_image_nr_copies(store->target) == 1)
		return 0;
	if (params->flags & COW_MERGE_SKIP_UNREADABLE)
		return cow_refuse(
			err, -EOPNOTSUPP, "unsupported", NULL,
			"%s has several legs, and what cannot be read today may be another "
			"part tomorrow: a run that is cut off would leave legs that differ; "
			"merge into a new image",
			store->target->name);
	if (params->flags & COW_MERGE_COPIES_MAY_DIFFER)
		return 0;
	while (!ret && at < size_bytes && cow_store_target_next(store, at, &written)) {
		ret = range_check(store, at, min_u64(written.offset_bytes, size_bytes),
				  params->callbacks, err);
		at = written.offset_bytes + written.len_bytes;
	}
	return ret ? ret : range_check(store, at, size_bytes, params->callbacks, err);
}

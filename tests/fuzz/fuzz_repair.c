/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a COW image: repaired on overlays, what is safe and all that can
 * be, with its origin and without. The image below stays as it is, and a second
 * repair has nothing to do.
 */
#include "tests/fuzz/fuzz.h"

static void repair(struct cow_image *cow, struct cow_image *origin, uint32_t flags)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_image *overlay;
	struct cow_role_image roles[2];
	struct cow_store_args args;

	fuzz_must(!cow_image_overlay_new(cow, &overlay, NULL));
	args = fuzz_args(roles, overlay, origin);
	params.flags = flags;
	if (!cow_repair(&args, &params, &result, NULL)) {
		fuzz_must(!cow_repair(&args, &params, &result, NULL));
		fuzz_must(!result.nr_mended && !result.nr_dropped && !result.nr_copied);
	}
	cow_image_close(overlay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct cow_image *cow, *origin;

	if (size < 512 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	cow = fuzz_image(data, size);
	fuzz_must(!cow_image_zero_new(FUZZ_ORIGIN_BYTES, &origin, NULL));
	repair(cow, NULL,
	       COW_REPAIR_LOST | COW_REPAIR_REVALIDATE | COW_REPAIR_ORIGIN | COW_REPAIR_APPEND |
		       COW_REPAIR_FILL);
	repair(cow, NULL, COW_REPAIR_SAFE);
	repair(cow, origin, COW_REPAIR_LOST);
	repair(cow, origin, 0);
	fuzz_must(!cow_image_get_stats(cow, &stats) && stats.nr_writes <= 1);
	cow_image_close(cow);
	cow_image_close(origin);
	fuzz_end(size);
	return 0;
}

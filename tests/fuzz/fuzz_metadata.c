/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a COW image: of what cow_metadata_copy() takes of it, a check
 * finds the same, by kind and place, and concludes the same.
 */
#include "tests/fuzz/fuzz.h"

struct told {
	uint64_t hash, nr;
};

static void keep(void *user, const struct cow_finding *finding)
{
	struct told *told = user;

	for (const char *c = finding->problem->id; *c; c++)
		told->hash = told->hash * 31 + (uint8_t)*c;
	told->hash = told->hash * 31 + finding->offset_bytes;
	told->hash = told->hash * 31 + finding->len_bytes;
	told->nr++;
}

static int check(struct cow_image *cow, struct cow_image *origin, struct told *told,
		 struct cow_verdict *verdict)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_role_image roles[2];
	struct cow_store_args args = fuzz_args(roles, cow, origin);
	struct cow_report *report;
	int ret;

	callbacks.user = told;
	callbacks.finding = keep;
	fuzz_must(!cow_report_new(&callbacks, 0, &report, NULL));
	ret = cow_check(&args, &params, report, verdict, NULL);
	cow_report_free(report);
	return ret;
}

static void compare(struct cow_image *cow, struct cow_image *copy, struct cow_image *origin)
{
	struct cow_verdict a = COW_VERDICT_INIT, b = COW_VERDICT_INIT;
	struct told of_cow = { 0 }, of_copy = { 0 };

	fuzz_must(check(cow, origin, &of_cow, &a) == check(copy, origin, &of_copy, &b));
	fuzz_must(of_cow.nr == of_copy.nr && of_cow.hash == of_copy.hash);
	fuzz_must(a.kernel_loads == b.kernel_loads && a.view_right == b.view_right &&
		  a.valid == b.valid && a.known == b.known && a.needed_bytes == b.needed_bytes);
	fuzz_must(a.info.chunk_bytes == b.info.chunk_bytes &&
		  a.info.nr_exceptions == b.info.nr_exceptions &&
		  a.info.allocated_sectors == b.info.allocated_sectors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_image *cow, *copy, *origin;
	struct cow_role_image roles[2];
	struct cow_store_args args;

	if (size < 512 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	cow = fuzz_image(data, size);
	fuzz_must(!cow_image_standin_new("copy", cow_image_size(cow), 512, &copy, NULL));
	fuzz_must(!cow_image_zero_new(FUZZ_ORIGIN_BYTES, &origin, NULL));
	args = fuzz_args(roles, cow, NULL);
	fuzz_must(!cow_metadata_copy(&args, NULL, copy, NULL));
	compare(cow, copy, NULL);
	compare(cow, copy, origin);
	cow_image_close(cow);
	cow_image_close(copy);
	cow_image_close(origin);
	fuzz_end(size);
	return 0;
}

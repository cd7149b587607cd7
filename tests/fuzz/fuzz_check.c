/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a COW image, damaged or not: probed, checked with its origin and
 * without, and opened. What opens as a sound store has no damage.
 */
#include "tests/fuzz/fuzz.h"

static uint64_t check(const struct cow_store_args *args, uint32_t flags)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	uint64_t nr;

	params.flags = flags;
	fuzz_must(!cow_report_new(NULL, 0, &report, NULL));
	cow_check(args, &params, report, &verdict, NULL);
	nr = cow_report_count(report, COW_CLASS_DAMAGE) + cow_report_count(report, COW_CLASS_LOST);
	cow_report_free(report);
	return nr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_image *cow, *origin;
	struct cow_role_image roles[2];
	struct cow_store_args args;
	struct cow_store *store;
	uint64_t nr_damage;
	const char *kind;

	if (size < 512 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	cow = fuzz_image(data, size);
	fuzz_must(!cow_image_zero_new(FUZZ_ORIGIN_BYTES, &origin, NULL));
	cow_store_probe(cow, &kind, NULL);
	args = fuzz_args(roles, cow, origin);
	check(&args, COW_CHECK_HEADER_ONLY);
	nr_damage = check(&args, 0);
	if (!cow_store_open(&args, &store, NULL)) {
		fuzz_must(!nr_damage);
		cow_store_close(store);
	}
	args = fuzz_args(roles, cow, NULL);
	check(&args, 0);
	args.kind = NULL;
	check(&args, 0);
	cow_image_close(cow);
	cow_image_close(origin);
	fuzz_end(size);
	return 0;
}

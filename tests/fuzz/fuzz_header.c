/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a COW image of which the header is lost: wiped, and overwritten
 * with the end of the input. What is guessed is a chunk size there can be; the
 * repair writes that one, and the check says the same of it afterwards.
 */
#include "tests/fuzz/fuzz.h"

static int check(const struct cow_store_args *args, struct cow_verdict *verdict)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_report *report;
	int ret;

	fuzz_must(!cow_report_new(NULL, 0, &report, NULL));
	ret = cow_check(args, &params, report, verdict, NULL);
	cow_report_free(report);
	return ret;
}

static void reconstruct(struct cow_image *cow, uint64_t chunk_bytes)
{
	struct cow_verdict before = COW_VERDICT_INIT, after = COW_VERDICT_INIT;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_image *overlay;
	struct cow_role_image roles[2];
	struct cow_store_args args;

	fuzz_must(!cow_image_overlay_new(cow, &overlay, NULL));
	args = fuzz_args(roles, overlay, NULL);
	args.chunk_bytes = chunk_bytes;
	params.flags = COW_REPAIR_LOST;
	if (!check(&args, &before) && !cow_repair(&args, &params, &result, NULL)) {
		fuzz_must(!before.known || !chunk_bytes || before.info.chunk_bytes == chunk_bytes);
		args.chunk_bytes = 0;
		fuzz_must(!before.known || !check(&args, &after));
		fuzz_must(!before.known || before.info.chunk_bytes == after.info.chunk_bytes ||
			  !result.nr_mended || !chunk_bytes);
	}
	cow_image_close(overlay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zeros[512];
	struct cow_image *cow;

	if (size < 1024 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	cow = fuzz_image(data, size);
	fuzz_must(!cow_image_pwrite(cow, zeros, sizeof(zeros), 0, NULL));
	reconstruct(cow, 0);
	reconstruct(cow, UINT64_C(512) << data[size - 1] % 23);
	fuzz_must(!cow_image_pwrite(cow, data + size - 512, 512, 0, NULL));
	reconstruct(cow, 0);
	cow_image_close(cow);
	fuzz_end(size);
	return 0;
}

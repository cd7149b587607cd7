/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a COW image, damaged or not. Checks it, opens it (as a
 * sound and as a damaged store), reads its view, repairs it on an overlay,
 * with and without its header. What is repaired must have nothing left to do.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcow.h"
#include "libcow/image/image.h"

#define IMAGE_BYTES_MAX (1 << 20)
#define ORIGIN_BYTES (300 * 512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cow_image *image_make(const uint8_t *data, size_t size)
{
	struct cow_image *image;

	if (cow_image_memory_new(size / 512 * 512, &image, NULL))
		abort();
	if (cow_image_pwrite(image, data, size / 512 * 512, 0, NULL))
		abort();
	return image;
}

static struct cow_store_args args_make(struct cow_role_image roles[2], struct cow_image *cow,
				       struct cow_image *origin)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	roles[0] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = cow };
	roles[1] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = origin };
	args.kind = "persistent";
	args.images = roles;
	args.nr_images = origin ? 2 : 1;
	return args;
}

static void check(const struct cow_store_args *args)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;

	if (cow_report_new(NULL, 0, &report, NULL))
		abort();
	cow_check(args, &params, report, &verdict, NULL);
	cow_report_free(report);
}

static void view_read(struct cow_store_args *args, struct cow_image *origin, uint32_t flags)
{
	struct cow_store *store;
	struct cow_image *view;
	uint8_t buf[4096];

	args->flags = flags;
	if (cow_store_open(args, &store, NULL))
		return;
	if (cow_view_new(origin, store, &view, NULL))
		abort();
	for (uint64_t at = 0; at < ORIGIN_BYTES; at += sizeof(buf)) {
		uint64_t left = ORIGIN_BYTES - at;

		cow_image_pread(view, buf, left < sizeof(buf) ? left : sizeof(buf), at, NULL);
	}
	cow_image_close(view);
	cow_store_close(store);
}

static void repair(struct cow_image *cow)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_image *overlay;
	struct cow_role_image roles[2];
	struct cow_store_args args;

	if (cow_image_overlay_new(cow, &overlay, NULL))
		abort();
	args = args_make(roles, overlay, NULL);
	params.flags = COW_REPAIR_LOST | COW_REPAIR_REVALIDATE;
	if (!cow_repair(&args, &params, &result, NULL)) {
		if (cow_repair(&args, &params, &result, NULL) || result.nr_mended)
			abort();
	}
	cow_image_close(overlay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zeros[512];
	struct cow_image *cow, *origin;
	struct cow_role_image roles[2];
	struct cow_store_args args;

	if (size < 512 || size > IMAGE_BYTES_MAX)
		return 0;
	cow = image_make(data, size);
	if (cow_image_zero_new(ORIGIN_BYTES, &origin, NULL))
		abort();
	args = args_make(roles, cow, origin);
	check(&args);
	view_read(&args, origin, 0);
	view_read(&args, origin, COW_STORE_DAMAGED | COW_STORE_INVALID);
	repair(cow);
	if (cow_image_pwrite(cow, zeros, sizeof(zeros), 0, NULL))
		abort();
	repair(cow);
	cow_image_close(cow);
	cow_image_close(origin);
	return 0;
}

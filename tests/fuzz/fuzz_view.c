/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a COW image: loaded as a sound store and in spite of damage, its
 * exceptions listed and its view read.
 */
#include "tests/fuzz/fuzz.h"

static void extents_walk(struct cow_store *store)
{
	struct cow_extent extent;
	uint64_t at = 0, nr = 0;

	while (cow_store_next_extent(store, at, &extent)) {
		fuzz_must(extent.old_bytes >= at && extent.len_bytes);
		if (extent.old_bytes > UINT64_MAX - extent.len_bytes || ++nr > 100000)
			break;
		at = extent.old_bytes + extent.len_bytes;
	}
}

static void view_read(struct cow_store_args *args, struct cow_image *origin, uint32_t flags)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;
	struct cow_image *view;
	uint8_t buf[4096];

	args->flags = flags;
	if (cow_store_open(args, &store, NULL))
		return;
	cow_store_get_info(store, &info);
	extents_walk(store);
	fuzz_must(!cow_view_new(origin, store, &view, NULL));
	for (uint64_t at = 0; at < FUZZ_ORIGIN_BYTES; at += sizeof(buf)) {
		uint64_t left = FUZZ_ORIGIN_BYTES - at;
		int ret = cow_image_pread(view, buf, left < sizeof(buf) ? left : sizeof(buf), at,
					  NULL);

		fuzz_must(!ret || flags);
	}
	cow_image_close(view);
	cow_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_image *cow, *origin;
	struct cow_role_image roles[2];
	struct cow_store_args args;

	if (size < 512 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	cow = fuzz_image(data, size);
	fuzz_must(!cow_image_zero_new(FUZZ_ORIGIN_BYTES, &origin, NULL));
	args = fuzz_args(roles, cow, origin);
	view_read(&args, origin, 0);
	view_read(&args, origin, COW_STORE_DAMAGED | COW_STORE_INVALID);
	cow_image_close(cow);
	cow_image_close(origin);
	fuzz_end(size);
	return 0;
}

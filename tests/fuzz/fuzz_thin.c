/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is a list of edits of a small sound pool, 4 bytes each: block, two bytes of
 * an offset, the new byte. Checksums are put right then, so that what lies behind them is
 * reached. It is checked, and each device is opened in both ways and read a little: of
 * what has no damage every device opens, and has as many mappings as the pool tells. Then
 * it is repaired: what comes out has no damage, but for what the repair says is left.
 */
#include "libcow/base/bytes.h"
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/thin_build.h"
#include "tests/fuzz/fuzz.h"

#define DATA_BYTES (THIN_BUILD_DATA * UINT64_C(65536))
#define DEVICES_MAX 8

struct found {
	uint64_t ids[DEVICES_MAX], mapped[DEVICES_MAX];
	size_t nr;
};

/* The pool, made once, and the constants of its checksums. */
static uint8_t base[THIN_BUILD_BLOCKS * 4096];
static uint32_t constants[THIN_BUILD_BLOCKS];

static void base_make(void)
{
	struct cow_image *image;

	if (constants[0])
		return;
	fuzz_must(!cow_image_memory_new(sizeof(base), &image, NULL));
	thin_build(image, constants);
	fuzz_must(!cow_image_pread(image, base, sizeof(base), 0, NULL));
	cow_image_close(image);
}

static void edits_make(uint8_t *bytes, const uint8_t *data, size_t size)
{
	memcpy(bytes, base, sizeof(base));
	for (; size >= 4; data += 4, size -= 4)
		bytes[data[0] % THIN_BUILD_BLOCKS * 4096 + get_le16(data + 1) % 4096] = data[3];
	for (uint64_t block = 0; block < THIN_BUILD_BLOCKS; block++) {
		const struct pdata_type type = { "", constants[block], 8 };

		if (constants[block])
			cow_pdata_block_seal(&type, block, bytes + block * 4096);
	}
}

static void take_device(void *user, const struct cow_snapshot *device)
{
	struct found *found = user;

	fuzz_must(device->nr_exclusive <= device->nr_mapped || device->is_damaged);
	if (found->nr == DEVICES_MAX || device->id > THIN_ID_MAX)
		return;
	found->ids[found->nr] = device->id;
	found->mapped[found->nr++] = device->nr_mapped;
}

static uint64_t check(const struct cow_store_args *args, struct found *found)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	uint64_t nr;
	int ret;

	callbacks.user = found;
	params.callbacks = &callbacks;
	params.snapshot = take_device;
	fuzz_must(!cow_report_new(NULL, 0, &report, NULL));
	ret = cow_check(args, &params, report, &verdict, NULL);
	nr = cow_report_count(report, COW_CLASS_DAMAGE) + cow_report_count(report, COW_CLASS_LOST);
	fuzz_must(ret || nr || verdict.view_right);
	cow_report_free(report);
	return ret ? 1 : nr;
}

static void read_some(struct cow_store *store)
{
	struct cow_image *view;
	uint8_t buf[512];

	if (cow_view_new(store->origin, store, &view, NULL))
		return;
	for (uint64_t at = 0; at < cow_image_size(view); at += 1 + cow_image_size(view) / 7)
		(void)cow_image_pread(view, buf, 512, at / 512 * 512, NULL);
	cow_image_close(view);
}

/* Some runs of the map, by handle and by id. */
static void maps_agree(struct cow_store *store)
{
	struct cow_extent extent;
	struct store_run run;
	uint64_t at = 0;

	for (int i = 0; i < 3 && cow_store_next_extent(store, at, &extent); i++) {
		fuzz_must(!cow_store_snapshot_map(store, store->snapshot_id, at, &run, NULL));
		fuzz_must(run.old_bytes == extent.old_bytes && run.new_bytes == extent.new_bytes);
		fuzz_must(run.is_shared == extent.is_shared);
		at = extent.old_bytes + extent.len_bytes;
	}
}

static int on_range(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t *end_bytes = user;

	fuzz_must(len_bytes && (!*end_bytes || offset_bytes > *end_bytes));
	*end_bytes = offset_bytes + len_bytes;
	return 0;
}

/* Against what the first device has, by a handle that has no map; and who has what. */
static void others_find(struct cow_store_args *args, struct cow_store *store, uint64_t first_id,
			uint64_t nr_damage)
{
	struct cow_store *first;
	uint64_t end_bytes = 0;
	int ret;

	ret = cow_store_find_owners(store, NULL, NULL);
	fuzz_must(nr_damage || !ret);
	args->snapshot_id = first_id;
	args->sibling = store;
	args->flags = COW_STORE_STRICT | COW_STORE_NO_MAP;
	if (!cow_store_open(args, &first, NULL)) {
		ret = cow_store_difference(first, store, on_range, &end_bytes, NULL);
		fuzz_must(nr_damage || !ret);
		cow_store_close(first);
	}
	args->sibling = NULL;
}

static void device_use(struct cow_store_args *args, uint64_t id, uint64_t mapped,
		       uint64_t nr_damage, uint64_t first_id)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;
	int ret;

	args->snapshot_id = id;
	args->flags = COW_STORE_DAMAGED;
	if (!cow_store_open(args, &store, NULL)) {
		read_some(store);
		cow_store_close(store);
	}
	args->flags = COW_STORE_STRICT;
	ret = cow_store_open(args, &store, NULL);
	fuzz_must(nr_damage || !ret || !mapped);
	if (ret)
		return;
	fuzz_must(!cow_store_get_info(store, &info));
	fuzz_must(nr_damage || info.nr_exceptions == mapped);
	read_some(store);
	maps_agree(store);
	others_find(args, store, first_id, nr_damage);
	cow_store_close(store);
}

static void repair_use(struct cow_store_args *args)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_role_image *roles = (struct cow_role_image *)args->images;
	struct cow_image *damaged = roles[0].image;
	struct found found = { .nr = 0 };

	fuzz_must(!cow_image_standin_new("new", sizeof(base), 512, &params.target, NULL));
	params.flags = COW_REPAIR_DOUBTFUL;
	args->flags = 0;
	args->snapshot_id = 0;
	args->sibling = NULL;
	args->chunk_bytes = 65536;
	if (!cow_repair(args, &params, &result, NULL)) {
		roles[0].image = params.target;
		fuzz_must(!check(args, &found) || result.nr_left);
		roles[0].image = damaged;
	}
	cow_image_close(params.target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[sizeof(base)];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[2];
	struct found found = { .nr = 0 };
	uint64_t nr_damage;

	base_make();
	fuzz_begin();
	edits_make(bytes, data, size);
	roles[0] =
		(struct cow_role_image){ COW_ROLE_METADATA, 0, fuzz_image(bytes, sizeof(bytes)) };
	roles[1].role = COW_ROLE_DATA;
	roles[1].index = 0;
	fuzz_must(!cow_image_zero_new(DATA_BYTES, &roles[1].image, NULL));
	args.kind = "thin";
	args.images = roles;
	args.nr_images = 2;
	nr_damage = check(&args, &found);
	fuzz_must(size >= 4 || (!nr_damage && found.nr == 4));
	for (size_t i = 0; i < found.nr; i++)
		device_use(&args, found.ids[i], found.mapped[i], nr_damage, found.ids[0]);
	repair_use(&args);
	for (int i = 0; i < 2; i++)
		cow_image_close(roles[i].image);
	fuzz_end(size);
	return 0;
}

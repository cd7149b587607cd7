/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The input is the metadata of a clone. Checksums are put right first, so that
 * what lies behind them is reached: block 0 is a superblock, of every other the
 * first byte says which type it gets. It is checked, opened in both ways, read,
 * and finished: what has no damage is finished, or lacks room, and has no damage
 * then.
 */
#include "libcow/pdata/pdata_block.h"
#include "libcow/store/clone/clone_disk.h"
#include "libcow/store/store.h"
#include "tests/fuzz/fuzz.h"

#define TARGET_BYTES_MAX (UINT64_C(4) << 20) /* larger ones are not finished */

static void checksums_put(uint8_t *bytes, size_t size)
{
	const struct pdata_type *const types[] = { &cow_pdata_node_type, &cow_pdata_array_type,
						   &cow_pdata_index_type, &cow_pdata_bitmap_type };

	for (size_t block = 0; (block + 1) * 4096 <= size; block++) {
		uint8_t *raw = bytes + block * 4096;

		cow_pdata_block_seal(block ? types[raw[0] % 4] : &cow_clone_super_type, block, raw);
	}
}

static uint64_t check(const struct cow_store_args *args)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	uint64_t nr;
	int ret;

	fuzz_must(!cow_report_new(NULL, 0, &report, NULL));
	ret = cow_check(args, &params, report, &verdict, NULL);
	nr = cow_report_count(report, COW_CLASS_DAMAGE);
	fuzz_must(ret || nr || verdict.merge_right);
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
		fuzz_must(!cow_image_pread(view, buf, 512, at / 512 * 512, NULL));
	cow_image_close(view);
}

static void finish(struct cow_store *store, const struct cow_store_args *args, uint64_t nr_damage)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_err err = COW_ERR_INIT;
	int ret = cow_merge(store, &params, &result, &err);

	fuzz_must(nr_damage || !ret || !strcmp(err.id, "metadata-space"));
	fuzz_must(ret || nr_damage || !check(args));
}

static void open_and_use(struct cow_store_args *args, uint32_t flags, uint64_t nr_damage)
{
	struct cow_store *store;

	args->flags = flags;
	if (cow_store_open(args, &store, NULL))
		return;
	read_some(store);
	if (!flags && store->view_bytes <= TARGET_BYTES_MAX)
		finish(store, args, nr_damage);
	cow_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[3];
	struct clone_super super;
	uint64_t nr_damage, target;
	uint8_t *bytes;

	if (size < 4096 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	bytes = malloc(size);
	fuzz_must(bytes != NULL);
	memcpy(bytes, data, size);
	checksums_put(bytes, size);
	cow_clone_super_decode(bytes, &super);
	target = super.target_sectors < (UINT64_C(1) << 50) ? super.target_sectors * 512 : 512;
	roles[0] = (struct cow_role_image){ COW_ROLE_METADATA, 0, fuzz_image(bytes, size) };
	roles[1].role = COW_ROLE_SOURCE;
	roles[2].role = COW_ROLE_DESTINATION;
	roles[1].index = roles[2].index = 0;
	fuzz_must(!cow_image_zero_new(target, &roles[1].image, NULL));
	fuzz_must(!cow_image_memory_new(target, &roles[2].image, NULL));
	args.kind = "clone";
	args.images = roles;
	args.nr_images = 3;
	nr_damage = check(&args);
	open_and_use(&args, COW_STORE_DAMAGED, nr_damage);
	open_and_use(&args, 0, nr_damage);
	for (int i = 0; i < 3; i++)
		cow_image_close(roles[i].image);
	free(bytes);
	fuzz_end(size);
	return 0;
}

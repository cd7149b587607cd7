/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_write.c - what is written to the metadata of a pool. A new pool is the
 * kernel's, byte for byte. What a power cut leaves is in tests/crash/crash_thin.c, what
 * the kernel makes of it in tests/kernel/pools.py.
 */
#include "libcow/base/bytes.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"
#include "libcow/store/thin/thin_write.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_fixture.h"

/* The check counts everything anew. */
static void check_counts(struct cow_image *metadata, uint64_t nr_devices, uint64_t has_held)
{
	const struct cow_role_image role = { .role = COW_ROLE_METADATA, .image = metadata };
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report;

	args.kind = "thin";
	args.images = &role;
	args.nr_images = 1;
	args.snapshot_id = STORE_SNAPSHOT_NONE;
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	CHECK_EQ(cow_report_count(report, COW_CLASS_INFO), has_held);
	for (int klass = COW_CLASS_NOTE; klass <= COW_CLASS_LOST; klass++)
		CHECK_EQ(cow_report_count(report, klass), 0);
	CHECK(verdict.known && verdict.view_right && verdict.kernel_loads);
	CHECK_EQ(verdict.info.nr_snapshots, nr_devices);
	cow_report_free(report);
}

static void check_says_sound(struct cow_image *metadata, uint64_t nr_devices)
{
	check_counts(metadata, nr_devices, 0);
}

/* ---------------------------------------------------------------- a new pool */

/* An image that held something else. */
static struct cow_image *used_image(uint64_t nr_blocks)
{
	struct cow_image *image;
	uint8_t raw[4096];

	OK(cow_image_memory_new(nr_blocks * 4096, &image, err));
	memset(raw, 0x5a, sizeof(raw));
	for (uint64_t block = 0; block < nr_blocks; block++)
		OK(cow_image_pwrite(image, raw, 4096, block * 4096, err));
	return image;
}

/* Checksums of a pool that Linux 6.1 made: 1024 metadata blocks, 256 data blocks. */
static void a_new_pool_is_the_kernels(void)
{
	static const uint32_t checksums[12] = { 0,	    0,		0xC360E452, 0,
						0,	    0x41BFAA04, 0xCB3DDA35, 0xB1C81346,
						0x58BB3366, 0xE3CD2EC7, 0xB7AF1487, 0xA1012EE6 };
	struct cow_image *metadata = used_image(1024);
	struct thin_super super;
	uint8_t raw[4096];

	OK(cow_thin_format(metadata, 128, 256, err));
	for (uint64_t block = 1; block < 1024; block++) {
		OK(cow_image_pread(metadata, raw, sizeof(raw), block * 4096, err));
		if (block < 12 && checksums[block])
			CHECK_EQ(get_le32(raw), checksums[block]);
		else
			CHECK(is_all_zero(raw, sizeof(raw)));
	}
	OK(cow_image_pread(metadata, raw, sizeof(raw), 0, err));
	cow_thin_super_decode(raw, &super);
	CHECK(super.data_map.bitmap_root == 10 && super.data_map.ref_count_root == 5);
	CHECK(super.metadata_map.nr_allocated == 9 && super.metadata_map.bitmap_root == 11);
	CHECK(super.mapping_root == 6 && super.details_root == 7 && super.version == 2);
	check_says_sound(metadata, 0);
	cow_image_close(metadata);
}

static void format(uint64_t nr_blocks, uint64_t nr_data, bool is_made)
{
	struct cow_err why = COW_ERR_INIT;
	struct cow_image *metadata;
	int ret;

	OK(cow_image_memory_new(nr_blocks * 4096, &metadata, err));
	ret = cow_thin_format(metadata, 128, nr_data, &why);
	CHECK_EQ(ret, is_made ? 0 : -ERANGE);
	if (is_made)
		check_says_sound(metadata, 0);
	else
		CHECK(!strcmp(why.id, "size"));
	cow_image_close(metadata);
}

/* At the edges of bitmaps and of the nodes of their index. */
static void pools_of_every_size_are_sound(void)
{
	format(15, 1, false);
	format(16, 1, true);
	format(16, 16320, true);
	format(16, 16321, false);
	format(20, 16321, true);
	format(16320, 168 * 16320, true);
	format(16321, 168 * 16320 + 1, true);
	format(190, 168 * 16320, false);
	format(30000, 16320 * 500, true);
}

/* Whichever operation fails: no pool, or the whole new one. */
static void a_pool_is_made_whole_or_not(void)
{
	struct fault_plan plan = { .kinds = FAULT_CHANGES };
	uint8_t raw[4096];
	int ret = -EIO;

	for (plan.nth = 1; ret; plan.nth++) {
		struct cow_image *lower = used_image(20), *image;

		plan.nr_ops = 0;
		plan.torn = (enum fault_torn)(plan.nth % 4);
		OK(fault_new(lower, &plan, &image, err));
		ret = cow_thin_format(image, 128, 10, NULL);
		CHECK(!ret || ret == -EIO);
		OK(cow_image_pread(lower, raw, sizeof(raw), 0, err));
		if (get_le64(raw + 32) == THIN_MAGIC)
			check_says_sound(lower, 0);
		else
			CHECK(ret && (is_all_zero(raw, sizeof(raw)) || raw[4095] == 0x5a));
		cow_image_close(image);
		cow_image_close(lower);
	}
	CHECK(plan.nth > 10);
}

/* ---------------------------------------------------------------- devices */

/* A copy of a pool in memory; nobody reads its data. */
struct copy {
	struct cow_image *metadata, *data;
	struct cow_role_image roles[2];
	struct cow_store_args args;
	struct cow_store *store;
};

static void copy_open(struct copy *copy)
{
	copy->roles[0] = (struct cow_role_image){ COW_ROLE_METADATA, 0, copy->metadata };
	copy->roles[1] = (struct cow_role_image){ COW_ROLE_DATA, 0, copy->data };
	copy->args = (struct cow_store_args)COW_STORE_ARGS_INIT;
	copy->args.kind = "thin";
	copy->args.images = copy->roles;
	copy->args.nr_images = 2;
	copy->args.snapshot_id = STORE_SNAPSHOT_NONE;
	OK(cow_store_open_shared(&copy->args, &copy->store, err));
}

static void copy_close(struct copy *copy)
{
	cow_store_close(copy->store);
	cow_image_close(copy->metadata);
	cow_image_close(copy->data);
}

static void image_copy(struct cow_image *from, struct cow_image **ret_copy)
{
	uint64_t size = cow_image_size(from);
	uint8_t *bytes = malloc(size);

	CHECK(bytes);
	OK(cow_image_pread(from, bytes, size, 0, err));
	OK(cow_image_memory_new(size, ret_copy, err));
	OK(cow_image_pwrite(*ret_copy, bytes, size, 0, err));
	free(bytes);
}

static void fixture_copy(const char *name, struct copy *copy)
{
	char metadata[100], data[100];
	struct thin_pair pair;

	snprintf(metadata, sizeof(metadata), "%s/meta", name);
	snprintf(data, sizeof(data), "%s/data", name);
	thin_pair_open(&pair, metadata, data, NULL);
	image_copy(pair.images[0], &copy->metadata);
	OK(cow_image_memory_new(cow_image_size(pair.images[1]), &copy->data, err));
	thin_pair_close(&pair);
	copy_open(copy);
}

/* A device of the model: what its details must say. */
struct device {
	uint64_t id;
	struct thin_details details;
};

#define DEVICES_MAX 700

struct model {
	struct device devices[DEVICES_MAX];
	size_t nr;
	uint32_t time;
};

static void details_read(struct copy *copy, uint64_t id, struct thin_details *details)
{
	struct thin_pool *pool = thin_pool_of(copy->store);
	uint64_t root;

	OK(cow_thin_device_find(pool, &pool->super, id, &root, details, err));
}

static void model_read(struct copy *copy, struct model *model)
{
	uint64_t id = 0;

	model->nr = 0;
	model->time = thin_pool_of(copy->store)->super.time;
	for (;; id++) {
		OK(cow_store_snapshot_next(copy->store, id, &id, err));
		if (id == STORE_SNAPSHOT_NONE)
			break;
		model->devices[model->nr].id = id;
		details_read(copy, id, &model->devices[model->nr++].details);
	}
}

static void model_compare(struct copy *copy, const struct model *model)
{
	CHECK_EQ(thin_pool_of(copy->store)->super.time, model->time);
	for (size_t i = 0; i < model->nr; i++) {
		const struct thin_details *wanted = &model->devices[i].details;
		struct thin_details found;

		details_read(copy, model->devices[i].id, &found);
		CHECK_EQ(found.mapped_blocks, wanted->mapped_blocks);
		CHECK_EQ(found.transaction_id, wanted->transaction_id);
		CHECK_EQ(found.creation_time, wanted->creation_time);
		CHECK_EQ(found.snapshotted_time, wanted->snapshotted_time);
	}
}

static void step_delete(struct copy *copy, struct model *model, size_t which)
{
	OK(cow_store_snapshot_delete(copy->store, model->devices[which].id, err));
	FAILS(-ENOENT,
	      cow_thin_device_find(thin_pool_of(copy->store), &thin_pool_of(copy->store)->super,
				   model->devices[which].id, &(uint64_t){ 0 },
				   &(struct thin_details){ 0 }, err));
	model->devices[which] = model->devices[--model->nr];
}

static void step_make(struct copy *copy, struct model *model, struct device *parent)
{
	uint64_t id = STORE_SNAPSHOT_NONE, highest = 0;
	struct device *made = &model->devices[model->nr];

	for (size_t i = 0; i < model->nr; i++)
		highest = model->devices[i].id + 1 > highest ? model->devices[i].id + 1 : highest;
	OK(cow_store_snapshot_create(copy->store, parent ? parent->id : STORE_SNAPSHOT_NONE, 512,
				     &id, err));
	CHECK_EQ(id, highest);
	*made = (struct device){ .id = id };
	made->details.transaction_id = thin_pool_of(copy->store)->super.transaction_id;
	if (parent) {
		made->details.mapped_blocks = parent->details.mapped_blocks;
		parent->details.snapshotted_time = ++model->time;
	}
	made->details.creation_time = made->details.snapshotted_time = model->time;
	model->nr++;
}

/* Devices come and go; after each commit everything is counted anew. */
static void pool_lives(const char *name, unsigned int nr_steps, uint64_t *random, bool has_held)
{
	struct copy copy;
	struct model model;

	fixture_copy(name, &copy);
	model_read(&copy, &model);
	for (unsigned int i = 0; i < nr_steps; i++) {
		uint64_t what = test_random(random) % 8;

		/* at first it grows, then it shrinks to nothing */
		if (model.nr && (i > nr_steps / 2 ? what < 6 : what < 2))
			step_delete(&copy, &model, test_random(random) % model.nr);
		else if (model.nr && what < 7)
			step_make(&copy, &model, &model.devices[test_random(random) % model.nr]);
		else
			step_make(&copy, &model, NULL);
		check_counts(copy.metadata, model.nr, has_held);
		if (i % 16 == 0) { /* from what is on the disk */
			cow_store_close(copy.store);
			copy_open(&copy);
		}
		model_compare(&copy, &model);
	}
	while (model.nr)
		step_delete(&copy, &model, test_random(random) % model.nr);
	check_counts(copy.metadata, 0, has_held);
	if (!has_held)
		CHECK_EQ(thin_pool_of(copy.store)->super.data_map.nr_allocated, 0);
	copy_close(&copy);
}

static void devices_come_and_go(void)
{
	uint64_t random = test_seed();

	pool_lives("snaps-128k", 60, &random, false);
	pool_lives("many-64k", 60, &random, false);
	pool_lives("held-128k", 60, &random, true);
	pool_lives("ext-unaligned-192k", 20, &random, false);
}

/* A way down a tree that several devices have becomes one of a device's own: what lies
 * beside the way is counted once more. */
static void way_copy(struct copy *copy, uint64_t id, uint64_t from_key)
{
	struct thin_pool *pool = thin_pool_of(copy->store);
	struct pdata_values mappings = cow_thin_mapping_values(pool);
	struct pdata_values roots = cow_thin_root_values(pool);
	struct thin_details details;
	struct pdata_tree tree;
	uint64_t root, own, key;
	uint8_t value[8];
	bool found;

	OK(cow_thin_write_begin(pool, true, err));
	OK(cow_thin_device_find(pool, &pool->super, id, &root, &details, err));
	tree = thin_mappings(pool, root);
	OK(cow_pdata_tree_next(&tree, from_key, &key, value, &found, err));
	if (!found)
		return;
	/* the same value again; the entry gives up the reference of the old one */
	OK(mappings.count(mappings.user, value, true, err));
	own = root;
	OK(cow_pdata_tree_insert(pool->txn, &mappings, &own, key, value, err));
	CHECK(own != root);
	OK(cow_pdata_block_more(pool->txn, root, err));
	put_le64(value, own);
	OK(cow_pdata_tree_insert(pool->txn, &roots, &pool->super.mapping_root, id, value, err));
	OK(cow_thin_write_commit(pool, false, err));
}

static void shared_nodes_are_counted(void)
{
	uint64_t random = test_seed();
	struct copy copy;
	struct model model;

	fixture_copy("many-64k", &copy);
	model_read(&copy, &model);
	for (int i = 0; i < 30; i++) {
		struct device *device = &model.devices[test_random(&random) % model.nr];

		/* whose root is shared then */
		step_make(&copy, &model, device);
		way_copy(&copy, device->id, test_random(&random) % 300);
		check_counts(copy.metadata, model.nr, 0);
		model_compare(&copy, &model);
	}
	while (model.nr)
		step_delete(&copy, &model, test_random(&random) % model.nr);
	check_counts(copy.metadata, 0, 0);
	CHECK_EQ(thin_pool_of(copy.store)->super.data_map.nr_allocated, 0);
	copy_close(&copy);
}

/* The image stays as it was, byte for byte. */
static void what_cannot_be_done_changes_nothing(void)
{
	struct copy copy;
	struct cow_image *before;
	uint64_t size, id = STORE_SNAPSHOT_NONE;
	uint8_t *now, *then;

	fixture_copy("snaps-128k", &copy);
	image_copy(copy.metadata, &before);
	FAILS(-ENOENT, cow_store_snapshot_create(copy.store, 77, 0, &id, err));
	cow_store_close(copy.store);
	copy_open(&copy);
	id = 2;
	FAILS(-EEXIST, cow_store_snapshot_create(copy.store, 1, 0, &id, err));
	/* these handles do not go on */
	FAILS(-EIO, cow_store_snapshot_delete(copy.store, 1, err));
	cow_store_close(copy.store);
	copy_open(&copy);
	thin_pool_of(copy.store)->super.time = THIN_TIME_MAX;
	id = 9;
	FAILS(-ERANGE, cow_store_snapshot_create(copy.store, 1, 0, &id, err));
	cow_store_close(copy.store);
	copy_open(&copy);
	copy.store->shared->is_rehearsal = true;
	OK(cow_store_snapshot_delete(copy.store, 0, err));
	size = cow_image_size(before);
	now = malloc(size);
	then = malloc(size);
	CHECK(now && then);
	OK(cow_image_pread(before, then, size, 0, err));
	OK(cow_image_pread(copy.metadata, now, size, 0, err));
	CHECK(!memcmp(now, then, size));
	free(now);
	free(then);
	cow_image_close(before);
	copy_close(&copy);
}

/* Whatever fails in a deletion, these handles change nothing more: what they have in memory
 * may be half of it. */
static void a_change_that_failed_is_the_last_one(void)
{
	struct fault_plan plan = { .kinds = FAULT_ANY, .nr_faults = 1 };
	unsigned int nr_failed = 0;

	for (plan.nth = 1; plan.nr_faults; plan.nth++) {
		struct copy copy;
		struct cow_image *faulty;

		fixture_copy("snaps-128k", &copy);
		cow_store_close(copy.store);
		plan.nr_ops = 0;
		plan.nr_faults = 0;
		OK(fault_new(copy.metadata, &plan, &faulty, err));
		copy.roles[0].image = faulty;
		if (!cow_store_open_shared(&copy.args, &copy.store, NULL)) {
			if (cow_store_snapshot_delete(copy.store, 1, NULL)) {
				nr_failed++;
				FAILS(-EIO, cow_store_snapshot_delete(copy.store, 2, err));
			}
			cow_store_close(copy.store);
		}
		copy_open(&copy);
		cow_image_close(faulty);
		copy_close(&copy);
	}
	CHECK(nr_failed > 5);
}

/* ---------------------------------------------------------------- exchange */

/* All that a device maps, in one number for each run; and its details. */
struct shown {
	uint64_t runs[400];
	size_t nr;
	struct thin_details details;
};

static void shown_read(struct copy *copy, uint64_t id, struct shown *shown)
{
	struct store_run run = { .len_bytes = 1 };
	uint64_t from = 0;

	*shown = (struct shown){ .nr = 0 };
	details_read(copy, id, &shown->details);
	while (run.len_bytes) {
		OK(cow_store_snapshot_map(copy->store, id, from, &run, err));
		CHECK(shown->nr < 397);
		shown->runs[shown->nr++] = run.old_bytes;
		shown->runs[shown->nr++] = run.new_bytes;
		shown->runs[shown->nr++] = run.len_bytes * 2 + run.is_shared;
		from = run.old_bytes + run.len_bytes;
	}
}

static void shown_compare(struct copy *copy, uint64_t id, const struct shown *wanted)
{
	struct shown now;

	shown_read(copy, id, &now);
	CHECK(now.nr == wanted->nr && !memcmp(now.runs, wanted->runs, sizeof(now.runs)));
	CHECK(!memcmp(&now.details, &wanted->details, sizeof(now.details)));
}

static void copy_again(struct copy *copy)
{
	cow_store_close(copy->store);
	copy_open(copy);
}

/* Each pair of devices; what is shared, too: the times go with the trees (I16). */
static void two_exchange_what_they_show(void)
{
	struct copy copy;
	struct shown shown[5];
	struct thin_super before;

	fixture_copy("snaps-128k", &copy);
	before = thin_pool_of(copy.store)->super;
	for (uint64_t id = 0; id < 5; id++)
		shown_read(&copy, id, &shown[id]);
	for (uint64_t a = 0; a < 5; a++) {
		for (uint64_t b = 0; b < 5; b++) {
			if (a == b)
				continue;
			OK(cow_snapshot_swap(&copy.args, a, b, COW_SNAPSHOT_UNRELATED, err));
			copy_again(&copy);
			check_counts(copy.metadata, 5, 0);
			for (uint64_t id = 0; id < 5; id++)
				shown_compare(&copy, id, &shown[id == a ? b : id == b ? a : id]);
			OK(cow_store_swap(copy.store, a, b, true, err));
			check_counts(copy.metadata, 5, 0);
			for (uint64_t id = 0; id < 5; id++)
				shown_compare(&copy, id, &shown[id]);
		}
	}
	copy_again(&copy);
	CHECK_EQ(thin_pool_of(copy.store)->super.transaction_id, before.transaction_id);
	CHECK_EQ(thin_pool_of(copy.store)->super.time, before.time);
	CHECK_EQ(thin_pool_of(copy.store)->super.data_map.nr_allocated,
		 before.data_map.nr_allocated);
	copy_close(&copy);
}

/* A snapshot just taken has the same root, and one that was deleted leaves no trace. */
static void one_root_is_exchanged_with_itself(void)
{
	struct copy copy;
	struct shown shown;
	uint64_t id = 9;

	fixture_copy("snaps-128k", &copy);
	OK(cow_store_snapshot_create(copy.store, 3, 0, &id, err));
	OK(cow_store_swap(copy.store, 3, 9, false, err));
	check_counts(copy.metadata, 6, 0);
	shown_read(&copy, 9, &shown);
	OK(cow_store_snapshot_delete(copy.store, 3, err));
	check_counts(copy.metadata, 5, 0);
	shown_compare(&copy, 9, &shown);
	copy_close(&copy);
}

static void swap_fails(struct copy *copy, uint64_t a, uint64_t b, int code, const char *id)
{
	struct cow_err why = COW_ERR_INIT;

	CHECK_EQ(cow_snapshot_swap(&copy->args, a, b, 0, &why), code);
	CHECK(!strcmp(why.id, id));
}

static void what_cannot_be_exchanged(void)
{
	static const struct cow_geometry lvm[] = { { "transaction", "8" }, { "pending", "yes" } };
	static const struct cow_geometry merging[] = { { "merging", "yes" } };
	struct copy copy;
	struct shown shown;
	uint64_t empty = 5;

	fixture_copy("snaps-128k", &copy);
	OK(cow_store_snapshot_create(copy.store, STORE_SNAPSHOT_NONE, 0, &empty, err));
	shown_read(&copy, 1, &shown);
	swap_fails(&copy, 1, 1, -EINVAL, "usage");
	swap_fails(&copy, 1, 77, -ENOENT, "no-device");
	swap_fails(&copy, 77, 1, -ENOENT, "no-device");
	swap_fails(&copy, 1, 5, -EPERM, "origin");
	OK(cow_snapshot_swap(&copy.args, 1, 2, COW_SNAPSHOT_REHEARSE, err));
	FAILS(-EINVAL, cow_snapshot_swap(&copy.args, 1, 2, COW_SNAPSHOT_MANAGED, err));
	copy.args.geometry = lvm;
	copy.args.nr_geometry = 1;
	swap_fails(&copy, 1, 2, -EPERM, "lvm");
	copy.args.geometry = lvm + 1;
	swap_fails(&copy, 1, 2, -EPERM, "lvm");
	copy.args.geometry = merging;
	swap_fails(&copy, 1, 2, -EPERM, "merging");
	copy_again(&copy);
	shown_compare(&copy, 1, &shown);
	/* with force; and what an empty device showed is zeros */
	OK(cow_snapshot_swap(&copy.args, 1, 5, COW_SNAPSHOT_UNRELATED, err));
	copy_again(&copy);
	shown_compare(&copy, 5, &shown);
	check_counts(copy.metadata, 6, 0);
	copy_close(&copy);
}

/* Whichever operation fails: what they showed before, or after, and a sound pool. */
static void an_exchange_happens_or_not(void)
{
	struct fault_plan plan = { .kinds = FAULT_CHANGES };
	int ret = -EIO;

	for (plan.nth = 1; ret; plan.nth++) {
		struct copy copy;
		struct shown shown[2];
		struct thin_details now;
		struct cow_image *faulty;
		bool is_new;

		fixture_copy("snaps-128k", &copy);
		for (uint64_t id = 0; id < 2; id++)
			shown_read(&copy, id, &shown[id]);
		cow_store_close(copy.store);
		plan.nr_ops = 0;
		plan.torn = (enum fault_torn)(plan.nth % 4);
		OK(fault_new(copy.metadata, &plan, &faulty, err));
		copy.roles[0].image = faulty;
		ret = cow_snapshot_swap(&copy.args, 0, 1, COW_SNAPSHOT_UNRELATED, NULL);
		CHECK(!ret || ret == -EIO);
		copy_open(&copy);
		details_read(&copy, 0, &now);
		is_new = !memcmp(&now, &shown[1].details, sizeof(now));
		CHECK(ret || is_new);
		shown_compare(&copy, 0, &shown[is_new]);
		shown_compare(&copy, 1, &shown[!is_new]);
		check_counts(copy.metadata, 5, 0);
		cow_image_close(faulty);
		copy_close(&copy);
	}
	CHECK(plan.nth > 5);
}

int main(void)
{
	thin_fixture_begin();
	RUN(two_exchange_what_they_show);
	RUN(one_root_is_exchanged_with_itself);
	RUN(what_cannot_be_exchanged);
	RUN(an_exchange_happens_or_not);
	RUN(devices_come_and_go);
	RUN(shared_nodes_are_counted);
	RUN(what_cannot_be_done_changes_nothing);
	RUN(a_change_that_failed_is_the_last_one);
	RUN(a_new_pool_is_the_kernels);
	RUN(pools_of_every_size_are_sound);
	RUN(a_pool_is_made_whole_or_not);
	return test_end();
}

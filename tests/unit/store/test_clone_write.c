/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_clone_write.c - what is made anew is what the kernel makes, and what is
 * finished is what the kernel finished: byte for byte. What a power cut leaves
 * is in tests/crash/crash_clone.c.
 */
#include <dirent.h>
#include <unistd.h>

#include "libcow/base/bytes.h"
#include "libcow/core/report.h"
#include "libcow/store/clone/clone_store.h"
#include "tests/aids/clone_build.h"
#include "tests/aids/clone_fixture.h"
#include "tests/aids/sound.h"
#include "tests/aids/test.h"

static void sha256(const char *path, char ret_sha256[65])
{
	char command[600];
	FILE *sum;

	snprintf(command, sizeof(command), "openssl dgst -sha256 -r '%s'", path);
	sum = popen(command, "r");
	CHECK(sum && fscanf(sum, "%64s", ret_sha256) == 1);
	pclose(sum);
}

/* ---------------------------------------------------------------- made anew */

/* Checksums of a device that Linux 6.1 formatted: 65536 regions of 8 sectors. */
static void a_new_clone_is_the_kernels(void)
{
	static const uint32_t checksums[] = { 0x07C74126, 0x18E0660A, 0xC360E452, 0xA19F6375,
					      0x381E1166, 0x0E385EEB, 0x00C32E2F, 0x703D1C80 };
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	const struct cow_geometry target = { "target", "524288" };
	struct cow_image *metadata;
	uint8_t raw[4096];

	OK(cow_image_memory_new(4 << 20, &metadata, err));
	memset(raw, 0x5a, sizeof(raw));
	for (uint64_t block = 0; block < 20; block++)
		OK(cow_image_pwrite(metadata, raw, 4096, block * 4096, err));
	params.kind = "clone";
	params.chunk_bytes = 4096;
	params.geometry = &target;
	params.nr_geometry = 1;
	OK(cow_create(metadata, &params, err));
	for (uint64_t block = 0; block < 8; block++) {
		OK(cow_image_pread(metadata, raw, 4096, block * 4096, err));
		CHECK_EQ(get_le32(raw), checksums[block]);
	}
	/* The kernel leaves what lies behind. Trees of an earlier life there would make
	 * it doubtful which is the newest. */
	for (uint64_t block = 8; block < 20; block++) {
		OK(cow_image_pread(metadata, raw, 4096, block * 4096, err));
		CHECK(!raw[0] && !memcmp(raw, raw + 1, 4095));
	}
	cow_image_close(metadata);
}

static void a_new_clone_is_the_one_of_the_fixture(void)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	uint8_t *made = malloc(1 << 20), *kernels = malloc(1 << 20);
	struct cow_image *metadata;
	struct clone_trio trio;

	CHECK(made && kernels && clone_trio_open(&trio, "fresh-r8", "meta", "source", "dest", 0));
	OK(cow_image_memory_new(1 << 20, &metadata, err));
	params.kind = "clone";
	params.chunk_bytes = 4096;
	params.images = trio.roles + 1; /* source and destination */
	params.nr_images = 2;
	OK(cow_create(metadata, &params, err));
	OK(cow_image_pread(metadata, made, 1 << 20, 0, err));
	OK(cow_image_pread(trio.images[0], kernels, 1 << 20, 0, err));
	CHECK(!memcmp(made, kernels, 1 << 20));
	cow_image_close(metadata);
	clone_trio_close(&trio);
	free(made);
	free(kernels);
}

/* More array blocks than a node has entries, and two bitmaps. */
static void a_large_clone_is_sound(void)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	const char *const sectors[] = { "1",	    "8",	"260608",     "260609",
					"65672208", "65672209", "17179869184" };
	struct cow_role_image role = { .role = COW_ROLE_METADATA };

	params.kind = "clone";
	params.chunk_bytes = 4096;
	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		const struct cow_geometry target = { "target", sectors[i] };
		uint64_t size;

		params.geometry = &target;
		params.nr_geometry = 1;
		params.origin_bytes = strtoull(sectors[i], NULL, 10) * 512;
		OK(cow_create_size(&params, &size, err));
		OK(cow_image_memory_new(size, &role.image, err));
		OK(cow_create(role.image, &params, err));
		args.images = &role;
		args.nr_images = 1;
		args.kind = "clone";
		sound_check(&args);
		cow_image_close(role.image);
	}
}

static void what_no_clone_can_be_is_refused(void)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	struct cow_geometry target = { "target", "16384" };
	struct cow_role_image small = { 0 };
	struct cow_image *metadata;
	uint8_t raw[4096];

	OK(cow_image_memory_new(9 * 4096, &metadata, err));
	params.kind = "clone";
	params.geometry = &target;
	params.nr_geometry = 1;
	FAILS(-ERANGE, cow_create(metadata, &params, err)); /* nine blocks */
	cow_image_close(metadata);
	OK(cow_image_memory_new(64 * 4096, &metadata, err));
	for (uint64_t bytes = 512; bytes < 4096; bytes *= 2) {
		params.chunk_bytes = bytes;
		FAILS(-EINVAL, cow_create(metadata, &params, err));
	}
	params.chunk_bytes = 12288;
	FAILS(-EINVAL, cow_create(metadata, &params, err));
	params.chunk_bytes = UINT64_C(2) << 30;
	FAILS(-EINVAL, cow_create(metadata, &params, err));
	params.chunk_bytes = 4096;
	target.value = "17179869185";
	FAILS(-EINVAL, cow_create(metadata, &params, err));
	target.value = "12x";
	FAILS(-EINVAL, cow_create(metadata, &params, err));
	target.key = "targets";
	FAILS(-EINVAL, cow_create(metadata, &params, err));
	/* An image that does not hold the clone. */
	target = (struct cow_geometry){ "target", "16384" };
	params.images = &small;
	params.nr_images = 1;
	OK(cow_image_memory_new(16383 * 512, &small.image, err));
	small.role = COW_ROLE_SOURCE;
	FAILS(-ERANGE, cow_create(metadata, &params, err));
	small.role = COW_ROLE_DESTINATION;
	FAILS(-ERANGE, cow_create(metadata, &params, err));
	cow_image_close(small.image);
	params.nr_images = 0;
	params.nr_geometry = 0;
	FAILS(-EINVAL, cow_create(metadata, &params, err));
	OK(cow_image_pread(metadata, raw, 4096, 0, err));
	CHECK(is_all_zero(raw, 4096));
	cow_image_close(metadata);
}

/* ---------------------------------------------------------------- finished */

static void clone_is_finished(const char *name)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store *store;
	struct clone_trio trio;
	char path[300], value[400], found[65];

	if (!clone_trio_open(&trio, name, "meta", "source", "dest", COW_OPEN_WRITE)) {
		CHECK(!strcmp(name, "two-level"));
		return;
	}
	params.epoch_bytes = 1 << 20;
	OK(cow_store_open(&trio.args, &store, err));
	OK(cow_merge(store, &params, &result, err));
	CHECK_EQ(result.nr_left, 0);
	cow_store_close(store);
	sound_check(&trio.args);
	OK(cow_store_open(&trio.args, &store, err));
	CHECK_EQ(((struct clone_store *)store)->nr_hydrated,
		 ((struct clone_store *)store)->bits.nr_bits);
	OK(cow_merge(store, &params, &result, err));
	CHECK_EQ(result.nr_chunks, 0);
	cow_store_close(store);
	clone_trio_close(&trio);
	snprintf(path, sizeof(path), "%s/2", clone_folder);
	sha256(path, found);
	if (!clone_fact(name, "meta.txt", "finished_destination_sha256", value))
		CHECK(clone_fact(name, "meta.txt", "destination_sha256", value));
	if (strcmp(found, value))
		fprintf(stderr, "%s: another destination\n", name);
	CHECK(!strcmp(found, value));
	CHECK(clone_fact(name, "meta.txt", "source_sha256", value));
	snprintf(path, sizeof(path), "%s/1", clone_folder);
	sha256(path, found);
	CHECK(!strcmp(found, value));
}

static void clones_are_finished_as_the_kernel_does(void)
{
	char path[512];
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/clone", clone_fixtures);
	dir = opendir(path);
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "damaged"))
			continue;
		clone_is_finished(entry->d_name);
		nr++;
	}
	closedir(dir);
	CHECK(nr >= 33);
}

/* Nothing of a clone with damage is written, whatever the damage is. */
static void damaged_clones_are_not_finished(void)
{
	static const char *const names[] = { "m03-bitmap-csum",	    "m06-live-block-free",
					     "m09-counted-twice",   "m10-counted-3",
					     "m20-superblock-free", "m14-nr-blocks-more" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
		struct cow_merge_result result = COW_MERGE_RESULT_INIT;
		char file[64], path[300], before[2][65], after[65];
		struct cow_store *store;
		struct clone_trio trio;
		struct cow_err why = COW_ERR_INIT;

		snprintf(file, sizeof(file), "%s.meta", names[i]);
		CHECK(clone_trio_open(&trio, "damaged", file, "source-a", "dest-a",
				      COW_OPEN_WRITE));
		for (int image = 0; image < 2; image++) {
			snprintf(path, sizeof(path), "%s/%d", clone_folder, 2 * image);
			sha256(path, before[image]);
		}
		OK(cow_store_open(&trio.args, &store, err));
		CHECK(cow_merge(store, &params, &result, &why) < 0);
		CHECK(!strcmp(why.id, "damaged") || !strcmp(why.id, "metadata-space"));
		cow_store_close(store);
		for (int image = 0; image < 2; image++) {
			snprintf(path, sizeof(path), "%s/%d", clone_folder, 2 * image);
			sha256(path, after);
			CHECK(!strcmp(before[image], after));
		}
		clone_trio_close(&trio);
	}
}

/* Three array blocks; a commit for one of them takes four blocks. */
static void a_commit_is_cut_to_the_room_there_is(void)
{
	for (uint64_t nr_blocks = 9; nr_blocks < 20; nr_blocks++) {
		struct clone_build clone = { .region_sectors = 8, .target_sectors = 70000 * 8 };
		struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
		struct cow_merge_result result = COW_MERGE_RESULT_INIT;
		struct cow_store_args args = COW_STORE_ARGS_INIT;
		struct cow_role_image roles[3];
		struct cow_err why = COW_ERR_INIT;
		struct cow_store *store;

		clone.nr_regions = 70000;
		clone.bits = calloc(70000, 1);
		CHECK(clone.bits);
		clone.bits[5] = clone.bits[40000] = clone.bits[69999] = 1;
		for (int i = 0; i < 3; i++)
			roles[i] = (struct cow_role_image){ .role = COW_ROLE_METADATA + i };
		OK(cow_image_memory_new(nr_blocks * 4096, &roles[0].image, err));
		OK(cow_image_zero_new(70000 * 4096, &roles[1].image, err));
		OK(cow_image_memory_new(70000 * 4096, &roles[2].image, err));
		CHECK_EQ(clone_build(roles[0].image, &clone), 8);
		args.kind = "clone";
		args.images = roles;
		args.nr_images = 3;
		OK(cow_store_open(&args, &store, err));
		if (nr_blocks < 12) {
			CHECK(cow_merge(store, &params, &result, &why) == -ENOSPC);
			CHECK(!strcmp(why.id, "metadata-space") && !result.nr_chunks);
		} else {
			OK(cow_merge(store, &params, &result, err));
			CHECK_EQ(result.nr_chunks, 70000 - 3);
		}
		cow_store_close(store);
		if (nr_blocks >= 12)
			sound_check(&args);
		for (int i = 0; i < 3; i++)
			cow_image_close(roles[i].image);
		free(clone.bits);
	}
}

struct heard {
	uint64_t done_bytes, total_bytes;
};

static int progress_hear(void *user, const struct cow_progress *now)
{
	struct heard *heard = (struct heard *)user;

	if (strcmp(now->phase, "move") != 0)
		return 0;
	CHECK(now->done_bytes >= heard->done_bytes && now->done_bytes <= now->total_bytes);
	heard->done_bytes = now->done_bytes;
	heard->total_bytes = now->total_bytes;
	return 0;
}

/* A source that is holes but for some data: only the data are moved, and counted. */
static void progress_ends_at_the_end(void)
{
	struct clone_build clone = { .region_sectors = 8, .target_sectors = 5000 * 8 - 3 };
	const uint64_t data[] = { 0, 700, 4000 };
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[3];
	struct heard heard = { 0, 0 };
	struct cow_store *store;
	uint8_t region[4096];

	memset(region, 7, sizeof(region));
	for (size_t last = 0; last < 4; last++) {
		heard = (struct heard){ 0, 0 };
		clone.nr_regions = 5000;
		clone.bits = calloc(5000, 1);
		CHECK(clone.bits);
		clone.bits[5] = clone.bits[2000] = 1;
		for (int i = 0; i < 3; i++) {
			roles[i] = (struct cow_role_image){ .role = COW_ROLE_METADATA + i };
			OK(cow_image_memory_new(i ? 5000 * 4096 : 20 * 4096, &roles[i].image, err));
		}
		for (size_t i = 0; i < last; i++)
			OK(cow_image_pwrite(roles[1].image, region, 4096, data[i] * 4096, err));
		CHECK(clone_build(roles[0].image, &clone) > 0);
		args.kind = "clone";
		args.images = roles;
		args.nr_images = 3;
		callbacks.user = &heard;
		callbacks.progress = progress_hear;
		params.callbacks = &callbacks;
		params.batch_bytes = 1 << 20;
		params.epoch_bytes = 1 << 20;
		OK(cow_store_open(&args, &store, err));
		OK(cow_merge(store, &params, &result, err));
		CHECK_EQ(heard.total_bytes, last * 4096);
		CHECK_EQ(heard.done_bytes, heard.total_bytes);
		cow_store_close(store);
		for (int i = 0; i < 3; i++)
			cow_image_close(roles[i].image);
		free(clone.bits);
	}
}

int main(void)
{
	clone_fixture_begin();
	RUN(a_new_clone_is_the_kernels);
	RUN(a_new_clone_is_the_one_of_the_fixture);
	RUN(a_large_clone_is_sound);
	RUN(what_no_clone_can_be_is_refused);
	RUN(clones_are_finished_as_the_kernel_does);
	RUN(damaged_clones_are_not_finished);
	RUN(a_commit_is_cut_to_the_room_there_is);
	RUN(progress_ends_at_the_end);
	clone_fixture_end();
	return test_end();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_clone_repair.c - new metadata from damaged ones: of every damaged fixture
 * of the kernel's, of devices with two lives, of devices with hundreds of trees.
 * What is known of each base (meta.txt) judges: no region that was hydrated is read
 * from the source without being named as in doubt, and none is read from the
 * destination that was not hydrated. Needs the folders that COW_FIXTURES and
 * COW_UNPACKED name.
 */
#include "libcow/core/report.h"
#include "libcow/store/clone/clone_store.h"
#include "tests/aids/clone_build.h"
#include "tests/aids/clone_fixture.h"
#include "tests/aids/sound.h"
#include "tests/aids/test.h"

#define REGIONS_MAX 70000

struct outcome {
	struct cow_repair_result result;
	struct cow_err err;
	int ret;
	uint64_t region_bytes;
	uint8_t hydrated[REGIONS_MAX], doubtful[REGIONS_MAX];
};

static struct outcome outcome; /* of the last repair() */

static void doubtful_take(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	(void)user;
	CHECK(!(offset_bytes % outcome.region_bytes));
	for (uint64_t at = offset_bytes; at < offset_bytes + len_bytes; at += outcome.region_bytes)
		outcome.doubtful[at / outcome.region_bytes] = 1;
}

static void hydrated_take(const struct cow_store_args *args)
{
	struct exmap_run run;
	struct cow_store *store;

	OK(cow_store_open(args, &store, err));
	for (uint64_t from = 0; cow_store_map_next(store, from, &run);
	     from = run.old_chunk + run.nr_chunks)
		memset(outcome.hydrated + run.old_chunk, 1, run.nr_chunks);
	cow_store_close(store);
}

/* Fills outcome. source, destination NULL: not given for the repair. */
static void repair(struct cow_image *metadata, struct cow_image *source,
		   struct cow_image *destination, const char *region, const char *target,
		   uint32_t flags)
{
	const struct cow_geometry geometry[] = { { "region", region }, { "target", target } };
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_role_image roles[3] = { { .role = COW_ROLE_METADATA, .image = metadata },
					   { .role = COW_ROLE_SOURCE, .image = source },
					   { .role = COW_ROLE_DESTINATION, .image = destination } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_image *zeros = NULL;

	memset(&outcome, 0, sizeof(outcome));
	outcome.result = (struct cow_repair_result)COW_REPAIR_RESULT_INIT;
	outcome.region_bytes = region ? strtoull(region, NULL, 10) * 512 : 4096;
	args.kind = "clone";
	args.images = roles;
	args.nr_images = source ? 3 : 1;
	args.geometry = geometry;
	args.nr_geometry = region ? 2 : 0;
	params.flags = flags;
	params.doubtful = doubtful_take;
	OK(cow_image_memory_new(cow_image_size(metadata), &params.target, err));
	outcome.ret = cow_repair(&args, &params, &outcome.result, &outcome.err);
	if (!outcome.ret) {
		roles[0].image = params.target;
		OK(cow_image_zero_new(UINT64_C(1) << 30, &zeros, err));
		if (!source)
			roles[1].image = roles[2].image = zeros;
		args.nr_images = 3;
		sound_check(&args);
		hydrated_take(&args);
		cow_image_close(zeros);
	}
	cow_image_close(params.target);
}

static void refused(int code, const char *id)
{
	CHECK_EQ(outcome.ret, code);
	CHECK(!strcmp(outcome.err.id, id));
	CHECK_EQ(outcome.result.nr_mended, 0);
}

/* ---------------------------------------------------------------- the damaged fixtures */

static uint8_t base_bits[2][REGIONS_MAX];

/* "base a hydrated 15+1 58+1 ..." */
static void base_read(void)
{
	char path[512], *line = malloc(1 << 20);
	FILE *from;

	CHECK(line);
	snprintf(path, sizeof(path), "%s/clone/damaged/meta.txt", clone_fixtures);
	from = fopen(path, "r");
	CHECK(from);
	while (fgets(line, 1 << 20, from)) {
		uint8_t *bits = base_bits[line[5] == 'b'];
		char *at = line + strlen("base a hydrated ");

		if (strncmp(line, "base ", 5) != 0 || strncmp(line + 7, "hydrated ", 9) != 0)
			continue;
		for (char *word; (word = strsep(&at, " \n"));)
			if (*word)
				memset(bits + strtoull(word, NULL, 10), 1,
				       strtoull(strchr(word, '+') + 1, NULL, 10));
	}
	fclose(from);
	free(line);
	CHECK(base_bits[0][15] && base_bits[1][148]);
}

/* What cannot be decided: by name, with the id of the refusal. */
static const char *refusal_of(const char *name)
{
	static const char *const rows[][2] = {
		{ "s05-version-2", "unsupported" },
		{ "s08-target-less", "table" },
		{ "s12-previous", "doubtful" },
		{ "b15-children-swapped", "doubtful" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i][0], name))
			return rows[i][1];
	return NULL;
}

/* The superblock is lost, or the tree that it names: something must be in doubt. */
static bool is_doubtful(const char *name, const char *view_is)
{
	return !strcmp(name, "s13-lost-garbage") || !strcmp(name, "s14-zero") ||
	       !strcmp(name, "b06-root-beyond") || strcmp(view_is, "base") != 0;
}

static void outcome_judge(const char *name, const uint8_t *base, uint64_t nr_regions, bool is_b,
			  const char *view_is)
{
	uint64_t nr_missing = 0;

	for (uint64_t i = 0; i < nr_regions; i++) {
		CHECK(!outcome.hydrated[i] || base[i]);
		CHECK(!base[i] || outcome.hydrated[i] || outcome.doubtful[i]);
		CHECK(!outcome.hydrated[i] || !outcome.doubtful[i]);
		nr_missing += base[i] && !outcome.hydrated[i];
	}
	CHECK_EQ(outcome.result.nr_doubtful != 0, is_doubtful(name, view_is));
	if (!strcmp(view_is, "base"))
		CHECK_EQ(nr_missing, 0);
	/* Of a commit of three array blocks only what the damaged one held is missing. */
	if (!strcmp(name, "b30-array-600") || !strcmp(name, "b24-middle-short") ||
	    !strcmp(name, "b28-array-beyond"))
		CHECK(is_b && outcome.result.nr_doubtful <= 32576);
}

static void fixture_repair(const char *name, const char *view_is)
{
	static const char *const target[] = { "16371", "526013" };
	const char *id = refusal_of(name);
	char base[400], file[80];
	struct clone_trio trio;
	bool is_b;

	test_name = name;
	CHECK(clone_fact("damaged", "KERNEL-VERDICTS.tsv", name, base));
	is_b = base[0] == 'b';
	snprintf(file, sizeof(file), "%s.meta", name);
	CHECK(clone_trio_open(&trio, "damaged", file, "source-a", "dest-a", 0));
	repair(trio.images[0], is_b ? NULL : trio.images[1], is_b ? NULL : trio.images[2], "8",
	       target[is_b], 0);
	if (id) {
		refused(!strcmp(id, "unsupported") ? -EOPNOTSUPP : -EBADMSG, id);
	} else if (!strcmp(name, "z04-meta-2048")) {
		CHECK_EQ(outcome.ret, -EMEDIUMTYPE);
	} else {
		if (outcome.ret)
			fprintf(stderr, "%s: %s\n", name, outcome.err.message);
		CHECK_EQ(outcome.ret, 0);
		outcome_judge(name, base_bits[is_b], is_b ? 65752 : 2047, is_b, view_is);
	}
	clone_trio_close(&trio);
}

static void every_damaged_clone_is_repaired_or_refused(void)
{
	char path[512], line[4096];
	FILE *table;
	int nr = 0;

	base_read();
	snprintf(path, sizeof(path), "%s/clone/damaged/RECOVERY.tsv", clone_fixtures);
	table = fopen(path, "r");
	CHECK(table && fgets(line, sizeof(line), table));
	while (fgets(line, sizeof(line), table)) {
		char *at = line, *fields[8];

		for (int i = 0; i < 8; i++)
			CHECK((fields[i] = strsep(&at, "\t\n")));
		fixture_repair(fields[0], fields[7]);
		nr++;
	}
	fclose(table);
	CHECK(nr >= 50);
}

/* ---------------------------------------------------------------- what must be said */

static struct cow_image *overlay_of(struct cow_image *metadata, bool loses_super)
{
	struct cow_image *overlay;

	OK(cow_image_overlay_new(metadata, &overlay, err));
	if (loses_super)
		OK(cow_image_write_zeroes(overlay, 0, 4096, err));
	return overlay;
}

static void a_lost_superblock_needs_the_table(void)
{
	struct clone_trio trio;

	CHECK(clone_trio_open(&trio, "damaged", "s14-zero.meta", "source-a", "dest-a", 0));
	repair(trio.images[0], trio.images[1], trio.images[2], NULL, NULL, 0);
	refused(-EBADMSG, "table");
	/* Other numbers of words: no such tree. */
	repair(trio.images[0], trio.images[1], trio.images[2], "16", "16371", 0);
	refused(-EBADMSG, "damaged");
	repair(trio.images[0], trio.images[1], trio.images[2], "7", "16371", 0);
	refused(-EBADMSG, "table");
	clone_trio_close(&trio);
	/* What the damaged superblock says is shown, and not believed. */
	CHECK(clone_trio_open(&trio, "damaged", "s01-csum.meta", "source-a", "dest-a", 0));
	repair(trio.images[0], trio.images[1], trio.images[2], NULL, NULL, 0);
	refused(-EBADMSG, "table");
	CHECK(strstr(outcome.err.message, "16371"));
	clone_trio_close(&trio);
}

static void trees_that_contradict_each_other_are_not_chosen_between(void)
{
	static const char *const names[] = { "handover-lost", "reused-metadata" };

	for (size_t i = 0; i < 2; i++) {
		char region[400], target[400], status[400];
		struct cow_image *lost;
		struct clone_trio trio;
		uint64_t len, used, total, size;

		CHECK(clone_trio_open(&trio, names[i], "meta", "source", "dest", 0));
		CHECK(clone_fact(names[i], "meta.txt", "kernel_status", status));
		CHECK(sscanf(status, "0 %" SCNu64 " clone 8 %" SCNu64 "/%" SCNu64 " %" SCNu64 " ",
			     &len, &used, &total, &size) == 4);
		snprintf(region, sizeof(region), "%" PRIu64, size);
		snprintf(target, sizeof(target), "%" PRIu64, len);
		repair(trio.images[0], trio.images[1], trio.images[2], NULL, NULL, 0);
		refused(-EBADMSG, "doubtful");
		CHECK(!strcmp(outcome.err.force, "doubtful"));
		repair(trio.images[0], trio.images[1], trio.images[2], NULL, NULL,
		       COW_REPAIR_DOUBTFUL);
		CHECK(!outcome.ret && outcome.result.nr_doubtful);
		lost = overlay_of(trio.images[0], true);
		repair(lost, trio.images[1], trio.images[2], region, target, 0);
		refused(-EBADMSG, "doubtful");
		cow_image_close(lost);
		clone_trio_close(&trio);
	}
}

static void a_finished_tree_may_be_one_of_an_earlier_life(void)
{
	struct clone_trio trio;
	struct cow_image *lost;
	char status[400];
	uint64_t len;

	CHECK(clone_trio_open(&trio, "finished-r8", "meta", "source", "dest", 0));
	CHECK(clone_fact("finished-r8", "meta.txt", "kernel_status", status));
	len = strtoull(status + 2, NULL, 10);
	snprintf(status, sizeof(status), "%" PRIu64, len);
	lost = overlay_of(trio.images[0], true);
	repair(lost, NULL, NULL, "8", status, 0);
	refused(-EBADMSG, "doubtful");
	repair(lost, NULL, NULL, "8", status, COW_REPAIR_DOUBTFUL);
	CHECK(!outcome.ret && outcome.result.nr_doubtful && outcome.hydrated[len / 8 - 1]);
	cow_image_close(lost);
	clone_trio_close(&trio);
}

static bool decline(void *user, const struct cow_finding *finding)
{
	(void)user;
	(void)finding;
	return false;
}

static void what_a_repair_must_not_do(void)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_err why = COW_ERR_INIT;
	uint8_t first = 1, block[4096];
	struct clone_trio trio;

	CHECK(clone_trio_open(&trio, "damaged", "b01-array-zero.meta", "source-a", "dest-a", 0));
	/* in place */
	FAILS(-EINVAL, cow_repair(&trio.args, &params, &result, err));
	/* more than is safe */
	repair(trio.images[0], trio.images[1], trio.images[2], "8", "16371", COW_REPAIR_SAFE);
	refused(-EPERM, "declined");
	/* without a yes */
	OK(cow_image_memory_new(1 << 20, &params.target, err));
	OK(cow_image_pwrite(params.target, &first, 1, 0, err));
	params.approve = decline;
	CHECK_EQ(cow_repair(&trio.args, &params, &result, &why), -EPERM);
	CHECK(!strcmp(why.id, "declined"));
	cow_image_close(params.target);
	/* where there is no room: nothing is written */
	params.approve = NULL;
	OK(cow_image_memory_new(7 * 4096, &params.target, err));
	OK(cow_image_pwrite(params.target, &first, 1, 0, err));
	CHECK_EQ(cow_repair(&trio.args, &params, &result, &why), -ERANGE);
	OK(cow_image_pread(params.target, block, 4096, 0, err));
	CHECK_EQ(block[0], 1);
	cow_image_close(params.target);
	clone_trio_close(&trio);
}

/* ---------------------------------------------------------------- many trees */

static int stop_behind(void *user, const struct cow_progress *now)
{
	return !strcmp(now->phase, "move") && now->done_bytes >= *(const uint64_t *)user;
}

/* Each region in a commit of its own: the trees of all of them stay. How many there
 * are then. */
static uint64_t many_commit(struct cow_image *images[3], uint64_t stop_bytes)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[3];
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;

	for (int i = 0; i < 3; i++)
		roles[i] = (struct cow_role_image){ .role = COW_ROLE_METADATA + i,
						    .image = images[i] };
	args.kind = "clone";
	args.images = roles;
	args.nr_images = 3;
	callbacks.user = &stop_bytes;
	callbacks.progress = stop_behind;
	params.callbacks = &callbacks;
	params.batch_bytes = params.epoch_bytes = 4096;
	OK(cow_store_open(&args, &store, err));
	CHECK_EQ(cow_merge(store, &params, &result, NULL), -ECANCELED);
	CHECK(!cow_store_get_info(store, &info));
	cow_store_close(store);
	return info.nr_exceptions;
}

static bool is_in_doubt(struct cow_image *images[3])
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image role = { .role = COW_ROLE_METADATA, .image = images[0] };
	struct cow_report *report;
	bool is_doubtful_now;

	args.kind = "clone";
	args.images = &role;
	args.nr_images = 1;
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	is_doubtful_now = cow_report_count_id(report, "clone.regions-in-doubt");
	cow_report_free(report);
	return is_doubtful_now;
}

/* The root of the newest tree was never written: the superblock's block holds an older
 * one, which is whole. The space map counts what that tree has not. */
static void a_tree_that_the_space_map_does_not_count_is_doubtful(void)
{
	struct clone_build clone = { .region_sectors = 8, .target_sectors = 1600 };
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_image *images[3];
	struct cow_role_image role;
	struct clone_super super;
	uint8_t raw[4096];

	clone.nr_regions = 200;
	clone.bits = calloc(200, 1);
	CHECK(clone.bits);
	for (int i = 0; i < 3; i++)
		OK(cow_image_memory_new(1024 * 4096, &images[i], err));
	memset(raw, 7, sizeof(raw));
	for (uint64_t i = 0; i < 200; i++)
		OK(cow_image_pwrite(images[1], raw, 4096, i * 4096, err));
	clone_build(images[0], &clone);
	CHECK(many_commit(images, 2 * 4096) >= 1);
	OK(cow_image_pread(images[0], raw, 4096, 0, err));
	cow_clone_super_decode(raw, &super);
	while (super.bitset_root != 4) {
		OK(cow_image_write_zeroes(images[0], super.bitset_root * 4096, 4096, err));
		super.bitset_root = super.bitset_root > 11 ? super.bitset_root - 4 : 4;
	}
	cow_clone_super_encode(&super, raw);
	OK(cow_image_pwrite(images[0], raw, 4096, 0, err));
	role = (struct cow_role_image){ .role = COW_ROLE_METADATA, .image = images[0] };
	args.kind = "clone";
	args.images = &role;
	args.nr_images = 1;
	OK(cow_check(&args, &params, NULL, &verdict, err));
	CHECK(verdict.known && verdict.is_doubtful && !verdict.view_right);
	repair(images[0], NULL, NULL, NULL, NULL, 0);
	CHECK(!outcome.ret);
	CHECK_EQ(outcome.result.nr_doubtful, 200);
	for (int i = 0; i < 3; i++)
		cow_image_close(images[i]);
	free(clone.bits);
}

static void the_newest_of_many_trees_is_found(void)
{
	struct clone_build clone = { .region_sectors = 8, .target_sectors = 1600 };
	struct cow_image *images[3];
	uint8_t super[4096], byte = 7;
	uint64_t before, nr;

	clone.nr_regions = 200;
	clone.bits = calloc(200, 1);
	CHECK(clone.bits);
	OK(cow_image_memory_new(1024 * 4096, &images[0], err));
	OK(cow_image_memory_new(200 * 4096, &images[1], err));
	OK(cow_image_memory_new(200 * 4096, &images[2], err));
	for (uint64_t i = 0; i < 200; i++)
		OK(cow_image_pwrite(images[1], &byte, 1, i * 4096, err));
	clone_build(images[0], &clone);
	before = many_commit(images, 100 * 4096);
	OK(cow_image_pread(images[0], super, 4096, 0, err));
	nr = many_commit(images, 60 * 4096);
	CHECK(before > 64 && nr > before + 20 && nr < 200);
	/* The superblock is lost: the largest tree is the newest. */
	OK(cow_image_write_zeroes(images[0], 0, 4096, err));
	repair(images[0], images[1], images[2], "8", "1600", 0);
	CHECK(!outcome.ret);
	for (uint64_t i = 0; i < 200; i++)
		CHECK_EQ(outcome.hydrated[i], i < nr);
	/* A region that was copied without its bit is the same on both. */
	CHECK(outcome.result.nr_doubtful <= 200 - nr && outcome.result.nr_doubtful >= 195 - nr);
	/* An older superblock was put back: the newest trees are seen, behind many. */
	OK(cow_image_pwrite(images[0], super, 4096, 0, err));
	CHECK(is_in_doubt(images));
	repair(images[0], NULL, NULL, NULL, NULL, COW_REPAIR_DOUBTFUL);
	CHECK(!outcome.ret);
	CHECK_EQ(outcome.result.nr_doubtful, nr - before);
	/* Where both images hold the same, nothing is in doubt. */
	repair(images[0], images[1], images[2], NULL, NULL, 0);
	CHECK(!outcome.ret);
	CHECK_EQ(outcome.result.nr_doubtful, 0);
	for (int i = 0; i < 3; i++)
		cow_image_close(images[i]);
	free(clone.bits);
}

int main(void)
{
	clone_fixture_begin();
	RUN(every_damaged_clone_is_repaired_or_refused);
	RUN(a_lost_superblock_needs_the_table);
	RUN(trees_that_contradict_each_other_are_not_chosen_between);
	RUN(a_finished_tree_may_be_one_of_an_earlier_life);
	RUN(what_a_repair_must_not_do);
	RUN(a_tree_that_the_space_map_does_not_count_is_doubtful);
	RUN(the_newest_of_many_trees_is_found);
	clone_fixture_end();
	return test_end();
}

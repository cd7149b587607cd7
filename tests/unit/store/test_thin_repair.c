/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_repair.c - new metadata of pools: of every sound pool of a kernel, and of
 * each damaged one. What the sound base of the damaged pools maps is the judge: a block
 * that is missing is told as lost, one that is mapped elsewhere as in doubt, and nothing
 * else is. REPAIR.tsv has what comes of each case, beside what thin_repair 0.9.0 makes of
 * it. Needs the folders that COW_FIXTURES and COW_UNPACKED name.
 */
#include <inttypes.h>

#include "libcow/core/report.h"
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_fixture.h"

#define BLOCK_BYTES UINT64_C(65536)
#define KEYS 600 /* of a device, more than the base has */
#define DEVICES 8
#define NOWHERE UINT64_MAX

static const uint64_t ids[] = { 0, 1, 2, 3, 4, 7 };
#define NR_IDS (sizeof(ids) / sizeof(ids[0]))

struct outcome {
	struct cow_repair_result result;
	struct cow_err err;
	int ret;
	bool lost[DEVICES][KEYS], doubtful[DEVICES][KEYS];
	uint64_t map[DEVICES][KEYS]; /* data blocks */
};

static struct outcome outcome; /* of the last repair */
static uint64_t base[DEVICES][KEYS];

static void range_mark(bool marks[DEVICES][KEYS], uint64_t id, uint64_t offset, uint64_t len)
{
	uint64_t first = offset / BLOCK_BYTES;
	uint64_t end = len ? (offset + len) / BLOCK_BYTES : KEYS;

	if (id >= DEVICES)
		return;
	for (uint64_t key = first; key < end && key < KEYS; key++)
		marks[id][key] = true;
}

static void lost_take(void *user, uint64_t id, uint64_t offset, uint64_t len)
{
	(void)user;
	range_mark(outcome.lost, id, offset, len);
}

static void doubtful_take(void *user, uint64_t id, uint64_t offset, uint64_t len)
{
	(void)user;
	CHECK(len);
	range_mark(outcome.doubtful, id, offset, len);
}

/* false: it has no such device. */
static bool map_take(struct thin_pair *pair, uint64_t id, uint64_t map[KEYS])
{
	struct cow_extent extent;
	struct cow_store *store;
	uint64_t at = 0;

	for (int key = 0; key < KEYS; key++)
		map[key] = NOWHERE;
	thin_pair_ask(pair, id, KEYS * BLOCK_BYTES / 512, false);
	if (cow_store_open(&pair->args, &store, NULL))
		return false;
	while (cow_store_next_extent(store, at, &extent)) {
		for (uint64_t i = 0; i < extent.len_bytes / BLOCK_BYTES; i++)
			map[extent.old_bytes / BLOCK_BYTES + i] =
				extent.new_bytes / BLOCK_BYTES + i;
		at = extent.old_bytes + extent.len_bytes;
	}
	cow_store_close(store);
	return true;
}

/* Into *ret_new, which is as large as the verdict wants it, and full of ones. */
static void repair(struct thin_pair *pair, uint64_t chunk_bytes, struct cow_image **ret_new)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_check_params check = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	static uint8_t ones[1 << 16];

	outcome = (struct outcome){ .result = COW_REPAIR_RESULT_INIT, .err = COW_ERR_INIT };
	pair->args.nr_geometry = 0;
	pair->args.chunk_bytes = 0;
	OK(cow_check(&pair->args, &check, NULL, &verdict, err));
	CHECK(verdict.needs_target);
	OK(cow_image_standin_new("new", verdict.target_bytes, 512, ret_new, err));
	memset(ones, 0xff, sizeof(ones));
	for (uint64_t at = 0; at + sizeof(ones) <= verdict.target_bytes; at += sizeof(ones))
		OK(cow_image_pwrite(*ret_new, ones, sizeof(ones), at, err));
	params.target = *ret_new;
	params.snapshot_lost = lost_take;
	params.snapshot_doubtful = doubtful_take;
	pair->args.chunk_bytes = chunk_bytes;
	outcome.ret = cow_repair(&pair->args, &params, &outcome.result, &outcome.err);
	pair->args.chunk_bytes = 0;
}

/* Nothing is wrong with it, and a repair of it gives the same bytes again. */
static void sound_check(struct thin_pair *pair, const char *name)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	static uint8_t a[4096], b[4096];
	struct cow_report *report;
	struct cow_image *again;

	OK(cow_report_new(NULL, 0, &report, err));
	pair->args.nr_geometry = 0;
	OK(cow_check(&pair->args, &params, report, &verdict, err));
	if (cow_report_count(report, COW_CLASS_DAMAGE) || cow_report_count(report, COW_CLASS_LOST))
		fprintf(stderr, "%s: new metadata are damaged\n", name);
	CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), 0);
	CHECK_EQ(cow_report_count(report, COW_CLASS_LOST), 0);
	CHECK(verdict.known && verdict.kernel_loads && verdict.view_right);
	CHECK_EQ(cow_report_count_id(report, "thin.data-leaked"), 0);
	CHECK_EQ(cow_report_count_id(report, "thin.needs-check"), 0);
	CHECK_EQ(cow_report_count_id(report, "thin.mapped-blocks"), 0);
	cow_report_free(report);
	repair(pair, 0, &again);
	CHECK_EQ(outcome.ret, 0);
	CHECK_EQ(outcome.result.nr_mended + outcome.result.nr_lost + outcome.result.nr_doubtful, 0);
	for (uint64_t at = 0; at < cow_image_size(again); at += sizeof(a)) {
		OK(cow_image_pread(again, a, sizeof(a), at, err));
		OK(cow_image_pread(pair->images[0], b, sizeof(b), at, err));
		CHECK(!memcmp(a, b, sizeof(a)));
	}
	cow_image_close(again);
}

/* ---------------------------------------------------------------- sound pools */

/* What a pool shows does not change, and what it shares stays shared. */
static void a_sound_pool_stays_what_it_is(void)
{
	static const char *const names[] = { "snaps-128k",    "many-64k",     "held-128k",
					     "empty-64k",     "extremes-64k", "needscheck-64k",
					     "crash-leak-64k" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cow_verdict old = COW_VERDICT_INIT, new = COW_VERDICT_INIT;
		struct cow_check_params params = COW_CHECK_PARAMS_INIT;
		char metadata[64], data[64];
		struct cow_image *repaired, *damaged;
		struct thin_pair pair;

		snprintf(metadata, sizeof(metadata), "%s/meta", names[i]);
		snprintf(data, sizeof(data), "%s/data", names[i]);
		thin_pair_open(&pair, metadata, data, NULL);
		OK(cow_check(&pair.args, &params, NULL, &old, err));
		repair(&pair, 0, &repaired);
		if (outcome.ret)
			fprintf(stderr, "%s: %s\n", names[i], outcome.err.message);
		CHECK_EQ(outcome.ret, 0);
		CHECK_EQ(outcome.result.nr_lost + outcome.result.nr_doubtful, 0);
		damaged = pair.images[0];
		pair.images[0] = pair.roles[0].image = repaired;
		OK(cow_check(&pair.args, &params, NULL, &new, err));
		CHECK_EQ(new.info.nr_snapshots, old.info.nr_snapshots);
		CHECK(new.info.nr_exceptions <= old.info.nr_exceptions);
		CHECK(new.info.metadata_sectors <= old.info.metadata_sectors);
		sound_check(&pair, names[i]);
		cow_image_close(damaged);
		thin_pair_close(&pair);
	}
}

/* ---------------------------------------------------------------- damaged pools */

struct wanted {
	char name[64], word[32];
	uint64_t nr_lost, nr_doubtful, nr_wrong;
};

/* Blocks that the sound pool maps: not there any more, mapped elsewhere, and those of both
 * kinds that were not told. */
struct told {
	uint64_t nr_missing, nr_wrong, nr_untold;
};

/* What is missing is told as lost, and what is wrong as in doubt. */
static struct told told_count(struct thin_pair *pair, const char *what)
{
	struct told told = { 0 };

	for (size_t i = 0; i < NR_IDS; i++) {
		uint64_t id = ids[i];

		CHECK(map_take(pair, id, outcome.map[id]));
		for (int key = 0; key < KEYS; key++) {
			uint64_t is = outcome.map[id][key], was = base[id][key];
			bool is_missing = is == NOWHERE && was != NOWHERE;
			bool is_wrong = is != NOWHERE && is != was;

			told.nr_missing += is_missing;
			told.nr_wrong += is_wrong;
			told.nr_untold += (is_missing && !outcome.lost[id][key]) ||
					  (is_wrong && !outcome.doubtful[id][key]);
		}
	}
	if (told.nr_untold)
		fprintf(stderr, "%s: %" PRIu64 " blocks were not told\n", what, told.nr_untold);
	CHECK_EQ(told.nr_untold, 0);
	return told;
}

static void maps_agree(struct thin_pair *pair, const struct wanted *wanted)
{
	struct told told = told_count(pair, wanted->name);

	if (told.nr_missing != wanted->nr_lost || told.nr_wrong != wanted->nr_wrong)
		fprintf(stderr, "%s: %" PRIu64 " missing, %" PRIu64 " wrong\n", wanted->name,
			told.nr_missing, told.nr_wrong);
	CHECK_EQ(told.nr_missing, wanted->nr_lost);
	CHECK_EQ(told.nr_wrong, wanted->nr_wrong);
}

static void case_agrees(const struct wanted *wanted)
{
	struct cow_image *new, *damaged;
	struct thin_pair pair;
	char file[128];

	snprintf(file, sizeof(file), "damaged/%s.meta", wanted->name);
	thin_pair_open(&pair, file, "damaged/data", NULL);
	/* what no superblock says any more */
	repair(&pair, !strncmp(wanted->name, "sb-", 3) ? BLOCK_BYTES : 0, &new);
	if (strcmp(outcome.ret ? outcome.err.id : "made", wanted->word))
		fprintf(stderr, "%s: %s: %s\n", wanted->name, outcome.err.id, outcome.err.message);
	CHECK(!strcmp(outcome.ret ? outcome.err.id : "made", wanted->word));
	damaged = pair.images[0];
	pair.images[0] = pair.roles[0].image = new;
	if (!outcome.ret) {
		if (outcome.result.nr_lost != wanted->nr_lost ||
		    outcome.result.nr_doubtful != wanted->nr_doubtful)
			fprintf(stderr, "%s: %" PRIu64 " lost, %" PRIu64 " in doubt\n",
				wanted->name, outcome.result.nr_lost, outcome.result.nr_doubtful);
		CHECK_EQ(outcome.result.nr_lost, wanted->nr_lost);
		CHECK_EQ(outcome.result.nr_doubtful, wanted->nr_doubtful);
		maps_agree(&pair, wanted);
		sound_check(&pair, wanted->name);
	}
	cow_image_close(damaged);
	thin_pair_close(&pair);
}

/* Beside what thin_repair recovers: never less. */
static void each_damaged_pool_keeps_what_can_be_read(void)
{
	char path[512], line[400];
	struct thin_pair pair;
	FILE *table;
	int nr = 0;

	thin_pair_open(&pair, "damaged/sound.meta", "damaged/data", NULL);
	for (size_t i = 0; i < NR_IDS; i++)
		CHECK(map_take(&pair, ids[i], base[ids[i]]));
	thin_pair_close(&pair);
	snprintf(path, sizeof(path), "%s/thin/damaged/REPAIR.tsv", thin_fixtures);
	table = fopen(path, "r");
	CHECK(table);
	while (fgets(line, sizeof(line), table)) {
		struct wanted wanted;
		uint64_t theirs, theirs_wrong;

		if (line[0] == '#')
			continue;
		CHECK(sscanf(line,
			     "%63s %31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
			     wanted.name, wanted.word, &wanted.nr_lost, &wanted.nr_doubtful,
			     &wanted.nr_wrong, &theirs, &theirs_wrong) == 7);
		CHECK(strcmp(wanted.word, "made") || wanted.nr_lost <= theirs + theirs_wrong);
		case_agrees(&wanted);
		nr++;
	}
	fclose(table);
	CHECK_EQ(nr, 61);
}

/* Blocks of zeros in the sound pool. Returns how many mappings are missing after a repair. */
static uint64_t without_blocks(const uint64_t *blocks, size_t nr, bool *ret_is_made)
{
	static const uint8_t zeros[4096];
	struct cow_image *metadata, *new;
	struct thin_pair pair;
	uint64_t nr_missing = 0;
	char what[64];

	thin_pair_open(&pair, "damaged/sound.meta", "damaged/data", NULL);
	metadata = pair.images[0];
	OK(cow_image_overlay_new(metadata, &pair.images[0], err));
	pair.roles[0].image = pair.images[0];
	for (size_t i = 0; i < nr; i++)
		OK(cow_image_pwrite(pair.images[0], zeros, sizeof(zeros), blocks[i] * 4096, err));
	repair(&pair, 0, &new);
	*ret_is_made = !outcome.ret;
	cow_image_close(pair.images[0]);
	pair.images[0] = pair.roles[0].image = new;
	snprintf(what, sizeof(what), "without block %" PRIu64 " and %zu others", blocks[0], nr - 1);
	if (*ret_is_made)
		nr_missing = told_count(&pair, what).nr_missing;
	cow_image_close(metadata);
	thin_pair_close(&pair);
	return nr_missing;
}

/* The nodes of mappings in the sound pool, of one kind. Returns how many. */
static size_t nodes_find(uint32_t flags, uint64_t *blocks, size_t max)
{
	struct thin_pair pair;
	size_t nr = 0;

	thin_pair_open(&pair, "damaged/sound.meta", "damaged/data", NULL);
	for (uint64_t block = 1; block < 100; block++) {
		uint8_t raw[4096];

		OK(cow_image_pread(pair.images[0], raw, sizeof(raw), block * 4096, err));
		/* 6 entries: the tree of devices */
		if (get_le32(raw + 4) == flags && get_le32(raw + 24) == 8 &&
		    get_le32(raw + 16) != 6 && get_le64(raw + 8) == block && nr < max)
			blocks[nr++] = block;
	}
	thin_pair_close(&pair);
	return nr;
}

/* An internal node leads to what is still there: nothing is lost with it, or with it and
 * a leaf only the leaf. With any blocks everything that is lost, or may be wrong, is told. */
static void any_two_blocks_may_be_lost(void)
{
	uint64_t inner[16], leaves[64], random = test_seed();
	size_t nr_inner = nodes_find(PDATA_NODE_INTERNAL, inner, 16);
	size_t nr_leaves = nodes_find(PDATA_NODE_LEAF, leaves, 64);
	bool is_made;

	CHECK(nr_inner > 4 && nr_leaves > 8);
	for (uint64_t block = 1; block < 100; block++) {
		without_blocks(&block, 1, &is_made);
		CHECK(is_made);
	}
	for (size_t i = 0; i < nr_inner; i++) {
		CHECK_EQ(without_blocks(&inner[i], 1, &is_made), 0);
		for (size_t j = 0; j < nr_leaves; j += 1 + test_random(&random) % 3) {
			uint64_t two[2] = { inner[i], leaves[j] };

			CHECK(without_blocks(two, 2, &is_made) <= 1000 && is_made);
		}
	}
	for (int i = 0; i < 40; i++) {
		uint64_t two[2] = { 1 + test_random(&random) % 99, 1 + test_random(&random) % 99 };

		without_blocks(two, 2, &is_made);
		CHECK(is_made);
	}
}

/* Without a superblock: which commit is the last one nothing tells, where several are
 * whole. By force one of them is taken, and all of it is in doubt. */
static void a_lost_superblock_is_found_by_its_trees(void)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_image *new, *metadata;
	static uint8_t zeros[4096];
	struct thin_pair pair;

	thin_pair_open(&pair, "killed-64k-a/meta", "killed-64k-a/data", NULL);
	metadata = pair.images[0];
	OK(cow_image_overlay_new(metadata, &pair.images[0], err));
	pair.roles[0].image = pair.images[0];
	OK(cow_image_pwrite(pair.images[0], zeros, sizeof(zeros), 0, err));
	repair(&pair, 0, &new);
	CHECK(outcome.ret == -EBADMSG && !strcmp(outcome.err.id, "table"));
	cow_image_close(new);
	repair(&pair, BLOCK_BYTES, &new);
	CHECK(!outcome.ret || !strcmp(outcome.err.id, "doubtful"));
	params.target = new;
	params.flags = COW_REPAIR_DOUBTFUL;
	pair.args.chunk_bytes = BLOCK_BYTES;
	outcome.result = (struct cow_repair_result)COW_REPAIR_RESULT_INIT;
	OK(cow_repair(&pair.args, &params, &outcome.result, err));
	CHECK(outcome.result.nr_doubtful && outcome.result.nr_mended == 1);
	cow_image_close(pair.images[0]);
	pair.images[0] = pair.roles[0].image = new;
	sound_check(&pair, "killed-64k-a");
	cow_image_close(metadata);
	thin_pair_close(&pair);
}

int main(void)
{
	thin_fixture_begin();
	RUN(a_sound_pool_stays_what_it_is);
	RUN(each_damaged_pool_keeps_what_can_be_read);
	RUN(any_two_blocks_may_be_lost);
	RUN(a_lost_superblock_is_found_by_its_trees);
	return test_end();
}

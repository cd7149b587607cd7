/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* A merge that goes on past bad sectors; its crash states: tests/crash/crash_skip.c. */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/core/label.h"
#include "libcow/image/image.h"
#include "libcow/store/store.h"
#include "tests/aids/image_record.h"
#include "tests/aids/mkstore.h"
#include "tests/aids/randstore.h"

#define CHUNK UINT64_C(4096)
#define ORIGIN_BYTES (64 * CHUNK - 1024)

struct pair {
	struct cow_image *origin, *cow, *bad;
	struct cow_store *store;
};

/* The origin is all 0xee; chunk 63 of it is short by two sectors. */
static void pair_make(struct pair *pair, const char *text, const struct cow_segment *bad, size_t nr)
{
	uint8_t *fill = (uint8_t *)malloc(ORIGIN_BYTES);

	memset(fill, 0xee, ORIGIN_BYTES);
	OK(cow_image_memory_new(ORIGIN_BYTES, &pair->origin, err));
	OK(cow_image_pwrite(pair->origin, fill, ORIGIN_BYTES, 0, err));
	free(fill);
	OK(mkstore(text, &pair->cow, err));
	OK(cow_image_bad_new(pair->cow, bad, nr, 0, &pair->bad, err));
	OK(pair_open(pair->origin, pair->bad, &pair->store, err));
}

static void pair_close(struct pair *pair)
{
	cow_store_close(pair->store);
	cow_image_close(pair->bad);
	cow_image_close(pair->cow);
	cow_image_close(pair->origin);
}

#define STORE "size 256K\nchunk 8\nheader\nrecord 10 2 3\nrecord 63 5\nrecord 20 6\ndata 2 5\n"

struct told {
	struct cow_segment ranges[8];
	size_t nr;
	int answer;
};

static int on_skipped(void *user, uint64_t offset_bytes, uint64_t len_bytes, struct cow_err *err)
{
	struct told *told = (struct told *)user;

	told->ranges[told->nr++] = (struct cow_segment){ offset_bytes, len_bytes };
	if (told->answer)
		err->code = told->answer, strcpy(err->message, "no");
	return told->answer;
}

static void check_bytes(struct cow_image *origin, uint64_t chunk, uint64_t new_chunk,
			uint64_t bad_from, uint64_t bad_end)
{
	uint8_t buf[CHUNK];
	uint64_t len = chunk == 63 ? CHUNK - 1024 : CHUNK;

	OK(cow_image_pread(origin, buf, len, chunk * CHUNK, err));
	for (uint64_t i = 0; i < len; i++)
		CHECK_EQ(buf[i], i >= bad_from && i < bad_end ? 0xee : mkstore_byte(new_chunk, i));
}

static void readable_sectors_are_merged_and_bad_exceptions_stay(void)
{
	/* in chunk 3, in chunk 4 and its neighbour, behind the end of the origin
	 * in chunk 5, in no chunk */
	const struct cow_segment bad[] = { { 3 * CHUNK + 512, 1024 },
					   { 5 * CHUNK - 512, 512 },
					   { 6 * CHUNK - 1024, 1024 },
					   { 20 * CHUNK, 9 * CHUNK } };
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct told told = { .nr = 0 };
	struct cow_extent extent;
	struct pair pair;

	pair_make(&pair, STORE, bad, 4);
	params.flags = COW_MERGE_SKIP_UNREADABLE;
	params.user = &told;
	params.skipped = on_skipped;
	OK(cow_merge(pair.store, &params, &result, err));
	CHECK_EQ(result.nr_chunks, 3);
	CHECK_EQ(result.nr_left, 2);
	CHECK_EQ(result.nr_bad, 2);
	CHECK_EQ(result.skipped_bytes, 1536);
	CHECK_EQ(told.nr, 2);
	CHECK_EQ(told.ranges[0].offset_bytes, 11 * CHUNK + 512);
	CHECK_EQ(told.ranges[0].len_bytes, 1024);
	CHECK_EQ(told.ranges[1].offset_bytes, 13 * CHUNK - 512);
	check_bytes(pair.origin, 10, 2, 0, 0);
	check_bytes(pair.origin, 11, 3, 512, 1536);
	check_bytes(pair.origin, 12, 4, CHUNK - 512, CHUNK);
	check_bytes(pair.origin, 63, 5, 0, 0);
	check_bytes(pair.origin, 20, 6, 0, 0);
	cow_store_close(pair.store);
	OK(pair_open(pair.origin, pair.cow, &pair.store, err));
	CHECK(cow_store_next_extent(pair.store, 0, &extent));
	CHECK_EQ(extent.old_bytes, 11 * CHUNK);
	CHECK_EQ(extent.new_bytes, 3 * CHUNK);
	CHECK_EQ(extent.len_bytes, 2 * CHUNK);
	CHECK(!cow_store_next_extent(pair.store, 13 * CHUNK, &extent));
	pair_check_sound(pair.origin, pair.cow);
	pair_close(&pair);
}

/* The label of a merge that stopped at the bad sector: what this one leaves is a store like
 * others, not a merge in progress. */
static void what_stays_has_no_label(void)
{
	const struct cow_segment bad = { 3 * CHUNK + 512, 1024 };
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_label label = { .job = LABEL_JOB_MERGE, .phase = LABEL_PHASE_MOVE };
	struct told told = { .nr = 0 };
	uint8_t raw[LABEL_BYTES];
	struct pair pair;

	pair_make(&pair, STORE, &bad, 1);
	label.target_bytes = ORIGIN_BYTES;
	label.nr_chunks = 6;
	cow_label_encode(&label, raw);
	OK(cow_store_label_write(pair.store, raw, err));
	cow_store_close(pair.store);
	OK(pair_open(pair.origin, pair.bad, &pair.store, err));
	params.flags = COW_MERGE_SKIP_UNREADABLE;
	params.user = &told;
	params.skipped = on_skipped;
	OK(cow_merge(pair.store, &params, &result, err));
	CHECK_EQ(told.nr, 1);
	OK(cow_store_label_read(pair.store, raw, err));
	CHECK(is_all_zero(raw, sizeof(raw)));
	pair_close(&pair);
}

static void known_bad_data_is_refused_before_anything_is_written(void)
{
	const struct cow_segment bad[] = { { 3 * CHUNK + 512, 1024 } };
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct cow_err why = COW_ERR_INIT;
	struct pair pair;

	pair_make(&pair, STORE, bad, 1);
	CHECK_EQ(cow_merge(pair.store, &params, &result, &why), -EPERM);
	CHECK(!strcmp(why.id, "bad-cow"));
	CHECK_EQ(why.offset_bytes, 3 * CHUNK + 512);
	CHECK_EQ(result.nr_bad, 1);
	CHECK(!cow_image_get_stats(pair.bad, &stats));
	CHECK_EQ(stats.nr_writes, 0);
	/* a dry run that is to skip counts them */
	params.flags = COW_MERGE_SKIP_UNREADABLE | COW_MERGE_DRY_RUN;
	OK(cow_merge(pair.store, &params, &result, err));
	CHECK_EQ(result.nr_bad, 1);
	/* what would write to the COW image first, or share what is not read */
	params.reflink = COW_REFLINK_ALWAYS;
	FAILS(-EINVAL, cow_merge(pair.store, &params, &result, err));
	params.reflink = COW_REFLINK_AUTO;
	params.undo = pair.store;
	FAILS(-EINVAL, cow_merge(pair.store, &params, &result, err));
	params.undo = NULL;
	params.siblings = &pair.store;
	params.nr_siblings = 1;
	FAILS(-EINVAL, cow_merge(pair.store, &params, &result, err));
	params.nr_siblings = 0;
	params.flags = COW_MERGE_SKIP_UNREADABLE | COW_MERGE_SCRUB;
	FAILS(-EINVAL, cow_merge(pair.store, &params, &result, err));
	pair_close(&pair);
	/* a bad place that no exception needs is none, nor is one behind the end
	 * of the origin (I11) */
	for (int i = 0; i < 2; i++) {
		struct cow_segment unused = { i ? 7 * CHUNK : 6 * CHUNK - 1024, i ? CHUNK : 1024 };

		pair_make(&pair, STORE, &unused, 1);
		params.flags = 0;
		OK(cow_merge(pair.store, &params, &result, err));
		CHECK_EQ(result.nr_left, 0);
		pair_close(&pair);
	}
}

static void an_error_of_the_caller_keeps_all_records(void)
{
	const struct cow_segment bad[] = { { 3 * CHUNK, 1 } };
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct told told = { .answer = -ENOSPC };
	struct pair pair;

	pair_make(&pair, STORE, bad, 1);
	params.flags = COW_MERGE_SKIP_UNREADABLE;
	params.user = &told;
	params.skipped = on_skipped;
	FAILS(-ENOSPC, cow_merge(pair.store, &params, &result, err));
	CHECK_EQ(told.nr, 1);
	CHECK(!cow_image_get_stats(pair.bad, &stats));
	CHECK_EQ(stats.nr_writes, 0);
	CHECK_EQ(result.nr_left, 5);
	/* KEEP: the same without an error */
	told.answer = 0;
	params.flags |= COW_MERGE_KEEP;
	OK(cow_merge(pair.store, &params, &result, err));
	CHECK_EQ(result.nr_left, 5);
	CHECK_EQ(result.nr_bad, 1);
	CHECK(!cow_image_get_stats(pair.bad, &stats));
	CHECK_EQ(stats.nr_writes, 0);
	pair_close(&pair);
}

/* A dying COW image is only read until everything is durable on the origin. */
static void the_cow_image_is_written_last(void)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 60; round++) {
		struct record_log log = { .nr_entries = 0 };
		struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
		struct cow_merge_result result = COW_MERGE_RESULT_INIT;
		struct cow_image *origin, *cow, *recorded[2], *bad;
		struct cow_segment range;
		struct cow_store *store;
		struct randstore rs;
		bool is_durable = true, cow_was_written = false;

		randstore_make(&rs, &random, 2 + test_random(&random) % 100);
		range.offset_bytes = test_random(&random) % rs.cow_bytes / 512 * 512;
		range.len_bytes = round % 3 ? 512 : 0;
		if (range.offset_bytes / rs.chunk_bytes % (rs.chunk_bytes / 16 + 1) < 2)
			range.len_bytes = 0; /* metadata, or the header */
		OK(cow_image_memory_new(rs.origin_bytes, &origin, err));
		OK(cow_image_memory_new(rs.cow_bytes, &cow, err));
		OK(cow_image_pwrite(origin, rs.origin, rs.origin_bytes, 0, err));
		OK(cow_image_pwrite(cow, rs.cow, rs.cow_bytes, 0, err));
		OK(record_new(origin, &log, 0, &recorded[0], err));
		OK(record_new(cow, &log, 1, &recorded[1], err));
		OK(cow_image_bad_new(recorded[1], &range, 1, 0, &bad, err));
		OK(pair_open(recorded[0], bad, &store, err));
		params.flags = COW_MERGE_SKIP_UNREADABLE;
		params.batch_bytes = 8192;
		params.epoch_bytes = 16384;
		OK(cow_merge(store, &params, &result, err));
		for (size_t i = 0; i < log.nr_entries; i++) {
			const struct record_entry *entry = &log.entries[i];
			bool is_flush = entry->kind == RECORD_FLUSH;

			if (entry->image == 0) {
				CHECK(is_flush || !cow_was_written);
				is_durable = is_flush;
			} else if (!is_flush) {
				CHECK(is_durable);
				cow_was_written = true;
			}
		}
		CHECK_EQ(cow_was_written, result.nr_chunks != 0);
		cow_store_close(store);
		cow_image_close(bad);
		cow_image_close(recorded[0]);
		cow_image_close(recorded[1]);
		cow_image_close(origin);
		cow_image_close(cow);
		record_clear(&log);
		randstore_free(&rs);
	}
}

int main(void)
{
	RUN(readable_sectors_are_merged_and_bad_exceptions_stay);
	RUN(what_stays_has_no_label);
	RUN(known_bad_data_is_refused_before_anything_is_written);
	RUN(an_error_of_the_caller_keeps_all_records);
	RUN(the_cow_image_is_written_last);
	return test_end();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The persistent store against a reader of its own (list_read), which knows
 * the format from its description alone, and against the order of writes and
 * flushes that the invariants ask for.
 */
#include <errno.h>

#include "tests/aids/image_fault.h"
#include "tests/aids/image_record.h"
#include "libcow/store/persistent/snap_disk.h"
#include "libcow/store/persistent/snap_list.h"
#include "libcow/store/store.h"
#include "tests/aids/mkstore.h"
#include "tests/aids/test.h"

#define RECORDS_MAX 4096

struct list {
	uint64_t old_chunks[RECORDS_MAX], new_chunks[RECORDS_MAX];
	uint64_t nr;
};

static uint64_t seed;

static uint64_t number_at(const uint8_t *raw)
{
	uint64_t value = 0;

	for (int i = 8; i--;)
		value = value << 8 | raw[i];
	return value;
}

/* The list up to its end, which must be there. */
static void list_read(struct cow_image *cow, uint64_t chunk_bytes, struct list *list)
{
	uint64_t per_area = chunk_bytes / 16;
	uint8_t raw[16];

	for (list->nr = 0;; list->nr++) {
		uint64_t area = list->nr / per_area, within = list->nr % per_area;

		CHECK(list->nr < RECORDS_MAX);
		OK(cow_image_pread(cow, raw, 16,
				   (1 + area * (per_area + 1)) * chunk_bytes + within * 16, err));
		if (!number_at(raw + 8))
			return;
		list->old_chunks[list->nr] = number_at(raw);
		list->new_chunks[list->nr] = number_at(raw + 8);
	}
}

static int store_open(struct cow_image *origin, struct cow_image *cow, struct cow_store **ret_store,
		      struct cow_err *err)
{
	const struct cow_role_image roles[] = { { COW_ROLE_COW, 0, cow },
						{ COW_ROLE_ORIGIN, 0, origin } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = roles;
	args.nr_images = origin ? 2 : 1;
	return cow_store_open(&args, ret_store, err);
}

static int store_create(struct cow_image *cow, uint64_t chunk_bytes, struct cow_err *err)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;

	params.chunk_bytes = chunk_bytes;
	return cow_create(cow, &params, err);
}

/* ------------------------------------------------------------------ layout */

static void metadata_areas_lie_where_the_kernel_puts_them(void)
{
	static const uint64_t rows[][6] = {
		/* sectors, bytes, E, areas 0, 1, 2 */
		{ 1, 512, 32, 1, 34, 67 },
		{ 8, 4096, 256, 1, 258, 515 },
		{ 32, 16384, 1024, 1, 1026, 2051 },
		{ 128, 65536, 4096, 1, 4098, 8195 },
		{ 1024, 524288, 32768, 1, 32770, 65539 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct snap_layout layout;

		cow_snap_layout_init(&layout, rows[i][1], UINT64_C(1) << 40);
		CHECK_EQ(layout.chunk_bytes, rows[i][0] * 512);
		CHECK_EQ(layout.records_per_area, rows[i][2]);
		for (uint64_t area = 0; area < 3; area++) {
			uint64_t chunk = rows[i][3 + area];

			CHECK_EQ(cow_snap_area_chunk(&layout, area), chunk);
			CHECK(cow_snap_is_area(&layout, chunk));
			CHECK(!cow_snap_is_area(&layout, chunk + 1));
			CHECK_EQ(cow_snap_skip_area(&layout, chunk), chunk + 1);
			CHECK_EQ(cow_snap_record_offset(&layout, area * rows[i][2] + 1),
				 chunk * rows[i][1] + 16);
		}
	}
}

static void data_chunks_are_counted_as_one_by_one(void)
{
	for (uint64_t nr_chunks = 0; nr_chunks < 120; nr_chunks++) {
		struct snap_layout layout;
		uint64_t nr_areas = 0;

		cow_snap_layout_init(&layout, 512, nr_chunks * 512 + 100);
		for (uint64_t from = nr_chunks + 2; from-- > 2;) {
			uint64_t nr = 0;

			for (uint64_t chunk = from; chunk < nr_chunks; chunk++)
				nr += chunk % 33 != 1;
			CHECK_EQ(cow_snap_data_chunks_from(&layout, from), nr);
		}
		for (uint64_t chunk = 1; chunk < nr_chunks; chunk += 33)
			nr_areas++;
		CHECK_EQ(layout.nr_areas, nr_areas);
	}
}

static void header_and_record_survive_both_ways(void)
{
	uint8_t raw[512], again[512];
	struct snap_header header;
	struct snap_record record;

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = again[i] = (uint8_t)test_random(&seed);
	cow_snap_header_decode(raw, &header);
	memset(again, 0, 16);
	cow_snap_header_encode(&header, again);
	CHECK(!memcmp(raw, again, sizeof(raw)));
	cow_snap_record_decode(raw, &record);
	CHECK_EQ(record.old_chunk, number_at(raw));
	CHECK_EQ(record.new_chunk, number_at(raw + 8));
	memset(again, 0, 16);
	cow_snap_record_encode(&record, again);
	CHECK(!memcmp(raw, again, 16));
}

/* The writers change the records that they are given, and no other byte. */
static void writers_leave_the_rest_of_a_sector(void)
{
	/* from, end; chunks of 4 KiB, 256 records an area */
	static const uint64_t rows[][2] = { { 5, 40 },	 { 0, 32 },    { 33, 34 },  { 31, 33 },
					    { 64, 256 }, { 200, 255 }, { 256, 257 } };
	uint8_t raw[8192], was[8192];
	struct snap_record put[256];
	struct snap_layout layout;

	cow_snap_layout_init(&layout, 4096, UINT64_C(4096) * 300);
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t from = rows[i / 2][0], end = rows[i / 2][1];
		uint64_t at = cow_snap_record_offset(&layout, floor_to(from, 256));
		struct snap_rows to = { .records = put, .first = from, .nr = end - from };
		struct cow_image *cow;

		OK(cow_image_memory_new(UINT64_C(4096) * 300, &cow, err));
		memset(was, 0xaa, sizeof(was));
		memset(put, 0x55, sizeof(put));
		OK(cow_image_pwrite(cow, was, sizeof(was), at, err));
		if (i % 2)
			OK(cow_snap_list_put(cow, &layout, &to, false, err));
		else
			OK(cow_snap_list_zero(cow, &layout, from, end, err));
		memset(was + from % 256 * 16, i % 2 ? 0x55 : 0, (end - from) * 16);
		OK(cow_image_pread(cow, raw, sizeof(raw), at, err));
		CHECK(!memcmp(raw, was, sizeof(raw)));
		cow_image_close(cow);
	}
}

/* An image of nr runs of data, the rest of it one hole; counts who asks. */
struct runs {
	struct cow_segment runs[8];
	size_t nr;
	uint64_t size_bytes, nr_calls;
};

static int runs_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *unused)
{
	(void)user, (void)offset_bytes, (void)unused;
	memset(buf, 0, len_bytes);
	return 0;
}

static int runs_next_data(void *user, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			  uint64_t *ret_len_bytes, struct cow_err *unused)
{
	struct runs *runs = (struct runs *)user;

	(void)unused;
	runs->nr_calls++;
	*ret_offset_bytes = runs->size_bytes;
	*ret_len_bytes = 0;
	for (size_t i = 0; i < runs->nr; i++) {
		uint64_t end = runs->runs[i].offset_bytes + runs->runs[i].len_bytes;

		if (end <= offset_bytes)
			continue;
		*ret_offset_bytes = max_u64(offset_bytes, runs->runs[i].offset_bytes);
		*ret_len_bytes = end - *ret_offset_bytes;
		return 0;
	}
	return 0;
}

static struct cow_image *runs_image(struct runs *runs, uint64_t size_bytes)
{
	struct cow_custom_ops ops = COW_CUSTOM_OPS_INIT;
	struct cow_custom_args args = COW_CUSTOM_ARGS_INIT;
	struct cow_image *image;

	ops.pread = runs_pread;
	ops.next_data = runs_next_data;
	runs->size_bytes = size_bytes;
	args.name = "runs";
	args.size_bytes = size_bytes;
	OK(cow_image_custom_new(&args, &ops, runs, &image, err));
	return image;
}

/* Place by place: the first one whose sector touches a run, as far as it is not
 * in front of from. */
static uint64_t next_data_slowly(const struct runs *runs, const struct snap_layout *layout,
				 uint64_t from, uint64_t end)
{
	for (uint64_t index = from; index < end; index++)
		for (size_t i = 0; i < runs->nr; i++) {
			const struct cow_segment *run = &runs->runs[i];
			uint64_t sector = floor_to(cow_snap_record_offset(layout, index), 512);

			if (run->offset_bytes < sector + 512 &&
			    run->offset_bytes + run->len_bytes >
				    max_u64(sector, cow_snap_record_offset(layout, from)))
				return index;
		}
	return end;
}

static void holes_are_passed_over_as_one_by_one(void)
{
	for (int i = 0; i < 400; i++) {
		uint64_t chunk_bytes = UINT64_C(512) << test_random(&seed) % 3, from, end, found;
		uint64_t size = chunk_bytes * (3 + test_random(&seed) % 2000), at = 0;
		struct runs runs = { .nr = 0 };
		struct snap_layout layout;
		struct cow_image *image;

		while (runs.nr < test_random(&seed) % 8) {
			struct cow_segment *run = &runs.runs[runs.nr];

			/* some of them next to each other, some within a sector */
			run->offset_bytes = at + test_random(&seed) % (size / 4);
			run->len_bytes = 1 + test_random(&seed) % (2 * chunk_bytes);
			at = run->offset_bytes + run->len_bytes;
			if (at > size)
				break;
			runs.nr++;
		}
		cow_snap_layout_init(&layout, chunk_bytes, size);
		image = runs_image(&runs, size);
		end = 1 + test_random(&seed) % (layout.nr_areas * layout.records_per_area);
		from = test_random(&seed) % end;
		OK(cow_snap_list_next_data(image, &layout, from, end, &found, err));
		CHECK_EQ(found, next_data_slowly(&runs, &layout, from, end));
		cow_image_close(image);
	}
}

/* 16 million areas of 16 TiB: what lies in one hole costs one question. */
static void areas_in_one_hole_cost_one_question(void)
{
	struct runs runs = { .runs = { { UINT64_C(15) << 40, 512 } }, .nr = 1 };
	struct snap_layout layout;
	struct cow_image *image;
	uint64_t found, end;

	cow_snap_layout_init(&layout, 4096, UINT64_C(16) << 40);
	image = runs_image(&runs, UINT64_C(16) << 40);
	end = layout.nr_areas * layout.records_per_area;
	OK(cow_snap_list_next_data(image, &layout, 0, end, &found, err));
	CHECK_EQ(found, end);
	CHECK(runs.nr_calls <= 3);
	cow_image_close(image);
}

/* ------------------------------------------------------------------- usage */

static void usage_is_what_dmsetup_prints(void)
{
	/* exceptions, allocated and metadata chunks; 4 KiB chunks, E = 256 */
	static const uint64_t rows[][3] = { { 0, 2, 2 },     { 60, 62, 2 },   { 64, 66, 2 },
					    { 65, 67, 2 },   { 255, 257, 2 }, { 256, 259, 3 },
					    { 300, 303, 3 }, { 512, 516, 4 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cow_store_info info = COW_STORE_INFO_INIT;
		struct cow_image *cow;
		struct cow_store *store;
		char text[200];

		snprintf(text, sizeof(text), "size 10001s\nheader\nauto 5 %" PRIu64, rows[i][0]);
		OK(mkstore(text, &cow, err));
		OK(store_open(NULL, cow, &store, err));
		OK(cow_store_get_info(store, &info));
		CHECK_EQ(info.nr_exceptions, rows[i][0]);
		CHECK_EQ(info.allocated_sectors, rows[i][1] * 8);
		CHECK_EQ(info.metadata_sectors, rows[i][2] * 8);
		CHECK_EQ(info.total_sectors, 10001);
		CHECK(info.valid && info.chunk_bytes == 4096);
		cow_store_close(store);
		cow_image_close(cow);
	}
}

static void a_computed_size_holds_the_whole_origin(void)
{
	for (uint64_t nr_chunks = 1; nr_chunks < 100; nr_chunks++) {
		static uint8_t data[100 * 512];
		struct cow_image *cow;
		struct cow_store *store;
		struct cow_create_params params = COW_CREATE_PARAMS_INIT;
		uint64_t bytes;

		params.origin_bytes = nr_chunks * 512 - 100;
		params.chunk_bytes = 512;
		OK(cow_create_size(&params, &bytes, err));
		CHECK_EQ(bytes, (nr_chunks + 2 + nr_chunks / 32) * 512);
		OK(cow_image_memory_new(bytes, &cow, err));
		OK(store_create(cow, 512, err));
		OK(store_open(NULL, cow, &store, err));
		OK(cow_store_reserve(store, nr_chunks, err));
		FAILS(-ENOSPC, cow_store_reserve(store, nr_chunks + 1, err));
		OK(cow_store_append(store, 0, data, nr_chunks * 512, err));
		OK(cow_store_publish(store, err));
		FAILS(-ENOSPC, cow_store_append(store, nr_chunks * 512, data, 512, err));
		cow_store_close(store);
		OK(store_open(NULL, cow, &store, err));
		cow_store_close(store);
		cow_image_close(cow);
	}
}

/* ---------------------------------------------------------------- appending */

/* Everything that was appended is in the list, in order, with its data. */
static void list_check(struct cow_image *cow, const uint64_t *olds, uint64_t nr)
{
	static struct list list;
	uint8_t raw[512];

	list_read(cow, 512, &list);
	CHECK_EQ(list.nr, nr);
	for (uint64_t i = 0; i < nr; i++) {
		CHECK_EQ(list.old_chunks[i], olds[i]);
		CHECK_EQ(list.new_chunks[i], 2 + i + i / 32);
		OK(cow_image_pread(cow, raw, 512, list.new_chunks[i] * 512, err));
		for (uint64_t at = 0; at < 512; at++)
			CHECK_EQ(raw[at], mkstore_byte(olds[i], at));
	}
}

/* One chunk, whole or in pieces. */
static void chunk_append(struct cow_store *store, uint64_t old_chunk)
{
	uint64_t cut = test_random(&seed) % 3 ? 512 : test_random(&seed) % 511 + 1;
	uint8_t raw[512];

	for (uint64_t i = 0; i < 512; i++)
		raw[i] = mkstore_byte(old_chunk, i);
	OK(cow_store_append(store, old_chunk * 512, raw, cut, err));
	if (cut < 512)
		OK(cow_store_append(store, old_chunk * 512 + cut, raw + cut, 512 - cut, err));
}

static void batches_of_any_size_make_the_list(void)
{
	for (unsigned int round = 0; round < 60; round++) {
		uint64_t olds[400], nr = 0, total = 1 + test_random(&seed) % 399;
		struct cow_image *cow;
		struct cow_store *store;

		OK(cow_image_memory_new(1 << 20, &cow, err));
		OK(store_create(cow, 512, err));
		OK(store_open(NULL, cow, &store, err));
		while (nr < total) {
			uint64_t batch = 1 + test_random(&seed) % 150;

			for (; batch && nr < total; batch--, nr++) {
				olds[nr] = test_random(&seed) % 7 ? 10 * nr : 10 * nr + 1;
				chunk_append(store, olds[nr]);
			}
			OK(cow_store_publish(store, err));
			list_check(cow, olds, nr);
			if (test_random(&seed) % 4)
				continue;
			cow_store_close(store);
			OK(store_open(NULL, cow, &store, err));
		}
		FAILS(-EEXIST, cow_store_append(store, olds[nr / 2] * 512, olds, 512, err));
		cow_store_close(store);
		cow_image_close(cow);
	}
}

static void a_long_run_is_appended_around_the_areas(void)
{
	static uint8_t data[200 * 512];
	uint64_t olds[200];
	struct cow_image *cow;
	struct cow_store *store;
	struct cow_extent extent;

	for (uint64_t i = 0; i < 200; i++) {
		olds[i] = 1000 + i;
		for (uint64_t at = 0; at < 512; at++)
			data[i * 512 + at] = mkstore_byte(1000 + i, at);
	}
	OK(cow_image_memory_new(1 << 20, &cow, err));
	OK(store_create(cow, 512, err));
	OK(store_open(NULL, cow, &store, err));
	OK(cow_store_append(store, 1000 * 512, data, sizeof(data), err));
	CHECK(!cow_store_next_extent(store, 0, &extent));
	OK(cow_store_publish(store, err));
	list_check(cow, olds, 200);
	CHECK(cow_store_next_extent(store, 1031 * 512 + 100, &extent));
	CHECK_EQ(extent.old_bytes, 1031 * 512 + 100);
	CHECK_EQ(extent.new_bytes, 33 * 512 + 100);
	CHECK_EQ(extent.len_bytes, 412);
	CHECK(!cow_store_next_extent(store, 1200 * 512, &extent));
	cow_store_close(store);
	cow_image_close(cow);
}

static void pieces_that_do_not_fit_together_are_refused(void)
{
	struct cow_image *cow, *origin;
	struct cow_store *store;
	uint8_t raw[1024] = { 1 };

	OK(cow_image_memory_new(1 << 20, &cow, err));
	OK(cow_image_zero_new(10 * 1024 + 512, &origin, err));
	OK(store_create(cow, 1024, err));
	OK(store_open(origin, cow, &store, err));
	FAILS(-EINVAL, cow_store_append(store, 512, raw, 512, err));
	OK(cow_store_append(store, 0, raw, 512, err));
	FAILS(-EINVAL, cow_store_append(store, 1024, raw, 1024, err));
	FAILS(-EINVAL, cow_store_publish(store, err));
	OK(cow_store_append(store, 512, raw, 512, err));
	/* the origin's short last chunk may stay short (I11) */
	OK(cow_store_append(store, 10 * 1024, raw, 512, err));
	OK(cow_store_publish(store, err));
	cow_store_close(store);
	OK(store_open(origin, cow, &store, err));
	cow_store_close(store);
	cow_image_close(origin);
	cow_image_close(cow);
}

/* ---------------------------------------------- order of writes and flushes */

static bool is_in_area(uint64_t offset, uint64_t area)
{
	return offset / 512 == 1 + area * 33;
}

static void publishing_flushes_data_and_upper_areas_before_the_lowest(void)
{
	size_t lowest = 0, last_other = 0, last_flush_before = 0, flush_after = 0;
	struct record_log log = { 0 };
	struct cow_image *lower, *cow;
	struct cow_store *store;
	static uint8_t data[100 * 512];

	memset(data, 7, sizeof(data));
	OK(mkstore("size 1M\nchunk 1\nheader\nauto 500 20", &lower, err));
	OK(record_new(lower, &log, 0, &cow, err));
	OK(store_open(NULL, cow, &store, err));
	CHECK_EQ(log.nr_entries, 0); /* I10 */
	OK(cow_store_append(store, 0, data, sizeof(data), err));
	OK(cow_store_publish(store, err));
	for (size_t i = 0; i < log.nr_entries; i++) {
		const struct record_entry *entry = &log.entries[i];

		if (entry->kind != RECORD_FLUSH && is_in_area(entry->offset_bytes, 0)) {
			CHECK(!lowest); /* one write publishes */
			lowest = i;
		} else if (entry->kind != RECORD_FLUSH) {
			last_other = i;
		} else if (!lowest) {
			last_flush_before = i;
		} else {
			flush_after = i;
		}
	}
	CHECK(lowest && last_other < last_flush_before && last_flush_before < lowest);
	CHECK(flush_after > lowest && flush_after == log.nr_entries - 1);
	cow_store_close(store);
	record_clear(&log);
	cow_image_close(cow);
	cow_image_close(lower);
}

/* The same within one area: data, flush, records, flush. */
static void data_is_durable_before_its_record(void)
{
	struct record_log log = { 0 };
	struct cow_image *lower, *cow;
	struct cow_store *store;
	uint8_t data[512] = { 1 };

	OK(mkstore("size 1M\nchunk 1\nheader\nauto 500 20", &lower, err));
	OK(record_new(lower, &log, 0, &cow, err));
	OK(store_open(NULL, cow, &store, err));
	OK(cow_store_append(store, 0, data, sizeof(data), err));
	OK(cow_store_publish(store, err));
	CHECK_EQ(log.nr_entries, 4);
	CHECK_EQ(log.entries[0].offset_bytes, 22 * 512);
	CHECK_EQ(log.entries[1].kind, RECORD_FLUSH);
	CHECK_EQ(log.entries[2].offset_bytes, 512);
	CHECK_EQ(log.entries[3].kind, RECORD_FLUSH);
	cow_store_close(store);
	record_clear(&log);
	cow_image_close(cow);
	cow_image_close(lower);
}

/* Records that are not zeros behind the end of the list, in the area of the end. */
static uint64_t nr_behind_end(struct cow_image *cow, const struct snap_layout *layout)
{
	uint64_t index = 0, behind = 0;
	struct snap_record record;
	uint8_t raw[SNAP_RECORD_BYTES];

	for (bool has_ended = false; index % layout->records_per_area || !has_ended; index++) {
		OK(cow_image_pread(cow, raw, sizeof(raw), cow_snap_record_offset(layout, index),
				   err));
		cow_snap_record_decode(raw, &record);
		has_ended |= !record.new_chunk;
		behind += has_ended && !is_all_zero(raw, sizeof(raw));
	}
	return behind;
}

/* The kernel reads an area as it is and goes on at the end of the list: a record behind
 * it would come to life. So whoever is killed between two writes leaves none. */
static void a_publish_that_is_cut_off_leaves_nothing_behind_the_end(void)
{
	static const uint64_t rows[][2] = {
		/* records that are there, and that are added */
		{ 0, 1 },   { 0, 33 }, { 0, 300 }, { 1, 90 },  { 20, 12 },  { 20, 13 },
		{ 20, 90 }, { 31, 1 }, { 31, 33 }, { 32, 33 }, { 33, 300 }, { 127, 128 },
	};
	static uint8_t data[300 * 2048];
	struct snap_layout layout;

	memset(data, 7, sizeof(data));
	cow_snap_layout_init(&layout, 2048, 1 << 20);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cow_image *lower, *cow, *killed;
		struct record_log log = { 0 };
		struct cow_store *store;
		char recipe[80];

		snprintf(recipe, sizeof(recipe), "size 1M\nchunk 4\nheader\nauto 500 %" PRIu64,
			 rows[i][0]);
		OK(mkstore(recipe, &lower, err));
		OK(mkstore(recipe, &killed, err));
		OK(record_new(lower, &log, 0, &cow, err));
		OK(store_open(NULL, cow, &store, err));
		OK(cow_store_append(store, 0, data, rows[i][1] * 2048, err));
		OK(cow_store_publish(store, err));
		for (size_t at = 0; at < log.nr_entries; at++) {
			OK(record_apply(&log, at, at + 1, 0, killed, err));
			CHECK_EQ(nr_behind_end(killed, &layout), 0);
		}
		cow_store_close(store);
		record_clear(&log);
		cow_image_close(cow);
		cow_image_close(lower);
		cow_image_close(killed);
	}
}

/* I5: a record that stood behind the end must not come to life. Area 0 has
 * four sectors; the batch fills two, the stale records are in the third. */
static void stale_records_are_gone_before_the_first_append(void)
{
	const uint64_t stale = 2048 + 64 * 16;
	struct record_log log = { 0 };
	struct cow_image *lower, *cow;
	struct cow_store *store;
	static struct list list;
	bool is_zeroed = false, is_flushed = false;
	uint8_t data[2048] = { 1 };

	OK(mkstore("size 1M\nchunk 4\nheader\nrecord 100 2\nat 0 64\nrecord 7 3\nrecord 8 4",
		   &lower, err));
	OK(record_new(lower, &log, 0, &cow, err));
	OK(store_open(NULL, cow, &store, err));
	for (uint64_t i = 0; i < 63; i++)
		OK(cow_store_append(store, (300 + i) * 2048, data, sizeof(data), err));
	OK(cow_store_publish(store, err));
	list_read(cow, 2048, &list);
	CHECK_EQ(list.nr, 64);
	for (size_t i = 0; i < log.nr_entries; i++) {
		const struct record_entry *entry = &log.entries[i];

		if (entry->kind == RECORD_FLUSH)
			is_flushed = is_zeroed;
		else if (entry->offset_bytes == 2048 && entry->data[16 + 8])
			CHECK(is_flushed);
		else if (entry->offset_bytes <= stale &&
			 entry->offset_bytes + entry->len_bytes > stale)
			is_zeroed = true;
	}
	CHECK(is_zeroed && is_flushed);
	cow_store_close(store);
	record_clear(&log);
	cow_image_close(cow);
	cow_image_close(lower);
}

/* Where the next area would begin right behind the image, the record that
 * fills the last one would have no end behind it. */
static void the_last_record_of_the_last_area_is_never_used(void)
{
	struct cow_image *cow;
	struct cow_store *store;

	OK(mkstore("size 34s\nchunk 1\nheader", &cow, err));
	OK(store_open(NULL, cow, &store, err));
	OK(cow_store_reserve(store, 31, err));
	FAILS(-ENOSPC, cow_store_reserve(store, 32, err));
	cow_store_close(store);
	cow_image_close(cow);
}

static void creating_over_an_old_store_is_three_flushed_steps(void)
{
	struct record_log log = { 0 };
	struct cow_image *lower, *cow;
	struct cow_store *store;
	static struct list list;
	size_t step = 0;

	OK(mkstore("size 1M\nchunk 8\nheader\nauto 0 200\npoke 16 ff", &lower, err));
	OK(record_new(lower, &log, 0, &cow, err));
	OK(store_create(cow, 8192, err));
	for (size_t i = 0; i < log.nr_entries; i++) {
		const struct record_entry *entry = &log.entries[i];

		if (entry->kind == RECORD_FLUSH)
			step++;
		else if (step != 1)
			CHECK(entry->offset_bytes == 0 && entry->len_bytes == 512);
		else
			CHECK(entry->offset_bytes >= 512);
	}
	CHECK_EQ(step, 3);
	CHECK_EQ(log.entries[log.nr_entries - 1].kind, RECORD_FLUSH);
	list_read(cow, 8192, &list);
	CHECK_EQ(list.nr, 0);
	OK(store_open(NULL, cow, &store, err));
	cow_store_close(store);
	record_clear(&log);
	cow_image_close(cow);
	cow_image_close(lower);
}

/* ------------------------------------------------------------------ merging */

/* Cut at every place of a list over four areas: one write, in the area of the
 * cut, a flush behind it; what is left is the prefix. */
static void a_settlement_is_one_write_and_leaves_a_prefix(void)
{
	for (uint64_t token = 0; token < 100; token++) {
		struct store_moves moves = { 0 };
		struct record_log log = { 0 };
		struct cow_image *lower, *cow, *origin;
		struct cow_store *store;
		static struct list list;

		OK(mkstore("size 1M\nchunk 1\nheader\nauto 1000 100", &lower, err));
		OK(cow_image_zero_new(1 << 20, &origin, err));
		OK(record_new(lower, &log, 0, &cow, err));
		OK(store_open(origin, cow, &store, err));
		OK(cow_store_next_moves(store, (100 - token) * 512, &moves, err));
		CHECK_EQ(moves.token, token);
		CHECK_EQ(moves.nr_chunks, 100 - token);
		CHECK_EQ(moves.is_last, !token);
		OK(cow_store_settle(store, token, err));
		CHECK_EQ(log.nr_entries, 2);
		CHECK(is_in_area(log.entries[0].offset_bytes, token / 32));
		CHECK(log.entries[0].len_bytes <= 512);
		CHECK_EQ(log.entries[1].kind, RECORD_FLUSH);
		list_read(cow, 512, &list);
		CHECK_EQ(list.nr, token);
		OK(cow_store_tidy(store, err));
		cow_store_close(store);
		OK(store_open(origin, cow, &store, err));
		cow_store_close(store);
		cow_store_moves_free(&moves);
		record_clear(&log);
		cow_image_close(cow);
		cow_image_close(lower);
		cow_image_close(origin);
	}
}

static void moves_come_from_the_end_and_join_runs(void)
{
	struct store_moves moves = { 0 };
	struct cow_image *cow, *origin;
	struct cow_store *store;

	/* chunks 100..119 as one run, then 7 alone; the origin ends within 119 */
	OK(mkstore("size 1M\nchunk 8\nheader\nauto 100 20\nauto 7 1", &cow, err));
	OK(cow_image_zero_new(119 * 4096 + 1536, &origin, err));
	OK(store_open(origin, cow, &store, err));
	OK(cow_store_next_moves(store, 1 << 20, &moves, err));
	CHECK_EQ(moves.nr_moves, 2);
	CHECK_EQ(moves.moves[0].to_bytes, 7 * 4096);
	CHECK_EQ(moves.moves[0].from_bytes, 22 * 4096);
	CHECK_EQ(moves.moves[1].to_bytes, 100 * 4096);
	CHECK_EQ(moves.moves[1].from_bytes, 2 * 4096);
	CHECK_EQ(moves.moves[1].len_bytes, 19 * 4096 + 1536); /* I11 */
	CHECK(moves.is_last && moves.moves[1].from == cow && moves.moves[1].to == origin);
	FAILS(-EINVAL, cow_store_settle(store, 22, err));
	cow_store_moves_clear(&moves);
	cow_store_rewind(store);
	OK(cow_store_next_moves(store, 4096, &moves, err));
	CHECK_EQ(moves.token, 20);
	FAILS(-EINVAL, cow_store_settle(store, 19, err));
	cow_store_close(store);
	cow_store_moves_free(&moves);
	cow_image_close(cow);
	cow_image_close(origin);
}

/* ------------------------------------------------------------------ trouble */

/* A chunk whose data could not be written must never get a record. */
static void a_failed_append_publishes_nothing(void)
{
	struct fault_plan plan = { .kinds = FAULT_WRITE, .nth = 2 };
	struct cow_image *lower, *cow;
	struct cow_store *store;
	static struct list list;
	uint8_t raw[512] = { 1 };

	OK(mkstore("size 1M\nchunk 1\nheader", &lower, err));
	OK(fault_new(lower, &plan, &cow, err));
	OK(store_open(NULL, cow, &store, err));
	OK(cow_store_append(store, 0, raw, 512, err));
	FAILS(-EIO, cow_store_append(store, 512, raw, 512, err));
	(void)cow_store_append(store, 1024, raw, 512, NULL);
	(void)cow_store_publish(store, NULL);
	list_read(lower, 512, &list);
	for (uint64_t i = 0; i < list.nr; i++)
		CHECK(list.old_chunks[i] != 1);
	cow_store_close(store);
	OK(store_open(NULL, lower, &store, err));
	cow_store_close(store);
	cow_image_close(cow);
	cow_image_close(lower);
}

static void an_invalidated_store_is_refused_but_readable(void)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image role = { COW_ROLE_COW, 0, NULL };
	struct cow_image *cow;
	struct cow_store *store;
	uint8_t raw[512];

	OK(mkstore("size 1M\nheader\nauto 5 3\npoke 100 abcd", &cow, err));
	OK(store_open(NULL, cow, &store, err));
	OK(cow_store_unchanged(store, err));
	OK(cow_store_invalidate(store, err));
	OK(cow_store_unchanged(store, err));
	cow_store_close(store);
	OK(cow_image_pread(cow, raw, 512, 0, err));
	CHECK(raw[0] == 'S' && !raw[4] && raw[100] == 0xab); /* the label stays */
	FAILS(-EBADMSG, store_open(NULL, cow, &store, err));
	role.image = cow;
	args.images = &role;
	args.nr_images = 1;
	args.flags = COW_STORE_INVALID;
	OK(cow_store_open(&args, &store, err));
	OK(cow_image_write_zeroes(cow, 0, 4, err));
	FAILS(-EBUSY, cow_store_unchanged(store, err));
	cow_store_close(store);
	cow_image_close(cow);
}

static void the_largest_chunks_are_read_in_pieces(void)
{
	struct store_moves moves = { 0 };
	struct cow_image *cow, *origin;
	struct cow_store *store;

	/* 1 GiB chunks: 64 Mi records an area, of which three are used */
	OK(mkstore("size 16T\nchunk 2097152\nheader\nauto 3 3\nauto 1000 1", &cow, err));
	OK(cow_image_zero_new(UINT64_C(1) << 42, &origin, err));
	OK(store_open(origin, cow, &store, err));
	OK(cow_store_next_moves(store, UINT64_MAX, &moves, err));
	CHECK_EQ(moves.nr_moves, 2);
	OK(cow_store_settle(store, 0, err));
	OK(cow_store_tidy(store, err));
	cow_store_close(store);
	cow_store_moves_free(&moves);
	cow_image_close(cow);
	cow_image_close(origin);
}

int main(void)
{
	seed = test_seed();
	RUN(metadata_areas_lie_where_the_kernel_puts_them);
	RUN(data_chunks_are_counted_as_one_by_one);
	RUN(header_and_record_survive_both_ways);
	RUN(writers_leave_the_rest_of_a_sector);
	RUN(holes_are_passed_over_as_one_by_one);
	RUN(areas_in_one_hole_cost_one_question);
	RUN(usage_is_what_dmsetup_prints);
	RUN(a_computed_size_holds_the_whole_origin);
	RUN(batches_of_any_size_make_the_list);
	RUN(a_long_run_is_appended_around_the_areas);
	RUN(pieces_that_do_not_fit_together_are_refused);
	RUN(publishing_flushes_data_and_upper_areas_before_the_lowest);
	RUN(data_is_durable_before_its_record);
	RUN(a_publish_that_is_cut_off_leaves_nothing_behind_the_end);
	RUN(the_last_record_of_the_last_area_is_never_used);
	RUN(stale_records_are_gone_before_the_first_append);
	RUN(creating_over_an_old_store_is_three_flushed_steps);
	RUN(a_settlement_is_one_write_and_leaves_a_prefix);
	RUN(moves_come_from_the_end_and_join_runs);
	RUN(a_failed_append_publishes_nothing);
	RUN(an_invalidated_store_is_refused_but_readable);
	RUN(the_largest_chunks_are_read_in_pieces);
	return test_end();
}

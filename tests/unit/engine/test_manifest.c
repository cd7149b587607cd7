/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The manifest against a naive model that holds the whole image in memory. */
#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/test.h"

#define UNIT 4096
#define ENTRIES_MAX 4096

/* What the callbacks were given, or what the model says. */
struct listing {
	uint64_t nr_ranges, nr_extents;
	struct {
		uint64_t index;
		uint8_t digest[COW_DIGEST_BYTES];
	} ranges[ENTRIES_MAX];
	struct {
		uint64_t offset_bytes, len_bytes;
	} extents[ENTRIES_MAX];
	uint8_t whole[COW_DIGEST_BYTES];
};

static uint64_t random_state;
static struct listing found, expected;

static uint64_t draw(uint64_t limit)
{
	return test_random(&random_state) % limit;
}

static int add_range(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	struct listing *list = (struct listing *)user;

	CHECK(list->nr_ranges < ENTRIES_MAX);
	list->ranges[list->nr_ranges].index = index;
	memcpy(list->ranges[list->nr_ranges++].digest, digest, COW_DIGEST_BYTES);
	return 0;
}

static int add_extent(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct listing *list = (struct listing *)user;

	CHECK(list->nr_extents < ENTRIES_MAX);
	list->extents[list->nr_extents].offset_bytes = offset_bytes;
	list->extents[list->nr_extents++].len_bytes = len_bytes;
	return 0;
}

static void model(const uint8_t *bytes, uint64_t size, struct listing *list)
{
	uint8_t *text = (uint8_t *)malloc(8 + (size / COW_MANIFEST_RANGE_BYTES + 1) * 24);
	size_t used = 8;

	memset(list, 0, sizeof(*list));
	CHECK(text != NULL);
	put_le64(text, size);
	for (uint64_t at = 0; at < size; at += COW_MANIFEST_RANGE_BYTES) {
		uint64_t len = min_u64(COW_MANIFEST_RANGE_BYTES, size - at);
		uint8_t digest[COW_DIGEST_BYTES];

		if (is_all_zero(bytes + at, len))
			continue;
		cow_digest_of(bytes + at, len, digest);
		add_range(list, at / COW_MANIFEST_RANGE_BYTES, digest);
		put_le64(text + used, at / COW_MANIFEST_RANGE_BYTES);
		memcpy(text + used + 8, digest, COW_DIGEST_BYTES);
		used += 24;
	}
	cow_digest_of(text, used, list->whole);
	free(text);
	for (uint64_t at = 0; at < size; at += UNIT) {
		uint64_t len = min_u64(UNIT, size - at), i = list->nr_extents;

		if (is_all_zero(bytes + at, len))
			continue;
		if (i && list->extents[i - 1].offset_bytes + list->extents[i - 1].len_bytes == at)
			list->extents[i - 1].len_bytes += len;
		else
			add_extent(list, at, len);
	}
}

static void manifest(struct cow_image *image, struct listing *list)
{
	struct cow_manifest_params params = COW_MANIFEST_PARAMS_INIT;

	memset(list, 0, sizeof(*list));
	params.user = list;
	params.range = add_range;
	params.extent = add_extent;
	OK(cow_manifest(image, &params, list->whole, err));
}

/* Data here and there, zeros that were written, and holes. */
static void draw_content(uint8_t *bytes, uint64_t size, struct cow_image *image)
{
	for (uint64_t n = draw(12); n; n--) {
		uint64_t at = draw(size), len = 1 + draw(min_u64(size - at, 1 + draw(1 << 20)));
		bool is_zero = draw(3) == 0;

		for (uint64_t i = 0; i < len; i++)
			bytes[at + i] = is_zero ? 0 : (uint8_t)draw(256);
		OK(cow_image_pwrite(image, bytes + at, len, at, err));
	}
}

static void random_images_agree_with_the_model(void)
{
	for (int i = 0; i < 60; i++) {
		uint64_t size = 512 * (1 + draw(10000));
		uint8_t *bytes = (uint8_t *)calloc(1, size);
		struct cow_image *image;

		CHECK(bytes != NULL);
		OK(cow_image_memory_new(size, &image, err));
		draw_content(bytes, size, image);
		model(bytes, size, &expected);
		manifest(image, &found);
		CHECK(!memcmp(&found, &expected, sizeof(found)));
		/* Without a hole in it the answer is the same. */
		OK(cow_image_pwrite(image, bytes, size, 0, err));
		manifest(image, &found);
		CHECK(!memcmp(&found, &expected, sizeof(found)));
		cow_image_close(image);
		free(bytes);
	}
}

/* What was found before, and which ranges are to be asked for again. */
struct memory {
	const struct listing *before;
	const bool *is_changed;
	uint64_t nr_asked;
	struct listing list;
};

static int remember(void *user, uint64_t index, uint8_t ret_digest[COW_DIGEST_BYTES])
{
	struct memory *memory = (struct memory *)user;

	memory->nr_asked++;
	if (memory->is_changed[index])
		return COW_MANIFEST_UNKNOWN;
	for (uint64_t i = 0; i < memory->before->nr_ranges; i++) {
		if (memory->before->ranges[i].index != index)
			continue;
		memcpy(ret_digest, memory->before->ranges[i].digest, COW_DIGEST_BYTES);
		return COW_MANIFEST_KNOWN;
	}
	return COW_MANIFEST_ZERO;
}

static int memory_range(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	return add_range(&((struct memory *)user)->list, index, digest);
}

static void what_is_known_is_not_read(void)
{
	struct cow_manifest_params params = COW_MANIFEST_PARAMS_INIT;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT, then = COW_IMAGE_STATS_INIT;
	bool is_changed[8] = { false };
	static struct memory memory;
	struct cow_image *image;

	OK(cow_image_memory_new(8 * COW_MANIFEST_RANGE_BYTES, &image, err));
	for (uint64_t i = 0; i < 8; i += 2)
		OK(cow_image_pwrite(image, "x", 1, i * COW_MANIFEST_RANGE_BYTES, err));
	/* Data that is zeros. */
	OK(cow_image_pwrite(image, "", 1, COW_MANIFEST_RANGE_BYTES + 7, err));
	manifest(image, &found);
	OK(cow_image_pwrite(image, "y", 1, 3 * COW_MANIFEST_RANGE_BYTES + 9, err));
	OK(cow_image_pwrite(image, "", 1, 4 * COW_MANIFEST_RANGE_BYTES, err));
	is_changed[3] = is_changed[4] = true;
	memory.before = &found;
	memory.is_changed = is_changed;
	params.user = &memory;
	params.range = memory_range;
	params.known = remember;
	CHECK(!cow_image_get_stats(image, &then));
	OK(cow_manifest(image, &params, memory.list.whole, err));
	CHECK(!cow_image_get_stats(image, &stats));
	CHECK(stats.read_bytes - then.read_bytes <= 2 * COW_MANIFEST_RANGE_BYTES);
	CHECK_EQ(memory.nr_asked, 6);
	manifest(image, &expected);
	CHECK_EQ(memory.list.nr_ranges, expected.nr_ranges);
	CHECK(!memcmp(memory.list.ranges, expected.ranges, sizeof(expected.ranges)));
	CHECK(!memcmp(memory.list.whole, expected.whole, COW_DIGEST_BYTES));
	cow_image_close(image);
}

static void the_digest_of_the_whole_follows_from_the_entries(void)
{
	struct cow_manifest_range ranges[8];
	uint8_t digest[COW_DIGEST_BYTES];
	uint64_t size = 8 * COW_MANIFEST_RANGE_BYTES;
	struct cow_image *image;

	OK(cow_image_memory_new(size, &image, err));
	for (uint64_t i = 1; i < 8; i += 2)
		OK(cow_image_pwrite(image, "x", 1, i * COW_MANIFEST_RANGE_BYTES + i, err));
	manifest(image, &found);
	for (uint64_t i = 0; i < found.nr_ranges; i++) {
		ranges[i].index = found.ranges[i].index;
		memcpy(ranges[i].digest, found.ranges[i].digest, COW_DIGEST_BYTES);
	}
	OK(cow_manifest_digest(size, ranges, found.nr_ranges, digest, err));
	CHECK(!memcmp(digest, found.whole, COW_DIGEST_BYTES));
	OK(cow_manifest_digest(size, ranges, found.nr_ranges - 1, digest, err));
	CHECK(memcmp(digest, found.whole, COW_DIGEST_BYTES));
	cow_image_close(image);
}

static void an_empty_image_has_the_digest_of_its_size(void)
{
	struct cow_image *image;
	uint8_t size_raw[8], digest[COW_DIGEST_BYTES];

	OK(cow_image_zero_new(UINT64_C(1) << 50, &image, err));
	manifest(image, &found);
	put_le64(size_raw, UINT64_C(1) << 50);
	cow_digest_of(size_raw, 8, digest);
	CHECK(!memcmp(found.whole, digest, sizeof(digest)));
	CHECK_EQ(found.nr_ranges + found.nr_extents, 0);
	cow_image_close(image);
}

static void holes_are_not_read(void)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct cow_image *image;
	uint64_t at = (UINT64_C(16) << 40) - 4096;

	OK(cow_image_memory_new(UINT64_C(16) << 40, &image, err));
	OK(cow_image_pwrite(image, "x", 1, at, err));
	manifest(image, &found);
	CHECK_EQ(found.nr_ranges, 1);
	CHECK_EQ(found.ranges[0].index, (UINT64_C(16) << 20) - 1);
	CHECK_EQ(found.nr_extents, 1);
	CHECK_EQ(found.extents[0].offset_bytes, at);
	CHECK(!cow_image_get_stats(image, &stats));
	CHECK(stats.read_bytes <= COW_MANIFEST_RANGE_BYTES);
	cow_image_close(image);
}

static int stop_range(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	(void)user;
	(void)digest;
	return index == 1 ? -ENOSPC : 0;
}

static int stop_progress(void *user, const struct cow_progress *progress)
{
	(void)user;
	CHECK(progress->done_bytes <= progress->total_bytes);
	return progress->done_bytes >= 4096; /* data; the rest is holes */
}

static void a_callback_ends_it(void)
{
	struct cow_manifest_params params = COW_MANIFEST_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	uint8_t digest[COW_DIGEST_BYTES];
	struct cow_image *image;

	OK(cow_image_memory_new(3 * COW_MANIFEST_RANGE_BYTES, &image, err));
	for (uint64_t i = 0; i < 3; i++)
		OK(cow_image_pwrite(image, "x", 1, i * COW_MANIFEST_RANGE_BYTES, err));
	params.range = stop_range;
	FAILS(-ENOSPC, cow_manifest(image, &params, digest, err));
	params.range = NULL;
	callbacks.progress = stop_progress;
	params.callbacks = &callbacks;
	FAILS(-ECANCELED, cow_manifest(image, &params, digest, err));
	params.size = 0;
	FAILS(-EINVAL, cow_manifest(image, &params, digest, err));
	cow_image_close(image);
}

int main(void)
{
	random_state = test_seed();
	RUN(random_images_agree_with_the_model);
	RUN(an_empty_image_has_the_digest_of_its_size);
	RUN(what_is_known_is_not_read);
	RUN(the_digest_of_the_whole_follows_from_the_entries);
	RUN(holes_are_not_read);
	RUN(a_callback_ends_it);
	return test_end();
}

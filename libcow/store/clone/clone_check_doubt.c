/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_check_doubt.c - is the tree that the superblock names the newest one? Two
 * array blocks that were exchanged, a superblock of an older commit, a table that
 * was replaced while in use: all of them leave metadata without a fault. Only the
 * trees of other commits that are still whole on the device can tell: a region that
 * one of them has and the superblock's lacks. Where source and destination hold the
 * same bytes, which tree is right makes no difference; elsewhere it does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/clone/clone_check.h"
#include "libcow/store/clone/clone_lost.h"

#define COMPARE_BYTES ((size_t)64 << 10)

/* ---------------------------------------------------------------- source and destination */

/* Two images that are compared. */
struct pair {
	const struct clone_pair *images;
	uint8_t *a, *b; /* buffers */
};

/* What cannot be read is not the same. */
static bool is_equal(const struct pair *pair, uint64_t at, uint64_t end)
{
	const struct clone_pair *images = pair->images;

	for (uint64_t len; at < end; at += len) {
		len = min_u64(end - at, COMPARE_BYTES);
		if (cow_image_pread(images->source, pair->a, (size_t)len, at, NULL) ||
		    cow_image_pread(images->destination, pair->b, (size_t)len, at, NULL) ||
		    memcmp(pair->a, pair->b, (size_t)len) != 0)
			return false;
	}
	return true;
}

/* From here on both are zeros, up to where they end or data begins. */
static uint64_t zeros_end(const struct clone_pair *images, uint64_t at)
{
	struct cow_image *const both[] = { images->source, images->destination };
	uint64_t end = images->target_bytes, data, len;

	for (size_t i = 0; i < 2; i++) {
		if (cow_image_next_data(both[i], at, &data, &len, NULL))
			return at;
		if (len)
			end = min_u64(end, data);
	}
	return end;
}

/* Of a run of regions: takes away those that are the same on both. */
static int run_compare(const struct pair *pair, struct clone_bits *bits, uint64_t first,
		       uint64_t nr, struct cow_err *err)
{
	const struct clone_pair *images = pair->images;
	uint64_t region_bytes = images->region_bytes;
	int ret = 0;

	for (uint64_t region = first, next; !ret && region < first + nr; region = next) {
		uint64_t at = region * region_bytes;
		uint64_t end = min_u64(at + region_bytes, images->target_bytes);
		uint64_t zeros = zeros_end(images, at);

		next = region + 1;
		if (zeros >= end) {
			next = zeros == images->target_bytes ? first + nr : zeros / region_bytes;
			next = min_u64(next, first + nr);
			cow_clone_bits_clear(bits, region, next - region);
		} else if (is_equal(pair, at, end)) {
			cow_clone_bits_clear(bits, region, 1);
		}
		ret = cow_callbacks_progress(images->callbacks, "compare", at, images->target_bytes,
					     err);
	}
	return ret;
}

static int pair_compare(const struct clone_pair *images, struct clone_bits *bits,
			struct cow_err *err)
{
	AUTO_FREE uint8_t *a = malloc(COMPARE_BYTES);
	AUTO_FREE uint8_t *b = malloc(COMPARE_BYTES);
	const struct pair pair = { images, a, b };
	uint64_t first, nr;
	int ret = 0;

	if (!a || !b)
		return cow_fail(err, -ENOMEM, "no memory to compare regions");
	for (uint64_t from = 0; !ret && cow_clone_bits_next(bits, true, from, &first, &nr);
	     from = first + nr)
		ret = run_compare(&pair, bits, first, nr, err);
	return ret;
}

int cow_clone_pair_compare(const struct clone_pair *images, struct clone_bits *bits,
			   struct cow_err *err)
{
	if (!images->source || !images->destination ||
	    images->source->size_bytes < images->target_bytes ||
	    images->destination->size_bytes < images->target_bytes)
		return 0;
	return pair_compare(images, bits, err);
}

/* ---------------------------------------------------------------- trees */

/* live: the bits of the superblock's tree, or NULL; seen gets those that any other
 * tree has and this one has not. */
static int others_find(struct clone_lost *lost, const struct clone_super *super,
		       const struct clone_bits *live, struct clone_bits *seen, struct cow_err *err)
{
	struct clone_bits read = { .words = NULL };
	int ret = cow_clone_bits_init(seen, lost->nr_regions, err);

	if (!ret)
		ret = cow_clone_lost_union(lost, seen, err);
	if (!ret && !live) {
		ret = cow_clone_bits_init(&read, lost->nr_regions, err);
		if (!ret)
			ret = cow_clone_bits_read(lost->blocks, super, &read, err);
		live = &read;
	}
	if (!ret)
		cow_clone_bits_drop(seen, live);
	cow_clone_bits_destroy(&read);
	return ret;
}

/* *ret_nr regions are in doubt, and this is the first. */
static int doubt_find(struct pdata_blocks *blocks, const struct clone_super *super,
		      const struct clone_bits *live, const struct clone_pair *images,
		      uint64_t *ret_nr, uint64_t *ret_first, struct cow_err *err)
{
	struct clone_lost lost = { .blocks = blocks, .skip_root = super->bitset_root };
	struct clone_bits seen = { .words = NULL };
	uint64_t nr;
	int ret;

	*ret_nr = *ret_first = 0;
	lost.nr_regions = cow_clone_nr_regions(super->region_sectors, super->target_sectors);
	ret = cow_clone_lost_find(&lost, err);
	if (!ret && lost.nr_trees) {
		ret = others_find(&lost, super, live, &seen, err);
		if (!ret)
			ret = cow_clone_pair_compare(images, &seen, err);
		if (!ret && cow_clone_bits_next(&seen, true, 0, ret_first, &nr))
			*ret_nr = cow_clone_bits_count(&seen);
	}
	cow_clone_bits_destroy(&seen);
	cow_clone_lost_destroy(&lost);
	return ret;
}

int cow_clone_check_doubt(struct clone_check *check, struct cow_err *err)
{
	const struct clone_pair images = {
		.source = check->source,
		.destination = check->destination,
		.region_bytes = sectors_to_bytes(check->super.region_sectors),
		.target_bytes = sectors_to_bytes(check->super.target_sectors),
		.callbacks = check->callbacks,
	};
	uint64_t nr = 0, first = 0;
	int ret = doubt_find(check->blocks, &check->super, NULL, &images, &nr, &first, err);

	if (ret || !nr)
		return ret;
	check->is_doubtful = true;
	cow_clone_check_add(check, CLONE_REGIONS_IN_DOUBT, COW_OFFSET_NONE,
			    "%" PRIu64 " regions, the first of them %" PRIu64
			    ", are hydrated in another complete tree and not in that of the "
			    "superblock; %s",
			    nr, first,
			    check->source && check->destination
				    ? "source and destination differ there"
				    : "source and destination were not given to compare");
	return 0;
}

int cow_clone_doubt_count(const struct clone_store *c, const struct cow_callbacks *callbacks,
			  uint64_t *ret_nr, struct cow_err *err)
{
	const struct clone_pair images = {
		.source = c->store.origin,
		.destination = c->store.data,
		.region_bytes = c->store.chunk_bytes,
		.target_bytes = c->store.view_bytes,
		.callbacks = callbacks,
	};
	uint64_t first;

	return doubt_find(c->blocks, &c->super, &c->bits, &images, ret_nr, &first, err);
}

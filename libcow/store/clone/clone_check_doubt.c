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

struct doubt {
	struct clone_check *check;
	struct clone_bits live, seen; /* seen: in any tree */
	uint8_t *a, *b;		      /* buffers */
	uint64_t nr_regions, first;   /* in doubt */
};

static int take_words(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err)
{
	(void)block;
	(void)err;
	cow_clone_bits_take(&((struct doubt *)user)->live, first, values, nr);
	return 0;
}

/* What cannot be read is not the same. */
static bool is_equal(const struct doubt *doubt, uint64_t region)
{
	const struct clone_check *check = doubt->check;
	uint64_t region_bytes = sectors_to_bytes(check->super.region_sectors);
	uint64_t at = region * region_bytes, len;
	uint64_t end = min_u64(at + region_bytes, sectors_to_bytes(check->super.target_sectors));

	if (!check->source || !check->destination || end > check->source->size_bytes ||
	    end > check->destination->size_bytes)
		return false;
	for (; at < end; at += len) {
		len = min_u64(end - at, COMPARE_BYTES);
		if (cow_image_pread(check->source, doubt->a, (size_t)len, at, NULL) ||
		    cow_image_pread(check->destination, doubt->b, (size_t)len, at, NULL) ||
		    memcmp(doubt->a, doubt->b, (size_t)len) != 0)
			return false;
	}
	return true;
}

static int regions_compare(struct doubt *doubt, struct cow_err *err)
{
	uint64_t first, nr;
	int ret = 0;

	for (uint64_t from = 0; !ret && cow_clone_bits_next(&doubt->seen, true, from, &first, &nr);
	     from = first + nr) {
		for (uint64_t region = first; region < first + nr; region++) {
			if (is_equal(doubt, region))
				continue;
			if (!doubt->nr_regions++)
				doubt->first = region;
		}
		ret = cow_callbacks_progress(doubt->check->callbacks, "compare", first + nr,
					     doubt->seen.nr_bits, err);
	}
	return ret;
}

static void doubt_add(const struct doubt *doubt)
{
	struct clone_check *check = doubt->check;
	bool has_images = check->source && check->destination;

	if (!doubt->nr_regions)
		return;
	check->is_doubtful = true;
	cow_clone_check_add(check, CLONE_REGIONS_IN_DOUBT, COW_OFFSET_NONE,
			    "%" PRIu64 " regions, the first of them %" PRIu64
			    ", are hydrated in another complete tree and not in that of the "
			    "superblock; %s",
			    doubt->nr_regions, doubt->first,
			    has_images ? "source and destination differ there"
				       : "source and destination were not given to compare");
}

static int doubt_run(struct doubt *doubt, struct cow_err *err)
{
	struct clone_check *check = doubt->check;
	const struct pdata_array array = clone_array(check->blocks, &check->super);
	const struct pdata_array_walk walk = { .user = doubt, .values = take_words };
	struct clone_lost lost = { .blocks = check->blocks,
				   .nr_regions = check->nr_regions,
				   .seen = &doubt->seen };
	int ret = cow_clone_bits_init(&doubt->live, check->nr_regions, err);

	if (!ret)
		ret = cow_clone_bits_init(&doubt->seen, check->nr_regions, err);
	if (!ret)
		ret = cow_pdata_array_walk(&array, &walk, err);
	if (!ret)
		ret = cow_clone_lost_find(&lost, err);
	cow_clone_lost_destroy(&lost);
	if (ret)
		return ret;
	cow_clone_bits_drop(&doubt->seen, &doubt->live);
	return regions_compare(doubt, err);
}

/* Fills nr_regions and first. */
static int doubt_find(struct clone_check *check, struct doubt *ret_doubt, struct cow_err *err)
{
	struct doubt doubt = { .check = check,
			       .a = malloc(COMPARE_BYTES),
			       .b = malloc(COMPARE_BYTES) };
	int ret;

	if (doubt.a && doubt.b)
		ret = doubt_run(&doubt, err);
	else
		ret = cow_fail(err, -ENOMEM, "no memory to compare regions");
	cow_clone_bits_destroy(&doubt.live);
	cow_clone_bits_destroy(&doubt.seen);
	free(doubt.a);
	free(doubt.b);
	*ret_doubt = (struct doubt){ .check = check,
				     .nr_regions = doubt.nr_regions,
				     .first = doubt.first };
	return ret;
}

int cow_clone_check_doubt(struct clone_check *check, struct cow_err *err)
{
	struct doubt doubt;
	int ret = doubt_find(check, &doubt, err);

	if (!ret)
		doubt_add(&doubt);
	return ret;
}

int cow_clone_doubt_count(const struct clone_store *c, const struct cow_store_args *args,
			  uint64_t *ret_nr, struct cow_err *err)
{
	struct clone_check check = {
		.args = args,
		.metadata = c->store.metadata,
		.source = c->store.origin,
		.destination = c->store.data,
		.blocks = c->blocks,
		.super = c->super,
		.nr_regions = c->bits.nr_bits,
	};
	struct doubt doubt;
	int ret = doubt_find(&check, &doubt, err);

	if (!ret)
		*ret_nr = doubt.nr_regions;
	return ret;
}

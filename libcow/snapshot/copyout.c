/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copyout.c - saves origin data into the stores that lack it. Stores that share
 * their blocks are a group, which gets one copy for all of its members; a store
 * that shares with nobody is a group of one. The origin is read once, from its
 * beginning to its end, for all groups. Order: data of all groups, records of
 * all groups, each durable, then the origin (I4).
 */
#include "libcow/snapshot/copyout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

#define BUFFER_BYTES_MAX (UINT64_C(1) << 30)

#define BUFFER_BYTES_DEFAULT (UINT64_C(64) << 20)
#define PUBLISH_BYTES_DEFAULT (UINT64_C(1) << 30)

bool cow_copyout_next_target(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
			     uint64_t *ret_len_bytes)
{
	struct cow_segment range;

	if (!cow_store_target_next((const struct cow_store *)user, from_bytes, &range))
		return false;
	*ret_offset_bytes = range.offset_bytes;
	*ret_len_bytes = range.len_bytes;
	return true;
}

/* ------------------------------------------------------------------- walk */

/* A walk over what the stores of a group still lack. */
struct walk {
	struct store_lacks lacks; /* first: the walk itself */
	struct cow_store *const *stores;
	size_t nr_stores;
	struct cow_store **members; /* room for all of them */
	const struct cow_image *origin;
	const struct copyout_ranges *ranges;
	uint64_t from_bytes; /* everything below has been seen */
};

/* What is known of the chunks from one place on. */
struct place {
	uint64_t start_bytes, end_bytes; /* the same members lack all of this */
	uint64_t saved_bytes;		 /* up to here those who have it have it */
	uint64_t view_bytes;		 /* of the longest view of a member */
	size_t nr_members;
};

/* Whole chunks; at the end of the range of numbers, all there is. */
static uint64_t chunk_end(uint64_t end_bytes, uint64_t chunk_bytes)
{
	uint64_t within = chunk_within(end_bytes, chunk_bytes), rounded;

	if (!within || add_overflows(end_bytes, chunk_bytes - within, &rounded))
		return within ? UINT64_MAX : end_bytes;
	return rounded;
}

/* Is store one of those that lack what lies at the place, and how far? */
static void place_add(struct walk *walk, struct place *place, struct cow_store *store)
{
	uint64_t view_bytes = cow_store_view_bytes(store, walk->origin);
	struct cow_extent saved;

	if (place->start_bytes >= view_bytes)
		return; /* it shows nothing there */
	if (cow_store_next_extent(store, place->start_bytes, &saved)) {
		if (saved.old_bytes <= place->start_bytes) {
			place->saved_bytes =
				min_u64(place->saved_bytes, place->start_bytes + saved.len_bytes);
			return;
		}
		place->end_bytes = min_u64(place->end_bytes, saved.old_bytes);
	}
	place->end_bytes = min_u64(place->end_bytes, chunk_end(view_bytes, store->chunk_bytes));
	place->view_bytes = max_u64(place->view_bytes, view_bytes);
	walk->members[place->nr_members++] = store;
}

/*
 * Finds the next stretch of whole chunks that ranges touch and that some of the
 * stores lack. The exceptions are walked as runs, so neither a large range nor a
 * large run costs more than one step.
 */
static bool walk_next(struct store_lacks *lacks, struct store_lack *ret_lack)
{
	struct walk *walk = (struct walk *)lacks;
	uint64_t chunk_bytes = walk->stores[0]->chunk_bytes, size = walk->origin->size_bytes;
	uint64_t offset, len, end;

	while (walk->from_bytes < size &&
	       walk->ranges->next(walk->ranges->user, walk->from_bytes, &offset, &len) &&
	       offset < size) {
		struct place place = { .saved_bytes = UINT64_MAX };

		place.start_bytes = max_u64(floor_to(offset, chunk_bytes), walk->from_bytes);
		end = len > size - offset ? size : offset + len;
		place.end_bytes = chunk_end(end, chunk_bytes);
		for (size_t i = 0; i < walk->nr_stores; i++)
			place_add(walk, &place, walk->stores[i]);
		walk->from_bytes =
			min_u64(place.saved_bytes, place.nr_members ? place.end_bytes : UINT64_MAX);
		if (!place.nr_members)
			continue;
		*ret_lack = (struct store_lack){
			.offset_bytes = place.start_bytes,
			.len_bytes =
				min_u64(walk->from_bytes, place.view_bytes) - place.start_bytes,
			.members = walk->members,
			.nr_members = place.nr_members,
		};
		return true;
	}
	return false;
}

uint64_t cow_copyout_count(struct cow_store *store, const struct cow_image *origin,
			   const struct copyout_ranges *ranges)
{
	struct cow_store *member;
	struct walk walk = { .lacks.next = walk_next,
			     .stores = &store,
			     .nr_stores = 1,
			     .members = &member,
			     .origin = origin,
			     .ranges = ranges };
	struct store_lack lack;
	uint64_t nr_chunks = 0;

	while (walk_next(&walk.lacks, &lack))
		nr_chunks += div_ceil(lack.len_bytes, store->chunk_bytes);
	return nr_chunks;
}

/* ----------------------------------------------------------------- groups */

struct group {
	struct walk walk;
	struct store_lack lack; /* what is left of the present stretch */
	bool is_through;	/* there is none */
	uint64_t unpublished_bytes;
};

struct saving {
	struct cow_image *origin;
	const struct copyout_params *params;
	struct copyout_stats *stats;
	struct cow_store **stores;  /* those of a group together */
	struct cow_store **members; /* room for as many */
	struct group *groups;
	size_t nr_groups;
	uint8_t *buffer;
	uint64_t buffer_bytes, publish_bytes;
	uint64_t done_bytes, total_bytes;
};

static bool is_shared(const struct cow_store *a, const struct cow_store *b)
{
	return a == b || (a->shared && a->shared == b->shared);
}

/* Puts the stores that share with stores[first] behind it; returns how many. */
static size_t group_gather(struct cow_store **stores, size_t first, size_t nr_stores)
{
	size_t end = first + 1;

	for (size_t i = end; i < nr_stores; i++) {
		struct cow_store *store = stores[i];

		if (!is_shared(stores[first], store))
			continue;
		stores[i] = stores[end];
		stores[end++] = store;
	}
	return end - first;
}

static int groups_make(struct saving *saving, struct cow_store *const *stores, size_t nr_stores,
		       const struct copyout_ranges *ranges, struct cow_err *err)
{
	size_t nr, room = nr_stores + 1;

	saving->stores = calloc(room, sizeof(struct cow_store *));
	saving->members = calloc(room, sizeof(struct cow_store *));
	saving->groups = calloc(room, sizeof(*saving->groups));
	if (!saving->stores || !saving->members || !saving->groups)
		return cow_fail(err, -ENOMEM, "no memory for %zu stores", nr_stores);
	for (size_t i = 0; i < nr_stores; i++)
		saving->stores[i] = stores[i];
	for (size_t i = 0; i < nr_stores; i += nr) {
		nr = group_gather(saving->stores, i, nr_stores);
		saving->groups[saving->nr_groups++].walk =
			(struct walk){ .lacks.next = walk_next,
				       .stores = saving->stores + i,
				       .nr_stores = nr,
				       .members = saving->members + i,
				       .origin = saving->origin,
				       .ranges = ranges };
	}
	return 0;
}

static void saving_free(struct saving *saving)
{
	free(saving->stores);
	free(saving->members);
	free(saving->groups);
	free(saving->buffer);
}

/* Room for all of them is there before anything is written. */
static int groups_reserve(struct saving *saving, struct cow_err *err)
{
	for (size_t i = 0; i < saving->nr_groups; i++) {
		struct walk *walk = &saving->groups[i].walk;
		struct store_lack lack;
		int ret;

		while (walk_next(&walk->lacks, &lack))
			saving->total_bytes += lack.len_bytes;
		walk->from_bytes = 0;
		ret = cow_store_reserve_group(walk->stores, walk->nr_stores, &walk->lacks, err);
		walk->from_bytes = 0;
		if (ret)
			return ret;
	}
	return 0;
}

static void group_advance(struct group *group, uint64_t len_bytes)
{
	group->lack.offset_bytes += len_bytes;
	group->lack.len_bytes -= len_bytes;
	if (!group->lack.len_bytes)
		group->is_through = !walk_next(&group->walk.lacks, &group->lack);
}

static int group_publish(struct group *group, struct cow_err *err)
{
	if (!group->unpublished_bytes)
		return 0;
	group->unpublished_bytes = 0;
	return cow_store_publish(group->walk.stores[0], err);
}

/* Gives a group what it lacks of a piece of the origin that is in the buffer. */
static int group_save(struct saving *saving, struct group *group, uint64_t offset,
		      uint64_t end_bytes, struct cow_err *err)
{
	uint64_t chunk_bytes = group->walk.stores[0]->chunk_bytes;

	while (!group->is_through && group->lack.offset_bytes < end_bytes) {
		const struct store_lack *lack = &group->lack;
		uint64_t at = lack->offset_bytes;
		uint64_t len = min_u64(lack->len_bytes, end_bytes - at);
		int ret;

		ret = cow_store_append_group(lack->members, lack->nr_members, at,
					     saving->buffer + (at - offset), (size_t)len, err);
		if (ret)
			return ret;
		saving->done_bytes += len;
		saving->stats->bytes += len;
		/* each chunk once, where it ends */
		saving->stats->nr_chunks +=
			len == lack->len_bytes
				? chunk_of(at + len - 1, chunk_bytes) + 1 -
					  chunk_of(at, chunk_bytes)
				: chunk_of(at + len, chunk_bytes) - chunk_of(at, chunk_bytes);
		group->unpublished_bytes += len;
		group_advance(group, len);
		if (group->unpublished_bytes < saving->publish_bytes ||
		    (chunk_within(at + len, chunk_bytes) && !group->is_through))
			continue;
		ret = group_publish(group, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Is what a lacks to be read before what b lacks? Of two that begin in one place the
 * longer, so that the other is part of it. */
static bool is_before(const struct store_lack *a, const struct store_lack *b)
{
	return a->offset_bytes < b->offset_bytes ||
	       (a->offset_bytes == b->offset_bytes && a->len_bytes > b->len_bytes);
}

/* The group that is to be given the lowest bytes; NULL: all are through. */
static struct group *groups_lead(const struct saving *saving)
{
	struct group *lead = NULL;

	for (size_t i = 0; i < saving->nr_groups; i++) {
		struct group *group = &saving->groups[i];

		if (!group->is_through && (!lead || is_before(&group->lack, &lead->lack)))
			lead = group;
	}
	return lead;
}

/* A view may be longer than its origin: behind the end it has zeros. */
static int origin_read(const struct saving *saving, uint64_t offset, uint64_t len,
		       struct cow_err *err)
{
	uint64_t size = saving->origin->size_bytes, there = 0;

	if (offset < size)
		there = min_u64(len, size - offset);
	memset(saving->buffer + there, 0, len - there);
	return there ? cow_image_pread(saving->origin, saving->buffer, there, offset, err) : 0;
}

static int saving_progress(const struct saving *saving, struct cow_err *err)
{
	return cow_callbacks_progress(saving->params->callbacks, "preserve", saving->done_bytes,
				      saving->total_bytes, err);
}

/* Reads the next piece of the origin and saves it in each group that lacks it. */
static int piece_save(struct saving *saving, const struct group *lead, struct cow_err *err)
{
	uint64_t chunk_bytes = lead->walk.stores[0]->chunk_bytes, offset = lead->lack.offset_bytes;
	uint64_t most = saving->buffer_bytes, len;
	int ret;

	/* A piece ends within a chunk only if the chunk is larger than the buffer. */
	if (most >= chunk_bytes)
		most = floor_to(most, chunk_bytes) - chunk_within(offset, chunk_bytes);
	len = min_u64(lead->lack.len_bytes, most);
	ret = origin_read(saving, offset, len, err);
	for (size_t i = 0; !ret && i < saving->nr_groups; i++)
		ret = group_save(saving, &saving->groups[i], offset, offset + len, err);
	return ret ? ret : saving_progress(saving, err);
}

static int groups_save(struct saving *saving, struct cow_err *err)
{
	struct group *lead;
	int ret = 0;

	for (size_t i = 0; i < saving->nr_groups; i++)
		group_advance(&saving->groups[i], 0);
	while (!ret && (lead = groups_lead(saving)))
		ret = piece_save(saving, lead, err);
	for (size_t i = 0; !ret && i < saving->nr_groups; i++) {
		ret = group_publish(&saving->groups[i], err);
		if (!ret)
			ret = saving_progress(saving, err);
	}
	return ret;
}

static int saving_run(struct saving *saving, struct cow_err *err)
{
	int ret = groups_reserve(saving, err);

	if (ret || !saving->total_bytes)
		return ret;
	saving->buffer =
		aligned_alloc(COW_BUFFER_ALIGN, ceil_to(saving->buffer_bytes, COW_BUFFER_ALIGN));
	if (!saving->buffer)
		return cow_fail(err, -ENOMEM, "no memory for a buffer of %" PRIu64 " bytes",
				saving->buffer_bytes);
	return groups_save(saving, err);
}

int cow_copyout_reserve(struct cow_image *origin, struct cow_store *const *stores, size_t nr_stores,
			const struct copyout_ranges *ranges, struct cow_err *err)
{
	struct saving saving = { .origin = origin };
	int ret = groups_make(&saving, stores, nr_stores, ranges, err);

	if (!ret)
		ret = groups_reserve(&saving, err);
	saving_free(&saving);
	return ret;
}

int cow_copyout_preserve(struct cow_image *origin, struct cow_store *const *stores,
			 size_t nr_stores, const struct copyout_ranges *ranges,
			 const struct copyout_params *params, struct copyout_stats *stats,
			 struct cow_err *err)
{
	struct saving saving = { .origin = origin, .params = params, .stats = stats };
	int ret;

	/* A larger one moves no faster, and need not fit in a size_t. */
	saving.buffer_bytes = params->buffer_bytes < COW_SECTOR_BYTES
				      ? BUFFER_BYTES_DEFAULT
				      : min_u64(floor_to(params->buffer_bytes, COW_SECTOR_BYTES),
						BUFFER_BYTES_MAX);
	saving.publish_bytes =
		params->publish_bytes ? params->publish_bytes : PUBLISH_BYTES_DEFAULT;
	ret = groups_make(&saving, stores, nr_stores, ranges, err);
	if (!ret)
		ret = saving_run(&saving, err);
	saving_free(&saving);
	return ret;
}

/* ------------------------------------------------------------------ write */

struct one_range {
	uint64_t offset_bytes, len_bytes;
};

static bool one_range_next(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
			   uint64_t *ret_len_bytes)
{
	const struct one_range *range = user;
	uint64_t end = range->offset_bytes + range->len_bytes;

	if (from_bytes >= end)
		return false;
	*ret_offset_bytes = max_u64(from_bytes, range->offset_bytes);
	*ret_len_bytes = end - *ret_offset_bytes;
	return true;
}

int cow_copyout_write(struct cow_image *origin, struct cow_store *const *stores, size_t nr_stores,
		      const void *buf, size_t len_bytes, uint64_t offset_bytes, struct cow_err *err)
{
	struct one_range range = { offset_bytes, len_bytes };
	const struct copyout_ranges ranges = { one_range_next, &range };
	const struct copyout_params params = { .buffer_bytes = COW_PIECE_BYTES };
	struct copyout_stats stats = { 0 };
	int ret;

	if (!range_fits(offset_bytes, len_bytes, cow_image_size(origin)))
		return cow_fail(err, -ERANGE,
				"%zu bytes at offset %" PRIu64 " lie outside the origin of %" PRIu64
				" bytes",
				len_bytes, offset_bytes, cow_image_size(origin));
	ret = cow_copyout_preserve(origin, stores, nr_stores, &ranges, &params, &stats, err);
	if (ret)
		return ret;
	return cow_image_pwrite(origin, buf, len_bytes, offset_bytes, err);
}

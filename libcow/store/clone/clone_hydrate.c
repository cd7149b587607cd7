/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_hydrate.c - finishes a clone: regions that are not hydrated go from the
 * source to the destination, in ascending order, then their bits are set. The
 * source is never written to.
 *
 *	1 the engine writes a stretch of regions to the destination and flushes it
 *	2 the array blocks with their bits, and all that lead to them, are written
 *	  to free blocks; flush
 *	3 the superblock, one write; flush
 *
 * A hole of the source becomes zeros on the destination, unless the destination
 * itself says that it has a hole there.
 *
 * So a bit is set only where the data is durable (I15), and at each instant the
 * superblock names one whole tree (I2, I14): the kernel can take over at any of
 * them, and the reverse. A crash before 3 leaves the regions as they were; they
 * are copied again.
 *
 * A commit takes one block for each array block, one for each node above it,
 * and the space map's. What does not fit is committed in parts. Before anything
 * is moved everything is walked, and the smallest commit must fit (I7).
 *
 * Source: drivers/md/dm-clone-metadata.c, __metadata_commit(),
 * dm-clone-target.c, commit_metadata(), Linux 6.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/clone/clone_store.h"

/* Of the clone that one call goes through, where the source has holes. */
#define HOLES_BYTES (UINT64_C(1) << 40)
#define REGIONS_PER_ARRAY (PDATA_WORDS_PER_BLOCK * 64)

static uint64_t region_bytes(const struct clone_store *c, uint64_t first, uint64_t nr)
{
	uint64_t begin = first * c->store.chunk_bytes;

	return min_u64((first + nr) * c->store.chunk_bytes, c->store.view_bytes) - begin;
}

/* ---------------------------------------------------------------- before the first write */

/* A block that leaked is no reason to refuse. */
static int count_refuse(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
			struct cow_err *err)
{
	struct clone_store *c = (struct clone_store *)user;

	(void)nr;
	if (!counted)
		return 0;
	return cow_refuse(err, -EBADMSG, "damaged", NULL,
			  "the space map of %s counts block %" PRIu64 " %" PRIu32
			  " times, it is used %" PRIu32 " times: nothing was written",
			  c->store.metadata->name, first, found, counted);
}

/* Walks through everything that is in use. */
static int all_walk(struct clone_store *c, struct pdata_counts *counts, struct cow_err *err)
{
	const struct pdata_array array = clone_array(c->blocks, &c->super);
	const struct pdata_array_walk walk = { .counts = counts };
	const struct pdata_map_params params = {
		.blocks = c->blocks,
		.root = c->super.map,
		.nr_blocks_max = cow_pdata_blocks_nr(c->blocks),
		.counts = counts,
		.user = c,
	};
	AUTO_HANDLE(pdata_map) struct pdata_map *map = NULL;
	uint64_t nr_used;
	int ret = cow_pdata_counts_add(counts, 0, 1, err);

	if (!ret)
		ret = cow_pdata_array_walk(&array, &walk, err);
	if (!ret)
		ret = cow_pdata_map_load(&params, &map, err);
	return ret ? ret : cow_pdata_map_compare(map, counts, count_refuse, &nr_used, err);
}

/* One array block, the nodes above it, the space map. */
static uint64_t blocks_needed(const struct clone_store *c)
{
	return 2 + c->height + cow_pdata_transaction_map_blocks(c->txn);
}

static int room_check(const struct clone_store *c, struct cow_err *err)
{
	uint64_t nr_free = cow_pdata_transaction_nr_free(c->txn);

	if (nr_free >= blocks_needed(c))
		return 0;
	return cow_refuse(err, -ENOSPC, "metadata-space", NULL,
			  "%s has %" PRIu64 " free blocks, a commit takes %" PRIu64
			  ": nothing was written",
			  c->store.metadata->name, nr_free, blocks_needed(c));
}

static int write_begin(struct clone_store *c, struct cow_err *err)
{
	const struct pdata_tree tree = { c->blocks, c->super.bitset_root, 8 };
	AUTO_HANDLE(pdata_counts) struct pdata_counts *counts = NULL;
	int ret;

	if (c->txn)
		return 0;
	ret = cow_pdata_counts_new(cow_pdata_blocks_nr(c->blocks), &counts, err);
	if (!ret)
		ret = all_walk(c, counts, err);
	if (!ret)
		ret = cow_pdata_tree_height(&tree, &c->height, NULL, err);
	if (!ret)
		ret = cow_pdata_transaction_new(c->blocks, &c->super.map, take_ptr(counts), &c->txn,
						err);
	return ret ? ret : room_check(c, err);
}

int cow_clone_ready(struct cow_store *store, struct cow_err *err)
{
	struct clone_store *c = clone_store_of(store);

	return c->nr_hydrated == c->bits.nr_bits ? 0 : write_begin(c, err);
}

/* ---------------------------------------------------------------- holes */

/* Zeros on the destination, but for what it says is zeros already. */
static int zeroes_write(const struct clone_store *c, uint64_t begin, uint64_t end,
			struct cow_err *err)
{
	struct cow_image *to = c->store.target;
	uint64_t data, len, from;
	int ret = 0;

	for (uint64_t at = begin; !ret && at < end; at = min_u64(data + len, end)) {
		ret = cow_image_next_data(to, at, &data, &len, err);
		if (ret || !len || data >= end)
			break;
		from = max_u64(data, at);
		ret = cow_image_write_zeroes(to, from, min_u64(data + len, end) - from, err);
	}
	return ret;
}

/* How many whole regions from here on are a hole of the source. */
static int hole_find(const struct clone_store *c, uint64_t first, uint64_t nr, uint64_t *ret_nr,
		     struct cow_err *err)
{
	uint64_t begin = first * c->store.chunk_bytes, data, len;
	uint64_t end = begin + region_bytes(c, first, nr);
	int ret = cow_image_next_data(c->store.origin, begin, &data, &len, err);

	if (!ret && (!len || data >= end))
		*ret_nr = nr;
	else if (!ret)
		*ret_nr = (data - begin) / c->store.chunk_bytes;
	return ret;
}

/* ---------------------------------------------------------------- moves */

/* A block device gets the zeros of a hole. A file gets a hole, so nothing is moved. */
static bool moves_holes(const struct clone_store *c)
{
	return c->store.target && c->store.target->is_block_device;
}

/* Of a range of the source, as regions_add() divides it. Where the source cannot tell, all of
 * the rest. */
static uint64_t data_bytes(const struct clone_store *c, uint64_t at, uint64_t end)
{
	uint64_t data, len, bytes = 0;

	for (; at < end; at = min_u64(data + len, end)) {
		if (cow_image_next_data(c->store.origin, at, &data, &len, NULL))
			return bytes + end - at;
		if (!len || data >= end)
			return bytes;
		bytes += min_u64(data + len, end) - max_u64(data, at);
	}
	return bytes;
}

void cow_clone_moves_left(const struct cow_store *store, struct store_left *ret_left)
{
	const struct clone_store *c = (const struct clone_store *)store;
	uint64_t first, nr;

	*ret_left = (struct store_left){ .nr_chunks = c->bits.nr_bits - c->nr_hydrated };
	for (uint64_t from = 0; cow_clone_bits_next(&c->bits, false, from, &first, &nr);
	     from = first + nr) {
		uint64_t at = first * c->store.chunk_bytes, len = region_bytes(c, first, nr);

		ret_left->bytes += moves_holes(c) ? len : data_bytes(c, at, at + len);
	}
}

static int move_add(const struct clone_store *c, uint64_t begin, uint64_t end,
		    struct store_moves *moves, struct cow_err *err)
{
	const struct store_move move = {
		.from = c->store.origin,
		.to = c->store.target,
		.from_bytes = begin,
		.to_bytes = begin,
		.len_bytes = end - begin,
	};

	return cow_store_moves_add(moves, &move, err);
}

/* Data of the source become moves; its holes are written at once. Both are durable
 * before a bit is set: the engine flushes the destination first. */
static int regions_add(const struct clone_store *c, uint64_t first, uint64_t nr,
		       struct store_moves *moves, struct cow_err *err)
{
	uint64_t at = first * c->store.chunk_bytes, end = at + region_bytes(c, first, nr);
	uint64_t data, len, stop;
	int ret = 0;

	for (; !ret && at < end; at = stop) {
		ret = cow_image_next_data(c->store.origin, at, &data, &len, err);
		if (ret)
			break;
		data = len ? min_u64(max_u64(data, at), end) : end;
		stop = len ? min_u64(data + len, end) : end;
		if (data > at)
			ret = zeroes_write(c, at, data, err);
		if (moves_holes(c))
			moves->settled_bytes += data - at;
		if (!ret && stop > data)
			ret = move_add(c, data, stop, moves, err);
	}
	return ret;
}

int cow_clone_next_moves(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			 struct cow_err *err)
{
	struct clone_store *c = clone_store_of(store);
	uint64_t budget = max_u64(budget_bytes / store->chunk_bytes, 1);
	uint64_t hole_budget = max_u64(HOLES_BYTES / store->chunk_bytes, 1);
	uint64_t first, nr, nr_hole = 0;
	int ret = write_begin(c, err);

	while (!ret && budget && hole_budget &&
	       cow_clone_bits_next(&c->bits, false, c->next_region, &first, &nr)) {
		nr = min_u64(nr, hole_budget);
		ret = hole_find(c, first, nr, &nr_hole, err);
		nr = nr_hole ? nr_hole : min_u64(nr, budget);
		if (!ret)
			ret = regions_add(c, first, nr, moves, err);
		if (ret)
			break;
		moves->nr_chunks += nr;
		hole_budget -= nr;
		budget -= nr_hole ? 0 : nr;
		c->next_region = first + nr;
	}
	moves->token = c->next_region;
	moves->is_last = !cow_clone_bits_next(&c->bits, false, c->next_region, &first, &nr);
	return ret;
}

void cow_clone_rewind(struct cow_store *store)
{
	struct clone_store *c = clone_store_of(store);

	c->next_region = c->settled_region;
}

/* ---------------------------------------------------------------- settling */

static void super_fill(void *user, const struct pdata_map_root *map, uint8_t *sector)
{
	struct clone_store *c = (struct clone_store *)user;
	uint8_t raw[PDATA_BLOCK_BYTES];

	c->super.map = *map;
	cow_clone_super_encode(&c->super, raw);
	memcpy(sector, raw, COW_SECTOR_BYTES);
}

static int commit(struct clone_store *c, struct cow_err *err)
{
	int ret = cow_pdata_transaction_commit(c->txn, &cow_clone_super_type, super_fill, c, err);

	return ret ? ret : cow_clone_super_read(c->store.metadata, c->raw, err);
}

/* Puts the bits of one array block into a new place. */
static int array_write(struct clone_store *c, uint64_t index, struct cow_err *err)
{
	const struct pdata_tree tree = { c->blocks, c->super.bitset_root, 8 };
	uint64_t words = pdata_bitset_words(c->bits.nr_bits);
	uint64_t first = index * PDATA_WORDS_PER_BLOCK;
	uint64_t nr = min_u64(PDATA_WORDS_PER_BLOCK, words - first), block = 0;
	uint8_t value[8], *raw;
	bool found = false;
	int ret = cow_pdata_tree_lookup(&tree, index, value, &found, err);

	if (!ret && !found)
		ret = cow_refuse(err, -EBADMSG, "damaged", NULL,
				 "the bitset of %s has no array block %" PRIu64,
				 c->store.metadata->name, index);
	if (!ret)
		ret = cow_pdata_block_shadow(c->txn, &cow_pdata_array_type, get_le64(value), &block,
					     &raw, err);
	if (ret)
		return ret;
	for (uint64_t i = 0; i < nr; i++) {
		uint8_t *word = raw + PDATA_ARRAY_HEADER_BYTES + 8 * i;

		put_le64(word, get_le64(word) | c->bits.words[first + i]);
	}
	put_le64(value, block);
	return cow_pdata_tree_set(c->txn, &c->super.bitset_root, 8, index, value, err);
}

/* How many regions of a range have no bit yet. */
static uint64_t nr_new(const struct clone_store *c, uint64_t from, uint64_t end)
{
	uint64_t first, nr, sum = 0;

	while (from < end && cow_clone_bits_next(&c->bits, false, from, &first, &nr) &&
	       first < end) {
		sum += min_u64(first + nr, end) - first;
		from = first + nr;
	}
	return sum;
}

int cow_clone_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	struct clone_store *c = clone_store_of(store);
	bool is_dirty = false;
	int ret = 0;

	for (uint64_t from = c->settled_region, end; !ret && from < token; from = end) {
		uint64_t array = from / REGIONS_PER_ARRAY, nr;

		end = min_u64((array + 1) * REGIONS_PER_ARRAY, token);
		nr = nr_new(c, from, end);
		if (!nr)
			continue;
		if (is_dirty && cow_pdata_transaction_nr_free(c->txn) < blocks_needed(c))
			ret = commit(c, err);
		if (!ret)
			ret = room_check(c, err);
		if (ret)
			break;
		cow_clone_bits_set(&c->bits, from, end - from);
		c->nr_hydrated += nr;
		ret = array_write(c, array, err);
		is_dirty = true;
	}
	if (!ret && is_dirty)
		ret = commit(c, err);
	if (!ret)
		c->settled_region = token;
	return ret;
}

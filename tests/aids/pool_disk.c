/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pool_disk.c - the state of a pool in memory, and how a commit writes it.
 *
 * first sector of a slot	offset size
 *				     0    8	"testpool"
 *				     8    8	generation
 *				    16    8	bytes of what is behind it
 *				    24    8	chunk bytes
 *				    32   16	digest of what is behind it
 *				    48   16	digest of these 48 bytes
 * behind it: next id, number of snapshots; for each id, view_bytes, number of
 * entries, entries (old chunk, block). All numbers have 64 bits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "tests/aids/pool_priv.h"

static const char magic[] = "testpool";

uint64_t pool_bytes(uint64_t chunk_bytes, uint64_t nr_blocks)
{
	return (div_ceil(2 * POOL_SLOT_BYTES, chunk_bytes) + nr_blocks) * chunk_bytes;
}

/* ------------------------------------------------------------------ state */

struct pool_snapshot *pool_find(struct pool *pool, uint64_t id)
{
	for (size_t i = 0; i < pool->nr_snapshots; i++)
		if (pool->snapshots[i].id == id)
			return &pool->snapshots[i];
	return NULL;
}

size_t pool_index(const struct pool_snapshot *snapshot, uint64_t old_chunk)
{
	size_t low = 0, high = snapshot->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (snapshot->entries[middle].old_chunk < old_chunk)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int pool_insert(struct pool_snapshot *snapshot, const struct pool_entry *entry, struct cow_err *err)
{
	size_t at = pool_index(snapshot, entry->old_chunk);
	struct pool_entry *entries;

	if (at < snapshot->nr && snapshot->entries[at].old_chunk == entry->old_chunk)
		return cow_fail(err, -EEXIST, "the chunk is there already");
	entries = cow_array_grow(snapshot->entries, snapshot->nr, &snapshot->capacity,
				 sizeof(*entries));
	if (!entries)
		return cow_fail(err, -ENOMEM, "no memory for exceptions");
	snapshot->entries = entries;
	memmove(entries + at + 1, entries + at, (snapshot->nr - at) * sizeof(*entries));
	entries[at] = *entry;
	snapshot->nr++;
	return 0;
}

static uint64_t first_block(const struct pool *pool)
{
	return div_ceil(2 * POOL_SLOT_BYTES, pool->chunk_bytes);
}

int pool_alloc(struct pool *pool, uint64_t *ret_block, struct cow_err *err)
{
	for (uint64_t block = first_block(pool); block < pool->nr_blocks; block++)
		if (!pool->counts[block]) {
			*ret_block = block;
			return 0;
		}
	return cow_fail(err, -ENOSPC, "the pool is full");
}

uint64_t pool_nr_free(const struct pool *pool)
{
	uint64_t nr = 0;

	for (uint64_t block = first_block(pool); block < pool->nr_blocks; block++)
		nr += !pool->counts[block];
	return nr;
}

static uint64_t content_bytes(const struct pool *pool)
{
	uint64_t bytes = 16;

	for (size_t i = 0; i < pool->nr_snapshots; i++)
		bytes += 24 + pool->snapshots[i].nr * 16;
	return bytes;
}

uint64_t pool_room(const struct pool *pool)
{
	uint64_t used = content_bytes(pool), all = POOL_SLOT_BYTES - COW_SECTOR_BYTES;

	return used < all ? (all - used) / 16 : 0;
}

void pool_free(struct pool *pool)
{
	for (size_t i = 0; pool && i < pool->nr_snapshots; i++)
		free(pool->snapshots[i].entries);
	if (pool) {
		free(pool->snapshots);
		free(pool->counts);
	}
	free(pool);
}

/* ----------------------------------------------------------------- commit */

static uint8_t *put(uint8_t *to, uint64_t value)
{
	put_le64(to, value);
	return to + 8;
}

static void content_encode(const struct pool *pool, uint8_t *to)
{
	to = put(put(to, pool->next_id), pool->nr_snapshots);
	for (size_t i = 0; i < pool->nr_snapshots; i++) {
		const struct pool_snapshot *snapshot = &pool->snapshots[i];

		to = put(put(put(to, snapshot->id), snapshot->view_bytes), snapshot->nr);
		for (size_t k = 0; k < snapshot->nr; k++)
			to = put(put(to, snapshot->entries[k].old_chunk),
				 snapshot->entries[k].block);
	}
}

static int commit_write(struct pool *pool, uint8_t *content, uint64_t len, struct cow_err *err)
{
	uint64_t at = (pool->generation + 1) % 2 * POOL_SLOT_BYTES;
	uint8_t head[COW_SECTOR_BYTES] = { 0 };
	int ret;

	memcpy(head, magic, 8);
	put(put(put(head + 8, pool->generation + 1), len), pool->chunk_bytes);
	cow_digest_of(content, len, head + 32);
	cow_digest_of(head, 48, head + 48);
	ret = cow_image_pwrite(pool->image, content, ceil_to(len, COW_SECTOR_BYTES),
			       at + COW_SECTOR_BYTES, err);
	if (!ret)
		ret = cow_image_flush(pool->image, err);
	if (!ret)
		ret = cow_image_pwrite(pool->image, head, sizeof(head), at, err);
	return ret ? ret : cow_image_flush(pool->image, err);
}

int pool_commit(struct pool *pool, struct cow_err *err)
{
	uint64_t len = content_bytes(pool);
	uint8_t *content;
	int ret;

	if (pool->has_failed)
		return cow_fail(err, -EIO, "a transaction has failed: open the pool anew");
	if (len > POOL_SLOT_BYTES - COW_SECTOR_BYTES)
		return cow_fail(err, -ENOSPC, "the maps have become too large");
	content = calloc(1, POOL_SLOT_BYTES);
	if (!content)
		return cow_fail(err, -ENOMEM, "no memory for the maps");
	content_encode(pool, content);
	ret = commit_write(pool, content, len, err);
	free(content);
	pool->has_failed = ret;
	if (ret)
		return ret;
	pool->generation++;
	return 0;
}

int pool_create(struct cow_image *image, uint64_t chunk_bytes, struct cow_err *err)
{
	uint64_t nr_blocks = image->size_bytes / chunk_bytes;
	uint32_t *counts = calloc(nr_blocks + 1, sizeof(*counts));
	struct pool pool = { .image = image,
			     .chunk_bytes = chunk_bytes,
			     .nr_blocks = nr_blocks,
			     .next_id = 1,
			     .counts = counts };
	int ret = counts ? pool_commit(&pool, err) : -ENOMEM;

	free(counts);
	return ret;
}

/* ------------------------------------------------------------------- load */

struct slot {
	uint64_t generation, len, chunk_bytes;
	uint8_t *content;
};

/* generation 0: it is not whole. */
static int slot_read(struct cow_image *image, unsigned int number, struct slot *ret_slot,
		     struct cow_err *err)
{
	uint8_t head[COW_SECTOR_BYTES], digest[COW_DIGEST_BYTES];
	uint64_t at = number * POOL_SLOT_BYTES;
	int ret = cow_image_pread(image, head, sizeof(head), at, err);

	if (ret)
		return ret;
	cow_digest_of(head, 48, digest);
	if (memcmp(head, magic, 8) || memcmp(digest, head + 48, sizeof(digest)))
		return 0;
	ret_slot->len = get_le64(head + 16);
	ret_slot->chunk_bytes = get_le64(head + 24);
	ret_slot->content = calloc(1, POOL_SLOT_BYTES);
	if (!ret_slot->content)
		return cow_fail(err, -ENOMEM, "no memory for the maps");
	ret = cow_image_pread(image, ret_slot->content, POOL_SLOT_BYTES - sizeof(head),
			      at + sizeof(head), err);
	if (ret)
		return ret;
	cow_digest_of(ret_slot->content, ret_slot->len, digest);
	if (!memcmp(digest, head + 32, sizeof(digest)))
		ret_slot->generation = get_le64(head + 8);
	return 0;
}

static uint64_t take(const uint8_t **from)
{
	uint64_t value = get_le64(*from);

	*from += 8;
	return value;
}

static int content_decode(struct pool *pool, const uint8_t *from, struct cow_err *err)
{
	int ret = 0;

	pool->next_id = take(&from);
	pool->nr_snapshots = pool->capacity = take(&from);
	pool->snapshots = calloc(pool->nr_snapshots + 1, sizeof(*pool->snapshots));
	pool->counts = calloc(pool->nr_blocks + 1, sizeof(*pool->counts));
	if (!pool->snapshots || !pool->counts)
		return cow_fail(err, -ENOMEM, "no memory for a pool");
	for (size_t i = 0; i < pool->nr_snapshots && !ret; i++) {
		struct pool_snapshot *snapshot = &pool->snapshots[i];
		uint64_t nr;

		snapshot->id = take(&from);
		snapshot->view_bytes = take(&from);
		nr = take(&from);
		for (uint64_t k = 0; k < nr && !ret; k++) {
			struct pool_entry entry = { .old_chunk = take(&from) };

			entry.block = take(&from);
			pool->counts[entry.block]++;
			ret = pool_insert(snapshot, &entry, err);
		}
	}
	return ret;
}

static int slots_choose(struct cow_image *image, struct slot slots[2], struct pool **ret_pool,
			struct cow_err *err)
{
	const struct slot *slot = &slots[slots[1].generation > slots[0].generation];
	struct pool *pool = calloc(1, sizeof(*pool));
	int ret;

	if (!pool || !slot->generation) {
		free(pool);
		return cow_fail(err, pool ? -EMEDIUMTYPE : -ENOMEM, "%s holds no pool",
				image->name);
	}
	pool->image = image;
	pool->chunk_bytes = slot->chunk_bytes;
	pool->nr_blocks = image->size_bytes / slot->chunk_bytes;
	pool->generation = slot->generation;
	ret = content_decode(pool, slot->content, err);
	if (ret)
		pool_free(pool);
	else
		*ret_pool = pool;
	return ret;
}

int pool_load(struct cow_image *image, struct pool **ret_pool, struct cow_err *err)
{
	struct slot slots[2] = { 0 };
	int ret = slot_read(image, 0, &slots[0], err);

	if (!ret)
		ret = slot_read(image, 1, &slots[1], err);
	if (!ret)
		ret = slots_choose(image, slots, ret_pool, err);
	free(slots[0].content);
	free(slots[1].content);
	return ret;
}

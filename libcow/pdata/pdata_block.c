/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_block.c - reads metadata blocks: one by one through a cache with a
 * bound, or many in long runs. A block counts only if its number and its
 * checksum are right.
 *
 * The cache has sets of four slots; the slot of a set that was not used for the
 * longest time makes room. A slot remembers as which type its block was
 * checked: as another one it is checked again.
 */
#include "libcow/pdata/pdata_block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/pdata/pdata_crc.h"
#include "libcow/pdata/pdata_pending.h"

#undef cow_pdata_fail

#define CACHE_BYTES_USUAL (UINT64_C(16) << 20)
#define SLOTS_PER_SET 4

const struct pdata_type cow_pdata_node_type = { "btree node", 121107, 8 };
const struct pdata_type cow_pdata_array_type = { "array block", 595846735, 16 };
const struct pdata_type cow_pdata_index_type = { "space map index", 160478, 8 };
const struct pdata_type cow_pdata_bitmap_type = { "space map bitmap", 240779, 8 };

struct slot {
	const struct pdata_type *type; /* NULL: unused */
	uint64_t block;
	uint64_t used_at;
};

struct pdata_blocks {
	struct cow_image *image;
	uint64_t nr_blocks;
	uint64_t clock;
	size_t nr_sets; /* a power of two */
	struct slot *slots;
	uint8_t *memory;	 /* a block for each slot; pages that are not used cost nothing */
	uint8_t *run;		 /* COW_PIECE_BYTES, for cow_pdata_blocks_each() */
	struct pending *pending; /* ascending */
	size_t nr_pending, pending_capacity;
};

struct pending {
	uint64_t block;
	const struct pdata_type *type;
	uint8_t *raw;
};

int cow_pdata_blocks_new(struct cow_image *image, size_t cache_bytes,
			 struct pdata_blocks **ret_blocks, struct cow_err *err)
{
	AUTO_HANDLE(pdata_blocks) struct pdata_blocks *blocks = NULL;
	size_t nr_slots;
	int ret;

	if (image->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -ERANGE, "%s is shorter than one metadata block of 4096 bytes",
				image->name);
	if (image->is_writable) {
		ret = cow_image_drop_cache(image, 0, image->size_bytes, err);
		if (ret)
			return ret;
	}
	blocks = calloc(1, sizeof(*blocks));
	if (!blocks)
		return cow_fail(err, -ENOMEM, "no memory for metadata blocks");
	nr_slots = (cache_bytes ? cache_bytes : CACHE_BYTES_USUAL) / PDATA_BLOCK_BYTES;
	/* no more than twice what there is to be cached */
	nr_slots = (size_t)min_u64(nr_slots, image->size_bytes / PDATA_BLOCK_BYTES * 2);
	blocks->nr_sets = 1;
	while (blocks->nr_sets * 2 * SLOTS_PER_SET <= nr_slots)
		blocks->nr_sets *= 2;
	blocks->slots = calloc(blocks->nr_sets, SLOTS_PER_SET * sizeof(*blocks->slots));
	/* what a slot holds is read after it was filled */
	blocks->memory = reallocarray(NULL, blocks->nr_sets, SLOTS_PER_SET * PDATA_BLOCK_BYTES);
	if (!blocks->slots || !blocks->memory)
		return cow_fail(err, -ENOMEM, "no memory for metadata blocks");
	blocks->image = image;
	blocks->nr_blocks = min_u64(image->size_bytes / PDATA_BLOCK_BYTES, PDATA_BLOCKS_MAX);
	*ret_blocks = take_ptr(blocks);
	return 0;
}

void cow_pdata_blocks_free(struct pdata_blocks *blocks)
{
	if (!blocks)
		return;
	cow_pdata_pending_clear(blocks);
	free(blocks->pending);
	free(blocks->slots);
	free(blocks->memory);
	free(blocks->run);
	free(blocks);
}

struct cow_image *cow_pdata_blocks_image(const struct pdata_blocks *blocks)
{
	return blocks->image;
}

uint64_t cow_pdata_blocks_nr(const struct pdata_blocks *blocks)
{
	return blocks->nr_blocks;
}

void cow_pdata_blocks_forget(struct pdata_blocks *blocks)
{
	for (size_t i = 0; i < blocks->nr_sets * SLOTS_PER_SET; i++)
		blocks->slots[i].type = NULL;
}

/* ---------------------------------------------------------------- one block */

static uint32_t checksum(const struct pdata_type *type, const uint8_t *raw)
{
	return cow_pdata_crc32c(UINT32_MAX, raw + 4, PDATA_BLOCK_BYTES - 4) ^ type->xor ;
}

void cow_pdata_block_check(const struct pdata_type *type, uint64_t block, const uint8_t *raw,
			   struct pdata_fault *ret_fault)
{
	uint32_t found = get_le32(raw), allowed = checksum(type, raw);
	uint64_t number = get_le64(raw + type->number_offset);

	*ret_fault = (struct pdata_fault){ .what = PDATA_SOUND, .block = block };
	if (found != allowed) {
		ret_fault->what = PDATA_BLOCK_CHECKSUM;
		ret_fault->found = found;
		ret_fault->allowed = allowed;
	} else if (number != block) {
		ret_fault->what = PDATA_BLOCK_NUMBER;
		ret_fault->found = number;
		ret_fault->allowed = block;
	}
}

void cow_pdata_block_seal(const struct pdata_type *type, uint64_t block, uint8_t *raw)
{
	put_le64(raw + type->number_offset, block);
	put_le32(raw, checksum(type, raw));
}

int cow_pdata_block_put(struct cow_image *image, const struct pdata_type *type, uint64_t block,
			uint8_t raw[PDATA_BLOCK_BYTES], struct cow_err *err)
{
	cow_pdata_block_seal(type, block, raw);
	return cow_image_pwrite(image, raw, PDATA_BLOCK_BYTES, block * PDATA_BLOCK_BYTES, err);
}

int cow_pdata_fail(const struct pdata_blocks *blocks, const struct pdata_fault *fault,
		   const char *type_name, struct cow_err *err)
{
	char text[PDATA_FAULT_TEXT_BYTES];
	int ret;

	cow_pdata_fault_text(fault, type_name, text);
	if (fault->what == PDATA_BLOCK_UNREADABLE)
		ret = cow_fail(err, -EIO, "%s", text);
	else
		ret = cow_refuse(err, -EBADMSG, "damaged", NULL, "%s", text);
	cow_err_place(err, blocks->image->name,
		      fault->block < blocks->nr_blocks ? fault->block * PDATA_BLOCK_BYTES
						       : COW_OFFSET_NONE);
	return ret;
}

static struct slot *slot_find(struct pdata_blocks *blocks, const struct pdata_type *type,
			      uint64_t block, bool *ret_is_hit)
{
	struct slot *set = &blocks->slots[(block & (blocks->nr_sets - 1)) * SLOTS_PER_SET];
	struct slot *oldest = set;

	*ret_is_hit = true;
	for (size_t i = 0; i < SLOTS_PER_SET; i++) {
		if (set[i].type == type && set[i].block == block)
			return &set[i];
		if (!set[i].type || set[i].used_at < oldest->used_at)
			oldest = &set[i];
		if (!oldest->type)
			break;
	}
	*ret_is_hit = false;
	return oldest;
}

/* Reads a range; an I/O error is a fault. */
static int read_range(struct pdata_blocks *blocks, uint8_t *buf, uint64_t nr_blocks, uint64_t block,
		      struct pdata_fault *fault, struct cow_err *err)
{
	int ret = cow_image_pread(blocks->image, buf, (size_t)(nr_blocks * PDATA_BLOCK_BYTES),
				  block * PDATA_BLOCK_BYTES, err);

	*fault = (struct pdata_fault){ .what = PDATA_SOUND, .block = block };
	if (ret != -EIO)
		return ret;
	fault->what = PDATA_BLOCK_UNREADABLE;
	return 0;
}

static uint8_t *slot_raw(const struct pdata_blocks *blocks, const struct slot *slot)
{
	return blocks->memory + (size_t)(slot - blocks->slots) * PDATA_BLOCK_BYTES;
}

static int slot_fill(struct pdata_blocks *blocks, struct slot *slot, const struct pdata_type *type,
		     uint64_t block, struct pdata_fault *fault, struct cow_err *err)
{
	int ret;

	slot->type = NULL;
	ret = read_range(blocks, slot_raw(blocks, slot), 1, block, fault, err);
	if (ret || fault->what)
		return ret;
	cow_pdata_block_check(type, block, slot_raw(blocks, slot), fault);
	if (!fault->what) {
		slot->type = type;
		slot->block = block;
	}
	return 0;
}

int cow_pdata_block_read(struct pdata_blocks *blocks, const struct pdata_type *type, uint64_t block,
			 const uint8_t **ret_raw, struct pdata_fault *fault, struct cow_err *err)
{
	struct pdata_fault mine;
	const uint8_t *pending = cow_pdata_pending_get(blocks, block);
	struct slot *slot;
	bool is_hit;
	int ret = 0;

	mine = (struct pdata_fault){ .what = PDATA_SOUND, .block = block };
	if (block >= blocks->nr_blocks) {
		mine.what = PDATA_BLOCK_BEYOND;
		mine.allowed = blocks->nr_blocks;
	} else if (pending) {
		*ret_raw = pending;
	} else {
		slot = slot_find(blocks, type, block, &is_hit);
		if (!is_hit)
			ret = slot_fill(blocks, slot, type, block, &mine, err);
		slot->used_at = ++blocks->clock;
		if (!ret && !mine.what)
			*ret_raw = slot_raw(blocks, slot);
	}
	if (!ret && fault)
		*fault = mine;
	else if (!ret && mine.what)
		ret = cow_pdata_fail(blocks, &mine, type->name, err);
	return ret;
}

/* ---------------------------------------------------------------- many blocks */

/* How many of the numbers go on one after the other, up to a piece. */
static size_t run_length(const uint32_t *numbers, size_t nr)
{
	size_t len = 1;

	while (len < nr && len < COW_PIECE_BYTES / PDATA_BLOCK_BYTES &&
	       numbers[len] == numbers[0] + len)
		len++;
	return len;
}

/* Of a run that cannot be read in one piece: block by block. */
static int run_one_by_one(struct pdata_blocks *blocks, const struct pdata_type *type,
			  const uint32_t *numbers, size_t first, size_t nr, pdata_block_fn *block,
			  void *user, struct cow_err *err)
{
	struct pdata_fault fault;
	int ret = 0;

	for (size_t i = first; !ret && i < first + nr; i++) {
		ret = read_range(blocks, blocks->run, 1, numbers[i], &fault, err);
		if (!ret && !fault.what)
			cow_pdata_block_check(type, numbers[i], blocks->run, &fault);
		if (!ret)
			ret = block(user, i, fault.what ? NULL : blocks->run, &fault, err);
	}
	return ret;
}

static int run_read(struct pdata_blocks *blocks, const struct pdata_type *type,
		    const uint32_t *numbers, size_t first, size_t nr, pdata_block_fn *block,
		    void *user, struct cow_err *err)
{
	struct pdata_fault fault;
	int ret = read_range(blocks, blocks->run, nr, numbers[first], &fault, err);

	if (!ret && fault.what)
		return run_one_by_one(blocks, type, numbers, first, nr, block, user, err);
	for (size_t i = 0; !ret && i < nr; i++) {
		const uint8_t *raw = blocks->run + i * PDATA_BLOCK_BYTES;

		cow_pdata_block_check(type, numbers[first + i], raw, &fault);
		ret = block(user, first + i, fault.what ? NULL : raw, &fault, err);
	}
	return ret;
}

int cow_pdata_blocks_each(struct pdata_blocks *blocks, const struct pdata_type *type,
			  const uint32_t *numbers, size_t nr, pdata_block_fn *block, void *user,
			  struct cow_err *err)
{
	int ret = 0;

	if (!blocks->run)
		blocks->run = aligned_alloc(COW_BUFFER_ALIGN, COW_PIECE_BYTES);
	if (!blocks->run)
		return cow_fail(err, -ENOMEM, "no memory for metadata blocks");
	for (size_t first = 0, len; !ret && first < nr; first += len) {
		struct pdata_fault fault = { .what = PDATA_BLOCK_BEYOND,
					     .block = numbers[first],
					     .allowed = blocks->nr_blocks };

		len = run_length(numbers + first, nr - first);
		if (numbers[first] >= blocks->nr_blocks) {
			len = 1;
			ret = block(user, first, NULL, &fault, err);
			continue;
		}
		len = (size_t)min_u64(len, blocks->nr_blocks - numbers[first]);
		ret = run_read(blocks, type, numbers, first, len, block, user, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- pending blocks */

/* Where it is in the list, or belongs. */
static size_t pending_find(const struct pdata_blocks *blocks, uint64_t block)
{
	size_t low = 0, high = blocks->nr_pending;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (blocks->pending[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint8_t *cow_pdata_pending_get(const struct pdata_blocks *blocks, uint64_t block)
{
	size_t at;

	if (!blocks->nr_pending)
		return NULL;
	at = pending_find(blocks, block);
	return at < blocks->nr_pending && blocks->pending[at].block == block
		       ? blocks->pending[at].raw
		       : NULL;
}

int cow_pdata_pending_make(struct pdata_blocks *blocks, const struct pdata_type *type,
			   uint64_t block, uint8_t **ret_raw, struct cow_err *err)
{
	size_t at = pending_find(blocks, block);
	struct pending *larger = cow_array_grow(blocks->pending, blocks->nr_pending,
						&blocks->pending_capacity, sizeof(*larger));
	uint8_t *raw = larger ? calloc(1, PDATA_BLOCK_BYTES) : NULL;

	if (larger)
		blocks->pending = larger;
	if (!raw)
		return cow_fail(err, -ENOMEM, "no memory for a transaction of %zu blocks",
				blocks->nr_pending);
	memmove(larger + at + 1, larger + at, (blocks->nr_pending - at) * sizeof(*larger));
	larger[at] = (struct pending){ block, type, raw };
	blocks->nr_pending++;
	*ret_raw = raw;
	return 0;
}

int cow_pdata_pending_write(struct pdata_blocks *blocks, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < blocks->nr_pending; i++) {
		const struct pending *pending = &blocks->pending[i];

		ret = cow_pdata_block_put(blocks->image, pending->type, pending->block,
					  pending->raw, err);
	}
	return ret;
}

void cow_pdata_pending_clear(struct pdata_blocks *blocks)
{
	for (size_t i = 0; i < blocks->nr_pending; i++)
		free(blocks->pending[i].raw);
	blocks->nr_pending = 0;
}

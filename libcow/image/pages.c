/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pages.c - a tree of nodes with 512 slots each, as page tables have. A slot
 * is NULL (absent), the mark for zeros, or the node or page below; the first
 * two may stand at any level and then speak for everything below.
 */
#include "libcow/image/pages.h"

#include <stdlib.h>

#include "libcow/base/units.h"

#define NODE_SHIFT 9
#define NODE_SLOTS (UINT64_C(1) << NODE_SHIFT)

/* Its address is the mark; its bytes are what a zero page reads as. */
static const uint8_t zero_page[COW_PAGE_BYTES];
#define ZEROS ((void *)zero_page)

static bool is_leaf_mark(const void *slot)
{
	return !slot || slot == ZEROS;
}

/* How many pages one slot of a node at this height (1: lowest) stands for. */
static uint64_t slot_pages(unsigned int height)
{
	return UINT64_C(1) << (NODE_SHIFT * (height - 1));
}

static uint64_t slot_index(uint64_t page, unsigned int height)
{
	return page >> (NODE_SHIFT * (height - 1)) & (NODE_SLOTS - 1);
}

void cow_pages_init(struct cow_pages *pages, uint64_t size_bytes)
{
	uint64_t nr_pages = div_ceil(size_bytes, COW_PAGE_BYTES);

	pages->root = NULL;
	pages->depth = 1;
	/* Six levels hold 2^54 pages, more than any image has. */
	while (nr_pages > NODE_SLOTS) {
		nr_pages = div_ceil(nr_pages, NODE_SLOTS);
		pages->depth++;
	}
}

/* As deep as the tree: NODE_SHIFT bits of a page's number a step. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void tree_free(void *slot, unsigned int height)
{
	if (is_leaf_mark(slot))
		return;
	for (uint64_t i = 0; height && i < NODE_SLOTS; i++)
		tree_free(((void **)slot)[i], height - 1);
	free(slot);
}

void cow_pages_destroy(struct cow_pages *pages)
{
	tree_free(pages->root, pages->depth);
	pages->root = NULL;
}

const uint8_t *cow_pages_get(const struct cow_pages *pages, uint64_t page)
{
	void *slot = pages->root;

	for (unsigned int height = pages->depth; height && !is_leaf_mark(slot); height--)
		slot = ((void **)slot)[slot_index(page, height)];
	return (const uint8_t *)slot;
}

/* Puts a node where a mark speaks for a whole subtree. */
static bool slot_expand(void **slot)
{
	void **node;

	if (!is_leaf_mark(*slot))
		return true;
	node = (void **)calloc(NODE_SLOTS, sizeof(*node));
	if (!node)
		return false;
	for (uint64_t i = 0; i < NODE_SLOTS; i++)
		node[i] = *slot;
	*slot = node;
	return true;
}

uint8_t *cow_pages_make(struct cow_pages *pages, uint64_t page)
{
	void **slot = &pages->root;

	for (unsigned int height = pages->depth; height; height--) {
		if (!slot_expand(slot))
			return NULL;
		slot = (void **)*slot + slot_index(page, height);
	}
	if (is_leaf_mark(*slot)) {
		void *bytes = calloc(1, COW_PAGE_BYTES);

		if (!bytes)
			return NULL;
		*slot = bytes;
	}
	return (uint8_t *)*slot;
}

/* Clears [page, page + nr_pages), counted from the first page of this slot. */
/* NOLINTNEXTLINE(misc-no-recursion): see tree_free() */
static bool tree_clear(void **slot, unsigned int height, uint64_t page, uint64_t nr_pages,
		       void *mark)
{
	uint64_t per_slot;

	if (*slot == mark)
		return true;
	if (!page && nr_pages >> (NODE_SHIFT * height)) {
		tree_free(*slot, height);
		*slot = mark;
		return true;
	}
	if (!slot_expand(slot))
		return false;
	per_slot = slot_pages(height);
	while (nr_pages) {
		uint64_t in_slot = page % per_slot;
		uint64_t piece = min_u64(nr_pages, per_slot - in_slot);
		void **child = (void **)*slot + page / per_slot;

		if (!tree_clear(child, height - 1, in_slot, piece, mark))
			return false;
		page += piece;
		nr_pages -= piece;
	}
	return true;
}

bool cow_pages_clear(struct cow_pages *pages, uint64_t page, uint64_t nr_pages, bool zeros)
{
	if (!nr_pages)
		return true;
	return tree_clear(&pages->root, pages->depth, page, nr_pages, zeros ? ZEROS : NULL);
}

/* The same counting as in tree_clear(); *page moves up to what was found. */
/* NOLINTNEXTLINE(misc-no-recursion): see tree_free() */
static bool tree_next(void *slot, unsigned int height, uint64_t page, uint64_t *ret_page)
{
	uint64_t per_slot;

	if (is_leaf_mark(slot))
		return false;
	if (!height) {
		*ret_page = 0;
		return true;
	}
	per_slot = slot_pages(height);
	for (uint64_t i = page / per_slot; i < NODE_SLOTS; i++) {
		if (tree_next(((void **)slot)[i], height - 1, page % per_slot, ret_page)) {
			*ret_page += i * per_slot;
			return true;
		}
		page = 0;
	}
	return false;
}

bool cow_pages_next(const struct cow_pages *pages, uint64_t page, uint64_t *ret_page)
{
	return tree_next(pages->root, pages->depth, page, ret_page);
}

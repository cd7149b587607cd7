/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pages.h - memory pages by number, allocated on demand; what the images in
 * memory and the overlay stand on. A page is absent, all zeros (which costs
 * nothing, for any number of neighbours), or data. Memory grows with the
 * pages that hold data, not with the numbers they have.
 */
#ifndef COW_IMAGE_PAGES_H
#define COW_IMAGE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define COW_PAGE_BYTES UINT64_C(4096)

struct cow_pages {
	void *root;
	unsigned int depth; /* levels of nodes above the pages */
};

/* Prepares for page numbers below size_bytes / COW_PAGE_BYTES, rounded up. */
void cow_pages_init(struct cow_pages *pages, uint64_t size_bytes);
void cow_pages_destroy(struct cow_pages *pages);

/* Looks up a page: NULL if absent; else its bytes, for reading only. */
const uint8_t *cow_pages_get(const struct cow_pages *pages, uint64_t page);
/* The bytes of a page for writing; an absent one becomes zeros first. NULL:
 * no memory. */
uint8_t *cow_pages_make(struct cow_pages *pages, uint64_t page);
/* Makes a range of pages all zeros, or absent; false: no memory, and any part
 * may have been done. Making absent needs memory only where zeros end. */
bool cow_pages_clear(struct cow_pages *pages, uint64_t page, uint64_t nr_pages, bool zeros);
/* Finds the first page with data at or after page; false: none. */
bool cow_pages_next(const struct cow_pages *pages, uint64_t page, uint64_t *ret_page);

/* The pages as a row of bits, 8 to a byte, the lowest first. */
bool cow_pages_bit(const struct cow_pages *pages, uint64_t bit);
/* Sets one; false: no memory. */
bool cow_pages_set_bit(struct cow_pages *pages, uint64_t bit);
/* The value of a bit, and of how many from there on, up to *nr_bits, it is the same. */
bool cow_pages_bits(const struct cow_pages *pages, uint64_t bit, uint64_t *nr_bits);

#endif

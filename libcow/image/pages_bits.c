/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pages_bits.c - pages as a row of bits: what a walk has seen, and what a
 * bitmap on a disk says, for as many bits as a device has blocks.
 */
#include "libcow/image/pages.h"

bool cow_pages_bit(const struct cow_pages *pages, uint64_t bit)
{
	const uint8_t *page = cow_pages_get(pages, bit / 8 / COW_PAGE_BYTES);

	return page && page[bit / 8 % COW_PAGE_BYTES] >> bit % 8 & 1;
}

bool cow_pages_set_bit(struct cow_pages *pages, uint64_t bit)
{
	uint8_t *page = cow_pages_make(pages, bit / 8 / COW_PAGE_BYTES);

	if (page)
		page[bit / 8 % COW_PAGE_BYTES] |= (uint8_t)(1u << bit % 8);
	return page;
}

bool cow_pages_bits(const struct cow_pages *pages, uint64_t bit, uint64_t *nr_bits)
{
	bool value = cow_pages_bit(pages, bit);
	uint64_t nr = 1;

	while (nr < *nr_bits && cow_pages_bit(pages, bit + nr) == value)
		nr++;
	*nr_bits = nr;
	return value;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_mem.c - an image in memory: zeros at first, pages on demand, so that
 * one of 16 TiB costs nothing until it is written.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/image/pages.h"

#define RUN_PAGES_MAX (UINT64_C(4) * COW_PIECE_BYTES / COW_PAGE_BYTES)

struct image_mem {
	struct cow_image image;
	struct cow_pages pages;
};

static uint64_t piece_in_page(uint64_t offset_bytes, uint64_t len_bytes)
{
	return min_u64(len_bytes, COW_PAGE_BYTES - offset_bytes % COW_PAGE_BYTES);
}

static int mem_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	struct image_mem *mem = (struct image_mem *)image;
	uint8_t *to = (uint8_t *)buf;

	(void)err;
	while (len_bytes) {
		uint64_t piece = piece_in_page(offset_bytes, len_bytes);
		const uint8_t *page = cow_pages_get(&mem->pages, offset_bytes / COW_PAGE_BYTES);

		if (page)
			memcpy(to, page + offset_bytes % COW_PAGE_BYTES, piece);
		else
			memset(to, 0, piece);
		to += piece;
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return 0;
}

static int mem_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err)
{
	struct image_mem *mem = (struct image_mem *)image;
	const uint8_t *from = (const uint8_t *)buf;

	while (len_bytes) {
		uint64_t piece = piece_in_page(offset_bytes, len_bytes);
		uint8_t *page = cow_pages_make(&mem->pages, offset_bytes / COW_PAGE_BYTES);

		if (!page)
			return cow_fail(err, -ENOMEM, "no memory for byte %" PRIu64 " of an image",
					offset_bytes);
		memcpy(page + offset_bytes % COW_PAGE_BYTES, from, piece);
		from += piece;
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return 0;
}

static int mem_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err)
{
	struct image_mem *mem = (struct image_mem *)image;

	(void)err;
	while (len_bytes) {
		uint64_t page = offset_bytes / COW_PAGE_BYTES,
			 in_page = offset_bytes % COW_PAGE_BYTES;
		uint64_t piece = piece_in_page(offset_bytes, len_bytes);

		if (piece < COW_PAGE_BYTES) {
			if (cow_pages_get(&mem->pages, page))
				memset(cow_pages_make(&mem->pages, page) + in_page, 0, piece);
		} else {
			piece = floor_to(len_bytes, COW_PAGE_BYTES);
			/* Absent reads as zeros, so no zero mark is ever set here
			 * and nothing needs memory. */
			cow_pages_clear(&mem->pages, page, piece / COW_PAGE_BYTES, false);
		}
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return 0;
}

static int mem_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			 uint64_t *ret_len_bytes, struct cow_err *err)
{
	struct image_mem *mem = (struct image_mem *)image;
	uint64_t first, end, next;

	(void)err;
	*ret_len_bytes = 0;
	if (!cow_pages_next(&mem->pages, offset_bytes / COW_PAGE_BYTES, &first))
		return 0;
	/* Bounded, so that asking again behind a part of it stays cheap. */
	end = first + 1;
	while (end - first < RUN_PAGES_MAX && cow_pages_next(&mem->pages, end, &next) &&
	       next == end)
		end++;
	*ret_offset_bytes = max_u64(offset_bytes, first * COW_PAGE_BYTES);
	*ret_len_bytes = end * COW_PAGE_BYTES - *ret_offset_bytes;
	return 0;
}

static void mem_close(struct cow_image *image)
{
	cow_pages_destroy(&((struct image_mem *)image)->pages);
}

static const struct image_ops mem_ops = {
	.name = "memory",
	.pread = mem_pread,
	.pwrite = mem_pwrite,
	.write_zeroes = mem_write_zeroes,
	.next_data = mem_next_data,
	.discard = mem_write_zeroes,
	.close = mem_close,
};

int cow_image_standin_new(const char *name, uint64_t size_bytes, uint32_t logical_block_bytes,
			  struct cow_image **ret_image, struct cow_err *err)
{
	struct image_mem *mem = (struct image_mem *)calloc(1, sizeof(*mem));
	int ret;

	if (!mem)
		return cow_fail(err, -ENOMEM, "no memory for an image in memory");
	ret = cow_image_init(&mem->image, &mem_ops, name, size_bytes, err);
	if (!ret && (logical_block_bytes < COW_SECTOR_BYTES || !is_pow2(logical_block_bytes))) {
		free(mem->image.name);
		ret = cow_fail(err, -EINVAL, "logical blocks of %" PRIu32 " bytes",
			       logical_block_bytes);
	}
	if (ret) {
		free(mem);
		return ret;
	}
	cow_pages_init(&mem->pages, size_bytes);
	mem->image.is_writable = true;
	mem->image.logical_block_bytes = logical_block_bytes;
	*ret_image = &mem->image;
	return 0;
}

int cow_image_memory_new(uint64_t size_bytes, struct cow_image **ret_image, struct cow_err *err)
{
	return cow_image_standin_new("memory", size_bytes, COW_SECTOR_BYTES, ret_image, err);
}

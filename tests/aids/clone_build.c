/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_build.c - a naive writer of a clone's metadata.
 */
#include "tests/aids/clone_build.h"

#include "libcow/base/bytes.h"
#include "tests/aids/test.h"

static void index_put(struct build *build, uint64_t nr_used)
{
	uint8_t raw[4096] = { 0 };

	put_le64(raw + 16, 3);
	put_le32(raw + 24, (uint32_t)(16320 - nr_used));
	put_le32(raw + 28, (uint32_t)nr_used);
	build_put(build, 1, BUILD_INDEX, raw);
}

static void super_put(struct build *build, const struct clone_build *clone, uint64_t nr_used)
{
	uint8_t raw[4096] = { 0 };

	put_le64(raw + 32, 0x8af27f64);
	put_le32(raw + 40, 1);
	put_le64(raw + 44, cow_image_size(build->image) / 4096);
	put_le64(raw + 52, nr_used);
	put_le64(raw + 60, 1);
	put_le64(raw + 68, 2);
	put_le64(raw + 172, clone->region_sectors);
	put_le64(raw + 180, clone->target_sectors);
	put_le64(raw + 188, 4);
	build_put(build, 0, 257649492, raw);
}

uint64_t clone_build(struct cow_image *metadata, const struct clone_build *clone)
{
	struct build build = { .image = metadata, .next = 2 };
	size_t nr_words = (clone->nr_regions + 63) / 64, nr_arrays = (nr_words + 508) / 509;
	uint64_t *words = calloc(nr_words, 8), keys[252], nr_used = 5 + nr_arrays;
	uint8_t leaf[252 * 8], *counts = malloc(nr_used);

	CHECK(words && counts && nr_arrays <= 252);
	for (size_t i = 0; i < clone->nr_regions; i++)
		words[i / 64] |= (uint64_t)clone->bits[i] << i % 64;
	memset(counts, 1, nr_used);
	for (size_t i = 0; i < nr_arrays; i++) {
		keys[i] = i;
		put_le64(leaf + 8 * i, 5 + i);
	}
	build_tree(&build, 4, NULL, NULL, 0, 0);
	build_bitmap(&build, 3, counts, nr_used);
	build.next = 4;
	build_tree(&build, 8, keys, leaf, nr_arrays, 0);
	build_words(&build, words, nr_words, 0); /* its own root, behind, is not used */
	index_put(&build, nr_used);
	super_put(&build, clone, nr_used);
	free(words);
	free(counts);
	return nr_used;
}

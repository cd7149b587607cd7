/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_build.h - makes persistent-data structures in an image, block by block,
 * in the simplest way that reads like the description of the format: not with
 * the library's own writer.
 */
#ifndef TESTS_AIDS_PDATA_BUILD_H
#define TESTS_AIDS_PDATA_BUILD_H

#include "libcow.h"

#define BUILD_NODE 121107u
#define BUILD_ARRAY 595846735u
#define BUILD_INDEX 160478u
#define BUILD_BITMAP 240779u

struct build {
	struct cow_image *image;
	uint64_t next; /* the next block to be used */
};

/* CRC32C bit by bit. */
uint32_t build_crc(const uint8_t *bytes, size_t len_bytes);
/* Puts number and checksum into a block (4096 bytes) and writes it. */
void build_put(struct build *build, uint64_t block, uint32_t constant, uint8_t *raw);

/* One node, leaf (2) or internal (1). Returns its block. */
uint64_t build_node(struct build *build, uint32_t flags, uint32_t value_size, const uint64_t *keys,
		    const uint8_t *values, size_t nr);
/* A tree of nr entries, ascending keys, values one after the other; per_node
 * entries in a node at most (0: as many as fit). Returns the root. */
uint64_t build_tree(struct build *build, uint32_t value_size, const uint64_t *keys,
		    const uint8_t *values, size_t nr, size_t per_node);
/* An array of words of 64 bits. */
uint64_t build_words(struct build *build, const uint64_t *words, size_t nr, size_t per_node);
/* A bitmap with the counts 0..3 of up to 16320 blocks. */
void build_bitmap(struct build *build, uint64_t block, const uint8_t *counts, size_t nr);

#endif

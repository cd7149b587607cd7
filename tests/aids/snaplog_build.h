/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_build.h - makes log devices in memory as the driver of 2001 was meant to
 * write them, and reads them, block by block. Written from the page alone: it
 * shares nothing with the library's reader.
 */
#ifndef TESTS_AIDS_SNAPLOG_BUILD_H
#define TESTS_AIDS_SNAPLOG_BUILD_H

#include "libcow.h"

#define SNAPLOG_BUILD_LOGS 4

struct snaplog_build {
	/* The geometry. */
	uint64_t block, word, count;
	bool big, sector, bytes, full;
	/* What follows. */
	uint64_t bitmap_blocks, map_blocks, data_base, keys_per_block;
	/* The source as it is now, and the logs. */
	uint64_t source_bytes, nr_blocks;
	uint8_t *source;
	unsigned int nr_logs;
	uint8_t *logs[SNAPLOG_BUILD_LOGS];
	uint64_t log_bytes[SNAPLOG_BUILD_LOGS];
	/* Where the driver goes on. */
	unsigned int log;
	uint64_t next;
	/* For struct cow_store_args. */
	char values[3][24];
	struct cow_geometry geometry[7];
};

/* Draws a geometry, a source of up to most_blocks blocks, logs with rubbish in data and
 * map. */
void snaplog_build_draw(struct snaplog_build *build, uint64_t most_blocks, uint64_t *random);
void snaplog_build_free(struct snaplog_build *build);

/* Saves some blocks and overwrites them, in random order. Returns how many. */
uint64_t snaplog_build_fill(struct snaplog_build *build, uint64_t nr, uint64_t *random);

/* The bit of a key; false: there is none. */
bool snaplog_build_bit(const struct snaplog_build *build, uint64_t key, uint64_t *ret_offset,
		       uint8_t *ret_mask);
void snaplog_build_set(struct snaplog_build *build, unsigned int log, uint64_t key, uint64_t value);
/* The log that counts for a block and the block on it; false: it is not stored. */
bool snaplog_build_find(const struct snaplog_build *build, uint64_t block, unsigned int *ret_log,
			uint64_t *ret_value);
/* What the snapshot shows; source_bytes bytes. */
void snaplog_build_view(const struct snaplog_build *build, uint8_t *ret_view);

#endif

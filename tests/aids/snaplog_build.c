/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_build.c - the driver of 2001 as it was meant, one block at a time.
 */
#include "tests/aids/snaplog_build.h"

#include "tests/aids/test.h"

/* The sizes that follow from the geometry, and the words for cow_store_args; the rest
 * of the struct is set. */
static void lay_out(struct snaplog_build *build)
{
	uint64_t per_map = build->block / build->word / (build->full ? 1 : 2);
	int nr = 0;

	build->keys_per_block = build->sector ? build->block / 512 : 1;
	build->nr_blocks = (build->source_bytes + build->block - 1) / build->block;
	build->bitmap_blocks = (build->count + 8 * build->block - 1) / (8 * build->block);
	build->map_blocks = (build->count + per_map - 1) / per_map;
	build->data_base = build->bitmap_blocks + build->map_blocks;
	snprintf(build->values[0], sizeof(build->values[0]), "%" PRIu64, build->block);
	snprintf(build->values[1], sizeof(build->values[1]), "%" PRIu64, build->word);
	snprintf(build->values[2], sizeof(build->values[2]), "%" PRIu64, build->count);
	build->geometry[nr++] = (struct cow_geometry){ "block", build->values[0] };
	build->geometry[nr++] = (struct cow_geometry){ "word", build->values[1] };
	build->geometry[nr++] = (struct cow_geometry){ "count", build->values[2] };
	build->geometry[nr++] = (struct cow_geometry){ "endian", build->big ? "big" : "little" };
	build->geometry[nr++] = (struct cow_geometry){ "key", build->sector ? "sector" : "block" };
	build->geometry[nr++] =
		(struct cow_geometry){ "bitmap", build->bytes ? "bytes" : "packed" };
	build->geometry[nr++] = (struct cow_geometry){ "map", build->full ? "full" : "half" };
	build->log = 0;
	build->next = build->data_base;
}

static uint8_t *random_new(uint64_t size, uint64_t *random)
{
	uint8_t *bytes = malloc(size);

	CHECK(bytes);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)test_random(random);
	return bytes;
}

void snaplog_build_draw(struct snaplog_build *build, uint64_t most_blocks, uint64_t *random)
{
	uint64_t bits = test_random(random);

	memset(build, 0, sizeof(*build));
	build->block = UINT64_C(512) << test_random(random) % 4;
	build->word = bits & 1 ? 8 : 4;
	build->big = bits & 2;
	build->sector = bits & 4;
	build->bytes = bits & 8;
	build->full = bits & 16;
	build->source_bytes = 512 * (1 + test_random(random) % (most_blocks * build->block / 512));
	build->count = (build->source_bytes + (build->sector ? 512 : build->block) - 1) /
		       (build->sector ? 512 : build->block);
	lay_out(build);
	build->source = random_new(build->source_bytes, random);
	build->nr_logs = 1 + (unsigned int)(test_random(random) % SNAPLOG_BUILD_LOGS);
	for (unsigned int i = 0; i < build->nr_logs; i++) {
		uint64_t blocks =
			2 * build->data_base + test_random(random) % (most_blocks / 2 + 1);

		build->log_bytes[i] = blocks * build->block + 512 * (test_random(random) % 3);
		build->logs[i] = random_new(build->log_bytes[i], random);
		memset(build->logs[i], 0, build->bitmap_blocks * build->block);
	}
}

void snaplog_build_free(struct snaplog_build *build)
{
	free(build->source);
	for (unsigned int i = 0; i < build->nr_logs; i++)
		free(build->logs[i]);
}

bool snaplog_build_bit(const struct snaplog_build *build, uint64_t key, uint64_t *ret_offset,
		       uint8_t *ret_mask)
{
	uint64_t in_block = key % (8 * build->block);

	*ret_offset = key / (8 * build->block) * build->block;
	if (build->bytes) {
		*ret_offset += in_block;
		*ret_mask = 1;
		return in_block < build->block;
	}
	*ret_offset += in_block / 8;
	*ret_mask = (uint8_t)(1 << in_block % 8);
	return true;
}

static uint8_t *entry_at(const struct snaplog_build *build, unsigned int log, uint64_t key)
{
	uint64_t per_map = build->block / build->word / (build->full ? 1 : 2);

	return build->logs[log] + (build->bitmap_blocks + key / per_map) * build->block +
	       key % per_map * build->word;
}

static uint64_t value_of(const struct snaplog_build *build, unsigned int log, uint64_t key)
{
	const uint8_t *raw = entry_at(build, log, key);
	uint64_t value = 0;

	for (uint64_t i = 0; i < build->word; i++)
		value |= (uint64_t)raw[build->big ? build->word - 1 - i : i] << 8 * i;
	return value;
}

void snaplog_build_set(struct snaplog_build *build, unsigned int log, uint64_t key, uint64_t value)
{
	uint8_t *raw = entry_at(build, log, key), mask;
	uint64_t offset;

	CHECK(snaplog_build_bit(build, key, &offset, &mask));
	build->logs[log][offset] |= mask;
	for (uint64_t i = 0; i < build->word; i++)
		raw[build->big ? build->word - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

bool snaplog_build_find(const struct snaplog_build *build, uint64_t block, unsigned int *ret_log,
			uint64_t *ret_value)
{
	uint64_t key = block * build->keys_per_block, offset;
	uint8_t mask;

	if (!snaplog_build_bit(build, key, &offset, &mask))
		return false;
	for (unsigned int log = 0; log < build->nr_logs; log++) {
		if (!(build->logs[log][offset] & mask))
			continue;
		*ret_value = value_of(build, log, key);
		*ret_log = log;
		if (*ret_value >= build->data_base &&
		    *ret_value < build->log_bytes[log] / build->block)
			return true;
	}
	return false;
}

void snaplog_build_view(const struct snaplog_build *build, uint8_t *ret_view)
{
	memcpy(ret_view, build->source, build->source_bytes);
	for (uint64_t block = 0; block < build->nr_blocks; block++) {
		uint64_t at = block * build->block, left = build->source_bytes - at, value;
		unsigned int log;

		if (snaplog_build_find(build, block, &log, &value))
			memcpy(ret_view + at, build->logs[log] + value * build->block,
			       left < build->block ? left : build->block);
	}
}

/* What the driver does before a block is written for the first time; false: no room,
 * or the bitmap has no bit for it. */
static bool save(struct snaplog_build *build, uint64_t block)
{
	uint64_t at = block * build->block, left = build->source_bytes - at, offset;
	uint8_t mask;

	while (build->log < build->nr_logs &&
	       build->next >= build->log_bytes[build->log] / build->block) {
		build->log++;
		build->next = build->data_base;
	}
	if (build->log == build->nr_logs ||
	    !snaplog_build_bit(build, block * build->keys_per_block, &offset, &mask))
		return false;
	memcpy(build->logs[build->log] + build->next * build->block, build->source + at,
	       left < build->block ? left : build->block);
	snaplog_build_set(build, build->log, block * build->keys_per_block, build->next++);
	return true;
}

uint64_t snaplog_build_fill(struct snaplog_build *build, uint64_t nr, uint64_t *random)
{
	uint64_t saved = 0, value;
	unsigned int log;

	while (nr-- > 0) {
		uint64_t block = test_random(random) % build->nr_blocks;

		if (snaplog_build_find(build, block, &log, &value))
			continue;
		if (!save(build, block))
			continue;
		saved++;
		build->source[block * build->block] ^= (uint8_t)(1 + test_random(random) % 255);
	}
	return saved;
}

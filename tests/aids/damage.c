/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/damage.h"

#include <stdarg.h>

#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

static void put(uint8_t *raw, unsigned int nr_bytes, uint64_t value)
{
	for (unsigned int i = 0; i < nr_bytes; i++)
		raw[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t per_area(const struct damage *damage)
{
	return damage->chunk_bytes / 16;
}

static uint8_t *record_at(const struct damage *damage, uint64_t index)
{
	uint64_t area = index / per_area(damage), within = index % per_area(damage);

	return damage->cow + (1 + area * (per_area(damage) + 1)) * damage->chunk_bytes +
	       within * 16;
}

static void list_make(struct damage *damage, uint64_t *random)
{
	uint64_t chunk = 2, old_chunk = test_random(random) % DAMAGE_OLD_CHUNKS;
	bool used[DAMAGE_OLD_CHUNKS] = { false };

	for (uint64_t i = 0; i < damage->nr_records; i++) {
		if (test_random(random) % 3 == 0)
			old_chunk = test_random(random);
		for (old_chunk %= DAMAGE_OLD_CHUNKS; used[old_chunk];)
			old_chunk = (old_chunk + 1) % DAMAGE_OLD_CHUNKS;
		used[old_chunk] = true;
		if (chunk % (per_area(damage) + 1) == 1)
			chunk++;
		put(record_at(damage, i), 8, old_chunk++);
		put(record_at(damage, i) + 8, 8, chunk++);
	}
}

void damage_make(struct damage *damage, uint64_t *random)
{
	uint64_t nr_chunks, spare;

	memset(damage, 0, sizeof(*damage));
	damage->chunk_bytes = UINT64_C(512) << test_random(random) % 2;
	damage->nr_records = test_random(random) % 140;
	if (test_random(random) % 6 == 0) /* the edge of an area */
		damage->nr_records = per_area(damage) - 1 + test_random(random) % 3;
	spare = test_random(random) % 3 * (test_random(random) % 40);
	nr_chunks = 3 + damage->nr_records + damage->nr_records / per_area(damage) + spare;
	damage->cow_bytes = nr_chunks * damage->chunk_bytes;
	damage->cow = malloc(damage->cow_bytes);
	CHECK(damage->cow != NULL);
	random_fill(damage->cow, damage->cow_bytes, random);
	memset(damage->cow, 0, 2 * damage->chunk_bytes);
	for (uint64_t area = 1; area <= damage->nr_records / per_area(damage); area++)
		memset(record_at(damage, area * per_area(damage)), 0, damage->chunk_bytes);
	memcpy(damage->cow, "SnAp\1\0\0\0\1\0\0\0", 12);
	put(damage->cow + 12, 4, damage->chunk_bytes / 512);
	list_make(damage, random);
}

void damage_free(struct damage *damage)
{
	free(damage->cow);
	damage->cow = NULL;
}

__attribute__((format(printf, 2, 3))) static void tell(struct damage *damage, const char *format,
						       ...)
{
	size_t used = strlen(damage->story);
	va_list args;

	va_start(args, format);
	vsnprintf(damage->story + used, sizeof(damage->story) - used, format, args);
	va_end(args);
}

/* A place of the list, live or just behind the end. */
static uint64_t any_index(const struct damage *damage, uint64_t *random)
{
	uint64_t index = test_random(random) % (damage->nr_records + 2);

	return record_at(damage, index) + 16 <= damage->cow + damage->cow_bytes ? index : 0;
}

static void field_set(struct damage *damage, uint64_t *random)
{
	uint64_t index = any_index(damage, random), other = any_index(damage, random);
	uint64_t nr_chunks = damage->cow_bytes / damage->chunk_bytes;
	const uint64_t values[] = { 0,
				    1,
				    UINT64_MAX,
				    nr_chunks,
				    nr_chunks - 1,
				    nr_chunks + 1,
				    2 + per_area(damage),
				    test_random(random) % nr_chunks,
				    UINT64_C(1) << 56 | 5 };
	bool is_new = test_random(random) % 2;
	uint64_t value = values[test_random(random) % 9];

	if (test_random(random) % 2) {
		tell(damage, " %s chunk of record %" PRIu64 " as in %" PRIu64 ";",
		     is_new ? "new" : "old", index, other);
		memcpy(record_at(damage, index) + 8 * is_new, record_at(damage, other) + 8 * is_new,
		       8);
		return;
	}
	tell(damage, " %s chunk of record %" PRIu64 " = %" PRIu64 ";", is_new ? "new" : "old",
	     index, value);
	put(record_at(damage, index) + 8 * is_new, 8, value);
}

static void header_set(struct damage *damage, uint64_t *random)
{
	static const uint64_t values[] = { 0, 1, 2, 3, 7, 8, UINT32_MAX, UINT64_C(1) << 22 };
	uint64_t value = values[test_random(random) % 8], field = test_random(random) % 4;

	tell(damage, " header field %" PRIu64 " = %" PRIu64 ";", field, value);
	put(damage->cow + 4 * field, 4, value);
}

static uint8_t *any_sector(const struct damage *damage, uint64_t *random)
{
	uint64_t within = test_random(random) % (damage->chunk_bytes / 512);
	uint64_t index = any_index(damage, random);

	index -= index % per_area(damage);
	return record_at(damage, index) + within * 512;
}

static void sector_change(struct damage *damage, uint64_t *random)
{
	uint8_t *sector = any_sector(damage, random), *other = any_sector(damage, random);
	uint8_t keep[512];

	switch (test_random(random) % 3) {
	case 0:
		tell(damage, " sector %td zeroed;", (sector - damage->cow) / 512);
		memset(sector, 0, 512);
		return;
	case 1:
		tell(damage, " sector %td is rubbish;", (sector - damage->cow) / 512);
		random_fill(sector, 512, random);
		return;
	default:
		tell(damage, " sectors %td and %td swapped;", (sector - damage->cow) / 512,
		     (other - damage->cow) / 512);
		memcpy(keep, sector, 512);
		memmove(sector, other, 512);
		memcpy(other, keep, 512);
	}
}

static void bit_flip(struct damage *damage, uint64_t *random)
{
	uint64_t bit = test_random(random) % 128, index = any_index(damage, random);

	if (test_random(random) % 8 == 0) {
		tell(damage, " bit %" PRIu64 " of the header;", bit);
		damage->cow[bit / 8] ^= (uint8_t)(1 << bit % 8);
		return;
	}
	tell(damage, " bit %" PRIu64 " of record %" PRIu64 ";", bit, index);
	record_at(damage, index)[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

void damage_mutate(struct damage *damage, uint64_t *random)
{
	switch (test_random(random) % 12) {
	case 0:
		header_set(damage, random);
		return;
	case 1:
	case 2:
		sector_change(damage, random);
		return;
	case 3:
		damage->cow_bytes -= test_random(random) % (damage->cow_bytes - 1024) / 512 * 512;
		tell(damage, " cut to %" PRIu64 " bytes;", damage->cow_bytes);
		damage->nr_records = 0;
		return;
	case 4:
	case 5:
	case 6:
	case 7:
		bit_flip(damage, random);
		return;
	default:
		field_set(damage, random);
	}
}

int damage_repair(struct cow_image *cow, uint32_t flags, struct cow_repair_result *result,
		  struct cow_err *err)
{
	struct cow_role_image role = { COW_ROLE_COW, 0, cow };
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = &role;
	args.nr_images = 1;
	args.kind = "persistent";
	params.flags = flags;
	return cow_repair(&args, &params, result, err);
}

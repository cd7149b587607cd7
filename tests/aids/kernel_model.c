/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/kernel_model.h"

#include <stdlib.h>
#include <string.h>

static uint64_t get(const uint8_t *raw, unsigned int nr_bytes)
{
	uint64_t value = 0;

	while (nr_bytes--)
		value = value << 8 | raw[nr_bytes];
	return value;
}

/* A chunk of data that is on the image? */
static bool is_data(const struct kernel_model *model, uint64_t new_chunk)
{
	uint64_t stride = model->chunk_bytes / 16 + 1;

	return new_chunk >= 2 && new_chunk < model->cow_bytes / model->chunk_bytes &&
	       new_chunk % stride != 1;
}

/* One list for each 256 old chunks: here all in one, ordered by the group. */
static void insert(struct kernel_model *model, uint64_t old_chunk, uint64_t new_chunk)
{
	uint64_t group = old_chunk >> 8;
	size_t at;

	for (at = 0; at < model->nr_entries; at++) {
		struct kernel_entry *entry = &model->entries[at];

		if (entry->old_chunk >> 8 < group)
			continue;
		if (entry->old_chunk >> 8 > group)
			break;
		if (old_chunk == entry->old_chunk + entry->more + 1 &&
		    new_chunk == entry->new_chunk + entry->more + 1) {
			entry->more++;
			return;
		}
		if (old_chunk + 1 == entry->old_chunk && new_chunk + 1 == entry->new_chunk) {
			entry->more++;
			entry->old_chunk--;
			entry->new_chunk--;
			return;
		}
		if (old_chunk < entry->old_chunk)
			break;
	}
	memmove(&model->entries[at + 1], &model->entries[at],
		(model->nr_entries - at) * sizeof(model->entries[0]));
	model->entries[at] =
		(struct kernel_entry){ old_chunk, new_chunk << 8 >> 8, new_chunk >> 56 };
	model->nr_entries++;
}

/* Where a read of a chunk of the origin goes; false: to the origin. */
static bool lookup(const struct kernel_model *model, uint64_t old_chunk, uint64_t *ret_new_chunk)
{
	for (size_t i = 0; i < model->nr_entries; i++) {
		const struct kernel_entry *entry = &model->entries[i];

		if (entry->old_chunk >> 8 != old_chunk >> 8 || old_chunk < entry->old_chunk ||
		    old_chunk > entry->old_chunk + entry->more)
			continue;
		*ret_new_chunk = entry->new_chunk + (old_chunk - entry->old_chunk);
		return true;
	}
	return false;
}

/* An image has 2^63 - 512 bytes at most, and so has an origin. */
static bool is_record_legal(const struct kernel_model *model, const uint8_t *raw)
{
	uint64_t chunks = ((UINT64_C(1) << 63) - 512 + model->chunk_bytes - 1) / model->chunk_bytes;

	return get(raw, 8) < chunks && is_data(model, get(raw + 8, 8));
}

/* Behind the end, in its own sector: a record that is sound and where the
 * kernel would have put it was live. */
static bool has_hole(const struct kernel_model *model, const uint8_t *area, uint64_t first,
		     uint64_t i)
{
	uint64_t per_area = model->chunk_bytes / 16;

	for (uint64_t at = i + 1; at % 32; at++) {
		uint64_t nr = first + at;

		if (is_record_legal(model, area + at * 16) &&
		    get(area + at * 16 + 8, 8) >= 2 + nr + nr / per_area)
			return true;
	}
	return false;
}

/* false: off the end of the image. */
static bool records_load(struct kernel_model *model, bool *ret_legal)
{
	uint64_t per_area = model->chunk_bytes / 16;

	for (uint64_t area = 0;; area++) {
		uint64_t chunk = 1 + area * (per_area + 1);
		const uint8_t *raw = model->cow + chunk * model->chunk_bytes;

		if ((chunk + 1) * model->chunk_bytes > model->cow_bytes)
			return false;
		for (uint64_t i = 0; i < per_area; i++) {
			uint64_t old_chunk = get(raw + i * 16, 8), new = get(raw + i * 16 + 8, 8);

			if (!new) {
				if (has_hole(model, raw, area * per_area, i))
					*ret_legal = false;
				return true;
			}
			if (!is_record_legal(model, raw + i * 16))
				*ret_legal = false;
			model->has_top_byte = model->has_top_byte || new >> 56;
			insert(model, old_chunk, new);
			model->records[model->nr_records++] =
				(struct kernel_record){ old_chunk, new };
		}
	}
}

/* Two records share one chunk, old or new, and do not say the same. */
static bool has_conflict(const struct kernel_model *model)
{
	for (uint64_t i = 0; i < model->nr_records; i++)
		for (uint64_t j = 0; j < i; j++) {
			const struct kernel_record *a = &model->records[i];
			const struct kernel_record *b = &model->records[j];

			if ((a->old_chunk == b->old_chunk) != (a->new_chunk == b->new_chunk))
				return true;
		}
	return false;
}

void kernel_model_load(struct kernel_model *model, const uint8_t *cow, uint64_t cow_bytes,
		       uint64_t chunk_bytes)
{
	bool legal = get(cow, 4) == 0x70416e53 && get(cow + 8, 4) == 1 && get(cow + 4, 4);
	uint64_t sectors = get(cow + 12, 4);
	bool is_sane = sectors && !(sectors & (sectors - 1)) && sectors <= 1 << 21;

	memset(model, 0, sizeof(*model));
	if (!chunk_bytes && !is_sane)
		return;
	model->cow = cow;
	model->cow_bytes = cow_bytes;
	model->chunk_bytes = chunk_bytes ? chunk_bytes : sectors * 512;
	model->entries = calloc(cow_bytes / 16 + 1, sizeof(*model->entries));
	model->records = calloc(cow_bytes / 16 + 1, sizeof(*model->records));
	if (!model->entries || !model->records)
		abort();
	model->loads = legal && is_sane;
	model->loads = records_load(model, &legal) && model->loads;
	model->is_legal = model->loads && legal && !has_conflict(model);
}

bool kernel_model_keeps(const struct kernel_model *before, const struct kernel_model *after,
			uint64_t *ret_old_chunk)
{
	for (uint64_t i = 0; i < before->nr_records; i++) {
		uint64_t old_chunk = before->records[i].old_chunk, from, to;

		if (old_chunk > UINT64_MAX / 4 / before->chunk_bytes ||
		    !lookup(before, old_chunk, &from) || !is_data(before, from))
			continue;
		*ret_old_chunk = old_chunk;
		if (!lookup(after, old_chunk, &to) || !is_data(after, to) ||
		    memcmp(before->cow + from * before->chunk_bytes,
			   after->cow + to * after->chunk_bytes, before->chunk_bytes) != 0)
			return false;
	}
	return true;
}

void kernel_model_free(struct kernel_model *model)
{
	free(model->entries);
	free(model->records);
	memset(model, 0, sizeof(*model));
}

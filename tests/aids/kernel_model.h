/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * kernel_model.h - a naive model of how the kernel loads a persistent store,
 * for small images in memory; without a line of the library's format code.
 * Mirrors read_exceptions() and dm_insert_exception(), Linux 6.1.
 */
#ifndef TESTS_AIDS_KERNEL_MODEL_H
#define TESTS_AIDS_KERNEL_MODEL_H

#include "libcow.h"

struct kernel_model {
	const uint8_t *cow;
	uint64_t cow_bytes, chunk_bytes;
	bool loads;    /* as a valid store */
	bool is_legal; /* loads, and every rule of the format is kept */
	bool has_top_byte;
	uint64_t nr_records;
	struct kernel_entry {
		uint64_t old_chunk, new_chunk, more;
	} * entries;
	size_t nr_entries;
	struct kernel_record {
		uint64_t old_chunk, new_chunk;
	} * records; /* in the order of the list */
};

/* chunk_bytes 0: as the header says. */
void kernel_model_load(struct kernel_model *model, const uint8_t *cow, uint64_t cow_bytes,
		       uint64_t chunk_bytes);
void kernel_model_free(struct kernel_model *model);
/* Does every exception that could be read before read the same after? If not,
 * *ret_old_chunk is the first that does not. Chunk sizes must be equal. */
bool kernel_model_keeps(const struct kernel_model *before, const struct kernel_model *after,
			uint64_t *ret_old_chunk);

#endif

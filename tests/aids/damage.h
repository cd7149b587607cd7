/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * damage.h - small random stores in plain buffers, and what can happen to
 * them: bits that flip, fields, sectors, areas, the end of the image.
 */
#ifndef TESTS_AIDS_DAMAGE_H
#define TESTS_AIDS_DAMAGE_H

#include "libcow.h"

#define DAMAGE_OLD_CHUNKS 400 /* of the origin */

struct damage {
	uint64_t chunk_bytes, cow_bytes;
	uint64_t nr_records;
	uint8_t *cow;
	char story[400]; /* what was done to it */
};

/* A good store: records in the order of allocation, runs and single ones. */
void damage_make(struct damage *damage, uint64_t *random);
/* One thing happens to it; the story says what. */
void damage_mutate(struct damage *damage, uint64_t *random);
void damage_free(struct damage *damage);

/* Has the library repair a persistent store without its origin; flags:
 * COW_REPAIR_*. */
int damage_repair(struct cow_image *cow, uint32_t flags, struct cow_repair_result *result,
		  struct cow_err *err);

#endif

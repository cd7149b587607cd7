/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_map.h - what the files of the space map share.
 */
#ifndef COW_PDATA_MAP_H
#define COW_PDATA_MAP_H

#include "libcow/pdata/pdata_space_map.h"

struct map_place {
	uint64_t key;
	struct pdata_map_entry entry;
};

struct map_large {
	uint64_t block;
	uint32_t count;
};

struct pdata_map {
	struct pdata_map_params params;
	struct map_place *entries; /* ascending */
	size_t nr_entries, capacity;
	struct map_large *large; /* ascending */
	size_t nr_large, large_capacity;
	bool is_large_lost; /* the tree of counts cannot be read as a whole */
};

int cow_pdata_map_tell(const struct pdata_map *map, enum pdata_map_part part,
		       const struct pdata_fault *fault, struct cow_err *err);
/* The index of the first one at or behind a block. */
size_t cow_pdata_map_large_from(const struct pdata_map *map, uint64_t block);
const struct map_large *cow_pdata_map_large(const struct pdata_map *map, uint64_t block);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_space_map.h - space maps of persistent-data: how many references each
 * block has. Bitmaps hold two bits for each; counts from 3 on are in a btree.
 * The "metadata" map counts the metadata blocks, its own among them, and has an
 * index of its bitmaps in one block; a "disk" map (dm-thin's data blocks) has
 * it in a btree with values of 16 bytes, keys dense from 0.
 *
 * root	offset	size
 *	 0	   8	blocks that are counted
 *	 8	   8	of them, blocks with a count above 0
 *	16	   8	index block, or root of the index
 *	24	   8	root of the tree of counts from 3 on: key block, value 4 bytes
 *
 * index block	offset	size
 *		 0	   4	checksum
 *		 8	   8	own number
 *		16+16*i	  16	entry of bitmap i, below 255
 *
 * index entry	 0	   8	block of the bitmap
 *		 8	   4	free entries of it; the kernel counts all 16320,
 *				thin_repair only those of blocks that exist
 *		12	   4	no entry below this one is free: a hint
 *
 * bitmap	 0	   4	checksum
 *		 8	   8	own number
 *		16	4080	words of 64 bits, entry e in bits 2 * (e % 32) and the
 *				next of word e / 32; the first is the high bit of the
 *				count, and 3 says that the tree has it
 *
 * Source: drivers/md/persistent-data/dm-space-map-common.[ch],
 * dm-space-map-metadata.c, dm-space-map-disk.c, Linux 6.1.
 */
#ifndef COW_PDATA_SPACE_MAP_H
#define COW_PDATA_SPACE_MAP_H

#include "libcow/pdata/pdata_walk.h"

#define PDATA_MAP_ROOT_BYTES 32
#define PDATA_MAP_ENTRY_BYTES 16
#define PDATA_MAP_INDEX_ENTRIES 255
#define PDATA_BITMAP_HEADER_BYTES 16
#define PDATA_BITMAP_ENTRIES UINT64_C(16320)
/* From this count on the tree has it. */
#define PDATA_MAP_LARGE 3

struct pdata_map_root {
	uint64_t nr_blocks;
	uint64_t nr_allocated;
	uint64_t bitmap_root;
	uint64_t ref_count_root;
};

void cow_pdata_map_root_decode(const uint8_t raw[PDATA_MAP_ROOT_BYTES],
			       struct pdata_map_root *ret_root);
void cow_pdata_map_root_encode(const struct pdata_map_root *root,
			       uint8_t raw[PDATA_MAP_ROOT_BYTES]);

struct pdata_map_entry {
	uint64_t block;
	uint32_t nr_free;
	uint32_t none_free_before;
};

void cow_pdata_map_entry_encode(const struct pdata_map_entry *entry,
				uint8_t raw[PDATA_MAP_ENTRY_BYTES]);

/* The two bits of an entry of a bitmap. */
unsigned int cow_pdata_bitmap_get(const uint8_t *raw, uint64_t entry);
void cow_pdata_bitmap_set(uint8_t *raw, uint64_t entry, unsigned int count);
/* Fills bitmap number index with counts, and what the index says of it but for its block.
 * Blocks behind the last one that is counted are free. */
void cow_pdata_bitmap_fill(uint8_t *raw, const struct pdata_counts *counts, uint64_t index,
			   struct pdata_map_entry *entry);

enum pdata_map_part { PDATA_MAP_INDEX, PDATA_MAP_BITMAP, PDATA_MAP_REF_COUNTS, PDATA_MAP_ITSELF };

/* What such a fault is about, for cow_pdata_fault_text(). */
const char *cow_pdata_map_part_name(enum pdata_map_part part, enum pdata_what what);

struct pdata_map_params {
	struct pdata_blocks *blocks;
	struct pdata_map_root root;
	bool is_disk;
	uint64_t nr_blocks_max; /* how many there are to be counted at most */
	/* Counts the blocks that the map itself consists of; NULL: don't. */
	struct pdata_counts *counts;
	void *user;
	/* Each fault. NULL: the first one is an error, -EBADMSG or -EIO. */
	int (*fault)(void *user, enum pdata_map_part part, const struct pdata_fault *fault,
		     struct cow_err *err);
};

/* A fault callback that goes on, where what a fault hides is not asked for. */
int cow_pdata_map_fault_ignore(void *user, enum pdata_map_part part,
			       const struct pdata_fault *fault, struct cow_err *err);

/* A map that was read: its index and its tree of counts. */
struct pdata_map;

/* Reads index and tree of counts, and checks them. Blocks that hold bitmaps are
 * counted, not read. Errors: -ENOMEM, those of fault. */
int cow_pdata_map_load(const struct pdata_map_params *params, struct pdata_map **ret_map,
		       struct cow_err *err);
void cow_pdata_map_free(struct pdata_map *map);
COW_DEFINE_AUTO(pdata_map, struct pdata_map *, cow_pdata_map_free);

/* Entries of the index; one that is lost has the block COW_OFFSET_NONE. */
uint64_t cow_pdata_map_nr_bitmaps(const struct pdata_map *map);
struct pdata_map_entry cow_pdata_map_entry(const struct pdata_map *map, uint64_t bitmap);

/* Reads the count of a block as the map has it. Errors: -ERANGE it counts fewer
 * blocks; -EBADMSG, -EIO, -ENOMEM. */
int cow_pdata_map_get(struct pdata_map *map, uint64_t block, uint32_t *ret_count,
		      struct cow_err *err);

/*
 * Compares the map with what was counted, and what the index says with the
 * bitmaps. count: blocks first..first + nr - 1 have the count found in the map,
 * and counted is right; runs do not cross bitmaps. A bitmap that cannot be read
 * is a fault. *ret_nr_used: entries above 0 in the bitmaps that can be read.
 * What the root says of nr_allocated is left to the caller, as two conventions
 * exist. Errors: those of count and fault; -ENOMEM.
 */
int cow_pdata_map_compare(struct pdata_map *map, const struct pdata_counts *counts,
			  int (*count)(void *user, uint64_t first, uint64_t nr, uint32_t found,
				       uint32_t counted, struct cow_err *err),
			  uint64_t *ret_nr_used, struct cow_err *err);

#endif

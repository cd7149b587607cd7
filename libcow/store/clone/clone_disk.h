/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_disk.h - what dm-clone writes to its metadata device on top of
 * persistent-data (libcow/pdata): one superblock in block 0. All numbers are
 * little-endian. Source: drivers/md/dm-clone-metadata.c (struct
 * superblock_disk, sb_check, __format_metadata), Linux 6.1.
 *
 * superblock	offset	size
 *		 0	   4	checksum, constant 257649492
 *		 4	   4	flags: 0; not looked at
 *		 8	   8	block number: 0
 *		16	  16	uuid: zeros; not looked at
 *		32	   8	magic 0x8af27f64
 *		40	   4	version: 1
 *		44	 128	root of the space map; 32 bytes say something
 *		172	   8	region size in sectors: power of two, 8..2^21
 *		180	   8	target size in sectors
 *		188	   8	root of the bitset's tree
 *		196	3900	zeros
 *
 * Bit r of the bitset: region r is hydrated, its data is on the destination;
 * 0: it is on the source. The last region may be short. All of the superblock
 * lies in its first sector (I9); a block of zeros is a device to be formatted.
 */
#ifndef COW_STORE_CLONE_DISK_H
#define COW_STORE_CLONE_DISK_H

#include "libcow/base/units.h"
#include "libcow/pdata/pdata_space_map.h"

#define CLONE_MAGIC UINT64_C(0x8af27f64)
#define CLONE_VERSION 1
#define CLONE_REGION_SECTORS_MIN UINT64_C(8)
#define CLONE_REGION_SECTORS_MAX (UINT64_C(1) << 21)
#define CLONE_REGIONS_MAX (UINT64_C(1) << 31)
/* Of the superblock, this is all that says something: one sector. */
#define CLONE_SUPER_BYTES 196

extern const struct pdata_type cow_clone_super_type;

struct clone_super {
	uint32_t flags;
	uint8_t uuid[16];
	uint64_t magic;
	uint32_t version;
	struct pdata_map_root map;
	uint64_t region_sectors;
	uint64_t target_sectors;
	uint64_t bitset_root;
};

void cow_clone_super_decode(const uint8_t raw[PDATA_BLOCK_BYTES], struct clone_super *ret_super);
/* Fills the whole block: zeros where nothing is said, checksum last. */
void cow_clone_super_encode(const struct clone_super *super, uint8_t raw[PDATA_BLOCK_BYTES]);

bool cow_clone_region_ok(uint64_t region_sectors);
/* 0: these numbers are not those of a clone. */
uint64_t cow_clone_nr_regions(uint64_t region_sectors, uint64_t target_sectors);

#endif

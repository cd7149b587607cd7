/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_disk.h - what dm-thin writes to the metadata device of a pool on top of
 * persistent-data (libcow/pdata): one superblock in block 0, and the values of the
 * trees that it leads to. All numbers are little-endian. Source:
 * drivers/md/dm-thin-metadata.c (struct thin_disk_superblock, struct
 * disk_device_details, pack_block_time, sb_check, __open_metadata), Linux 6.1.
 *
 * superblock	offset	size
 *		 0	   4	checksum, constant 160774
 *		 4	   4	flags: bit 0 the pool needs a check; others are ignored
 *		 8	   8	block number: 0, in a metadata snapshot its own
 *		16	  16	uuid: zeros; not looked at
 *		32	   8	magic 27022010
 *		40	   4	version: 2; not looked at
 *		44	   4	time: snapshots taken so far
 *		48	   8	transaction id: a number of user space (LVM)
 *		56	   8	block of the metadata snapshot, or 0
 *		64	 128	root of the space map of the data device; 32 bytes say something
 *		192	 128	root of that of the metadata device; the same
 *		320	   8	mapping tree: device id -> root of that device's tree
 *		328	   8	details tree: device id -> details
 *		336	   4	size of a data block in sectors
 *		340	   4	size of a metadata block in sectors: 8; not looked at
 *		344	   8	metadata blocks when it was formatted; not looked at
 *		352	  12	compat, compat_ro and incompat flags
 *		364	3732	zeros
 *
 * The bytes behind the 32 of either root are memory of the kernel that nobody
 * initialised. All of the superblock lies in its first sector (I9); a block of zeros
 * is a device to be formatted.
 *
 * details	 0	   8	mappings of the device
 *		 8	   8	transaction id when it was created
 *		16	   4	time when it was created
 *		20	   4	time of the last snapshot that it took part in
 *
 * mapping: key virtual block, value 40 bits data block, 24 bits time. A block whose
 * mapping is older than the last snapshot of the device is shared to the kernel.
 */
#ifndef COW_STORE_THIN_DISK_H
#define COW_STORE_THIN_DISK_H

#include "libcow/base/units.h"
#include "libcow/pdata/pdata_space_map.h"

#define THIN_MAGIC UINT64_C(27022010)
#define THIN_VERSION_MAX 2
#define THIN_FLAG_NEEDS_CHECK UINT32_C(1)
/* Of a data block, in sectors: a multiple of the first, up to the second. */
#define THIN_BLOCK_SECTORS_MIN UINT64_C(128)
#define THIN_BLOCK_SECTORS_MAX UINT64_C(2097152)
#define THIN_ID_MAX ((UINT64_C(1) << 24) - 1)
#define THIN_TIME_MAX ((UINT32_C(1) << 24) - 1)
#define THIN_DATA_BLOCKS_MAX (UINT64_C(1) << 40)
#define THIN_DETAILS_BYTES 24
/* With fewer the kernel formats no pool that it can use. */
#define THIN_METADATA_BYTES_MIN (16 * PDATA_BLOCK_BYTES)
/* Of the superblock, this is all that says something: one sector. */
#define THIN_SUPER_BYTES 364

extern const struct pdata_type cow_thin_super_type;

struct thin_super {
	uint32_t flags;
	uint64_t magic;
	uint32_t version;
	uint32_t time;
	uint64_t transaction_id;
	uint64_t held_root;
	struct pdata_map_root data_map, metadata_map;
	uint64_t mapping_root, details_root;
	uint32_t block_sectors;
	uint32_t metadata_block_sectors;
	uint64_t metadata_nr_blocks;
	uint32_t compat_flags, compat_ro_flags, incompat_flags;
};

void cow_thin_super_decode(const uint8_t raw[PDATA_BLOCK_BYTES], struct thin_super *ret_super);
/* Fills the whole block: zeros where nothing is said, checksum last. */
void cow_thin_super_encode(const struct thin_super *super, uint64_t block,
			   uint8_t raw[PDATA_BLOCK_BYTES]);

struct thin_details {
	uint64_t mapped_blocks;
	uint64_t transaction_id;
	uint32_t creation_time;
	uint32_t snapshotted_time;
};

void cow_thin_details_decode(const uint8_t raw[THIN_DETAILS_BYTES],
			     struct thin_details *ret_details);
void cow_thin_details_encode(const struct thin_details *details, uint8_t raw[THIN_DETAILS_BYTES]);

static inline uint64_t thin_mapping_block(uint64_t value)
{
	return value >> 24;
}

static inline uint32_t thin_mapping_time(uint64_t value)
{
	return (uint32_t)value & THIN_TIME_MAX;
}

static inline uint64_t thin_mapping(uint64_t block, uint32_t time)
{
	return block << 24 | time;
}

/* How many metadata blocks the kernel keeps back, so that devices can be deleted in a
 * full pool. Source: dm-thin-metadata.c, __set_metadata_reserve(). */
static inline uint64_t thin_metadata_reserve(uint64_t nr_blocks)
{
	return min_u64(nr_blocks / 10, 4096);
}

/* Is it a size that a pool can have? */
bool cow_thin_block_ok(uint64_t block_sectors);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_disk.c - decodes and encodes the superblock of a clone.
 */
#include "libcow/store/clone/clone_disk.h"

#include <string.h>

#include "libcow/base/bytes.h"

const struct pdata_type cow_clone_super_type = { "superblock", 257649492, 8 };

void cow_clone_super_decode(const uint8_t raw[PDATA_BLOCK_BYTES], struct clone_super *ret_super)
{
	ret_super->flags = get_le32(raw + 4);
	memcpy(ret_super->uuid, raw + 16, sizeof(ret_super->uuid));
	ret_super->magic = get_le64(raw + 32);
	ret_super->version = get_le32(raw + 40);
	cow_pdata_map_root_decode(raw + 44, &ret_super->map);
	ret_super->region_sectors = get_le64(raw + 172);
	ret_super->target_sectors = get_le64(raw + 180);
	ret_super->bitset_root = get_le64(raw + 188);
}

void cow_clone_super_encode(const struct clone_super *super, uint8_t raw[PDATA_BLOCK_BYTES])
{
	memset(raw, 0, PDATA_BLOCK_BYTES);
	put_le32(raw + 4, super->flags);
	memcpy(raw + 16, super->uuid, sizeof(super->uuid));
	put_le64(raw + 32, super->magic);
	put_le32(raw + 40, super->version);
	cow_pdata_map_root_encode(&super->map, raw + 44);
	put_le64(raw + 172, super->region_sectors);
	put_le64(raw + 180, super->target_sectors);
	put_le64(raw + 188, super->bitset_root);
	cow_pdata_block_seal(&cow_clone_super_type, 0, raw);
}

bool cow_clone_region_ok(uint64_t region_sectors)
{
	return is_pow2(region_sectors) && region_sectors >= CLONE_REGION_SECTORS_MIN &&
	       region_sectors <= CLONE_REGION_SECTORS_MAX;
}

uint64_t cow_clone_nr_regions(uint64_t region_sectors, uint64_t target_sectors)
{
	uint64_t nr;

	if (!cow_clone_region_ok(region_sectors) ||
	    target_sectors > bytes_to_sectors(COW_IMAGE_BYTES_MAX))
		return 0;
	nr = div_ceil(target_sectors, region_sectors);
	return nr <= CLONE_REGIONS_MAX ? nr : 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_disk.c - decodes and encodes the superblock of a pool and the details of a
 * thin device.
 */
#include "libcow/store/thin/thin_disk.h"

#include <string.h>

#include "libcow/base/bytes.h"

const struct pdata_type cow_thin_super_type = { "superblock", 160774, 8 };

void cow_thin_super_decode(const uint8_t raw[PDATA_BLOCK_BYTES], struct thin_super *ret_super)
{
	ret_super->flags = get_le32(raw + 4);
	ret_super->magic = get_le64(raw + 32);
	ret_super->version = get_le32(raw + 40);
	ret_super->time = get_le32(raw + 44);
	ret_super->transaction_id = get_le64(raw + 48);
	ret_super->held_root = get_le64(raw + 56);
	cow_pdata_map_root_decode(raw + 64, &ret_super->data_map);
	cow_pdata_map_root_decode(raw + 192, &ret_super->metadata_map);
	ret_super->mapping_root = get_le64(raw + 320);
	ret_super->details_root = get_le64(raw + 328);
	ret_super->block_sectors = get_le32(raw + 336);
	ret_super->metadata_block_sectors = get_le32(raw + 340);
	ret_super->metadata_nr_blocks = get_le64(raw + 344);
	ret_super->compat_flags = get_le32(raw + 352);
	ret_super->compat_ro_flags = get_le32(raw + 356);
	ret_super->incompat_flags = get_le32(raw + 360);
}

void cow_thin_super_encode(const struct thin_super *super, uint64_t block,
			   uint8_t raw[PDATA_BLOCK_BYTES])
{
	memset(raw, 0, PDATA_BLOCK_BYTES);
	put_le32(raw + 4, super->flags);
	put_le64(raw + 32, super->magic);
	put_le32(raw + 40, super->version);
	put_le32(raw + 44, super->time);
	put_le64(raw + 48, super->transaction_id);
	put_le64(raw + 56, super->held_root);
	cow_pdata_map_root_encode(&super->data_map, raw + 64);
	cow_pdata_map_root_encode(&super->metadata_map, raw + 192);
	put_le64(raw + 320, super->mapping_root);
	put_le64(raw + 328, super->details_root);
	put_le32(raw + 336, super->block_sectors);
	put_le32(raw + 340, super->metadata_block_sectors);
	put_le64(raw + 344, super->metadata_nr_blocks);
	put_le32(raw + 352, super->compat_flags);
	put_le32(raw + 356, super->compat_ro_flags);
	put_le32(raw + 360, super->incompat_flags);
	cow_pdata_block_seal(&cow_thin_super_type, block, raw);
}

void cow_thin_details_decode(const uint8_t raw[THIN_DETAILS_BYTES],
			     struct thin_details *ret_details)
{
	ret_details->mapped_blocks = get_le64(raw);
	ret_details->transaction_id = get_le64(raw + 8);
	ret_details->creation_time = get_le32(raw + 16);
	ret_details->snapshotted_time = get_le32(raw + 20);
}

void cow_thin_details_encode(const struct thin_details *details, uint8_t raw[THIN_DETAILS_BYTES])
{
	put_le64(raw, details->mapped_blocks);
	put_le64(raw + 8, details->transaction_id);
	put_le32(raw + 16, details->creation_time);
	put_le32(raw + 20, details->snapshotted_time);
}

/* Source: dm-thin.c, pool_ctr(). */
bool cow_thin_block_ok(uint64_t block_sectors)
{
	return block_sectors >= THIN_BLOCK_SECTORS_MIN && block_sectors <= THIN_BLOCK_SECTORS_MAX &&
	       block_sectors % THIN_BLOCK_SECTORS_MIN == 0;
}

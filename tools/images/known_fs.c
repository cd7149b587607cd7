/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * known_fs.c - reads what ext2 to ext4, XFS, Btrfs, GPT and swap space say about
 * their device. libblkid of Debian 12 does not tell sizes.
 *
 * source: struct ext4_super_block (fs/ext4/ext4.h), struct xfs_dsb
 * (fs/xfs/libxfs/xfs_format.h), struct btrfs_super_block
 * (include/uapi/linux/btrfs_tree.h), gpt_header (block/partitions/efi.h), union
 * swap_header (include/linux/swap.h), Linux 6.1.
 */
#include "tools/images/known_fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/overflow.h"

#define HEAD_BYTES 4096

#define EXT_OFFSET 1024
#define EXT_BLOCK_SHIFT_MAX 6 /* 64 KiB */
#define EXT_COMPAT_SPARSE2 0x200u
#define EXT_INCOMPAT_JOURNAL_DEVICE 0x8u
#define EXT_INCOMPAT_64BIT 0x80u
#define EXT_RO_SPARSE 0x1u

#define BTRFS_OFFSET 65536
#define GPT_SECTOR_MAX 4096
#define SWAP_PAGE_MAX 65536

/* How a superblock is recognized, a copy of it too. */
static const struct layout {
	const char *name, *magic;
	uint32_t magic_at, magic_bytes, uuid_at, len_bytes;
} layouts[KNOWN_FS_NR] = {
	[KNOWN_FS_EXT] = { "an ext file system", "\x53\xef", 56, 2, 104, 1024 },
	[KNOWN_FS_XFS] = { "an XFS file system", "XFSB", 0, 4, 32, 512 },
	[KNOWN_FS_BTRFS] = { "a Btrfs file system", "_BHRfS_M", 64, 8, 32, 4096 },
	[KNOWN_FS_GPT] = { "a GPT partition table", "EFI PART", 0, 8, 56, 512 },
	[KNOWN_FS_SWAP] = { "swap space", "SWAPSPACE2", 0, 10, 0, 16 },
};

/* What they hold says nothing about their size, and an old superblock of another
 * kind may have stayed behind them. */
static const struct {
	uint32_t offset_bytes, len_bytes;
	const char *bytes;
} unjudged[] = {
	{ 0, 6, "LUKS\xba\xbe" }, { 0, 8, "LABELONE" },	   { 512, 8, "LABELONE" },
	{ 1024, 8, "LABELONE" },  { 1536, 8, "LABELONE" }, { 32769, 5, "CD001" },
	{ 0, 4, "hsqs" },	  { 3, 8, "NTFS    " },	   { 3, 8, "EXFAT   " },
	{ 54, 3, "FAT" },	  { 82, 5, "FAT32" },	   { 0, 4, "SnAp" },
};

static uint32_t get_be32(const uint8_t *raw)
{
	return (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
}

static uint64_t get_be64(const uint8_t *raw)
{
	return (uint64_t)get_be32(raw) << 32 | get_be32(raw + 4);
}

static bool peek(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes)
{
	return range_fits(offset_bytes, len_bytes, cow_image_size(image)) &&
	       !cow_image_pread(image, buf, len_bytes, offset_bytes, NULL);
}

static bool has_magic(enum known_fs_kind kind, const uint8_t *raw)
{
	const struct layout *layout = &layouts[kind];

	return !memcmp(raw + layout->magic_at, layout->magic, layout->magic_bytes);
}

static bool is_unjudged(struct cow_image *image)
{
	uint8_t raw[8];

	for (size_t i = 0; i < sizeof(unjudged) / sizeof(unjudged[0]); i++)
		if (peek(image, raw, unjudged[i].len_bytes, unjudged[i].offset_bytes) &&
		    !memcmp(raw, unjudged[i].bytes, unjudged[i].len_bytes))
			return true;
	return false;
}

static void ext_copies(const uint8_t *raw, struct known_fs *fs)
{
	if (get_le32(raw + 96) & EXT_INCOMPAT_JOURNAL_DEVICE) {
		fs->nr_groups = 0;
	} else if (get_le32(raw + 92) & EXT_COMPAT_SPARSE2) {
		fs->is_listed = true;
		fs->copies[0] = get_le32(raw + 588);
		fs->copies[1] = get_le32(raw + 592);
	} else {
		fs->is_sparse = get_le32(raw + 100) & EXT_RO_SPARSE;
	}
}

static bool ext_read(struct cow_image *image, struct known_fs *fs)
{
	uint8_t raw[1024];
	uint64_t nr_blocks, block, per_group;
	uint32_t shift;

	if (!peek(image, raw, sizeof(raw), EXT_OFFSET) || !has_magic(KNOWN_FS_EXT, raw))
		return false;
	nr_blocks = get_le32(raw + 4);
	if (get_le32(raw + 96) & EXT_INCOMPAT_64BIT)
		nr_blocks |= (uint64_t)get_le32(raw + 336) << 32;
	shift = get_le32(raw + 24);
	per_group = get_le32(raw + 32);
	if (shift > EXT_BLOCK_SHIFT_MAX || !per_group || !nr_blocks || get_le32(raw + 20) > 1)
		return false;
	block = UINT64_C(1024) << shift;
	if (mul_overflows(nr_blocks, block, &fs->size_bytes))
		return false;
	fs->first_bytes = get_le32(raw + 20) * block;
	fs->group_bytes = per_group * block; /* 2^32 blocks of 64 KiB at most */
	fs->nr_groups = (fs->size_bytes - fs->first_bytes) / fs->group_bytes + 1;
	ext_copies(raw, fs);
	memcpy(fs->uuid, raw + 104, KNOWN_FS_UUID_BYTES);
	return true;
}

static bool xfs_read(struct cow_image *image, struct known_fs *fs)
{
	uint8_t raw[512];
	uint64_t block, per_group;

	if (!peek(image, raw, sizeof(raw), 0) || !has_magic(KNOWN_FS_XFS, raw))
		return false;
	block = get_be32(raw + 4);
	per_group = get_be32(raw + 84);
	if (block < 512 || block > 65536 || block & (block - 1) || !per_group || !get_be64(raw + 8))
		return false;
	if (mul_overflows(get_be64(raw + 8), block, &fs->size_bytes))
		return false;
	fs->group_bytes = per_group * block; /* 2^32 blocks of 64 KiB at most */
	fs->nr_groups = get_be32(raw + 88);
	memcpy(fs->uuid, raw + 32, KNOWN_FS_UUID_BYTES);
	return true;
}

static bool btrfs_read(struct cow_image *image, struct known_fs *fs)
{
	uint8_t raw[HEAD_BYTES];

	if (!peek(image, raw, sizeof(raw), BTRFS_OFFSET) || !has_magic(KNOWN_FS_BTRFS, raw))
		return false;
	fs->size_bytes = get_le64(raw + 209); /* of this device, not of all of them */
	fs->is_listed = true;
	fs->copies[0] = UINT64_C(64) << 20;
	fs->copies[1] = UINT64_C(256) << 30;
	memcpy(fs->uuid, raw + 32, KNOWN_FS_UUID_BYTES);
	return fs->size_bytes > 0;
}

static bool gpt_read(struct cow_image *image, struct known_fs *fs)
{
	uint8_t raw[512];

	for (uint64_t sector = 512; sector <= GPT_SECTOR_MAX; sector *= 8) {
		uint64_t nr_sectors;

		if (!peek(image, raw, sizeof(raw), sector) || !has_magic(KNOWN_FS_GPT, raw) ||
		    get_le64(raw + 24) != 1)
			continue;
		if (add_overflows(get_le64(raw + 32), 1, &nr_sectors) || nr_sectors < 3 ||
		    mul_overflows(nr_sectors, sector, &fs->size_bytes))
			return false;
		fs->is_listed = true;
		fs->copies[0] = fs->size_bytes - sector;
		memcpy(fs->uuid, raw + 56, KNOWN_FS_UUID_BYTES);
		return true;
	}
	return false;
}

static bool swap_read(struct cow_image *image, struct known_fs *fs)
{
	uint8_t raw[64];

	for (uint64_t page = HEAD_BYTES; page <= SWAP_PAGE_MAX; page *= 2) {
		if (!peek(image, raw, 10, page - 10) || !has_magic(KNOWN_FS_SWAP, raw))
			continue;
		if (!peek(image, raw, sizeof(raw), 1024))
			return false;
		if (get_le32(raw) == 1)
			fs->size_bytes = ((uint64_t)get_le32(raw + 4) + 1) * page;
		else if (get_be32(raw) == 1)
			fs->size_bytes = ((uint64_t)get_be32(raw + 4) + 1) * page;
		memcpy(fs->uuid, raw + 12, KNOWN_FS_UUID_BYTES);
		return fs->size_bytes > 0;
	}
	return false;
}

bool known_fs_read(struct cow_image *image, struct known_fs *ret_fs)
{
	static bool (*const readers[KNOWN_FS_NR])(struct cow_image *, struct known_fs *) = {
		[KNOWN_FS_EXT] = ext_read,     [KNOWN_FS_XFS] = xfs_read,
		[KNOWN_FS_BTRFS] = btrfs_read, [KNOWN_FS_GPT] = gpt_read,
		[KNOWN_FS_SWAP] = swap_read,
	};

	if (is_unjudged(image))
		return false;
	for (int kind = 0; kind < KNOWN_FS_NR; kind++) {
		*ret_fs = (struct known_fs){ .kind = (enum known_fs_kind)kind };
		if (readers[kind](image, ret_fs))
			return true;
	}
	return false;
}

const char *known_fs_name(const struct known_fs *fs)
{
	return layouts[fs->kind].name;
}

/* The lowest power of base above group. */
static uint64_t power_above(uint64_t base, uint64_t group)
{
	uint64_t power = base;

	while (power <= group) /* group < 2^48 */
		power *= base;
	return power;
}

/* The group behind this one that has a copy. */
static uint64_t next_group(const struct known_fs *fs, uint64_t group)
{
	uint64_t next;

	if (!fs->is_sparse || !group)
		return group + 1;
	next = power_above(3, group);
	for (uint64_t base = 5; base <= 7; base += 2)
		if (power_above(base, group) < next)
			next = power_above(base, group);
	return next;
}

static bool next_listed(const struct known_fs *fs, uint64_t *at, uint64_t *ret_offset_bytes)
{
	uint64_t entry;

	while (*at < 2) {
		entry = fs->copies[(*at)++];
		if (fs->kind != KNOWN_FS_EXT)
			*ret_offset_bytes = entry;
		else if (entry < fs->nr_groups)
			*ret_offset_bytes = fs->first_bytes + entry * fs->group_bytes;
		else
			continue;
		if (entry && *ret_offset_bytes < fs->size_bytes)
			return true;
	}
	return false;
}

bool known_fs_next_copy(const struct known_fs *fs, uint64_t *at, uint64_t *ret_offset_bytes)
{
	uint64_t offset;

	if (fs->is_listed)
		return next_listed(fs, at, ret_offset_bytes);
	*at = next_group(fs, *at);
	if (*at >= fs->nr_groups || mul_overflows(*at, fs->group_bytes, &offset) ||
	    add_overflows(offset, fs->first_bytes, &offset) || offset >= fs->size_bytes)
		return false;
	*ret_offset_bytes = offset;
	return true;
}

uint64_t known_fs_copy_bytes(const struct known_fs *fs)
{
	return layouts[fs->kind].len_bytes;
}

int known_fs_copy_look(struct cow_image *image, const struct known_fs *fs, uint64_t offset_bytes,
		       enum known_fs_copy *ret_copy, uint8_t ret_uuid[KNOWN_FS_UUID_BYTES],
		       struct cow_err *err)
{
	const struct layout *layout = &layouts[fs->kind];
	uint8_t raw[HEAD_BYTES];
	int ret = cow_image_pread(image, raw, layout->len_bytes, offset_bytes, err);

	if (ret)
		return ret;
	memcpy(ret_uuid, raw + layout->uuid_at, KNOWN_FS_UUID_BYTES);
	if (!has_magic(fs->kind, raw))
		*ret_copy = is_all_zero(raw, layout->len_bytes) ? KNOWN_FS_COPY_ZERO
								: KNOWN_FS_COPY_OTHER;
	else
		*ret_copy = memcmp(ret_uuid, fs->uuid, KNOWN_FS_UUID_BYTES) ? KNOWN_FS_COPY_UUID
									    : KNOWN_FS_COPY_RIGHT;
	return 0;
}

void known_fs_uuid_text(const struct known_fs *fs, const uint8_t uuid[KNOWN_FS_UUID_BYTES],
			char ret_text[KNOWN_FS_UUID_TEXT_BYTES])
{
	static const uint8_t plain[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	static const uint8_t mixed[] = { 3, 2, 1, 0, 5, 4, 7, 6 };
	const uint8_t *order = fs->kind == KNOWN_FS_GPT ? mixed : plain;
	int len = 0;

	for (int i = 0; i < KNOWN_FS_UUID_BYTES; i++)
		len += snprintf(ret_text + len, KNOWN_FS_UUID_TEXT_BYTES - (size_t)len, "%s%02x",
				i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
				uuid[i < 8 ? order[i] : i]);
}

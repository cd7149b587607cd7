/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_kind.c - magic numbers of what people keep on block devices. A partition
 * table comes last: file systems of the FAT family look like one.
 */
#include "tools/fs_kind.h"

#include <string.h>

static const struct magic {
	uint64_t offset_bytes;
	const char *bytes;
	size_t len_bytes;
	const char *name;
} magics[] = {
	{ 0, "XFSB", 4, "an XFS file system" },
	{ 65536 + 64, "_BHRfS_M", 8, "a Btrfs file system" },
	{ 1024, "\x10\x20\xf5\xf2", 4, "an F2FS file system" },
	{ 1024, "\xe2\xe1\xf5\xe0", 4, "an EROFS file system" },
	{ 0, "hsqs", 4, "a SquashFS file system" },
	{ 0, "LUKS\xba\xbe", 6, "an encrypted LUKS volume" },
	{ 512, "LABELONE", 8, "an LVM physical volume; name the logical volume in it as a window" },
	{ 0, "LABELONE", 8, "an LVM physical volume; name the logical volume in it as a window" },
	{ 0, "SnAp", 4, "a snapshot's exception store; are the operands swapped?" },
	{ 4096, "\xfc\x4e\x2b\xa9", 4, "a member of an md array" },
	{ 65536 + 52, "ReIsEr", 6, "a ReiserFS file system" },
	{ 32768, "JFS1", 4, "a JFS file system" },
	{ 32768 + 1, "CD001", 5, "an ISO 9660 file system" },
	{ 4096 - 10, "SWAPSPACE2", 10, "swap space" },
	{ 3, "NTFS    ", 8, "an NTFS file system" },
	{ 3, "EXFAT   ", 8, "an exFAT file system" },
	{ 54, "FAT", 3, "a FAT file system" },
	{ 82, "FAT32", 5, "a FAT file system" },
	{ 512, "EFI PART", 8, "a disk with a partition table; name the partition as a window" },
	{ 510, "\x55\xaa", 2, "a disk with a partition table; name the partition as a window" },
};

const char *fs_kind(struct cow_image *image)
{
	uint64_t size = cow_image_size(image);
	uint8_t found[16];
	size_t i;

	for (i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		const struct magic *m = &magics[i];

		if (m->offset_bytes + m->len_bytes > size)
			continue;
		if (cow_image_pread(image, found, m->len_bytes, m->offset_bytes, NULL))
			continue;
		if (!memcmp(found, m->bytes, m->len_bytes))
			return m->name;
	}
	return NULL;
}

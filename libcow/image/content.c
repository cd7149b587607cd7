/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * content.c - magic numbers of what people keep in images and on devices, for
 * the sentence that says why something is not what was wanted. A partition
 * table comes last: file systems of the FAT family look like one.
 */
#include <string.h>

#include "libcow/base/overflow.h"
#include "libcow/image/image.h"

#define PEEK_BYTES_MAX 16

struct signature {
	uint64_t offset_bytes;
	const char *bytes;
	size_t len_bytes;
	const char *name;
};

/* Their bytes are not those of the disk that they hold. */
static const struct signature containers[] = {
	{ 0, "QFI\xfb", 4, "a qcow2 image" },
	{ 0, "QED\0", 4, "a QED image" },
	{ 0, "KDMV", 4, "a VMDK image" },
	{ 0, "COWD", 4, "a VMDK image" },
	{ 0, "vhdxfile", 8, "a VHDX image" },
	{ 0, "conectix", 8, "a VHD image" },
	{ 64, "\x7f\x10\xda\xbe", 4, "a VDI image" },
	{ 0, "WithoutFreeSpace", 16, "a Parallels image" },
	{ 0, "WithouFreSpacExt", 16, "a Parallels image" },
	{ 0, "\x3a\xff\x26\xed", 4, "an Android sparse image" },
	{ 0, "\x1f\x8b\x08", 3, "something compressed with gzip" },
	{ 0, "\x28\xb5\x2f\xfd", 4, "something compressed with zstd" },
	{ 0, "\xfd\x37zXZ", 5, "something compressed with xz" },
	/* source: the superblocks of dm-thin, dm-cache, dm-clone and dm-era */
	{ 32, "\xba\x52\x9c\x01\x00\x00\x00\x00", 8, "the metadata of a thin pool" },
	{ 32, "\x03\xc4\x18\x00\x00\x00\x00\x00", 8, "the metadata of a dm-cache device" },
	{ 32, "\x64\x7f\xf2\x8a\x00\x00\x00\x00", 8, "the metadata of a dm-clone device" },
	{ 32, "\x7b\x07\xc1\x7e\x00\x00\x00\x00", 8, "the metadata of a dm-era device" },
};

static const struct signature signatures[] = {
	{ 0, "SnAp", 4, "a snapshot's exception store" },
	{ 257, "ustar", 5, "a tar archive" },
	{ 1080, "\x53\xef", 2, "an ext2, ext3 or ext4 file system" },
	{ 0, "XFSB", 4, "an XFS file system" },
	{ 65536 + 64, "_BHRfS_M", 8, "a Btrfs file system" },
	{ 1024, "\x10\x20\xf5\xf2", 4, "an F2FS file system" },
	{ 1024, "\xe2\xe1\xf5\xe0", 4, "an EROFS file system" },
	{ 0, "hsqs", 4, "a SquashFS file system" },
	{ 0, "LUKS\xba\xbe", 6, "an encrypted LUKS volume" },
	{ 512, "LABELONE", 8, "an LVM physical volume" },
	{ 0, "LABELONE", 8, "an LVM physical volume" },
	{ 4096, "\xfc\x4e\x2b\xa9", 4, "a member of an md array" },
	{ 65536 + 52, "ReIsEr", 6, "a ReiserFS file system" },
	{ 32768, "JFS1", 4, "a JFS file system" },
	{ 32768 + 1, "CD001", 5, "an ISO 9660 file system" },
	{ 4096 - 10, "SWAPSPACE2", 10, "swap space" },
	{ 3, "NTFS    ", 8, "an NTFS file system" },
	{ 3, "EXFAT   ", 8, "an exFAT file system" },
	{ 54, "FAT", 3, "a FAT file system" },
	{ 82, "FAT32", 5, "a FAT file system" },
	{ 512, "EFI PART", 8, "a disk with a partition table" },
	{ 510, "\x55\xaa", 2, "a disk with a partition table" },
};

static const char *find(struct cow_image *image, const struct signature *table, size_t nr)
{
	uint8_t found[PEEK_BYTES_MAX];

	for (size_t i = 0; i < nr; i++) {
		size_t len = table[i].len_bytes;

		if (range_fits(table[i].offset_bytes, len, image->size_bytes) &&
		    !cow_image_pread(image, found, len, table[i].offset_bytes, NULL) &&
		    !memcmp(found, table[i].bytes, len))
			return table[i].name;
	}
	return NULL;
}

const char *cow_image_container(struct cow_image *image)
{
	return find(image, containers, sizeof(containers) / sizeof(containers[0]));
}

const char *cow_image_content(struct cow_image *image)
{
	const char *container = cow_image_container(image);

	return container ? container
			 : find(image, signatures, sizeof(signatures) / sizeof(signatures[0]));
}

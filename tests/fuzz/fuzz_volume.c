/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fuzz_volume.c - a disk image with a partition table or LVM's metadata, listed
 * as snapcheck --list does, each volume read a little. The first byte says what
 * the rest is: the text of a volume group; label, area header and text; or the
 * first sectors of the disk. Checksums are put right, so that what is behind them
 * is reached.
 */
#include "tests/fuzz/fuzz.h"

#include "libcow/base/bytes.h"
#include "libcow/volume/lvm_label.h"
#include "libcow/volume/volume_crc32.h"

#define DISK_BYTES (UINT64_C(4) << 20)
#define AREA_BYTES (UINT64_C(256) << 10)
#define TEXT_AT UINT64_C(512)

static struct cow_image *disk;

static void put(uint64_t at, const void *buf, size_t len)
{
	if (cow_image_pwrite(disk, buf, len, at, NULL))
		abort();
}

static void label_put(uint8_t sector[512])
{
	put_le32(sector + 16, cow_volume_crc32_add(COW_CRC32_LVM, sector + 20, 492));
	put(512, sector, 512);
}

static void area_put(uint8_t header[512], const uint8_t *text, size_t len)
{
	put_le32(header + 56, cow_volume_crc32_add(COW_CRC32_LVM, text, len));
	put_le32(header, cow_volume_crc32_add(COW_CRC32_LVM, header + 4, 508));
	put(4096, header, 512);
	put(4096 + TEXT_AT, text, len);
}

/* A sound label and area around any text. */
static void text_disk(const uint8_t *text, size_t len)
{
	static const char uuid[] = "iXvwTHY7ug4PUadBGNX6MgTZUAZlRJXc";
	uint8_t label[512] = "LABELONE", header[512] = { 0 };

	put_le64(label + 8, 1);
	put_le32(label + 20, 32);
	memcpy(label + 24, "LVM2 001", 8);
	memcpy(label + 32, uuid, 32);
	put_le64(label + 64, DISK_BYTES);
	put_le64(label + 72, 1 << 20);
	put_le64(label + 104, 4096);
	put_le64(label + 112, AREA_BYTES);
	label_put(label);
	memcpy(header + 4, "\x20\x4c\x56\x4d\x32\x20\x78\x5b\x35\x41\x25\x72\x30\x4e\x2a\x3e", 16);
	put_le32(header + 20, 1);
	put_le64(header + 24, 4096);
	put_le64(header + 32, AREA_BYTES);
	put_le64(header + 40, TEXT_AT);
	put_le64(header + 48, len);
	area_put(header, text, len);
}

static void metadata_disk(const uint8_t *data, size_t size)
{
	uint8_t label[512], header[512];

	memcpy(label, data, 512);
	memcpy(header, data + 512, 512);
	label_put(label);
	area_put(header, data + 1024, size - 1024);
}

/* The header of a GPT, with 512-byte sectors, as the input has it. */
static void table_disk(const uint8_t *data, size_t size)
{
	uint8_t header[512] = { 0 };
	uint64_t entries;

	put(0, data, size);
	if (size < 1024 || memcmp(data + 512, "EFI PART", 8))
		return;
	memcpy(header, data + 512, 512);
	entries = (uint64_t)get_le32(header + 80) * get_le32(header + 84);
	if (size > 1024 && get_le64(header + 72) == 2 && entries <= size - 1024)
		put_le32(header + 88, cow_volume_crc32(data + 1024, entries));
	put_le32(header + 16, 0);
	if (get_le32(header + 12) <= 512)
		put_le32(header + 16, cow_volume_crc32(header, get_le32(header + 12)));
	put(512, header, 512);
}

static int on_volume(void *user, const struct cow_volume *volume)
{
	uint8_t buf[512];

	(void)user;
	if (!volume->kind || !volume->spec || !volume->state)
		abort();
	if (volume->image && cow_image_size(volume->image) >= 512)
		(void)cow_image_pread(volume->image, buf, 512, cow_image_size(volume->image) - 512,
				      NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const specs[] = { "disk.img" };
	struct cow_err err = COW_ERR_INIT;

	if (size < 2 || size > 128 << 10)
		return 0;
	fuzz_begin();
	if (cow_image_memory_new(DISK_BYTES, &disk, NULL))
		abort();
	if (data[0] == 't')
		text_disk(data + 1, size - 1);
	else if (data[0] == 'm' && size > 1100)
		metadata_disk(data + 1, size - 1);
	else
		table_disk(data + 1, size - 1);
	if (cow_volume_list(&disk, specs, 1, on_volume, NULL, &err) && !err.message[0])
		abort();
	cow_image_close(disk);
	fuzz_end(size);
	return 0;
}

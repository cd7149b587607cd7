/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * partitions_gpt.c - GUID partition tables. A file does not say which sectors its disk had:
 * the header is looked for behind the first 512 bytes and behind the first 4096.
 * Where the first header or its entries are damaged, the backup at the end of
 * the disk is used; the kernel does not, without being told to.
 *
 * Source: UEFI specification 2.10, 5.3; block/partitions/efi.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/volume/volume_crc32.h"
#include "libcow/volume/partitions.h"

#define HEADER_BYTES 92
#define ENTRY_BYTES_MIN 128
#define ENTRY_BYTES_MAX 4096
#define ENTRIES_BYTES_MAX (4u << 20)
#define SECTOR_BYTES_MAX 4096

struct gpt_header {
	uint64_t alternate_lba, entries_lba;
	uint32_t nr_entries, entry_bytes, entries_crc;
};

/* false: there is none here, or it is damaged. */
static bool header_decode(uint8_t *raw, uint64_t lba, uint32_t sector_bytes,
			  struct gpt_header *ret_header)
{
	uint32_t header_bytes = get_le32(raw + 12), crc = get_le32(raw + 16);

	if (memcmp(raw, "EFI PART", 8) || header_bytes < HEADER_BYTES ||
	    header_bytes > sector_bytes)
		return false;
	put_le32(raw + 16, 0);
	if (cow_volume_crc32(raw, header_bytes) != crc || get_le64(raw + 24) != lba)
		return false;
	*ret_header = (struct gpt_header){
		.alternate_lba = get_le64(raw + 32),
		.entries_lba = get_le64(raw + 72),
		.nr_entries = get_le32(raw + 80),
		.entry_bytes = get_le32(raw + 84),
		.entries_crc = get_le32(raw + 88),
	};
	return ret_header->entry_bytes >= ENTRY_BYTES_MIN &&
	       ret_header->entry_bytes <= ENTRY_BYTES_MAX && is_pow2(ret_header->entry_bytes) &&
	       ret_header->nr_entries &&
	       ret_header->nr_entries <= ENTRIES_BYTES_MAX / ret_header->entry_bytes;
}

static void guid_text(const uint8_t *raw, char *text, size_t size)
{
	snprintf(text, size, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", get_le32(raw),
		 get_le16(raw + 4), get_le16(raw + 6), raw[8], raw[9], raw[10], raw[11], raw[12],
		 raw[13], raw[14], raw[15]);
}

static void entry_add(struct cow_partitions *table, unsigned int number, const uint8_t *raw)
{
	uint64_t first = get_le64(raw + 32), last = get_le64(raw + 40), end;
	struct cow_partition item = { .number = number };

	if (is_all_zero(raw, 16))
		return;
	if (last < first || mul_overflows(last, table->sector_bytes, &end) ||
	    add_overflows(end, table->sector_bytes, &end)) {
		table->fault = "the numbers of a partition are impossible; it is left out";
		return;
	}
	item.offset_bytes = first * table->sector_bytes;
	item.len_bytes = end - item.offset_bytes;
	guid_text(raw, item.type, sizeof(item.type));
	if (!cow_partitions_add(table, &item))
		table->fault = "it has more partitions than are listed";
}

/* -EBADMSG: the entries are damaged, or lie outside of the disk. */
static int entries_read(struct cow_image *disk, const struct gpt_header *header,
			struct cow_partitions *table, struct cow_err *err)
{
	/* bounded: ENTRIES_BYTES_MAX */
	size_t len = (size_t)header->nr_entries * header->entry_bytes;
	AUTO_FREE uint8_t *raw = NULL;
	uint64_t at;
	int ret;

	if (mul_overflows(header->entries_lba, table->sector_bytes, &at) ||
	    !range_fits(at, len, disk->size_bytes))
		return cow_fail(err, -EBADMSG, "the entries of the GPT lie outside of the disk");
	raw = (uint8_t *)malloc(len);
	if (!raw)
		return cow_fail(err, -ENOMEM, "no memory for a partition table");
	ret = cow_image_pread(disk, raw, len, at, err);
	if (!ret && cow_volume_crc32(raw, len) != header->entries_crc)
		ret = cow_fail(err, -EBADMSG,
			       "the entries of the GPT at byte %" PRIu64
			       " do not have the checksum that the header says",
			       at);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	for (uint32_t i = 0; i < header->nr_entries; i++)
		entry_add(table, i + 1, raw + (size_t)i * header->entry_bytes);
	return 0;
}

/* -EMEDIUMTYPE: no header at this sector. */
static int header_read(struct cow_image *disk, uint64_t lba, struct cow_partitions *table,
		       struct cow_err *err)
{
	uint8_t raw[SECTOR_BYTES_MAX];
	struct gpt_header header;
	uint64_t at;
	int ret;

	if (mul_overflows(lba, table->sector_bytes, &at) ||
	    !range_fits(at, table->sector_bytes, disk->size_bytes))
		return -EMEDIUMTYPE;
	ret = cow_image_pread(disk, raw, table->sector_bytes, at, err);
	if (ret)
		return ret;
	if (!header_decode(raw, lba, table->sector_bytes, &header))
		return -EMEDIUMTYPE;
	return entries_read(disk, &header, table, err);
}

static int gpt_try(struct cow_image *disk, uint32_t sector_bytes, struct cow_partitions *table,
		   struct cow_err *err)
{
	uint64_t nr_sectors = disk->size_bytes / sector_bytes;
	int ret;

	table->sector_bytes = sector_bytes;
	table->fault = NULL;
	ret = header_read(disk, 1, table, err);
	if ((ret != -EMEDIUMTYPE && ret != -EBADMSG) || nr_sectors < 3)
		return ret;
	ret = header_read(disk, nr_sectors - 1, table, err);
	if (!ret)
		table->fault = "its first copy is damaged; the backup at the end of the disk was "
			       "used, which the kernel does not do by itself";
	return ret;
}

int cow_partitions_gpt_read(struct cow_image *disk, struct cow_partitions *partitions,
			    struct cow_err *err)
{
	int ret = gpt_try(disk, 512, partitions, err);

	if (ret == -EMEDIUMTYPE || ret == -EBADMSG)
		ret = gpt_try(disk, 4096, partitions, err);
	if (ret == -EMEDIUMTYPE || ret == -EBADMSG)
		return cow_fail(err, -EBADMSG,
				"the disk has a protective MBR, but no GPT that can be used: both "
				"copies are damaged, or the end of the image is missing");
	if (!ret)
		partitions->kind = "gpt";
	return ret;
}

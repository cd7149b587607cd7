/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * partitions.c - partition tables: the MBR with its chain of logical partitions.
 * GPT is in partitions_gpt.c. Own code, because the library needs libc alone, and because
 * the bytes are hostile: nothing is followed further than the kernel does.
 *
 * Source: block/partitions/msdos.c.
 */
#include "libcow/volume/partitions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/volume/volume.h"

#define MBR_BYTES 512
#define MBR_ENTRIES 446
#define ENTRY_BYTES 16
#define TYPE_GPT 0xee
/* Links of the chain that are followed; the kernel's bound. */
#define CHAIN_MAX 100

struct mbr_entry {
	uint8_t boot, type;
	uint64_t offset_bytes, len_bytes;
};

bool cow_partitions_add(struct cow_partitions *partitions, const struct cow_partition *item)
{
	if (partitions->nr_items == COW_PARTITIONS_MAX)
		return false;
	partitions->items[partitions->nr_items++] = *item;
	return true;
}

static bool is_extended(const struct mbr_entry *entry)
{
	return entry->len_bytes &&
	       (entry->type == 0x05 || entry->type == 0x0f || entry->type == 0x85);
}

/* 32 bits times a sector of at most 2^31: no overflow. */
static void mbr_decode(const uint8_t *raw, uint64_t sector_bytes, struct mbr_entry ret_entries[4])
{
	for (int i = 0; i < 4; i++) {
		const uint8_t *entry = raw + MBR_ENTRIES + (size_t)i * ENTRY_BYTES;

		ret_entries[i] = (struct mbr_entry){
			.boot = entry[0],
			.type = entry[4],
			.offset_bytes = get_le32(entry + 8) * sector_bytes,
			.len_bytes = get_le32(entry + 12) * sector_bytes,
		};
	}
}

/* A boot sector of a file system ends in 55 AA, too, but holds code there. */
static bool is_table(const uint8_t *raw, const struct mbr_entry entries[4])
{
	bool has_entry = false;

	if (raw[510] != 0x55 || raw[511] != 0xaa)
		return false;
	for (int i = 0; i < 4; i++) {
		if (entries[i].boot & 0x7f)
			return false;
		has_entry |= entries[i].type && entries[i].len_bytes;
	}
	return has_entry;
}

static void add_entry(struct cow_partitions *table, unsigned int number,
		      const struct mbr_entry *entry, uint64_t base_bytes)
{
	struct cow_partition item = {
		.number = number,
		.offset_bytes = base_bytes + entry->offset_bytes,
		.len_bytes = entry->len_bytes,
	};

	snprintf(item.type, sizeof(item.type), "%02x", entry->type);
	if (!cow_partitions_add(table, &item))
		table->fault = "it has more partitions than are listed";
}

/* One link of the chain: its partitions, and where the next one lies (relative
 * to the first). false: it is the last. */
static bool link_read(struct cow_partitions *table, const uint8_t *raw, uint64_t link_bytes,
		      unsigned int *number, uint64_t *ret_next)
{
	struct mbr_entry entries[4];
	bool has_next = false;

	mbr_decode(raw, table->sector_bytes, entries);
	if (raw[510] != 0x55 || raw[511] != 0xaa) {
		table->fault = "the chain of its logical partitions is broken";
		return false;
	}
	/* The kernel looks at all four; whatever made the third and fourth was no
	 * tool of today, and they are not counted here. */
	for (int i = 0; i < 2; i++) {
		if (is_extended(&entries[i]) && !has_next) {
			*ret_next = entries[i].offset_bytes;
			has_next = true;
		} else if (entries[i].len_bytes && !is_extended(&entries[i])) {
			add_entry(table, (*number)++, &entries[i], link_bytes);
		}
	}
	return has_next;
}

static int chain_read(struct cow_image *disk, struct cow_partitions *table, uint64_t first_bytes,
		      struct cow_err *err)
{
	uint64_t next_bytes = 0;
	unsigned int number = 5;
	uint8_t raw[MBR_BYTES];

	for (int links = 0; links < CHAIN_MAX; links++) {
		uint64_t link_bytes = first_bytes + next_bytes;
		int ret;

		if (!range_fits(link_bytes, MBR_BYTES, disk->size_bytes)) {
			table->fault = "the chain of its logical partitions leaves the disk";
			return 0;
		}
		ret = cow_image_pread(disk, raw, sizeof(raw), link_bytes, err);
		if (ret)
			return ret;
		if (!link_read(table, raw, link_bytes, &number, &next_bytes))
			return 0;
	}
	table->fault = "the chain of its logical partitions does not end";
	return 0;
}

static int mbr_read(struct cow_image *disk, const struct mbr_entry entries[4],
		    struct cow_partitions *table, struct cow_err *err)
{
	int ret = 0;

	table->kind = "mbr";
	for (unsigned int i = 0; i < 4; i++)
		if (entries[i].type && entries[i].len_bytes)
			add_entry(table, i + 1, &entries[i], 0);
	for (int i = 0; i < 4 && !ret; i++)
		if (is_extended(&entries[i]))
			return chain_read(disk, table, entries[i].offset_bytes, err);
	return ret;
}

int cow_partitions_read(struct cow_image *disk, struct cow_partitions *ret_partitions,
			struct cow_err *err)
{
	struct mbr_entry entries[4];
	uint8_t raw[MBR_BYTES];
	int ret;

	memset(ret_partitions, 0, sizeof(*ret_partitions));
	ret_partitions->sector_bytes = disk->logical_block_bytes;
	if (disk->size_bytes < MBR_BYTES)
		return 0;
	ret = cow_image_pread(disk, raw, sizeof(raw), 0, err);
	if (ret)
		return ret;
	mbr_decode(raw, disk->logical_block_bytes, entries);
	if (!is_table(raw, entries))
		return 0;
	for (int i = 0; i < 4; i++)
		if (entries[i].type == TYPE_GPT)
			return cow_partitions_gpt_read(disk, ret_partitions, err);
	return mbr_read(disk, entries, ret_partitions, err);
}

static void numbers_of(const struct cow_partitions *table, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < table->nr_items && len + 16 < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%u", i ? ", " : "",
					table->items[i].number);
}

static int open_item(struct cow_image *disk, const struct cow_partition *item,
		     struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_segment segment = { item->offset_bytes, item->len_bytes };

	if (!range_fits(item->offset_bytes, item->len_bytes, disk->size_bytes))
		return cow_fail(
			err, -ERANGE,
			"partition %u ends at byte %" PRIu64 ", but the disk at byte %" PRIu64
			"; the image is cut short, or the table belongs to a larger disk",
			item->number, item->offset_bytes + item->len_bytes, disk->size_bytes);
	return cow_image_window_new(disk, &segment, 1, ret_image, err);
}

int cow_volume_open_partition(struct cow_image *disk, uint64_t number, struct cow_image **ret_image,
			      struct cow_err *err)
{
	AUTO_FREE struct cow_partitions *table = (struct cow_partitions *)calloc(1, sizeof(*table));
	char text[200];
	int ret;

	if (!table)
		return cow_fail(err, -ENOMEM, "no memory for a partition table");
	ret = cow_partitions_read(disk, table, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	if (!table->kind)
		return cow_refuse(err, -EMEDIUMTYPE, "no-table", NULL,
				  "there is no partition table on \"%s\"", disk->name);
	for (size_t i = 0; i < table->nr_items; i++)
		if (table->items[i].number == number)
			return open_item(disk, &table->items[i], ret_image, err);
	numbers_of(table, text, sizeof(text));
	return cow_refuse(err, -ENOENT, "no-partition", NULL,
			  "there is no partition %" PRIu64 " on \"%s\"; it has %s", number,
			  disk->name, table->nr_items ? text : "none");
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Partition tables, sound and damaged, made in memory. Tables that other tools
 * made are on the disks of test_lvm.c. */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/volume/volume_crc32.h"
#include "libcow/volume/partitions.h"
#include "libcow/volume/volume.h"

#define DISK_BYTES (UINT64_C(8) << 20)

static struct cow_image *disk;
static struct cow_partitions table;

static void disk_new(void)
{
	OK(cow_image_memory_new(DISK_BYTES, &disk, err));
}

static void entry_put(uint64_t sector, int slot, uint8_t type, uint32_t start, uint32_t len)
{
	uint8_t raw[16] = { 0 };

	raw[4] = type;
	put_le32(raw + 8, start);
	put_le32(raw + 12, len);
	OK(cow_image_pwrite(disk, raw, 16, sector * 512 + 446 + (uint64_t)slot * 16, err));
	OK(cow_image_pwrite(disk, "\x55\xaa", 2, sector * 512 + 510, err));
}

static void gpt_put(uint64_t header_lba, uint64_t entries_lba, uint32_t sector)
{
	static const uint8_t type[16] = { 0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44,
					  0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28 };
	uint8_t entries[512] = { 0 }, header[92] = "EFI PART";

	for (int i = 0; i < 4; i += 2) {
		memcpy(entries + i * 128, type, 16);
		put_le64(entries + i * 128 + 32, 100 + (uint64_t)i * 100);
		put_le64(entries + i * 128 + 40, 199 + (uint64_t)i * 100);
	}
	put_le32(header + 8, 0x10000);
	put_le32(header + 12, 92);
	put_le64(header + 24, header_lba);
	put_le64(header + 72, entries_lba);
	put_le32(header + 80, 4);
	put_le32(header + 84, 128);
	put_le32(header + 88, cow_volume_crc32(entries, 512));
	put_le32(header + 16, cow_volume_crc32(header, 92));
	OK(cow_image_pwrite(disk, header, 92, header_lba * sector, err));
	OK(cow_image_pwrite(disk, entries, 512, entries_lba * sector, err));
}

/* The usual test value of this CRC. */
static void the_checksum_is_the_usual_one(void)
{
	CHECK_EQ(cow_volume_crc32("123456789", 9), 0xcbf43926);
	CHECK_EQ(cow_volume_crc32_add(cow_volume_crc32_add(5, "1234", 4), "56789", 5),
		 cow_volume_crc32_add(5, "123456789", 9));
}

static void no_table_is_no_error(void)
{
	struct cow_image *none = NULL;

	disk_new();
	OK(cow_partitions_read(disk, &table, err));
	CHECK(!table.kind);
	/* 55 AA alone is none; nor is a boot sector with code in these places. */
	OK(cow_image_pwrite(disk, "\x55\xaa", 2, 510, err));
	OK(cow_partitions_read(disk, &table, err));
	CHECK(!table.kind);
	entry_put(0, 0, 0x83, 1, 2);
	OK(cow_image_pwrite(disk, "\x33", 1, 446 + 16, err));
	OK(cow_partitions_read(disk, &table, err));
	CHECK(!table.kind);
	FAILS(-EMEDIUMTYPE, cow_volume_open_partition(disk, 1, &none, err));
	cow_image_close(disk);
}

static void numbers_are_those_of_the_kernel(void)
{
	struct cow_image *image = NULL;
	struct cow_err why = COW_ERR_INIT;

	disk_new();
	entry_put(0, 1, 0x83, 64, 100);
	entry_put(0, 3, 0x0f, 1000, 5000);
	entry_put(1000, 0, 0x8e, 10, 20);
	entry_put(1000, 1, 0x05, 100, 200);
	entry_put(1100, 0, 0x83, 5, 7);
	OK(cow_partitions_read(disk, &table, err));
	CHECK(!strcmp(table.kind, "mbr") && !table.fault && table.nr_items == 4);
	CHECK(table.items[0].number == 2 && table.items[0].offset_bytes == 64 * 512);
	CHECK(table.items[1].number == 4);
	CHECK(table.items[2].number == 5 && table.items[2].offset_bytes == 1010 * 512);
	CHECK(!strcmp(table.items[2].type, "8e") && table.items[2].len_bytes == 20 * 512);
	CHECK(table.items[3].number == 6 && table.items[3].offset_bytes == 1105 * 512);
	OK(cow_volume_open_partition(disk, 6, &image, err));
	CHECK_EQ(cow_image_size(image), 7 * 512);
	cow_image_close(image);
	CHECK(cow_volume_open_partition(disk, 3, &image, &why) == -ENOENT);
	CHECK(!strcmp(why.id, "no-partition") && strstr(why.message, "2, 4, 5, 6"));
	cow_image_close(disk);
}

static void a_chain_that_does_not_end_is_left(void)
{
	disk_new();
	entry_put(0, 0, 0x05, 1000, 5000);
	entry_put(1000, 0, 0x83, 10, 20);
	entry_put(1000, 1, 0x05, 0, 200);
	OK(cow_partitions_read(disk, &table, err));
	CHECK(table.nr_items == 101 && strstr(table.fault, "does not end"));
	entry_put(1000, 1, 0x05, 4000000000, 200);
	OK(cow_partitions_read(disk, &table, err));
	CHECK(table.nr_items == 2 && strstr(table.fault, "leaves the disk"));
	entry_put(1000, 1, 0x05, 50, 200);
	OK(cow_partitions_read(disk, &table, err));
	CHECK(table.nr_items == 2 && strstr(table.fault, "is broken"));
	cow_image_close(disk);
}

static void a_partition_beyond_the_end_is_refused(void)
{
	struct cow_image *none = NULL;

	disk_new();
	entry_put(0, 0, 0x83, 100, 4000000000);
	FAILS(-ERANGE, cow_volume_open_partition(disk, 1, &none, err));
	CHECK(!none);
	cow_image_close(disk);
}

static void check_gpt(uint32_t sector)
{
	CHECK(!strcmp(table.kind, "gpt") && table.nr_items == 2);
	CHECK_EQ(table.sector_bytes, sector);
	CHECK(table.items[1].number == 3);
	CHECK_EQ(table.items[1].offset_bytes, UINT64_C(300) * sector);
	CHECK_EQ(table.items[1].len_bytes, UINT64_C(100) * sector);
	CHECK(!strcmp(table.items[0].type, "e6d6d379-f507-44c2-a23c-238f2a3df928"));
}

/* One wrong byte in the first copy: the backup counts, and it is said. */
static void gpt_is_found_with_either_sector_and_from_its_backup(void)
{
	static const uint32_t sectors[] = { 512, 4096 };

	for (int i = 0; i < 2; i++) {
		uint32_t sector = sectors[i];
		uint64_t last = DISK_BYTES / sector - 1;

		disk_new();
		entry_put(0, 0, 0xee, 1, UINT32_MAX);
		FAILS(-EBADMSG, cow_partitions_read(disk, &table, err));
		gpt_put(1, 2, sector);
		OK(cow_partitions_read(disk, &table, err));
		check_gpt(sector);
		CHECK(!table.fault);
		OK(cow_image_pwrite(disk, "x", 1, 2 * (uint64_t)sector + 40, err));
		FAILS(-EBADMSG, cow_partitions_read(disk, &table, err));
		gpt_put(last, last - 1, sector);
		OK(cow_partitions_read(disk, &table, err));
		check_gpt(sector);
		CHECK(strstr(table.fault, "backup"));
		OK(cow_image_pwrite(disk, "x", 1, 1 * (uint64_t)sector + 40, err));
		OK(cow_partitions_read(disk, &table, err));
		check_gpt(sector);
		cow_image_close(disk);
	}
}

/* Without a protective MBR neither the kernel nor libblkid looks for GPT. */
static void gpt_needs_its_mbr(void)
{
	disk_new();
	gpt_put(1, 2, 512);
	OK(cow_partitions_read(disk, &table, err));
	CHECK(!table.kind);
	cow_image_close(disk);
}

static void random_tables_never_crash(void)
{
	uint64_t random = test_seed();

	for (int i = 0; i < 2000; i++) {
		uint8_t raw[64];
		unsigned int nr = 1 + test_random(&random) % 8;

		disk_new();
		entry_put(0, 0, i % 2 ? 0xee : 0x05, 1, 3000);
		gpt_put(1, 2, 512);
		while (nr--) {
			for (int k = 0; k < 64; k++)
				raw[k] = (uint8_t)(test_random(&random) % 3 ? 0
									    : test_random(&random));
			OK(cow_image_pwrite(disk, raw, 64, test_random(&random) % 2000, err));
		}
		OK(cow_image_pwrite(disk, "\x55\xaa", 2, 510, err));
		if (!cow_partitions_read(disk, &table, NULL))
			CHECK(table.nr_items <= COW_PARTITIONS_MAX);
		cow_image_close(disk);
	}
}

int main(void)
{
	RUN(the_checksum_is_the_usual_one);
	RUN(no_table_is_no_error);
	RUN(numbers_are_those_of_the_kernel);
	RUN(a_chain_that_does_not_end_is_left);
	RUN(a_partition_beyond_the_end_is_refused);
	RUN(gpt_is_found_with_either_sector_and_from_its_backup);
	RUN(gpt_needs_its_mbr);
	RUN(random_tables_never_crash);
	return test_end();
}

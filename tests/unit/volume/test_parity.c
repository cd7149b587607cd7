/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The data of raid4 and raid5: against the arithmetic of md's raid5.c, byte by byte, and
 * the volumes of a fixture, whose bytes test_lvm.c compares with what the kernel read.
 * Here it is asked what happens if its superblocks say that they are not complete.
 */
#include "tests/aids/test.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/image/image.h"
#include "libcow/volume/volume.h"
#include "tests/aids/image_model.h"
#include "tests/aids/temp_dir.h"

#define LEGS_MAX 5
#define DISKS 5

/* raid5_compute_sector(), as it is written there: which disk has data unit number unit. */
static unsigned int md_disk(unsigned int layout, unsigned int raid_disks, uint64_t unit)
{
	unsigned int data_disks = raid_disks - 1, pd;
	uint64_t stripe = unit / data_disks;
	unsigned int dd = (unsigned int)(unit % data_disks), turn = stripe % raid_disks;

	switch (layout) {
	case 0: /* ALGORITHM_LEFT_ASYMMETRIC */
		pd = data_disks - turn;
		return dd >= pd ? dd + 1 : dd;
	case 1: /* ALGORITHM_RIGHT_ASYMMETRIC */
		pd = turn;
		return dd >= pd ? dd + 1 : dd;
	case 2: /* ALGORITHM_LEFT_SYMMETRIC */
		pd = data_disks - turn;
		return (pd + 1 + dd) % raid_disks;
	case 3: /* ALGORITHM_RIGHT_SYMMETRIC */
		pd = turn;
		return (pd + 1 + dd) % raid_disks;
	case 4: /* ALGORITHM_PARITY_0 */
		return dd + 1;
	default: /* ALGORITHM_PARITY_N */
		return dd;
	}
}

/* What is no data is zeros, and it ends. */
static void next_data_check(struct cow_image *image, const uint8_t *bytes)
{
	uint64_t at = 0, data, len, size = cow_image_size(image);

	while (at < size) {
		OK(cow_image_next_data(image, at, &data, &len, err));
		CHECK(data >= at && data + len <= size);
		CHECK(is_all_zero(bytes + at, data - at));
		CHECK(len || data == size);
		at = data + len;
	}
}

static void layout_check(unsigned int layout, size_t nr_legs, uint64_t unit, uint64_t nr_rows)
{
	static uint8_t legs_bytes[LEGS_MAX][MODEL_BYTES], all[MODEL_BYTES * LEGS_MAX];
	struct cow_image *legs[LEGS_MAX], *image = NULL;
	uint64_t size = unit * nr_rows * (nr_legs - 1);

	for (size_t i = 0; i < nr_legs; i++) {
		OK(cow_image_memory_new(unit * nr_rows, &legs[i], err));
		/* one that is a hole */
		if (i != layout % nr_legs || nr_rows % 2)
			fill_random(legs[i], i + nr_rows + layout);
		OK(cow_image_pread(legs[i], legs_bytes[i], unit * nr_rows, 0, err));
	}
	OK(cow_image_parity_new(legs, nr_legs, unit, (enum image_parity_layout)layout, &image,
				err));
	CHECK_EQ(cow_image_size(image), size);
	CHECK(!cow_image_is_writable(image));
	CHECK(cow_image_pwrite(image, all, 512, 0, NULL));
	OK(cow_image_pread(image, all, size, 0, err));
	for (uint64_t at = 0; at < size; at++) {
		uint64_t number = at / unit, row = number / (nr_legs - 1);
		unsigned int disk = md_disk(layout, (unsigned int)nr_legs, number);

		CHECK_EQ(all[at], legs_bytes[disk][row * unit + at % unit]);
	}
	next_data_check(image, all);
	cow_image_close(image);
	for (size_t i = 0; i < nr_legs; i++)
		cow_image_close(legs[i]);
}

static void data_lies_where_md_puts_it(void)
{
	for (unsigned int layout = 0; layout < 6; layout++) {
		layout_check(layout, 2, 512, 9);
		layout_check(layout, 3, 4096, 14);
		layout_check(layout, 4, 512, 50);
		layout_check(layout, 5, 1536, 23);
		layout_check(layout, 5, 16384, 1);
	}
}

static void legs_that_do_not_fit_are_refused(void)
{
	struct cow_image *a, *b, *none = NULL;

	OK(cow_image_memory_new(8192, &a, err));
	OK(cow_image_memory_new(4096, &b, err));
	FAILS(-EINVAL, cow_image_parity_new((struct cow_image *[]){ a, b }, 2, 512,
					    IMAGE_PARITY_FIRST, &none, err));
	FAILS(-EINVAL, cow_image_parity_new((struct cow_image *[]){ a }, 1, 512, IMAGE_PARITY_FIRST,
					    &none, err));
	FAILS(-EINVAL, cow_image_parity_new((struct cow_image *[]){ a, b }, 2, 0,
					    IMAGE_PARITY_FIRST, &none, err));
	cow_image_close(a);
	cow_image_close(b);
}

/* ------------------------------------------------------------------ volumes */

/* Of the fixture: where the first superblock of vg0/r5 lies on disk 0, of r4 too. */
#define R4_SUPER (1 << 20)
#define R5_SUPER 2621440

static void disk_poke(int disk, long offset, unsigned int nr, uint64_t value)
{
	char name[32];
	uint8_t raw[8];
	FILE *file;

	snprintf(name, sizeof(name), "disk%d.img", disk);
	file = fopen(name, "r+b");
	put_le64(raw, value);
	CHECK(file && !fseek(file, offset, SEEK_SET));
	CHECK(fwrite(raw, 1, nr, file) == nr);
	CHECK(!fclose(file));
}

/* The id of the error that opening an LV gives, "": none; of the disks without one. */
static const char *lv_open_id(const char *name, int without)
{
	static struct cow_err why;
	struct cow_image *images[DISKS], *image = NULL;
	struct cow_imageset *disk_set = NULL;
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	size_t nr = 0;

	why = (struct cow_err)COW_ERR_INIT;
	OK(cow_imageset_new(&disk_set, err));
	for (int i = 0; i < DISKS; i++) {
		char file[32];

		snprintf(file, sizeof(file), "disk%d.img", i);
		if (i != without)
			OK(cow_imageset_open(disk_set, file, 0, &images[nr++], err));
	}
	OK(cow_lvm_open(images, nr, &lvm, err));
	OK(cow_lvm_find(lvm, name, &lv, err));
	CHECK(cow_lv_open(lv, COW_LV_WRITE, &image, &why) == -EPERM && !strcmp(why.id, "lv-write"));
	why = (struct cow_err)COW_ERR_INIT;
	cow_lv_open(lv, 0, &image, &why);
	cow_image_close(image);
	cow_lvm_close(lvm);
	while (nr)
		cow_image_close(images[--nr]);
	cow_imageset_free(disk_set);
	return why.id;
}

/* One field of a superblock of r5 at a time, and back. */
static const struct {
	long field;
	unsigned int nr;
	uint64_t value, was;
} faults[] = {
	{ 0, 4, 0, 0x64526d44 },     /* no superblock */
	{ 8, 4, 4, 3 },		     /* another number of legs */
	{ 12, 4, 0, 1 },	     /* of another place */
	{ 16, 8, 19, 20 },	     /* missed a change */
	{ 24, 8, 4, 0 },	     /* says that the third leg failed */
	{ 32, 8, 9856, UINT64_MAX }, /* not rebuilt to its end */
	{ 48, 4, 6, 5 },	     /* raid6 */
	{ 52, 4, 0, 2 },	     /* another layout */
	{ 56, 4, 64, 128 },	     /* other stripes */
	{ 60, 4, 1, 0 },	     /* being reshaped */
};

static void all_legs_must_be_complete(void)
{
	char command[8400];

	snprintf(command, sizeof(command), "cp '%s'/lvm/raids/disk?.img .", getenv("COW_UNPACKED"));
	CHECK(!system(command));
	CHECK(!*lv_open_id("vg0/r5", -1) && !*lv_open_id("vg0/r4", -1));
	/* r4 and r5 have legs on the first three */
	CHECK(!*lv_open_id("vg0/r5", 4));
	CHECK(!strcmp(lv_open_id("vg0/r5", 1), "lv-legs"));
	CHECK(!strcmp(lv_open_id("vg0/r4", 2), "lv-legs"));
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		disk_poke(1, R5_SUPER + faults[i].field, faults[i].nr, faults[i].value);
		if (strcmp(lv_open_id("vg0/r5", -1), "lv-legs"))
			fprintf(stderr, "field %ld\n", faults[i].field);
		CHECK(!strcmp(lv_open_id("vg0/r5", -1), "lv-legs"));
		CHECK(!*lv_open_id("vg0/r4", -1));
		disk_poke(1, R5_SUPER + faults[i].field, faults[i].nr, faults[i].was);
		CHECK(!*lv_open_id("vg0/r5", -1));
	}
	disk_poke(0, R4_SUPER + 52, 4, IMAGE_PARITY_LAST);
	CHECK(!strcmp(lv_open_id("vg0/r4", -1), "lv-legs"));
}

int main(void)
{
	temp_dir_enter();
	RUN(data_lies_where_md_puts_it);
	RUN(legs_that_do_not_fit_are_refused);
	RUN(all_legs_must_be_complete);
	return test_end();
}

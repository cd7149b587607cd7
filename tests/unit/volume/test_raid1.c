/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * A raid1 that is written: each leg alike, and only if its superblocks say that all legs are
 * complete. And images with copies of their bytes, as such: what is read, written, flushed,
 * compared.
 */
#include "tests/aids/test.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/image/image.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/temp_dir.h"

/* Of the fixture: where the superblock of a leg begins, and its data. */
#define SUPER_BYTES (UINT64_C(1) << 20)
#define DATA_BYTES UINT64_C(1572864)
#define BASE "lvm:disk0.img,disk1.img:vg0/base"
#define LEG_BYTES (UINT64_C(3) << 20)

static void disk_poke(const char *path, uint64_t at, size_t nr, uint64_t value)
{
	FILE *file = fopen(path, "r+b");
	uint8_t raw[8];

	put_le64(raw, value);
	CHECK(file && !fseek(file, (long)at, SEEK_SET));
	CHECK(fwrite(raw, 1, nr, file) == nr);
	CHECK(!fclose(file));
}

static void disks_fresh(void)
{
	char command[8400];

	snprintf(command, sizeof(command), "cp '%s'/lvm/raid1-origin/disk?.img .",
		 getenv("COW_UNPACKED"));
	CHECK(!system(command));
}

/* The id of the error, "": none. */
static const char *open_id(const char *spec, uint32_t flags)
{
	static struct cow_err why;
	struct cow_imageset *set = NULL;
	struct cow_image *image = NULL;

	why = (struct cow_err)COW_ERR_INIT;
	OK(cow_imageset_new(&set, err));
	if (cow_imageset_open(set, spec, flags, &image, &why))
		CHECK(*why.id);
	else
		CHECK_EQ(cow_image_nr_copies(image), flags & COW_OPEN_COPIES ? 2 : 1);
	cow_image_close(image);
	cow_imageset_free(set);
	return why.id;
}

/* One field of a superblock at a time, and back. */
static const struct {
	unsigned int field, nr;
	uint64_t value, was;
} faults[] = {
	{ 0, 4, 0, 0x64526d44 },     /* no superblock */
	{ 8, 4, 3, 2 },		     /* another number of legs */
	{ 12, 4, 0, 1 },	     /* of another place */
	{ 16, 8, 19, 20 },	     /* missed a change */
	{ 16, 8, 21, 20 },	     /* the other leg did */
	{ 24, 8, 1, 0 },	     /* says that the first leg failed */
	{ 32, 8, 9856, UINT64_MAX }, /* not rebuilt to its end */
	{ 40, 8, 9856, UINT64_MAX }, /* the legs were never synchronised to their end */
	{ 48, 4, 10, 1 },	     /* raid10 */
	{ 60, 4, 1, 0 },	     /* being reshaped */
};

static void a_raid1_is_written_only_if_all_legs_are_complete(void)
{
	disks_fresh();
	for (uint32_t how = COW_OPEN_WRITE; how;
	     how = how == COW_OPEN_WRITE ? COW_OPEN_REHEARSE : 0) {
		/* what is not the origin of a merge */
		CHECK(!strcmp(open_id(BASE, how), "lv-write"));
		CHECK(!*open_id(BASE, how | COW_OPEN_COPIES));
		CHECK(!strcmp(open_id("lvm:disk0.img:vg0/base", how | COW_OPEN_COPIES), "lv-legs"));
		for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
			disk_poke("disk1.img", SUPER_BYTES + faults[i].field, faults[i].nr,
				  faults[i].value);
			if (strcmp(open_id(BASE, how | COW_OPEN_COPIES), "lv-legs"))
				fprintf(stderr, "field %u\n", faults[i].field);
			CHECK(!strcmp(open_id(BASE, how | COW_OPEN_COPIES), "lv-legs"));
			disk_poke("disk1.img", SUPER_BYTES + faults[i].field, faults[i].nr,
				  faults[i].was);
		}
		CHECK(!*open_id(BASE, how | COW_OPEN_COPIES));
	}
	/* read, it needs one */
	CHECK(!*open_id("lvm:disk0.img:vg0/base", 0));
}

static void both_legs_are_written_and_belong_to_it(void)
{
	uint8_t wanted[4096], found[4096];
	struct cow_imageset *set = NULL;
	struct cow_image *image = NULL, *leg = NULL;
	struct cow_err why = COW_ERR_INIT;

	disks_fresh();
	memset(wanted, 'x', sizeof(wanted));
	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, BASE, COW_OPEN_WRITE | COW_OPEN_COPIES, &image, err));
	OK(cow_image_pwrite(image, wanted, sizeof(wanted), 8192, err));
	OK(cow_image_flush(image, err));
	/* the bytes of each leg are its own */
	for (int i = 0; i < 2; i++) {
		const char *spec = i ? "lvm:disk0.img,disk1.img:vg0/base_rimage_1"
				     : "lvm:disk0.img,disk1.img:vg0/base_rimage_0";

		why = (struct cow_err)COW_ERR_INIT;
		CHECK(cow_imageset_open(set, spec, COW_OPEN_BUSY, &leg, &why) == -EPERM);
		CHECK(!strcmp(why.id, "overlap"));
	}
	cow_image_close(image);
	for (int i = 0; i < 2; i++) {
		OK(cow_imageset_open(set, i ? "disk1.img" : "disk0.img", 0, &leg, err));
		OK(cow_image_pread(leg, found, sizeof(found), DATA_BYTES + 8192, err));
		CHECK(!memcmp(found, wanted, sizeof(found)));
		cow_image_close(leg);
	}
	cow_imageset_free(set);
}

static void legs_new(struct cow_image **legs, struct cow_image **ret_mirror)
{
	for (int i = 0; i < 3; i++)
		OK(cow_image_memory_new(LEG_BYTES, &legs[i], err));
	OK(cow_image_mirror_new(legs, 3, ret_mirror, err));
	CHECK_EQ(cow_image_nr_copies(*ret_mirror), 3);
	CHECK_EQ(cow_image_size(*ret_mirror), LEG_BYTES);
}

static void legs_close(struct cow_image **legs, struct cow_image *mirror)
{
	cow_image_close(mirror);
	for (int i = 0; i < 3; i++)
		cow_image_close(legs[i]);
}

static void each_leg_is_written_the_first_is_read(void)
{
	struct cow_image *legs[3], *mirror = NULL;
	uint8_t bytes[1024], found[1024];
	struct iovec iov[2] = { { bytes, 512 }, { bytes + 512, 512 } };
	uint64_t at, len;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i / 3 + 1);
	legs_new(legs, &mirror);
	OK(cow_image_pwrite(mirror, bytes, 1024, 1024, err));
	OK(cow_image_pwritev(mirror, iov, 2, 1 << 20, err));
	OK(cow_image_pwrite(mirror, bytes, 1024, 2 << 20, err));
	OK(cow_image_write_zeroes(mirror, 2 << 20, 512, err));
	OK(cow_image_flush(mirror, err));
	OK(cow_image_copies_check(mirror, 0, LEG_BYTES, err));
	for (int i = 0; i < 3; i++) {
		OK(cow_image_pread(legs[i], found, 1024, 1024, err));
		CHECK(!memcmp(found, bytes, 1024));
		OK(cow_image_pread(legs[i], found, 1024, 1 << 20, err));
		CHECK(!memcmp(found, bytes, 1024));
		OK(cow_image_pread(legs[i], found, 1024, 2 << 20, err));
		CHECK(is_all_zero(found, 512) && !memcmp(found + 512, bytes + 512, 512));
	}
	OK(cow_image_next_data(mirror, 0, &at, &len, err));
	CHECK(at <= 1024 && at + len >= 2048);
	CHECK(cow_image_clone_check(mirror, legs[1], NULL) == -EOPNOTSUPP);
	OK(cow_image_pwrite(legs[0], bytes + 5, 512, 0, err));
	OK(cow_image_pread(mirror, found, 512, 0, err));
	CHECK(!memcmp(found, bytes + 5, 512));
	legs_close(legs, mirror);
}

static void a_byte_that_differs_is_found_wherever_it_is(void)
{
	static const uint64_t places[] = {
		0, 511, 1 << 20, (1 << 20) + 1, (2 << 20) - 1, LEG_BYTES - 1
	};
	struct cow_image *legs[3], *mirror = NULL, *window = NULL;
	struct cow_segment half = { 512, LEG_BYTES - 512 };
	uint8_t sector[512];

	legs_new(legs, &mirror);
	OK(cow_image_window_new(mirror, &half, 1, &window, err));
	CHECK_EQ(cow_image_nr_copies(window), 3);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct cow_err why = COW_ERR_INIT;
		uint64_t at = places[i] / 512 * 512;
		char words[40];

		memset(sector, 0, sizeof(sector));
		sector[places[i] % 512] = 1;
		OK(cow_image_pwrite(legs[1 + i % 2], sector, 512, at, err));
		CHECK(cow_image_copies_check(mirror, 0, LEG_BYTES, &why) == -EPERM);
		CHECK(!strcmp(why.id, "lv-legs") && !strcmp(why.force, "legs"));
		snprintf(words, sizeof(words), "at byte %llu and", (unsigned long long)places[i]);
		CHECK(strstr(why.message, words) != NULL);
		CHECK(cow_image_copies_check(window, 0, half.len_bytes, NULL) ==
		      (places[i] < 512 ? 0 : -EPERM));
		/* not looked at */
		OK(cow_image_copies_check(mirror, 0, at, err));
		OK(cow_image_copies_check(mirror, at + 512, LEG_BYTES - at - 512, err));
		memset(sector, 0, sizeof(sector));
		OK(cow_image_pwrite(legs[1 + i % 2], sector, 512, at, err));
	}
	OK(cow_image_copies_check(mirror, 0, LEG_BYTES, err));
	OK(cow_image_copies_check(legs[0], 0, LEG_BYTES, err));
	cow_image_close(window);
	legs_close(legs, mirror);
}

/* I8 */
static void a_leg_that_fails_ends_the_write_and_the_flush(void)
{
	for (int bad = 0; bad < 3; bad++) {
		struct cow_image *legs[3], *fault = NULL, *mirror = NULL;
		struct fault_plan plan = { .kinds = FAULT_WRITE, .nth = 1 };
		uint8_t sector[512] = { 1 };

		for (int i = 0; i < 3; i++)
			OK(cow_image_memory_new(LEG_BYTES, &legs[i], err));
		OK(fault_new(legs[bad], &plan, &fault, err));
		OK(cow_image_mirror_new((struct cow_image *[]){ bad == 0 ? fault : legs[0],
								bad == 1 ? fault : legs[1],
								bad == 2 ? fault : legs[2] },
					3, &mirror, err));
		CHECK(cow_image_pwrite(mirror, sector, 512, 0, NULL) == -EIO);
		OK(cow_image_pwrite(mirror, sector, 512, 0, err));
		plan = (struct fault_plan){ .kinds = FAULT_FLUSH, .nth = 1 };
		CHECK(cow_image_flush(mirror, NULL) == -EIO);
		CHECK(cow_image_flush(mirror, NULL) == -EIO);
		CHECK(cow_image_pwrite(mirror, sector, 512, 0, NULL) == -EIO);
		cow_image_close(mirror);
		cow_image_close(fault);
		for (int i = 0; i < 3; i++)
			cow_image_close(legs[i]);
	}
}

static void legs_of_two_sizes_are_none(void)
{
	struct cow_image *legs[2], *mirror = NULL;

	OK(cow_image_memory_new(1024, &legs[0], err));
	OK(cow_image_memory_new(512, &legs[1], err));
	CHECK(cow_image_mirror_new(legs, 2, &mirror, NULL) == -EINVAL && !mirror);
	cow_image_close(legs[0]);
	cow_image_close(legs[1]);
}

int main(void)
{
	CHECK(getenv("COW_UNPACKED"));
	temp_dir_enter();
	RUN(a_raid1_is_written_only_if_all_legs_are_complete);
	RUN(both_legs_are_written_and_belong_to_it);
	RUN(each_leg_is_written_the_first_is_read);
	RUN(a_byte_that_differs_is_found_wherever_it_is);
	RUN(a_leg_that_fails_ends_the_write_and_the_flush);
	RUN(legs_of_two_sizes_are_none);
	return test_end();
}

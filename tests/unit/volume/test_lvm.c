/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Disks that a real kernel and LVM made: every logical volume reads as the kernel
 * read it, or is refused as documented; metadata damaged on purpose, where LVM
 * itself said what it makes of them; and metadata mutated at random. Needs openssl,
 * and the folders that COW_FIXTURES and COW_UNPACKED name.
 */
#include "tests/aids/test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcow/base/units.h"
#include "libcow/volume/lvm_vg.h"
#include "tests/aids/sha256.h"
#include "tests/aids/temp_dir.h"

#define DISKS_MAX 5

static char fixtures[4096];

struct disks {
	struct cow_imageset *set;
	size_t nr;
	struct cow_image *images[DISKS_MAX];
};

static void unpack(const char *name, const char *file)
{
	char command[8400];

	snprintf(command, sizeof(command), "cp '%s/lvm/%s/%s' '%s'", getenv("COW_UNPACKED"), name,
		 file, file);
	CHECK(!system(command));
}

static void disks_open(struct disks *disks, const char *name)
{
	char path[8400];

	*disks = (struct disks){ .nr = 0 };
	OK(cow_imageset_new(&disks->set, err));
	for (int i = 0; i < DISKS_MAX; i++) {
		char file[32];

		snprintf(file, sizeof(file), "disk%d.img", i);
		snprintf(path, sizeof(path), "%s/%s/%s.xz", fixtures, name, file);
		if (access(path, R_OK))
			continue;
		unpack(name, file);
		OK(cow_imageset_open(disks->set, file, 0, &disks->images[disks->nr++], err));
	}
	CHECK(disks->nr);
}

static void disks_close(struct disks *disks)
{
	for (size_t i = 0; i < disks->nr; i++)
		cow_image_close(disks->images[i]);
	cow_imageset_free(disks->set);
}

/* The view of a snapshot, of which "origin" may have grown since. */
static int view_sha256(struct cow_image *origin, struct cow_image *cow, uint64_t view_bytes,
		       char ret_hex[SHA256_HEX_BYTES], struct cow_err *err)
{
	struct cow_segment all = { 0, view_bytes };
	struct cow_role_image roles[2] = { { .role = COW_ROLE_ORIGIN },
					   { .role = COW_ROLE_COW, .image = cow } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_image *view = NULL;
	struct cow_store *store = NULL;
	int ret = cow_image_window_new(origin, &all, 1, &roles[0].image, err);

	args.images = roles;
	args.nr_images = 2;
	if (!ret)
		ret = cow_store_open(&args, &store, err);
	if (!ret)
		ret = cow_view_new(roles[0].image, store, &view, err);
	if (!ret)
		ret = sha256_image(view, ret_hex, err);
	cow_image_close(view);
	cow_store_close(store);
	cow_image_close(roles[0].image);
	return ret;
}

/* What the LV's device shows. */
static int shown_sha256(struct cow_lvm *lvm, const char *name, char ret_hex[SHA256_HEX_BYTES],
			struct cow_err *err)
{
	struct cow_image *image = NULL, *cow = NULL;
	const struct cow_lv *lv, *snapshot = NULL;
	int ret = cow_lvm_find(lvm, name, &lv, err);

	if (ret)
		return ret;
	if (cow_lv_origin(lv))
		snapshot = lv;
	else
		cow_lv_is_merging(lv, &snapshot);
	ret = cow_lv_open(snapshot ? cow_lv_origin(snapshot) : lv, 0, &image, err);
	if (!ret && snapshot)
		ret = cow_lv_open(snapshot, 0, &cow, err);
	if (!ret && snapshot)
		ret = view_sha256(image, cow, cow_lv_view_bytes(snapshot), ret_hex, err);
	else if (!ret)
		ret = sha256_image(image, ret_hex, err);
	cow_image_close(cow);
	cow_image_close(image);
	return ret;
}

static void check_lv(const char *fixture, struct cow_lvm *lvm, const char *name, const char *wanted)
{
	struct cow_err why = COW_ERR_INIT;
	char found[SHA256_HEX_BYTES] = "";

	if (shown_sha256(lvm, name, found, &why))
		snprintf(found, sizeof(found), "%s", why.id);
	if (strcmp(found, wanted)) {
		fprintf(stderr, "%s: %s: %s (%s), expected %s\n", fixture, name, found, why.message,
			wanted);
		exit(1);
	}
}

static void check_fixture(const char *name)
{
	char path[8400], lv[256], wanted[SHA256_HEX_BYTES];
	unsigned int nr = 0;
	struct disks disks;
	struct cow_lvm *lvm = NULL;
	FILE *kernel;

	snprintf(path, sizeof(path), "%s/%s/kernel.txt", fixtures, name);
	kernel = fopen(path, "r");
	CHECK(kernel);
	disks_open(&disks, name);
	OK(cow_lvm_open(disks.images, disks.nr, &lvm, err));
	for (; fscanf(kernel, "%255s %64s", lv, wanted) == 2; nr++)
		check_lv(name, lvm, lv, wanted);
	CHECK(nr);
	(void)fclose(kernel);
	cow_lvm_close(lvm);
	disks_close(&disks);
}

static void disks_of_every_layout_read_as_the_kernel_read_them(void)
{
	check_fixture("whole");
	check_fixture("mbr");
	check_fixture("mbr-logical");
	check_fixture("gpt");
	check_fixture("gpt-4096");
	check_fixture("odd-label");
	check_fixture("wrapped");
	check_fixture("two-vgs");
	check_fixture("mda-0-and-2");
}

static void segments_and_snapshots_read_as_the_kernel_read_them(void)
{
	check_fixture("interleave");
	check_fixture("striped-origin");
	check_fixture("three-chunk-sizes");
	check_fixture("extended");
	check_fixture("names");
}

static void volumes_on_volumes_read_as_the_kernel_read_them(void)
{
	check_fixture("raid0-origin");
	check_fixture("raid1-origin");
	check_fixture("raids");
	check_fixture("mirrored");
	check_fixture("pvmove-cut");
	check_fixture("cached");
	/* Refused by the names of their types. */
	check_fixture("thin");
	check_fixture("thin-message");
	check_fixture("snapshot-of-thin");
}

/* raid1-origin: the superblocks of vg0/base, one on each disk, 1 MiB from its
 * beginning; byte 16: events, 24: failed legs, 32: sectors recovered. */
static void super_poke(const char *disk, unsigned int field, uint64_t value)
{
	FILE *file = fopen(disk, "r+b");
	uint8_t raw[8];

	for (int i = 0; i < 8; i++)
		raw[i] = (uint8_t)(value >> (8 * i));
	CHECK(file && !fseek(file, (1 << 20) + (long)field, SEEK_SET));
	CHECK(fwrite(raw, 1, 8, file) == 8);
	CHECK(!fclose(file));
}

/* What reading vg0/base gives, with the other leg overwritten: the id of an error, or
 * "first", "second". Of the disks with the bits of "given". */
static const char *leg_read(unsigned int given)
{
	static struct cow_err why;
	struct cow_imageset *disk_set = NULL;
	struct cow_image *images[2], *image = NULL;
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	char first[1] = "";
	size_t nr = 0;
	int ret;

	why = (struct cow_err)COW_ERR_INIT;
	OK(cow_imageset_new(&disk_set, err));
	if (given & 1)
		OK(cow_imageset_open(disk_set, "disk0.img", 0, &images[nr++], err));
	if (given & 2)
		OK(cow_imageset_open(disk_set, "disk1.img", 0, &images[nr++], err));
	OK(cow_lvm_open(images, nr, &lvm, err));
	OK(cow_lvm_find(lvm, "vg0/base", &lv, err));
	ret = cow_lv_open(lv, 0, &image, &why);
	CHECK(cow_lv_open(lv, COW_LV_WRITE, &image, NULL) == -EPERM);
	if (!ret)
		OK(cow_image_pread(image, first, 1, 0, err));
	cow_image_close(image);
	cow_lvm_close(lvm);
	while (nr)
		cow_image_close(images[--nr]);
	cow_imageset_free(disk_set);
	return ret ? why.id : first[0] == 'A' ? "first" : "second";
}

static void legs_begin(void)
{
	unpack("raid1-origin", "disk0.img");
	unpack("raid1-origin", "disk1.img");
	/* The first byte of each leg: behind the superblock's extent of 512 KiB. */
	CHECK(!system("printf A | dd of=disk0.img bs=1 seek=1572864 conv=notrunc status=none"));
	CHECK(!system("printf B | dd of=disk1.img bs=1 seek=1572864 conv=notrunc status=none"));
}

static void the_leg_is_read_that_the_superblocks_call_complete(void)
{
	legs_begin();
	CHECK(!strcmp(leg_read(3), "first"));
	CHECK(!strcmp(leg_read(1), "first"));
	CHECK(!strcmp(leg_read(2), "second"));
	/* Not rebuilt to its end. */
	super_poke("disk0.img", 32, 9856);
	CHECK(!strcmp(leg_read(3), "second"));
	CHECK(!strcmp(leg_read(1), "lv-legs"));
	super_poke("disk0.img", 32, UINT64_MAX);
	/* The second superblock says that the first leg failed. */
	super_poke("disk1.img", 24, 1);
	CHECK(!strcmp(leg_read(3), "second"));
	super_poke("disk1.img", 24, 0);
	/* The first has missed a change. */
	super_poke("disk1.img", 16, 1000000);
	CHECK(!strcmp(leg_read(3), "second"));
	CHECK(!strcmp(leg_read(1), "first"));
	/* An older superblock has nothing to say of the others. */
	super_poke("disk0.img", 24, 2);
	CHECK(!strcmp(leg_read(3), "second"));
	super_poke("disk1.img", 0, 0);
	CHECK(!strcmp(leg_read(2), "lv-legs"));
}

static void states_read_as_the_kernel_shows_them_or_are_refused(void)
{
	check_fixture("merge-pending");
	check_fixture("half-merged");
	check_fixture("overflowed");
	check_fixture("exported");
	check_fixture("foreign-system-id");
	check_fixture("pv-missing");
}

static bool has_note(const struct cow_lvm *lvm, const char *part)
{
	for (size_t i = 0; cow_lvm_note(lvm, i); i++)
		if (strstr(cow_lvm_note(lvm, i), part))
			return true;
	return false;
}

static void the_same_disk_twice_is_refused(void)
{
	struct disks disks;
	struct cow_image *again = NULL;
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_err why = COW_ERR_INIT;

	disks_open(&disks, "whole");
	CHECK(!system("cp disk0.img copy.img"));
	OK(cow_imageset_open(disks.set, "copy.img", 0, &again, err));
	OK(cow_lvm_open((struct cow_image *[]){ disks.images[0], again }, 2, &lvm, err));
	CHECK(cow_lvm_find(lvm, "vg0/base", &lv, &why) == -EPERM && !lv);
	CHECK(!strcmp(why.id, "duplicate-pv"));
	CHECK(strstr(why.message, "disk0.img") && strstr(why.message, "copy.img"));
	cow_lvm_close(lvm);
	cow_image_close(again);
	disks_close(&disks);
}

/* "whole" and "mbr" are two VGs of one name. */
static void two_groups_of_one_name_need_the_uuid(void)
{
	struct disks disks, more;
	struct cow_image *images[2];
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_err why = COW_ERR_INIT;
	char name[64] = "", *uuid;

	disks_open(&disks, "whole");
	images[0] = disks.images[0];
	CHECK(!mkdir("more", 0700) && !chdir("more"));
	disks_open(&more, "mbr");
	CHECK(!chdir(".."));
	images[1] = more.images[0];
	OK(cow_lvm_open(images, 2, &lvm, err));
	CHECK(cow_lvm_find(lvm, "vg0/snap", &lv, &why) == -EPERM);
	CHECK(!strcmp(why.id, "vg-name"));
	uuid = strstr(why.message, "such as ");
	CHECK(uuid && strlen(uuid + 8) == 38);
	snprintf(name, sizeof(name), "%s/snap", uuid + 8);
	OK(cow_lvm_find(lvm, name, &lv, err));
	CHECK(!strcmp(cow_lv_name(cow_lv_origin(lv)), "vg0/base"));
	cow_lvm_close(lvm);
	disks_close(&more);
	disks_close(&disks);
}

static void names_that_are_not_there_are_answered_with_those_that_are(void)
{
	struct disks disks;
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_err why = COW_ERR_INIT;

	disks_open(&disks, "whole");
	OK(cow_lvm_open(disks.images, 1, &lvm, err));
	CHECK(cow_lvm_find(lvm, "vg1/base", &lv, &why) == -ENOENT);
	CHECK(!strcmp(why.id, "no-vg") && strstr(why.message, "there is vg0"));
	CHECK(cow_lvm_find(lvm, "vg0/nosnap", &lv, &why) == -ENOENT);
	CHECK(!strcmp(why.id, "no-lv") && strstr(why.message, "base, snap"));
	FAILS(-EINVAL, cow_lvm_find(lvm, "base", &lv, err));
	FAILS(-EINVAL, cow_lvm_find(lvm, "vg0/", &lv, err));
	FAILS(-EINVAL, cow_lvm_find(lvm, "/base", &lv, err));
	FAILS(-EINVAL, cow_lvm_find(lvm, "vg0/base/x", &lv, err));
	/* The hidden note is no volume. */
	OK(cow_lvm_find(lvm, "vg0/snapshot0", &lv, err));
	CHECK(cow_lv_open(lv, 0, &disks.images[1], &why) == -EOPNOTSUPP);
	CHECK(!strcmp(why.id, "lv-type"));
	cow_lvm_close(lvm);
	disks_close(&disks);
}

static void facts_of_snapshots_are_those_of_the_text(void)
{
	struct disks disks;
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *base, *lv = NULL, *merging = NULL;
	unsigned int nr = 0;

	disks_open(&disks, "three-chunk-sizes");
	OK(cow_lvm_open(disks.images, 1, &lvm, err));
	OK(cow_lvm_find(lvm, "vg0/base", &base, err));
	while ((lv = cow_lv_next_snapshot(base, lv))) {
		CHECK(cow_lv_origin(lv) == base && !cow_lv_is_merging(lv, NULL));
		CHECK_EQ(cow_lv_view_bytes(lv), 10485760);
		nr++;
	}
	CHECK_EQ(nr, 3);
	CHECK(!cow_lv_is_merging(base, &merging) && !merging);
	cow_lvm_close(lvm);
	disks_close(&disks);
	disks_open(&disks, "merge-pending");
	OK(cow_lvm_open(disks.images, 1, &lvm, err));
	OK(cow_lvm_find(lvm, "vg0/base", &base, err));
	OK(cow_lvm_find(lvm, "vg0/snap", &lv, err));
	CHECK(cow_lv_is_merging(base, &merging) && merging == lv);
	CHECK_EQ(cow_lv_chunk_bytes(lv), 4096);
	cow_lvm_close(lvm);
	disks_close(&disks);
	disks_open(&disks, "exported");
	OK(cow_lvm_open(disks.images, 1, &lvm, err));
	CHECK(has_note(lvm, "VG vg0 is exported"));
	cow_lvm_close(lvm);
	disks_close(&disks);
}

static void an_image_outlives_the_metadata_and_writes_through(void)
{
	struct disks disks;
	struct cow_image *overlay = NULL, *image = NULL;
	struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv;
	uint8_t before[512], after[512];

	disks_open(&disks, "whole");
	OK(cow_image_overlay_new(disks.images[0], &overlay, err));
	OK(cow_lvm_open(&overlay, 1, &lvm, err));
	OK(cow_lvm_find(lvm, "vg0/snap", &lv, err));
	OK(cow_lv_open(lv, COW_LV_WRITE, &image, err));
	cow_lvm_close(lvm);
	CHECK(cow_image_is_writable(image) && cow_image_size(image) == 3145728);
	OK(cow_image_pread(image, before, 512, 0, err));
	CHECK(!memcmp(before, "SnAp", 4));
	memset(before, 7, 512);
	OK(cow_image_pwrite(image, before, 512, 1024, err));
	/* kernel: vg0-snap-cow: 0 6144 linear 98:16 22528 */
	OK(cow_image_pread(overlay, after, 512, 22528 * 512 + 1024, err));
	CHECK(!memcmp(before, after, 512));
	cow_image_close(image);
	cow_image_close(overlay);
	disks_close(&disks);
}

/* One line of cases.txt: "OFFSET HEX" or "truncate SIZE". */
static void patch_line(FILE *image, const char *line)
{
	unsigned long at;
	unsigned int byte;
	int used;

	if (sscanf(line, "truncate %lu", &at) == 1) {
		CHECK(!fflush(image) && !ftruncate(fileno(image), (off_t)at));
		return;
	}
	CHECK(sscanf(line, "%lu %n", &at, &used) == 1 && !fseek(image, (long)at, SEEK_SET));
	for (line += used; sscanf(line, "%2x", &byte) == 1; line += 2)
		CHECK(fputc((int)byte, image) != EOF);
}

static void check_damaged(const char *name, const char *lv, const char *wanted, const char *sound)
{
	struct cow_imageset *set = NULL;
	struct cow_image *image = NULL;
	struct cow_lvm *lvm = NULL;
	struct cow_err why = COW_ERR_INIT;
	char found[SHA256_HEX_BYTES] = "";
	int ret;

	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, "x.img", 0, &image, err));
	ret = cow_lvm_open(&image, 1, &lvm, &why);
	if (!ret)
		ret = shown_sha256(lvm, lv, found, &why);
	if (ret)
		snprintf(found, sizeof(found), "%s", why.id);
	else
		snprintf(found, sizeof(found), "%s", strcmp(found, sound) ? "other" : "same");
	if (strcmp(found, wanted)) {
		fprintf(stderr, "%s: %s: %s (%s), expected %s\n", name, lv, found, why.message,
			wanted);
		exit(1);
	}
	cow_lvm_close(lvm);
	cow_image_close(image);
	cow_imageset_free(set);
}

static void sound_sha256(const char *lv, char ret_hex[SHA256_HEX_BYTES])
{
	struct cow_imageset *set = NULL;
	struct cow_image *image = NULL;
	struct cow_lvm *lvm = NULL;

	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, "base.img", 0, &image, err));
	OK(cow_lvm_open(&image, 1, &lvm, err));
	CHECK(!cow_lvm_note(lvm, 0));
	OK(shown_sha256(lvm, lv, ret_hex, err));
	cow_lvm_close(lvm);
	cow_image_close(image);
	cow_imageset_free(set);
}

/* "same": LVM reads such a VG, and so do we. Where LVM refuses the whole VG, one
 * LV may still be read here. */
static void damaged_metadata_get_the_documented_verdict(void)
{
	static char line[40000];
	char sound[2][SHA256_HEX_BYTES], name[64] = "", wanted[2][32];
	FILE *cases, *image = NULL;
	unsigned int nr = 0;

	unpack("damaged", "base.img");
	unpack("damaged", "cases.txt");
	sound_sha256("vg0/base", sound[0]);
	sound_sha256("vg0/snap", sound[1]);
	cases = fopen("cases.txt", "r");
	CHECK(cases);
	for (bool more = true; more;) {
		more = fgets(line, sizeof(line), cases);
		if (more && strncmp(line, "case ", 5)) {
			patch_line(image, line);
			continue;
		}
		if (image) {
			CHECK(!fclose(image));
			check_damaged(name, "vg0/base", wanted[0], sound[0]);
			check_damaged(name, "vg0/snap", wanted[1], sound[1]);
			nr++;
		}
		if (!more)
			break;
		CHECK(sscanf(line, "case %63s %31s %31s", name, wanted[0], wanted[1]) == 3);
		CHECK(!system("cp --sparse=always base.img x.img"));
		image = fopen("x.img", "r+");
		CHECK(image);
	}
	CHECK_EQ(nr, 57);
	(void)fclose(cases);
}

/* Every LV of a VG is opened and read a little: nothing crashes, nothing hangs. */
static void use_all(struct lvm_vg *vg)
{
	for (size_t i = 0; i < vg->nr_lvs; i++) {
		struct cow_image *image = NULL;
		uint8_t buf[512];

		if (cow_lv_open(&vg->lvs[i], 0, &image, NULL))
			continue;
		(void)cow_image_pread(image, buf, 512, cow_image_size(image) - 512, NULL);
		cow_image_close(image);
	}
}

static bool try_text(const char *bytes, size_t len_bytes, const struct lvm_pv *pv)
{
	char *copy = (char *)malloc(len_bytes + 1);
	struct lvm_vg *vg = NULL;
	bool is_read;

	CHECK(copy);
	memcpy(copy, bytes, len_bytes);
	copy[len_bytes] = '\0';
	if (cow_lvm_vg_new(copy, len_bytes, &vg, NULL)) {
		free(copy);
		return false;
	}
	is_read = !cow_lvm_vg_fill(vg, NULL);
	for (size_t i = 0; i < vg->nr_pvs; i++)
		vg->pvs[i].found = pv;
	if (is_read)
		use_all(vg);
	cow_lvm_vg_free(vg);
	return is_read;
}

static void mutate(char *bytes, size_t len_bytes, uint64_t *random)
{
	static const char *const words[] = {
		"-1", "99999999999999999999", "4294967296", "{", "}", "[", "\"", "base", "pv0", "#"
	};

	for (uint64_t times = 1 + test_random(random) % 3; times; times--) {
		size_t at = test_random(random) % len_bytes, from = test_random(random) % len_bytes;
		const char *word = words[test_random(random) % 10];
		size_t len = 1 + test_random(random) % 40;

		switch (test_random(random) % 4) {
		case 0:
			bytes[at] = (char)test_random(random);
			break;
		case 1:
			len = strlen(word);
			if (at + len < len_bytes)
				memcpy(bytes + at, word, len);
			break;
		default:
			if (at + len < len_bytes && from + len < len_bytes)
				memmove(bytes + at, bytes + from, len);
		}
	}
}

static unsigned int mutated_read(const char *name, unsigned int nr_rounds, uint64_t *random)
{
	struct disks disks;
	struct cow_lvm *lvm = NULL;
	unsigned int nr_read = 0;
	char *copy;
	size_t len;

	disks_open(&disks, name);
	OK(cow_lvm_open(disks.images, disks.nr, &lvm, err));
	len = lvm->vgs[0]->len_bytes;
	copy = (char *)malloc(len);
	CHECK(copy);
	for (size_t cut = 0; cut < len; cut++)
		CHECK(!try_text(lvm->vgs[0]->bytes, cut, lvm->pvs) || cut > len - 400);
	for (unsigned int i = 0; i < nr_rounds; i++) {
		memcpy(copy, lvm->vgs[0]->bytes, len);
		mutate(copy, len, random);
		nr_read += try_text(copy, len, lvm->pvs);
	}
	free(copy);
	cow_lvm_close(lvm);
	disks_close(&disks);
	return nr_read;
}

static void mutated_texts_never_crash(void)
{
	uint64_t random = test_seed();
	unsigned int nr_read = mutated_read("three-chunk-sizes", 20000, &random);

	/* Both ends are met. */
	CHECK(nr_read > 1000 && nr_read < 19000);
	CHECK(mutated_read("raids", 1001, &random));
	CHECK(mutated_read("mirrored", 1001, &random));
	CHECK(mutated_read("pvmove-cut", 1001, &random));
	CHECK(mutated_read("cached", 1001, &random));
}

/* A VG whose LVs lie on each other, l0 on l1 and so on, the last one on a PV: each
 * of 64 extents, as 64 stripes of the same extent below. */
static char *tower_text(unsigned int nr_lvs, bool is_striped)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	CHECK(out);
	fputs("tower { id = \"000000-0000-0000-0000-0000-0000-000000\" seqno = 1 extent_size = 8\n"
	      "physical_volumes { pv0 { id = \"000000-0000-0000-0000-0000-0000-000001\" "
	      "pe_start = 2048 pe_count = 256 dev_size = 8192 } }\nlogical_volumes {\n",
	      out);
	for (unsigned int i = 0; i < nr_lvs; i++) {
		bool is_last = i + 1 == nr_lvs;
		unsigned int nr = is_striped && !is_last ? 64 : 1;

		fprintf(out,
			"l%u { id = \"000000-0000-0000-0000-0000-0000-00000%u\" status = "
			"[\"READ\"] "
			"segment_count = 1 segment1 { start_extent = 0 extent_count = 64 "
			"type = \"striped\" stripe_count = %u stripe_size = 8 stripes = [ ",
			i, i, nr);
		for (unsigned int k = 0; k < nr; k++)
			fprintf(out, is_last ? "%s\"pv0\", 0" : "%s\"l%u\", 0", k ? ", " : "",
				i + 1);
		fputs(" ] } }\n", out);
	}
	fputs("} }\n", out);
	CHECK(!fclose(out));
	return text;
}

/* The error of opening l0 of a tower; its message is "" if it was opened. */
static const struct cow_err *tower_open(unsigned int nr_lvs, bool is_striped, bool for_write)
{
	static struct cow_err why;
	struct lvm_pv pv = { .place = { 0, 4 << 20 } };
	char *text = tower_text(nr_lvs, is_striped);
	struct cow_image *image = NULL;
	struct lvm_vg *vg = NULL;

	why = (struct cow_err)COW_ERR_INIT;
	OK(cow_image_zero_new(4 << 20, &pv.disk, err));
	OK(cow_lvm_vg_new(text, strlen(text), &vg, err));
	OK(cow_lvm_vg_fill(vg, err));
	vg->pvs[0].found = &pv;
	(void)cow_lv_open(cow_lvm_vg_lv(vg, "l0"), for_write, &image, &why);
	cow_image_close(image);
	cow_image_close(pv.disk);
	cow_lvm_vg_free(vg);
	return &why;
}

static void volumes_on_volumes_are_bounded(void)
{
	CHECK(!*tower_open(8, false, false)->message);
	CHECK(strstr(tower_open(9, false, false)->message, "lies on too many LVs"));
	CHECK(!*tower_open(2, true, false)->message);
	CHECK(strstr(tower_open(8, true, false)->message, "with more than 65536 pieces"));
}

static void volumes_on_volumes_are_not_written(void)
{
	CHECK(!*tower_open(1, false, false)->message);
	CHECK(tower_open(2, false, true)->code == -EPERM);
	CHECK(!strcmp(tower_open(2, false, true)->id, "lv-write"));
}

int main(void)
{
	CHECK(getenv("COW_FIXTURES"));
	snprintf(fixtures, sizeof(fixtures), "%s/lvm", getenv("COW_FIXTURES"));
	temp_dir_enter();
	RUN(disks_of_every_layout_read_as_the_kernel_read_them);
	RUN(segments_and_snapshots_read_as_the_kernel_read_them);
	RUN(volumes_on_volumes_read_as_the_kernel_read_them);
	RUN(the_leg_is_read_that_the_superblocks_call_complete);
	RUN(states_read_as_the_kernel_shows_them_or_are_refused);
	RUN(the_same_disk_twice_is_refused);
	RUN(two_groups_of_one_name_need_the_uuid);
	RUN(names_that_are_not_there_are_answered_with_those_that_are);
	RUN(facts_of_snapshots_are_those_of_the_text);
	RUN(an_image_outlives_the_metadata_and_writes_through);
	RUN(damaged_metadata_get_the_documented_verdict);
	RUN(volumes_on_volumes_are_bounded);
	RUN(volumes_on_volumes_are_not_written);
	RUN(mutated_texts_never_crash);
	return test_end();
}

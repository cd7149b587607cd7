/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_legs.c - which leg of a mirror is read. In a raid each leg has a superblock, on
 * an LV of its own: a leg counts if it has seen the last change of the array, if no
 * superblock says that it failed, and if it was never, or is completely, rebuilt. An
 * old mirror has no such thing: its first leg is the one that the others are
 * copied from.
 *
 * A raid1 is written only if each leg counts, and then all of them are (image_mirror.c).
 * Its superblocks and the bitmaps behind them stay as they are. They say which legs have
 * seen the last change, which all have still, and which regions may differ between the
 * legs: none does that did not before.
 *
 * Source: Linux, drivers/md/dm-raid.c, struct dm_raid_superblock.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/volume/lvm_build.h"

#define SUPER_BYTES 512
/* As many as failed_devices has bits for in its first version. */
#define LEGS_MAX 64
/* Of md: raid4 of the device-mapper, too, by its layout. */
#define PARITY_LEVEL 5
#define MIRROR_LEVEL 1

struct super {
	bool is_there;
	uint64_t events, failed_legs, recovered_sectors, synced_sectors;
	uint32_t nr_legs, position, level, layout, stripe_sectors, reshaping;
};

static void super_decode(const uint8_t *raw, struct super *super)
{
	super->is_there = !memcmp(raw, "DmRd", 4);
	super->events = get_le64(raw + 16);
	super->failed_legs = get_le64(raw + 24);
	super->recovered_sectors = get_le64(raw + 32);
	super->synced_sectors = get_le64(raw + 40);
	super->nr_legs = get_le32(raw + 8);
	super->position = get_le32(raw + 12);
	super->level = get_le32(raw + 48);
	super->layout = get_le32(raw + 52);
	super->stripe_sectors = get_le32(raw + 56);
	super->reshaping = get_le32(raw + 60);
}

/* What cannot be read is not there. -ENOMEM only. */
/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() in lvm_lv.c */
static int super_read(struct lvm_build *build, const struct lvm_area *meta, unsigned int level,
		      struct super *super)
{
	struct cow_image *image = NULL;
	uint8_t raw[SUPER_BYTES];
	int ret = cow_lvm_area_image(build, meta, 1, level, &image, NULL);

	super->is_there = false;
	if (!ret && build->for_write) /* I12 */
		ret = cow_image_drop_cache(image, 0, sizeof(raw), NULL);
	if (!ret)
		ret = cow_image_pread(image, raw, sizeof(raw), 0, NULL);
	if (!ret)
		super_decode(raw, super);
	return ret == -ENOMEM ? ret : 0;
}

static void legs_judge(const struct super *supers, size_t nr_legs, bool *is_whole)
{
	uint64_t events = 0, failed = 0;

	for (size_t i = 0; i < nr_legs; i++)
		if (supers[i].is_there && supers[i].events > events)
			events = supers[i].events;
	for (size_t i = 0; i < nr_legs; i++)
		if (supers[i].is_there && supers[i].events == events)
			failed |= supers[i].failed_legs;
	for (size_t i = 0; i < nr_legs; i++)
		is_whole[i] = supers[i].is_there && supers[i].events == events &&
			      !(failed >> i & 1) && supers[i].recovered_sectors == UINT64_MAX;
}

/* Read the superblocks of a raid, and which leg is whole. */
/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() in lvm_lv.c */
static int legs_look(struct lvm_build *build, const struct lvm_segment *segment, unsigned int level,
		     struct super supers[LEGS_MAX], bool *is_whole, struct cow_err *err)
{
	const struct lvm_area *metas =
		build->lv->vg->areas + segment->first_area + segment->nr_areas;

	for (size_t i = 0; i < segment->nr_areas; i++) {
		is_whole[i] = !i;
		if (segment->has_metas && super_read(build, &metas[i], level, &supers[i]))
			return cow_fail(err, -ENOMEM, "no memory for a logical volume");
	}
	if (segment->has_metas)
		legs_judge(supers, segment->nr_areas, is_whole);
	return 0;
}

static int legs_count_check(const struct lvm_build *build, const struct lvm_segment *segment,
			    struct cow_err *err)
{
	if (segment->nr_areas <= LEGS_MAX)
		return 0;
	return cow_refuse(err, -EOPNOTSUPP, "lv-type", NULL,
			  "%s has a segment of the type \"%s\" with %zu legs, of which %d "
			  "are supported",
			  build->lv->full_name, segment->type, segment->nr_areas, LEGS_MAX);
}

/* Does the superblock of a leg say what the text says? */
static bool is_laid_out(const struct lvm_segment *segment, const struct super *super,
			size_t position)
{
	bool is_mirror = segment->kind == LVM_SEGMENT_LEGS;

	return super->nr_legs == segment->nr_areas && super->position == position &&
	       super->level == (is_mirror ? MIRROR_LEVEL : PARITY_LEVEL) &&
	       super->layout == segment->layout &&
	       super->stripe_sectors == segment->stripe_sectors && !super->reshaping;
}

static int leg_check(const struct lvm_build *build, const struct lvm_segment *segment,
		     const struct super *super, size_t leg, bool is_whole, struct cow_err *err)
{
	bool is_mirror = segment->kind == LVM_SEGMENT_LEGS;

	if (!is_whole)
		return cow_refuse(err, -EBADMSG, "lv-legs", NULL,
				  "leg %zu of %s is missing, has failed, or was not "
				  "rebuilt to its end, by the superblocks of the array: it "
				  "is %s only if all legs are complete",
				  leg, build->lv->full_name, is_mirror ? "written" : "read");
	if (!is_laid_out(segment, super, leg))
		return cow_refuse(err, -EBADMSG, "lv-legs", NULL,
				  "leg %zu of %s is laid out in another way than the "
				  "metadata of the VG say, or is being laid out anew",
				  leg, build->lv->full_name);
	if (is_mirror && super->synced_sectors != UINT64_MAX)
		return cow_refuse(err, -EBADMSG, "lv-legs", NULL,
				  "the legs of %s were not synchronised to their end: it is read, "
				  "but not written; LVM goes on with that when the VG is activated",
				  build->lv->full_name);
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() in lvm_lv.c */
int cow_lvm_legs_check(struct lvm_build *build, const struct lvm_segment *segment,
		       unsigned int level, struct cow_err *err)
{
	struct super supers[LEGS_MAX];
	bool is_whole[LEGS_MAX];
	int ret = legs_count_check(build, segment, err);

	if (!ret && !segment->has_metas)
		return cow_refuse(err, -EBADMSG, "lv-legs", NULL,
				  "%s has no superblocks, so nobody knows which legs are complete",
				  build->lv->full_name);
	if (!ret)
		ret = legs_look(build, segment, level, supers, is_whole, err);
	for (size_t i = 0; i < segment->nr_areas && !ret; i++)
		ret = leg_check(build, segment, &supers[i], i, is_whole[i], err);
	return ret;
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() in lvm_lv.c */
int cow_lvm_leg_image(struct lvm_build *build, const struct lvm_segment *segment, size_t first,
		      size_t nr_legs, unsigned int level, struct cow_image **ret_image,
		      struct cow_err *err)
{
	const struct lvm_area *legs = build->lv->vg->areas + segment->first_area;
	struct super supers[LEGS_MAX];
	bool is_whole[LEGS_MAX];
	int ret = legs_count_check(build, segment, err);

	if (!ret)
		ret = legs_look(build, segment, level, supers, is_whole, err);
	if (ret)
		return ret;
	for (size_t i = first; i < first + nr_legs; i++) {
		struct cow_err why = COW_ERR_INIT;

		if (!is_whole[i])
			continue;
		ret = cow_lvm_area_image(build, &legs[i], segment->area_extents, level, ret_image,
					 &why);
		if (!ret)
			return 0;
		if (err)
			*err = why;
	}
	return ret ? ret
		   : cow_refuse(err, -EBADMSG, "lv-legs", NULL,
				"no leg of %s is complete: by the superblocks of the array each is "
				"missing, has failed, or was not rebuilt to its end",
				build->lv->full_name);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_legs.c - which leg of a mirror is read. In a raid each leg has a superblock, on
 * an LV of its own: a leg counts if it has seen the last change of the array, if no
 * superblock says that it failed, and if it was never, or is completely, rebuilt. An
 * old mirror has no such thing: its first leg is the one that the others are
 * copied from.
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

struct super {
	bool is_there;
	uint64_t events, failed_legs, recovered_sectors;
};

static void super_decode(const uint8_t *raw, struct super *super)
{
	super->is_there = !memcmp(raw, "DmRd", 4);
	super->events = get_le64(raw + 16);
	super->failed_legs = get_le64(raw + 24);
	super->recovered_sectors = get_le64(raw + 32);
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

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() in lvm_lv.c */
static int legs_look(struct lvm_build *build, const struct lvm_segment *segment, unsigned int level,
		     bool *is_whole, struct cow_err *err)
{
	const struct lvm_area *metas =
		build->lv->vg->areas + segment->first_area + segment->nr_areas;
	struct super supers[LEGS_MAX];

	for (size_t i = 0; i < segment->nr_areas; i++) {
		is_whole[i] = !i;
		if (segment->has_metas && super_read(build, &metas[i], level, &supers[i]))
			return cow_fail(err, -ENOMEM, "no memory for a logical volume");
	}
	if (segment->has_metas)
		legs_judge(supers, segment->nr_areas, is_whole);
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() in lvm_lv.c */
int cow_lvm_leg_image(struct lvm_build *build, const struct lvm_segment *segment, size_t first,
		      size_t nr_legs, unsigned int level, struct cow_image **ret_image,
		      struct cow_err *err)
{
	const struct lvm_area *legs = build->lv->vg->areas + segment->first_area;
	bool is_whole[LEGS_MAX];
	int ret;

	if (segment->nr_areas > LEGS_MAX)
		return cow_refuse(err, -EOPNOTSUPP, "lv-type", NULL,
				  "%s has a segment of the type \"%s\" with %zu legs, of which %d "
				  "are supported",
				  build->lv->full_name, segment->type, segment->nr_areas, LEGS_MAX);
	ret = legs_look(build, segment, level, is_whole, err);
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

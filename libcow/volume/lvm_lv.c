/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_lv.c - a logical volume as an image: windows of the disks for its linear
 * segments (neighbours on one disk become one window), stripes for its striped
 * ones, with parity or without, one after the other. The image owns what it is made of.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/volume/lvm_build.h"

/* LVs on LVs: pvmove, raid, cache. */
#define LEVELS_MAX 8
/* Below an LV the text bounds nothing: each piece may name the same LV again. */
#define PIECES_MAX 65536
/* A PV's label lies in here. */
#define LABEL_BYTES UINT64_C(2048)

/* Pieces of one disk that follow one another in the LV. */
struct run {
	struct cow_image *disk;
	size_t nr_segments, capacity;
	struct cow_segment *segments;
};

/* Takes over an image, also after a failure. */
static int build_own(struct lvm_build *build, struct cow_image *image, struct cow_err *err)
{
	int ret = cow_image_list_add(&build->owned, image, err);

	if (ret)
		cow_image_close(image);
	return ret;
}

static int window_own(struct lvm_build *build, struct cow_image *base,
		      const struct cow_segment *segments, size_t nr_segments,
		      struct cow_image **ret_image, struct cow_err *err)
{
	int ret = cow_image_window_new(base, segments, nr_segments, ret_image, err);

	return ret ? ret : build_own(build, *ret_image, err);
}

/* Would a write to this piece destroy what makes the disk a PV? */
static bool hits_metadata(const struct lvm_pv *pv, const struct cow_segment *piece)
{
	if (piece->offset_bytes < LABEL_BYTES)
		return true;
	for (size_t i = 0; i < pv->label.nr_areas; i++)
		if (piece->offset_bytes - pv->label.areas[i].offset_bytes <
			    pv->label.areas[i].len_bytes ||
		    pv->label.areas[i].offset_bytes - piece->offset_bytes < piece->len_bytes)
			return true;
	return false;
}

/* An area on a PV, as a piece of its disk. */
static int pv_piece(const struct lvm_build *build, const struct lvm_area *area, uint64_t nr_extents,
		    struct cow_segment *ret_piece, struct cow_image **ret_disk, struct cow_err *err)
{
	const struct lvm_vg *vg = build->lv->vg;
	const struct lvm_vg_pv *pv = &vg->pvs[area->index];
	struct cow_segment piece;
	uint64_t sectors;

	if (!pv->found || pv->is_missing)
		return cow_refuse(err, -ENODEV, "pv-missing", NULL,
				  "%s lies on the PV %s, which %s", build->lv->full_name, pv->name,
				  pv->found ? "LVM has flagged as missing: its data may be old"
					    : "is not among the images");
	if (mul_overflows(area->extent, vg->extent_sectors, &sectors) ||
	    add_overflows(sectors, pv->pe_start, &sectors) ||
	    sectors_to_bytes_overflows(sectors, &piece.offset_bytes) ||
	    mul_overflows(nr_extents, vg->extent_sectors, &sectors) ||
	    sectors_to_bytes_overflows(sectors, &piece.len_bytes) ||
	    !range_fits(piece.offset_bytes, piece.len_bytes, pv->found->place.len_bytes))
		return cow_fail(err, -ERANGE,
				"%s reaches beyond the end of its PV %s, %" PRIu64
				" bytes; the image is cut short, or the metadata are wrong",
				build->lv->full_name, pv->name, pv->found->place.len_bytes);
	if (build->for_write && hits_metadata(pv->found, &piece))
		return cow_refuse(err, -EPERM, "lv-write", NULL,
				  "%s lies over the metadata of its PV %s: it is not written",
				  build->lv->full_name, pv->name);
	piece.offset_bytes += pv->found->place.offset_bytes;
	*ret_piece = piece;
	*ret_disk = pv->found->disk;
	return 0;
}

static int lv_build(struct lvm_build *build, const struct cow_lv *lv, unsigned int level,
		    struct cow_image **ret_image, struct cow_err *err);

/* Before the pieces of an LV below are built, once for each area that names it. */
static int pieces_count(struct lvm_build *build, const struct cow_lv *lv, struct cow_err *err)
{
	for (size_t i = 0; i < lv->nr_segments; i++)
		build->nr_pieces += 1 + lv->vg->segments[lv->first_segment + i].nr_areas;
	if (build->nr_pieces > PIECES_MAX)
		return cow_fail(err, -EBADMSG,
				"%s lies on other LVs, with more than %d pieces in all of them",
				build->lv->full_name, PIECES_MAX);
	return 0;
}

/* An area on another LV. */
/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
static int lv_area(struct lvm_build *build, const struct lvm_area *area, uint64_t nr_extents,
		   unsigned int level, struct cow_image **ret_image, struct cow_err *err)
{
	const struct lvm_vg *vg = build->lv->vg;
	const struct cow_lv *lv = &vg->lvs[area->index];
	struct cow_image *below = NULL;
	struct cow_segment piece;
	int ret;

	if (build->for_write && !build->writes_below)
		return cow_refuse(err, -EPERM, "lv-write", NULL,
				  "%s lies on the LV %s: LVM moves or copies it; it is read, but "
				  "not written",
				  build->lv->full_name, lv->name);
	ret = pieces_count(build, lv, err);
	if (!ret)
		ret = lv_build(build, lv, level + 1, &below, err);
	if (ret)
		return ret;
	if (mul_overflows(area->extent, sectors_to_bytes(vg->extent_sectors),
			  &piece.offset_bytes) ||
	    mul_overflows(nr_extents, sectors_to_bytes(vg->extent_sectors), &piece.len_bytes) ||
	    !range_fits(piece.offset_bytes, piece.len_bytes, below->size_bytes))
		return cow_fail(err, -EBADMSG, "%s reaches beyond the end of the LV %s",
				build->lv->full_name, lv->name);
	return window_own(build, below, &piece, 1, ret_image, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
int cow_lvm_area_image(struct lvm_build *build, const struct lvm_area *area, uint64_t nr_extents,
		       unsigned int level, struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_segment piece;
	struct cow_image *disk;
	int ret;

	if (area->is_lv)
		return lv_area(build, area, nr_extents, level, ret_image, err);
	ret = pv_piece(build, area, nr_extents, &piece, &disk, err);
	return ret ? ret : window_own(build, disk, &piece, 1, ret_image, err);
}

/* One stripe, or one of legs that hold the same. */
/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
static int stripe_image(struct lvm_build *build, const struct lvm_segment *segment, size_t index,
			unsigned int level, struct cow_image **ret_image, struct cow_err *err)
{
	const struct lvm_area *areas = build->lv->vg->areas + segment->first_area;

	if (segment->kind == LVM_SEGMENT_LEGS && !build->for_write)
		return cow_lvm_leg_image(build, segment, index * segment->nr_copies,
					 segment->nr_copies, level, ret_image, err);
	return cow_lvm_area_image(build, &areas[index], segment->area_extents, level, ret_image,
				  err);
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
static int stripes_image(struct lvm_build *build, const struct lvm_segment *segment,
			 unsigned int level, struct cow_image **ret_image, struct cow_err *err)
{
	/* written: a raid1, see segment_image() */
	bool is_mirror = segment->kind == LVM_SEGMENT_LEGS && build->for_write;
	size_t nr_stripes = segment->nr_areas / (is_mirror ? 1 : segment->nr_copies);
	AUTO_FREE struct cow_image **stripes = NULL;
	int ret = 0;

	if (segment->kind == LVM_SEGMENT_PARITY || is_mirror)
		ret = cow_lvm_legs_check(build, segment, level, err);
	else if (nr_stripes == 1)
		return stripe_image(build, segment, 0, level, ret_image, err);
	if (ret)
		return ret;
	stripes = (struct cow_image **)calloc(nr_stripes, sizeof(struct cow_image *));
	if (!stripes)
		return cow_fail(err, -ENOMEM, "no memory for a logical volume");
	for (size_t i = 0; i < nr_stripes && !ret; i++)
		ret = stripe_image(build, segment, i, level, &stripes[i], err);
	if (!ret && is_mirror)
		ret = cow_image_mirror_new(stripes, nr_stripes, ret_image, err);
	else if (!ret && segment->kind == LVM_SEGMENT_PARITY)
		ret = cow_image_parity_new(
			stripes, nr_stripes, sectors_to_bytes(segment->stripe_sectors),
			(enum image_parity_layout)segment->layout, ret_image, err);
	else if (!ret)
		ret = cow_image_stripe_new(stripes, nr_stripes,
					   sectors_to_bytes(segment->stripe_sectors), ret_image,
					   err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	return build_own(build, *ret_image, err);
}

/* "zero" reads as zeros, "error" not at all. */
static int nothing_image(struct lvm_build *build, const struct lvm_segment *segment, bool is_error,
			 struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_segment all = { 0, 0 };
	struct cow_image *zero = NULL;
	int ret;

	if (mul_overflows(segment->extent_count, sectors_to_bytes(build->lv->vg->extent_sectors),
			  &all.len_bytes))
		return cow_fail(err, -ERANGE, "%s is larger than 2^64 bytes", build->lv->full_name);
	ret = cow_image_zero_new(all.len_bytes, &zero, err);
	if (!ret)
		ret = build_own(build, zero, err);
	*ret_image = zero;
	if (ret || !is_error)
		return ret;
	ret = cow_image_bad_new(zero, &all, 1, 0, ret_image, err);
	return ret ? ret : build_own(build, *ret_image, err);
}

/* May this segment be written, by its type? */
static int write_check(const struct lvm_build *build, const struct cow_lv *lv,
		       const struct lvm_segment *segment, struct cow_err *err)
{
	bool is_raid1 = !strcmp(segment->type, "raid1");

	if (!build->for_write ||
	    (segment->kind != LVM_SEGMENT_LEGS && segment->kind != LVM_SEGMENT_PARITY) ||
	    (is_raid1 && build->writes_copies))
		return 0;
	return cow_refuse(err, -EPERM, "lv-write", NULL,
			  "%s has a segment of the type \"%s\": it is read, but %s", lv->full_name,
			  segment->type,
			  is_raid1 ? "written only as the origin of a merge" : "not written");
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
static int segment_image(struct lvm_build *build, const struct cow_lv *lv,
			 const struct lvm_segment *segment, unsigned int level,
			 struct cow_image **ret_image, struct cow_err *err)
{
	bool is_error = !strcmp(segment->type, "error"), writes_below = build->writes_below;
	int ret = write_check(build, lv, segment, err);

	if (ret)
		return ret;
	if (segment->nr_areas) {
		build->writes_below = !strcmp(segment->type, "raid0") ||
				      !strcmp(segment->type, "raid0_meta") ||
				      !strcmp(segment->type, "raid1");
		ret = stripes_image(build, segment, level, ret_image, err);
		build->writes_below = writes_below;
		return ret;
	}
	if (is_error || !strcmp(segment->type, "zero"))
		return nothing_image(build, segment, is_error, ret_image, err);
	return cow_refuse(err, -EOPNOTSUPP, "lv-type", NULL,
			  "%s has a segment of the type \"%s\", which is not supported",
			  lv->full_name, segment->type);
}

static int run_close(struct lvm_build *build, struct run *run, struct cow_image_list *parts,
		     struct cow_err *err)
{
	struct cow_image *window = NULL;
	int ret;

	if (!run->nr_segments)
		return 0;
	ret = window_own(build, run->disk, run->segments, run->nr_segments, &window, err);
	run->nr_segments = 0;
	return ret ? ret : cow_image_list_add(parts, window, err);
}

/* A linear segment on a PV: one more piece of the run, or the first of another. */
static int run_add(struct lvm_build *build, struct run *run, const struct lvm_segment *segment,
		   struct cow_image_list *parts, struct cow_err *err)
{
	const struct lvm_area *area = &build->lv->vg->areas[segment->first_area];
	struct cow_segment piece = { 0, 0 }, *segments;
	struct cow_image *disk = NULL;
	int ret = pv_piece(build, area, segment->extent_count, &piece, &disk, err);

	if (!ret && disk != run->disk)
		ret = run_close(build, run, parts, err);
	if (ret)
		return ret;
	segments = (struct cow_segment *)cow_array_grow(run->segments, run->nr_segments,
							&run->capacity, sizeof(*segments));
	if (!segments)
		return cow_fail(err, -ENOMEM, "no memory for a logical volume");
	run->segments = segments;
	run->disk = disk;
	segments[run->nr_segments++] = piece;
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
static int parts_build(struct lvm_build *build, const struct cow_lv *lv, unsigned int level,
		       struct run *run, struct cow_image_list *parts, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < lv->nr_segments && !ret; i++) {
		const struct lvm_segment *segment = &lv->vg->segments[lv->first_segment + i];
		struct cow_image *image = NULL;

		if (segment->kind == LVM_SEGMENT_STRIPED && segment->nr_areas == 1 &&
		    !lv->vg->areas[segment->first_area].is_lv) {
			ret = run_add(build, run, segment, parts, err);
			continue;
		}
		ret = run_close(build, run, parts, err);
		if (!ret)
			ret = segment_image(build, lv, segment, level, &image, err);
		if (!ret)
			ret = cow_image_list_add(parts, image, err);
	}
	return ret ? ret : run_close(build, run, parts, err);
}

static int lv_check(const struct lvm_build *build, const struct cow_lv *lv, unsigned int level,
		    struct cow_err *err)
{
	if (lv->fault[0])
		return cow_fail(err, -EBADMSG, "%s cannot be used: %s", lv->full_name, lv->fault);
	if (level == LEVELS_MAX)
		return cow_fail(err, -EBADMSG,
				"%s lies on too many LVs, one on the other, or on itself",
				build->lv->full_name);
	if (lv->is_joint)
		return cow_refuse(err, -EOPNOTSUPP, "lv-type", NULL,
				  "%s is no volume: it is LVM's note that joins a snapshot to its "
				  "origin",
				  lv->full_name);
	if (!lv->nr_segments)
		return cow_fail(err, -EBADMSG, "%s is empty", lv->full_name);
	if (build->for_write && (lv->has_unknown_status || lv->is_locked))
		return cow_refuse(err, -EPERM, "lv-write", NULL,
				  "%s has a status that %s: it is read, but not written",
				  lv->full_name,
				  lv->is_locked ? "locks it (LVM is moving it)" : "is not known");
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): LEVELS_MAX deep, see lv_check() */
static int lv_build(struct lvm_build *build, const struct cow_lv *lv, unsigned int level,
		    struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_image_list parts = { .nr_images = 0 };
	struct run run = { .disk = NULL };
	int ret = lv_check(build, lv, level, err);

	if (!ret)
		ret = parts_build(build, lv, level, &run, &parts, err);
	if (!ret && parts.nr_images == 1) {
		*ret_image = parts.images[0];
	} else if (!ret) {
		ret = cow_image_concat_new(parts.images, parts.nr_images, ret_image, err);
		if (!ret)
			ret = build_own(build, *ret_image, err);
	}
	free(parts.images);
	free(run.segments);
	return ret;
}

int cow_lv_open(const struct cow_lv *lv, uint32_t flags, struct cow_image **ret_image,
		struct cow_err *err)
{
	bool for_write = flags & COW_LV_WRITE;
	struct lvm_build build = {
		.lv = lv,
		.for_write = for_write,
		.writes_copies = flags & COW_LV_COPIES,
	};
	struct cow_image *top = NULL;
	int ret = lv_build(&build, lv, 0, &top, err);

	if (!ret)
		ret = cow_image_own_new(top, lv->full_name, !for_write, &build.owned, ret_image,
					err);
	cow_image_list_close(&build.owned);
	return ret;
}

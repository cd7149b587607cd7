/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_segments.c - reads the segments of logical volumes, and checks what LVM
 * checks: no gap, the right count, extents that the PV has, no extent used twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/volume/lvm_vg.h"

#define EXTENTS_MAX (UINT64_C(1) << 32)
#define STRIPE_SECTORS_MAX (UINT64_C(1) << 32)
#define STRIPES_MAX 4096

int cow_lvm_area_add(struct lvm_vg *vg, const struct lvm_area *area, struct cow_err *err)
{
	struct lvm_area *areas = (struct lvm_area *)cow_array_grow(
		vg->areas, vg->nr_areas, &vg->areas_capacity, sizeof(*areas));

	if (!areas)
		return cow_fail(err, -ENOMEM, "no memory for the areas of a volume group");
	vg->areas = areas;
	areas[vg->nr_areas++] = *area;
	return 0;
}

bool cow_lvm_area_check(struct cow_lv *lv, const char *name, int64_t extent, uint64_t nr_extents,
			struct lvm_area *ret_area)
{
	const struct lvm_vg *vg = lv->vg;
	uint32_t index;

	if (extent < 0 || (uint64_t)extent > EXTENTS_MAX) {
		cow_lv_blame(lv, "a segment begins at extent %" PRId64, extent);
		return false;
	}
	*ret_area = (struct lvm_area){ .extent = (uint64_t)extent };
	if (cow_lvm_name_find(vg->pv_names, vg->nr_pvs, name, &index)) {
		ret_area->index = index;
		if (range_fits((uint64_t)extent, nr_extents, vg->pvs[index].pe_count))
			return true;
		cow_lv_blame(lv,
			     "a segment of %" PRIu64 " extents at extent %" PRId64
			     " lies beyond the end of %s, which has %" PRIu64,
			     nr_extents, extent, name, vg->pvs[index].pe_count);
		return false;
	}
	if (!cow_lvm_name_find(vg->lv_names, vg->nr_lvs, name, &index)) {
		cow_lv_blame(lv, "a segment lies on \"%s\", which the VG does not have", name);
		return false;
	}
	ret_area->is_lv = true;
	ret_area->index = index;
	if (&vg->lvs[index] != lv)
		return true;
	cow_lv_blame(lv, "it is made of itself");
	return false;
}

/* stripes = ["pv0", 0, "pv1", 0]. */
static int stripes_read(struct lvm_vg *vg, struct cow_lv *lv, const struct lvm_text *text,
			const struct lvm_node *list, struct lvm_segment *segment,
			struct cow_err *err)
{
	const struct lvm_node *name = cow_lvm_text_child(text, list), *extent;
	int ret = 0;

	segment->first_area = vg->nr_areas;
	for (; name && !ret; name = cow_lvm_text_next(text, extent)) {
		char buf[LVM_NAME_BYTES];
		struct lvm_area area;

		extent = cow_lvm_text_next(text, name);
		if (!extent || extent->type != LVM_NUMBER ||
		    !cow_lvm_text_value(text, name, buf, sizeof(buf))) {
			cow_lv_blame(lv, "the list of its stripes is malformed");
			return 0;
		}
		if (!cow_lvm_area_check(lv, buf, extent->number, segment->area_extents, &area))
			return 0;
		ret = cow_lvm_area_add(vg, &area, err);
		segment->nr_areas++;
	}
	return ret;
}

static int striped_read(struct lvm_vg *vg, struct cow_lv *lv, const struct lvm_text *text,
			const struct lvm_node *node, struct lvm_segment *segment,
			struct cow_err *err)
{
	uint64_t nr_stripes;
	int ret;

	if (!cow_lvm_text_number(text, node, "stripe_count", STRIPES_MAX, &nr_stripes) ||
	    !nr_stripes || segment->extent_count % nr_stripes) {
		cow_lv_blame(lv, "the number of its stripes is impossible");
		return 0;
	}
	if (nr_stripes > 1 && (!cow_lvm_text_number(text, node, "stripe_size", STRIPE_SECTORS_MAX,
						    &segment->stripe_sectors) ||
			       !segment->stripe_sectors)) {
		cow_lv_blame(lv, "its stripes have no size");
		return 0;
	}
	segment->kind = LVM_SEGMENT_STRIPED;
	segment->nr_copies = 1;
	segment->area_extents = segment->extent_count / nr_stripes;
	ret = stripes_read(vg, lv, text, cow_lvm_text_find(text, node, "stripes"), segment, err);
	if (!ret && segment->nr_areas != nr_stripes)
		cow_lv_blame(lv, "a segment should have %" PRIu64 " stripes, and names %zu",
			     nr_stripes, segment->nr_areas);
	return ret;
}

static int segment_read(struct lvm_vg *vg, struct cow_lv *lv, const struct lvm_text *text,
			const struct lvm_node *lvs, const struct lvm_node *node,
			struct cow_err *err)
{
	struct lvm_segment segment = { .kind = LVM_SEGMENT_OTHER }, *segments;
	int ret = 0;

	if (!cow_lvm_text_number(text, node, "start_extent", EXTENTS_MAX, &segment.start_extent) ||
	    !cow_lvm_text_number(text, node, "extent_count", EXTENTS_MAX, &segment.extent_count) ||
	    !segment.extent_count) {
		cow_lv_blame(lv, "a segment has no place or length that is possible");
		return 0;
	}
	if (!cow_lvm_text_string(text, node, "type", segment.type, sizeof(segment.type))) {
		cow_lv_blame(lv, "a segment has no type");
		return 0;
	}
	if (!strcmp(segment.type, "striped") || !strcmp(segment.type, "linear"))
		ret = striped_read(vg, lv, text, node, &segment, err);
	else
		ret = cow_lvm_layer_read(vg, lv, text, lvs, node, &segment, err);
	if (ret)
		return ret;
	segments = (struct lvm_segment *)cow_array_grow(vg->segments, vg->nr_segments,
							&vg->segments_capacity, sizeof(*segments));
	if (!segments)
		return cow_fail(err, -ENOMEM, "no memory for the segments of a volume group");
	vg->segments = segments;
	segments[vg->nr_segments++] = segment;
	lv->nr_segments++;
	return 0;
}

static int segment_compare(const void *a, const void *b)
{
	uint64_t left = ((const struct lvm_segment *)a)->start_extent;
	uint64_t right = ((const struct lvm_segment *)b)->start_extent;

	return (left > right) - (left < right);
}

/* In order, from 0, without gap or overlap. */
static void segments_check(struct cow_lv *lv, uint64_t segment_count)
{
	struct lvm_segment *segments;
	uint64_t next = 0;

	if (segment_count != lv->nr_segments)
		cow_lv_blame(lv, "it should have %" PRIu64 " segments, and has %zu", segment_count,
			     lv->nr_segments);
	/* None in the whole VG: there is no array. */
	if (!lv->nr_segments)
		return;
	segments = lv->vg->segments + lv->first_segment;
	qsort(segments, lv->nr_segments, sizeof(*segments), segment_compare);
	for (size_t i = 0; i < lv->nr_segments; i++) {
		if (segments[i].start_extent != next)
			cow_lv_blame(lv,
				     "segment %zu should begin at extent %" PRIu64
				     ", and begins at %" PRIu64,
				     i + 1, next, segments[i].start_extent);
		/* Below 2^33 each, and fewer than 2^25 of them. */
		next = segments[i].start_extent + segments[i].extent_count;
	}
	lv->nr_extents = next;
}

int cow_lvm_segments_read(struct lvm_vg *vg, const struct lvm_text *text,
			  const struct lvm_node *lvs, struct cow_err *err)
{
	const struct lvm_node *node = cow_lvm_text_child(text, lvs), *child;
	struct cow_lv *lv = vg->lvs;
	int ret = 0;

	for (; node && !ret; node = cow_lvm_text_next(text, node)) {
		uint64_t segment_count = 0;

		if (node->type != LVM_SECTION)
			continue;
		lv->first_segment = vg->nr_segments;
		for (child = cow_lvm_text_child(text, node); child && !ret;
		     child = cow_lvm_text_next(text, child))
			if (child->type == LVM_SECTION)
				ret = segment_read(vg, lv, text, lvs, child, err);
		if (!cow_lvm_text_number(text, node, "segment_count", EXTENTS_MAX, &segment_count))
			cow_lv_blame(lv, "it does not say how many segments it has");
		if (!ret)
			segments_check(lv, segment_count);
		lv++;
	}
	return ret;
}

/* Which extents of which PV belong to whom. */
struct used {
	uint32_t pv, lv;
	uint64_t extent, nr_extents;
};

static int used_compare(const void *a, const void *b)
{
	const struct used *left = (const struct used *)a, *right = (const struct used *)b;

	if (left->pv != right->pv)
		return left->pv > right->pv ? 1 : -1;
	return (left->extent > right->extent) - (left->extent < right->extent);
}

static void lv_used(const struct lvm_vg *vg, uint32_t lv, struct used *used, size_t *nr_used)
{
	for (size_t i = 0; i < vg->lvs[lv].nr_segments; i++) {
		const struct lvm_segment *segment = &vg->segments[vg->lvs[lv].first_segment + i];

		for (size_t k = 0; k < segment->nr_areas; k++) {
			const struct lvm_area *area = &vg->areas[segment->first_area + k];

			if (!area->is_lv)
				used[(*nr_used)++] = (struct used){ area->index, lv, area->extent,
								    segment->area_extents };
		}
	}
}

int cow_lvm_overlaps_mark(struct lvm_vg *vg, struct cow_err *err)
{
	/* bounded: as many as there are areas in memory already */
	AUTO_FREE struct used *used =
		(struct used *)reallocarray(NULL, vg->nr_areas + 1, sizeof(*used));
	size_t nr_used = 0, last = 0;

	if (!used)
		return cow_fail(err, -ENOMEM, "no memory for the areas of a volume group");
	for (uint32_t lv = 0; lv < vg->nr_lvs; lv++)
		lv_used(vg, lv, used, &nr_used);
	qsort(used, nr_used, sizeof(*used), used_compare);
	/* "last" is the one that reaches furthest so far. */
	for (size_t i = 1; i < nr_used; i++) {
		uint64_t end = used[last].extent + used[last].nr_extents;

		if (used[i].pv == used[last].pv && used[i].extent < end) {
			cow_lv_blame(&vg->lvs[used[i].lv], "an extent of it belongs to %s, too",
				     vg->lvs[used[last].lv].name);
			cow_lv_blame(&vg->lvs[used[last].lv], "an extent of it belongs to %s, too",
				     vg->lvs[used[i].lv].name);
		}
		if (used[i].pv != used[last].pv || used[i].extent + used[i].nr_extents > end)
			last = i;
	}
	return 0;
}

static void joint_read(struct lvm_vg *vg, struct cow_lv *joint, const struct lvm_text *text,
		       const struct lvm_node *node)
{
	char origin_name[LVM_NAME_BYTES] = "", cow_name[LVM_NAME_BYTES] = "";
	bool is_merging =
		cow_lvm_text_string(text, node, "merging_store", cow_name, sizeof(cow_name));
	struct cow_lv *origin, *cow;

	if (!is_merging)
		cow_lvm_text_string(text, node, "cow_store", cow_name, sizeof(cow_name));
	cow_lvm_text_string(text, node, "origin", origin_name, sizeof(origin_name));
	origin = cow_lvm_vg_lv(vg, origin_name);
	cow = cow_lvm_vg_lv(vg, cow_name);
	joint->is_joint = true;
	if (!cow)
		return cow_lv_blame(joint, "it names the store \"%s\", which the VG does not have",
				    cow_name);
	if (!origin)
		return cow_lv_blame(cow, "it is a snapshot of \"%s\", which the VG does not have",
				    origin_name);
	if (origin == cow)
		return cow_lv_blame(cow, "it is named as a snapshot of itself");
	if (cow->origin)
		return cow_lv_blame(cow, "it is named as a snapshot twice");
	cow->origin = origin;
	cow->is_merging = is_merging;
	cow->view_extents = joint->nr_extents;
	if (!cow_lvm_text_number(text, node, "chunk_size", UINT32_MAX, &cow->chunk_sectors))
		cow->chunk_sectors = 0;
	if (joint->fault[0])
		cow_lv_blame(cow, "%s, which makes it a snapshot: %s", joint->name, joint->fault);
	cow->next_snapshot = origin->first_snapshot;
	origin->first_snapshot = cow;
}

void cow_lvm_snapshots_join(struct lvm_vg *vg, const struct lvm_text *text,
			    const struct lvm_node *lvs)
{
	const struct lvm_node *node = cow_lvm_text_child(text, lvs), *child;
	struct cow_lv *lv = vg->lvs;

	for (; node; node = cow_lvm_text_next(text, node)) {
		if (node->type != LVM_SECTION)
			continue;
		for (child = cow_lvm_text_child(text, node); child;
		     child = cow_lvm_text_next(text, child))
			if (child->type == LVM_SECTION &&
			    cow_lvm_text_has_word(text, child, "type", "snapshot")) {
				joint_read(vg, lv, text, child);
				break;
			}
		lv++;
	}
}

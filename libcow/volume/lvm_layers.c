/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_layers.c - reads segments that lie on other LVs of the group: raid0, raid1,
 * raid10, raid4 and raid5, mirror (pvmove, too), and cache where the origin has all data. Their
 * areas are those of the data; of a raid those of the superblocks follow. Of pools and thin devices
 * only what the text says is kept. A segment of any other type stays without areas, and its LV is
 * refused by the name of the type.
 *
 * Source: lvm2 lib/raid/raid.c, lib/mirror/mirrored.c, lib/cache_segtype/cache.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/volume/lvm_vg.h"

#define LEGS_MAX 4096
#define CHUNK_SECTORS_MAX 2097152
#define DEVICE_ID_MAX 16777215
#define STRIPE_SECTORS_MAX (UINT64_C(1) << 32)

/* What the reading of one segment needs. */
struct reading {
	struct lvm_vg *vg;
	struct cow_lv *lv;
	const struct lvm_text *text;
	const struct lvm_node *lvs, *node;
	struct lvm_segment *segment;
};

/* A name of a list, from its beginning on; false: the LV is blamed. */
static bool name_area(const struct reading *reading, const struct lvm_node *name, int64_t extent,
		      struct lvm_area *ret_area)
{
	char buf[LVM_NAME_BYTES];

	if (!cow_lvm_text_value(reading->text, name, buf, sizeof(buf))) {
		cow_lv_blame(reading->lv, "the list of its legs is malformed");
		return false;
	}
	return cow_lvm_area_check(reading->lv, buf, extent, reading->segment->area_extents,
				  ret_area);
}

/* Every step-th name of a list, from one on; each followed by its extent, if has_extents. */
static int names_read(const struct reading *reading, const struct lvm_node *list, size_t first,
		      size_t step, bool has_extents, size_t *ret_nr, struct cow_err *err)
{
	const struct lvm_node *item = cow_lvm_text_child(reading->text, list);
	int ret = 0;

	*ret_nr = 0;
	for (size_t i = 0; item && !ret; i++, item = cow_lvm_text_next(reading->text, item)) {
		const struct lvm_node *extent =
			has_extents ? cow_lvm_text_next(reading->text, item) : NULL;
		struct lvm_area area;

		if (i % step != first)
			continue;
		if ((has_extents && (!extent || extent->type != LVM_NUMBER)) ||
		    !name_area(reading, item, extent ? extent->number : 0, &area)) {
			cow_lv_blame(reading->lv, "the list of its legs is malformed");
			return 0;
		}
		ret = cow_lvm_area_add(reading->vg, &area, err);
		++*ret_nr;
	}
	return ret;
}

/* The lists that a raid may have: data only, or superblock and data in turns. */
static int raid_lists_read(const struct reading *reading, uint64_t nr_legs, struct cow_err *err)
{
	const struct lvm_node *plain = cow_lvm_text_find(reading->text, reading->node, "raid0_lvs");
	const struct lvm_node *pairs = cow_lvm_text_find(reading->text, reading->node, "raids");
	struct lvm_segment *segment = reading->segment;
	uint64_t data_extents = segment->area_extents;
	size_t nr_metas = 0;
	int ret;

	if (plain) {
		ret = names_read(reading, plain, 0, 1, false, &segment->nr_areas, err);
	} else {
		ret = names_read(reading, pairs, 1, 2, false, &segment->nr_areas, err);
		segment->area_extents = 1;
		if (!ret)
			ret = names_read(reading, pairs, 0, 2, false, &nr_metas, err);
		segment->area_extents = data_extents;
		segment->has_metas = true;
	}
	if (!ret && (segment->nr_areas != nr_legs || (pairs && nr_metas != nr_legs)))
		cow_lv_blame(reading->lv, "a segment should have %" PRIu64 " legs, and names %zu",
			     nr_legs, segment->nr_areas);
	return ret;
}

static int raid_read(const struct reading *reading, const char *count_key, uint64_t copies,
		     struct cow_err *err)
{
	struct lvm_segment *segment = reading->segment;
	uint64_t nr_legs;
	int ret;

	if (!cow_lvm_text_number(reading->text, reading->node, count_key, LEGS_MAX, &nr_legs) ||
	    !nr_legs) {
		cow_lv_blame(reading->lv, "the number of its legs is impossible");
		return 0;
	}
	if (!copies) /* raid1: all of them */
		copies = nr_legs;
	/* Of raid10 such a layout is shifted from row to row: not supported. */
	if (nr_legs % copies)
		return 0;
	if (segment->extent_count % (nr_legs / copies) ||
	    (nr_legs > copies &&
	     (!cow_lvm_text_number(reading->text, reading->node, "stripe_size", STRIPE_SECTORS_MAX,
				   &segment->stripe_sectors) ||
	      !segment->stripe_sectors))) {
		cow_lv_blame(reading->lv, "its stripes have no size that is possible");
		return 0;
	}
	segment->nr_copies = copies;
	segment->area_extents = segment->extent_count / (nr_legs / copies);
	ret = raid_lists_read(reading, nr_legs, err);
	segment->kind = LVM_SEGMENT_LEGS;
	if (copies == 1)
		segment->kind = LVM_SEGMENT_STRIPED;
	return ret;
}

static int raid10_read(const struct reading *reading, struct cow_err *err)
{
	uint64_t copies;

	if (!cow_lvm_text_number(reading->text, reading->node, "data_copies", LEGS_MAX, &copies) ||
	    !copies)
		copies = 2;
	return raid_read(reading, "device_count", copies, err);
}

static int raid0_read(const struct reading *reading, struct cow_err *err)
{
	return raid_read(reading, "stripe_count", 1, err);
}

static int raid1_read(const struct reading *reading, struct cow_err *err)
{
	return raid_read(reading, "device_count", 0, err);
}

/* The layouts, by the names of the types. */
static const struct {
	const char *type;
	enum image_parity_layout layout;
} parities[] = {
	{ "raid4", IMAGE_PARITY_FIRST },
	{ "raid5", IMAGE_PARITY_LEFT_SYMMETRIC },
	{ "raid5_ls", IMAGE_PARITY_LEFT_SYMMETRIC },
	{ "raid5_la", IMAGE_PARITY_LEFT_ASYMMETRIC },
	{ "raid5_ra", IMAGE_PARITY_RIGHT_ASYMMETRIC },
	{ "raid5_rs", IMAGE_PARITY_RIGHT_SYMMETRIC },
	{ "raid5_n", IMAGE_PARITY_LAST },
};

/* One that is being, or was, reshaped has room in front of or behind its data. */
static bool is_reshaped(const struct reading *reading)
{
	return cow_lvm_text_find(reading->text, reading->node, "data_offset") ||
	       cow_lvm_text_find(reading->text, reading->node, "reshape_count");
}

static int parity_read(const struct reading *reading, struct cow_err *err)
{
	struct lvm_segment *segment = reading->segment;
	uint64_t nr_legs;
	int ret;

	if (is_reshaped(reading))
		return 0;
	if (!cow_lvm_text_number(reading->text, reading->node, "device_count", LEGS_MAX,
				 &nr_legs) ||
	    nr_legs < 2 || segment->extent_count % (nr_legs - 1) ||
	    !cow_lvm_text_number(reading->text, reading->node, "stripe_size", STRIPE_SECTORS_MAX,
				 &segment->stripe_sectors) ||
	    !segment->stripe_sectors) {
		cow_lv_blame(reading->lv, "its legs or its stripes have no number or size that is "
					  "possible");
		return 0;
	}
	for (size_t i = 0; i < sizeof(parities) / sizeof(parities[0]); i++)
		if (!strcmp(parities[i].type, segment->type))
			segment->layout = parities[i].layout;
	segment->nr_copies = 1;
	segment->area_extents = segment->extent_count / (nr_legs - 1);
	ret = raid_lists_read(reading, nr_legs, err);
	if (!ret && !segment->has_metas)
		cow_lv_blame(reading->lv, "a raid without superblocks");
	segment->kind = LVM_SEGMENT_PARITY;
	return ret;
}

static int mirror_read(const struct reading *reading, struct cow_err *err)
{
	struct lvm_segment *segment = reading->segment;
	int ret;

	segment->area_extents = segment->extent_count;
	ret = names_read(reading, cow_lvm_text_find(reading->text, reading->node, "mirrors"), 0, 2,
			 true, &segment->nr_areas, err);
	if (!ret && !segment->nr_areas)
		cow_lv_blame(reading->lv, "a mirror without legs");
	segment->nr_copies = segment->nr_areas;
	segment->kind = LVM_SEGMENT_LEGS;
	return ret;
}

/* The mode stands in the segment itself, or in that of its pool. */
static void cache_mode(const struct reading *reading, char *mode, size_t size)
{
	char pool[LVM_NAME_BYTES];
	const struct lvm_node *node = reading->node;

	mode[0] = '\0';
	if (cow_lvm_text_string(reading->text, node, "cache_mode", mode, size) ||
	    !cow_lvm_text_string(reading->text, node, "cache_pool", pool, sizeof(pool)))
		return;
	node = cow_lvm_text_section(reading->text, reading->lvs, pool);
	node = cow_lvm_text_section(reading->text, node, "segment1");
	if (!node || !cow_lvm_text_string(reading->text, node, "cache_mode", mode, size))
		mode[0] = '\0';
}

/* Only where nothing is in the cache that the origin lacks. */
static int cache_read(const struct reading *reading, struct cow_err *err)
{
	struct lvm_segment *segment = reading->segment;
	const struct lvm_node *origin = cow_lvm_text_find(reading->text, reading->node, "origin");
	char mode[40];
	struct lvm_area area;

	cache_mode(reading, mode, sizeof(mode));
	if (strcmp(mode, "writethrough") != 0 && strcmp(mode, "passthrough") != 0)
		return 0;
	segment->area_extents = segment->extent_count;
	segment->first_area = reading->vg->nr_areas;
	if (!origin || !name_area(reading, origin, 0, &area)) {
		cow_lv_blame(reading->lv, "a cache without an origin");
		return 0;
	}
	segment->nr_areas = segment->nr_copies = 1;
	segment->kind = LVM_SEGMENT_LEGS;
	return cow_lvm_area_add(reading->vg, &area, err);
}

/* An LV that a segment names by a key. */
static bool lv_named(const struct reading *reading, const char *key, uint32_t *ret_index)
{
	const struct lvm_vg *vg = reading->vg;
	char name[LVM_NAME_BYTES];

	*ret_index = LVM_NO_LV;
	return cow_lvm_text_string(reading->text, reading->node, key, name, sizeof(name)) &&
	       cow_lvm_name_find(vg->lv_names, vg->nr_lvs, name, ret_index);
}

static int pool_read(const struct reading *reading, struct cow_err *err)
{
	struct lvm_thin *thin = &reading->segment->thin;

	(void)err;
	if (!lv_named(reading, "metadata", &thin->metadata) ||
	    !lv_named(reading, "pool", &thin->data) ||
	    !cow_lvm_text_number(reading->text, reading->node, "transaction_id", INT64_MAX,
				 &thin->transaction_id) ||
	    !cow_lvm_text_number(reading->text, reading->node, "chunk_size", CHUNK_SECTORS_MAX,
				 &thin->chunk_sectors)) {
		cow_lv_blame(reading->lv,
			     "a pool without metadata, data, transaction or chunk size");
		return 0;
	}
	thin->has_message = cow_lvm_text_section(reading->text, reading->node, "message1");
	reading->segment->kind = LVM_SEGMENT_POOL;
	return 0;
}

static int thin_read(const struct reading *reading, struct cow_err *err)
{
	struct lvm_thin *thin = &reading->segment->thin;
	bool has_external = cow_lvm_text_find(reading->text, reading->node, "external_origin");

	(void)err;
	if (!lv_named(reading, "thin_pool", &thin->pool) ||
	    !cow_lvm_text_number(reading->text, reading->node, "device_id", DEVICE_ID_MAX,
				 &thin->device_id)) {
		cow_lv_blame(reading->lv, "a thin device without pool or device id");
		return 0;
	}
	if (!lv_named(reading, "external_origin", &thin->external_origin) && has_external) {
		cow_lv_blame(reading->lv, "its external origin is not in the VG");
		return 0;
	}
	if (!cow_lvm_text_string(reading->text, reading->node, "origin", thin->origin,
				 sizeof(thin->origin)))
		thin->origin[0] = '\0';
	thin->is_merging = cow_lvm_text_find(reading->text, reading->node, "merge");
	reading->segment->kind = LVM_SEGMENT_THIN;
	return 0;
}

static const struct {
	const char *type;
	int (*read)(const struct reading *reading, struct cow_err *err);
} layers[] = {
	{ "raid0", raid0_read },
	{ "raid0_meta", raid0_read },
	{ "raid1", raid1_read },
	{ "raid10", raid10_read },
	{ "raid10_near", raid10_read },
	{ "mirror", mirror_read },
	{ "raid4", parity_read },
	{ "raid5", parity_read },
	{ "raid5_ls", parity_read },
	{ "raid5_la", parity_read },
	{ "raid5_ra", parity_read },
	{ "raid5_rs", parity_read },
	{ "raid5_n", parity_read },
	{ "thin", thin_read },
	{ "thin-pool", pool_read },
	{ "cache", cache_read },
	{ "cache+CACHE_USES_CACHEVOL", cache_read },
};

int cow_lvm_layer_read(struct lvm_vg *vg, struct cow_lv *lv, const struct lvm_text *text,
		       const struct lvm_node *lvs, const struct lvm_node *node,
		       struct lvm_segment *segment, struct cow_err *err)
{
	struct reading reading = { vg, lv, text, lvs, node, segment };

	segment->first_area = vg->nr_areas;
	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		if (!strcmp(layers[i].type, segment->type))
			return layers[i].read(&reading, err);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * volume_list.c - what is in some images: partitions, physical volumes, volume
 * groups and logical volumes, each with the specification that opens it. What is
 * damaged is listed with a sentence; it ends the list nowhere.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/volume/lvm_vg.h"
#include "libcow/volume/partitions.h"

/* Any sentence of an error fits. */
#define SENTENCE_BYTES (COW_ERR_MESSAGE_BYTES + 100)

struct lister {
	struct cow_image *const *images;
	const char *const *specs;
	size_t nr_images;
	int (*call)(void *user, const struct cow_volume *volume);
	void *user;
	struct cow_lvm *lvm;
	struct cow_partitions table;
};

static struct cow_volume volume_of(unsigned int depth, const char *kind)
{
	return (struct cow_volume){
		.size = sizeof(struct cow_volume),
		.depth = depth,
		.kind = kind,
		.spec = "",
		.name = "",
		.type = "",
		.state = "",
	};
}

static const struct lvm_pv *pv_at(const struct lister *lister, size_t image, unsigned int partition)
{
	for (size_t i = 0; i < lister->lvm->nr_pvs; i++)
		if (lister->lvm->pvs[i].disk_index == image &&
		    lister->lvm->pvs[i].partition == partition)
			return &lister->lvm->pvs[i];
	return NULL;
}

static int pv_list(struct lister *lister, const struct lvm_pv *pv, unsigned int depth,
		   const char *spec)
{
	struct cow_volume volume = volume_of(depth, "pv");
	char uuid[40];

	cow_lvm_uuid_dashes(pv->label.uuid, uuid);
	volume.spec = spec;
	volume.name = pv->vg ? pv->vg->name : "";
	volume.type = uuid;
	volume.size_bytes = pv->place.len_bytes;
	volume.state = pv->vg ? "" : "belongs to no volume group that can be read";
	volume.is_damaged = !pv->vg && pv->label.nr_areas && pv->vg_uuid[0];
	return lister->call(lister->user, &volume);
}

static int partition_list(struct lister *lister, size_t image, const struct cow_partition *item)
{
	const struct lvm_pv *pv = pv_at(lister, image, item->number);
	struct cow_volume volume = volume_of(1, "partition");
	AUTO_HANDLE(image) struct cow_image *window = NULL;
	struct cow_err why = COW_ERR_INIT;
	AUTO_FREE char *spec = NULL;
	char number[16];
	int ret;

	snprintf(number, sizeof(number), "%u", item->number);
	if (asprintf(&spec, "part:%s:%u", lister->specs[image], item->number) < 0) {
		spec = NULL;
		return -ENOMEM;
	}
	volume.spec = spec;
	volume.name = number;
	volume.type = item->type;
	volume.size_bytes = item->len_bytes;
	ret = cow_volume_open_partition(lister->images[image], item->number, &window, &why);
	if (ret == -ENOMEM)
		return ret;
	volume.is_damaged = ret;
	if (ret)
		volume.state = why.message;
	volume.image = pv ? NULL : window;
	ret = lister->call(lister->user, &volume);
	if (!ret && pv)
		ret = pv_list(lister, pv, 2, spec);
	return ret;
}

static int disk_list(struct lister *lister, size_t image)
{
	struct cow_volume volume = volume_of(0, "disk");
	const struct lvm_pv *pv = pv_at(lister, image, 0);
	struct cow_err why = COW_ERR_INIT;
	int ret;

	volume.spec = lister->specs[image];
	volume.size_bytes = lister->images[image]->size_bytes;
	ret = cow_partitions_read(lister->images[image], &lister->table, &why);
	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		volume.state = why.message;
		volume.is_damaged = true;
		lister->table.nr_items = 0;
	} else {
		volume.type = lister->table.kind ? lister->table.kind : "";
		volume.state = lister->table.fault ? lister->table.fault : "";
		volume.is_damaged = lister->table.fault;
	}
	if (!ret && !lister->table.kind && !pv)
		volume.image = lister->images[image];
	ret = lister->call(lister->user, &volume);
	for (size_t i = 0; i < lister->table.nr_items && !ret; i++)
		ret = partition_list(lister, image, &lister->table.items[i]);
	if (!ret && pv)
		ret = pv_list(lister, pv, 1, lister->specs[image]);
	return ret;
}

/* Is a PV of the VG on this image? */
static bool vg_uses(const struct lvm_vg *vg, size_t image)
{
	for (size_t i = 0; i < vg->nr_pvs; i++)
		if (vg->pvs[i].found && vg->pvs[i].found->disk_index == image)
			return true;
	return false;
}

/* "lvm:A,B:vg/" without the LV; a comma in a name is doubled. The caller's. */
static char *vg_spec(const struct lister *lister, const struct lvm_vg *vg)
{
	char *text = NULL, uuid[40];
	size_t len = 0, nr = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fputs("lvm:", out);
	for (size_t i = 0; i < lister->nr_images; i++) {
		if (!vg_uses(vg, i))
			continue;
		if (nr++)
			fputc(',', out);
		for (const char *c = lister->specs[i]; *c; c++)
			fprintf(out, *c == ',' ? ",," : "%c", *c);
	}
	cow_lvm_uuid_dashes(vg->uuid, uuid);
	fprintf(out, ":%s/", vg->is_ambiguous ? uuid : vg->name);
	if (ferror(out) | fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static const char *lv_type(const struct cow_lv *lv)
{
	const struct lvm_segment *segment;

	if (!lv->nr_segments)
		return "";
	segment = &lv->vg->segments[lv->first_segment];
	return segment->kind == LVM_SEGMENT_STRIPED && segment->nr_areas == 1 ? "linear"
									      : segment->type;
}

/* What is read of volumes that hold everything several times. */
static const char *lv_legs(const struct cow_lv *lv)
{
	const struct lvm_segment *segment;

	if (!lv->nr_segments)
		return NULL;
	segment = &lv->vg->segments[lv->first_segment];
	if (segment->kind != LVM_SEGMENT_LEGS)
		return NULL;
	return segment->has_metas	? "a leg is read that the array calls complete"
	       : segment->nr_copies > 1 ? "the first leg is read"
					: "the origin of the cache is read";
}

/* Of pools and thin devices; false: it is neither. */
static bool thin_state(const struct cow_lv *lv, char *text, size_t size)
{
	struct cow_lv_thin thin;

	if (!cow_lv_thin(lv, &thin))
		return false;
	if (thin.is_pool)
		snprintf(text, size, "pool, metadata in %s and data in %s; snapcheck checks it",
			 cow_lv_name(thin.metadata), cow_lv_name(thin.data));
	else
		snprintf(text, size, "device %" PRIu64 " of the pool %s%s%s%s%s", thin.device_id,
			 cow_lv_name(thin.pool), *thin.origin ? ", snapshot of " : "", thin.origin,
			 thin.external_origin ? ", on the external origin " : "",
			 thin.external_origin ? cow_lv_name(thin.external_origin) : "");
	return true;
}

static void lv_state(const struct cow_lv *lv, const struct cow_err *why, char *text, size_t size)
{
	const struct cow_lv *snapshot = NULL;
	unsigned int nr = 0;

	text[0] = '\0';
	if (thin_state(lv, text, size))
		return;
	for (const struct cow_lv *one = lv->first_snapshot; one; one = one->next_snapshot)
		nr++;
	if (why->code)
		snprintf(text, size, "%s", why->message);
	else if (lv->origin)
		snprintf(text, size, "snapshot of %s%s", lv->origin->name,
			 lv->is_merging ? "; LVM merges it at the next activation" : "");
	else if (cow_lv_is_merging(lv, &snapshot))
		snprintf(text, size,
			 "origin; LVM merges the snapshot %s into it at the next activation",
			 snapshot->name);
	else if (nr)
		snprintf(text, size, "origin of %u snapshot%s", nr, nr > 1 ? "s" : "");
	if (!why->code && lv_legs(lv)) {
		size_t len = strlen(text);

		snprintf(text + len, size - len, "%s%s", len ? "; " : "", lv_legs(lv));
	}
}

static int lv_list(struct lister *lister, const struct cow_lv *lv, const char *prefix)
{
	struct cow_volume volume = volume_of(1, "lv");
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	struct cow_err why = COW_ERR_INIT;
	AUTO_FREE char *spec = NULL;
	char state[SENTENCE_BYTES];
	int ret;

	if (asprintf(&spec, "%s%s", prefix, lv->name) < 0) {
		spec = NULL;
		return -ENOMEM;
	}
	volume.spec = spec;
	volume.name = lv->name;
	volume.type = lv_type(lv);
	volume.origin = lv->origin ? lv->origin->name : NULL;
	if (mul_overflows(lv->nr_extents, sectors_to_bytes(lv->vg->extent_sectors),
			  &volume.size_bytes))
		volume.size_bytes = 0;
	ret = cow_lv_open(lv, 0, &image, &why);
	if (ret == -ENOMEM) /* no fault of the volume */
		return ret;
	volume.is_damaged = ret && ret != -EOPNOTSUPP;
	volume.image = image;
	lv_state(lv, &why, state, sizeof(state));
	volume.state = state;
	return lister->call(lister->user, &volume);
}

static int vg_list(struct lister *lister, const struct lvm_vg *vg)
{
	struct cow_volume volume = volume_of(0, "vg");
	AUTO_FREE char *prefix = vg_spec(lister, vg);
	char uuid[40];
	int ret;

	if (!prefix)
		return -ENOMEM;
	cow_lvm_uuid_dashes(vg->uuid, uuid);
	volume.name = vg->name;
	volume.type = uuid;
	volume.state = vg->fault ? vg->fault : vg->has_twins ? "one of its PVs is there twice" : "";
	volume.is_damaged = vg->fault || vg->has_twins;
	for (size_t i = 0; i < vg->nr_pvs; i++) {
		uint64_t bytes;

		if (!mul_overflows(vg->pvs[i].pe_count, sectors_to_bytes(vg->extent_sectors),
				   &bytes) &&
		    add_overflows(volume.size_bytes, bytes, &volume.size_bytes))
			volume.size_bytes = 0;
		volume.is_damaged |= !vg->pvs[i].found || vg->pvs[i].is_missing;
	}
	ret = lister->call(lister->user, &volume);
	for (size_t i = 0; i < vg->nr_lvs && !ret && !vg->has_twins; i++)
		if (!vg->lvs[i].is_joint && (vg->lvs[i].is_visible || vg->lvs[i].origin))
			ret = lv_list(lister, &vg->lvs[i], prefix);
	return ret;
}

static int notes_list(struct lister *lister)
{
	int ret = 0;

	for (size_t i = 0; cow_lvm_note(lister->lvm, i) && !ret; i++) {
		struct cow_volume volume = volume_of(0, "note");

		volume.state = cow_lvm_note(lister->lvm, i);
		volume.is_damaged = lister->lvm->notes[i].is_damage;
		ret = lister->call(lister->user, &volume);
	}
	return ret;
}

static int all_list(struct lister *lister)
{
	int ret = 0;

	for (size_t i = 0; i < lister->nr_images && !ret; i++)
		ret = disk_list(lister, i);
	for (size_t i = 0; i < lister->lvm->nr_vgs && !ret; i++)
		ret = vg_list(lister, lister->lvm->vgs[i]);
	return ret ? ret : notes_list(lister);
}

int cow_volume_list(struct cow_image *const *images, const char *const *specs, size_t nr_images,
		    int (*call)(void *user, const struct cow_volume *volume), void *user,
		    struct cow_err *err)
{
	AUTO_FREE struct lister *lister = (struct lister *)calloc(1, sizeof(*lister));
	int ret;

	if (!lister)
		return cow_fail(err, -ENOMEM, "no memory for a list");
	*lister = (struct lister){
		.images = images,
		.specs = specs,
		.nr_images = nr_images,
		.call = call,
		.user = user,
	};
	ret = cow_lvm_scan(images, nr_images, &lister->lvm, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	ret = all_list(lister);
	cow_lvm_close(lister->lvm);
	if (ret)
		return cow_fail(err, ret, "%s",
				ret == -ENOMEM ? "no memory for a list" : "the list was ended");
	return 0;
}

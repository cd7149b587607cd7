/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm.c - the volume groups on some disks: which PV belongs to which, what is
 * missing or there twice, and LVs by their names.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/volume/lvm_vg.h"

static void pv_found(struct cow_lvm *lvm, struct lvm_vg *vg, struct lvm_vg_pv *pv,
		     struct lvm_pv *found)
{
	char first[300], second[300];

	if (!pv->found) {
		pv->found = found;
		found->vg = vg;
		return;
	}
	vg->has_twins = true;
	cow_lvm_pv_name(pv->found, first, sizeof(first));
	cow_lvm_pv_name(found, second, sizeof(second));
	cow_lvm_say(lvm, true,
		    "VG %s: its PV %s is there twice, as %s and as %s; name one of them only, the "
		    "one that is right",
		    vg->name, pv->name, first, second);
}

static void pv_resolve(struct cow_lvm *lvm, struct lvm_vg *vg, struct lvm_vg_pv *pv)
{
	char uuid[40], name[300];

	for (size_t i = 0; i < lvm->nr_pvs; i++)
		if (!strcmp(lvm->pvs[i].label.uuid, pv->uuid))
			pv_found(lvm, vg, pv, &lvm->pvs[i]);
	cow_lvm_uuid_dashes(pv->uuid, uuid);
	if (!pv->found) {
		cow_lvm_say(lvm, true, "VG %s: its PV %s (%s) is not among the images", vg->name,
			    pv->name, uuid);
		return;
	}
	cow_lvm_pv_name(pv->found, name, sizeof(name));
	if (pv->is_missing)
		cow_lvm_say(lvm, true,
			    "VG %s: LVM has flagged its PV %s (%s) as missing; what lies there may "
			    "be old, and is not used",
			    vg->name, pv->name, name);
	if (pv->dev_sectors > bytes_to_sectors(pv->found->place.len_bytes))
		cow_lvm_say(lvm, true,
			    "VG %s: its PV %s has %" PRIu64 " bytes, but %s only %" PRIu64
			    "; what lies behind is lost",
			    vg->name, pv->name, sectors_to_bytes(pv->dev_sectors), name,
			    pv->found->place.len_bytes);
}

static void vg_say(struct cow_lvm *lvm, const struct lvm_vg *vg)
{
	if (vg->is_exported)
		cow_lvm_say(lvm, false, "VG %s is exported: LVM activates it after vgimport only",
			    vg->name);
	if (vg->system_id[0])
		cow_lvm_say(lvm, false,
			    "VG %s belongs to the system \"%s\": LVM on another one refuses it",
			    vg->name, vg->system_id);
	if (vg->fault)
		cow_lvm_say(lvm, true, "VG %s cannot be used: %s", vg->name, vg->fault);
}

/* One strange LV does not hide the others; LVM refuses all of them. */
static void faults_say(struct cow_lvm *lvm, const struct lvm_vg *vg)
{
	for (size_t i = 0; i < vg->nr_lvs; i++) {
		const struct cow_lv *lv = &vg->lvs[i];

		if (lv->fault[0])
			cow_lvm_say(lvm, true, "%s: %s; LVM refuses the whole VG for that",
				    lv->full_name, lv->fault);
		else if (lv->has_unknown_status)
			cow_lvm_say(lvm, true,
				    "%s has a status that is not known; LVM refuses the whole VG "
				    "for that",
				    lv->full_name);
	}
}

static int vg_resolve(struct cow_lvm *lvm, struct lvm_vg *vg, struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_lvm_vg_fill(vg, &why);

	if (ret == -ENOMEM)
		return cow_fail(err, ret, "%s", why.message);
	if (ret) {
		vg->fault = "its metadata contradict themselves";
		cow_lvm_say(lvm, true, "VG %s: %s", vg->name, why.message);
	}
	for (size_t i = 0; i < vg->nr_pvs; i++)
		pv_resolve(lvm, vg, &vg->pvs[i]);
	vg_say(lvm, vg);
	faults_say(lvm, vg);
	return 0;
}

/* PVs with metadata of a VG that does not know them any more. */
static void outdated_say(struct cow_lvm *lvm, const struct lvm_pv *pv)
{
	char name[300];

	if (pv->vg || !pv->vg_uuid[0])
		return;
	cow_lvm_pv_name(pv, name, sizeof(name));
	for (size_t i = 0; i < lvm->nr_vgs; i++)
		if (!strcmp(lvm->vgs[i]->uuid, pv->vg_uuid) && !lvm->vgs[i]->has_twins)
			cow_lvm_say(lvm, true,
				    "%s has metadata of VG %s, but the newest metadata do not "
				    "name it: it was removed or replaced, and is not used",
				    name, lvm->vgs[i]->name);
}

/* Reads the VGs, and finds their PVs among those of the disks. */
static int lvm_resolve(struct cow_lvm *lvm, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < lvm->nr_vgs && !ret; i++)
		ret = vg_resolve(lvm, lvm->vgs[i], err);
	for (size_t i = 0; i < lvm->nr_pvs && !ret; i++)
		outdated_say(lvm, &lvm->pvs[i]);
	for (size_t i = 1; i < lvm->nr_vgs; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(lvm->vgs[i]->name, lvm->vgs[k]->name))
				lvm->vgs[i]->is_ambiguous = lvm->vgs[k]->is_ambiguous = true;
	return ret;
}

void cow_lvm_close(struct cow_lvm *lvm)
{
	if (!lvm)
		return;
	for (size_t i = 0; i < lvm->nr_pvs; i++)
		cow_image_close(lvm->pvs[i].image);
	for (size_t i = 0; i < lvm->nr_vgs; i++)
		cow_lvm_vg_free(lvm->vgs[i]);
	free(lvm->pvs);
	free(lvm->vgs);
	free(lvm->notes);
	free(lvm);
}

COW_DEFINE_AUTO(lvm, struct cow_lvm *, cow_lvm_close);

int cow_lvm_scan(struct cow_image *const *disks, size_t nr_disks, struct cow_lvm **ret_lvm,
		 struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = (struct cow_lvm *)calloc(1, sizeof(*lvm));
	int ret = 0;

	if (!lvm)
		return cow_fail(err, -ENOMEM, "no memory for volume groups");
	for (size_t i = 0; i < nr_disks && !ret; i++)
		ret = cow_lvm_disk_scan(lvm, disks[i], i, err);
	for (size_t i = 0; i < lvm->nr_pvs && !ret; i++)
		ret = cow_lvm_areas_scan(lvm, &lvm->pvs[i], err);
	if (!ret)
		ret = lvm_resolve(lvm, err);
	if (!ret)
		*ret_lvm = take_ptr(lvm);
	return ret;
}

int cow_lvm_open(struct cow_image *const *disks, size_t nr_disks, struct cow_lvm **ret_lvm,
		 struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	int ret = cow_lvm_scan(disks, nr_disks, &lvm, err);

	if (ret)
		return ret;
	if (!lvm->nr_pvs)
		return cow_refuse(err, -EMEDIUMTYPE, "no-pv", NULL,
				  "there is no LVM physical volume on it%s%s",
				  lvm->nr_notes ? ": " : "",
				  lvm->nr_notes ? lvm->notes[0].text : "");
	*ret_lvm = take_ptr(lvm);
	return 0;
}

const char *cow_lvm_note(const struct cow_lvm *lvm, size_t index)
{
	return index < lvm->nr_notes ? lvm->notes[index].text : NULL;
}

/* The names of VGs, for a sentence. */
static void vg_names(const struct cow_lvm *lvm, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < lvm->nr_vgs && len + LVM_NAME_BYTES + 3 < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%s", i ? ", " : "",
					lvm->vgs[i]->name);
}

static void lv_names(const struct lvm_vg *vg, char *text, size_t size)
{
	size_t len = 0, nr = 0;

	text[0] = '\0';
	for (size_t i = 0; i < vg->nr_lvs && len + LVM_NAME_BYTES + 6 < size; i++)
		if (!vg->lvs[i].is_joint && (vg->lvs[i].is_visible || vg->lvs[i].origin))
			len += (size_t)snprintf(text + len, size - len, "%s%s", nr++ ? ", " : "",
						vg->lvs[i].name);
}

static int vg_find(const struct cow_lvm *lvm, const char *name, struct lvm_vg **ret_vg,
		   struct cow_err *err)
{
	char uuid[LVM_UUID_BYTES] = "", text[600];
	struct lvm_vg *found = NULL;

	if (!cow_lvm_uuid_plain(name, uuid))
		uuid[0] = '\0';
	for (size_t i = 0; i < lvm->nr_vgs && !found; i++)
		if (!strcmp(lvm->vgs[i]->name, name) || !strcmp(lvm->vgs[i]->uuid, uuid))
			found = lvm->vgs[i];
	vg_names(lvm, text, sizeof(text));
	if (!found)
		return cow_refuse(err, -ENOENT, "no-vg", NULL,
				  "there is no volume group \"%s\" here; %s%s%s%s", name,
				  text[0] ? "there is " : "no metadata can be read", text,
				  !text[0] && lvm->nr_notes ? ": " : "",
				  !text[0] && lvm->nr_notes ? lvm->notes[0].text : "");
	cow_lvm_uuid_dashes(found->uuid, text);
	if (found->is_ambiguous && !strcmp(found->name, name))
		return cow_refuse(err, -EPERM, "vg-name", NULL,
				  "two volume groups here are called \"%s\"; name it by its UUID, "
				  "such as %s",
				  name, text);
	*ret_vg = found;
	return 0;
}

static int vg_check(const struct cow_lvm *lvm, const struct lvm_vg *vg, struct cow_err *err)
{
	const char *why = "";

	if (vg->has_twins) {
		for (size_t i = 0; i < lvm->nr_notes; i++)
			if (strstr(lvm->notes[i].text, "is there twice"))
				why = lvm->notes[i].text;
		return cow_refuse(err, -EPERM, "duplicate-pv", NULL, "%s", why);
	}
	if (vg->fault)
		return cow_fail(err, -EBADMSG, "VG %s cannot be used: %s", vg->name, vg->fault);
	return 0;
}

int cow_lvm_find(struct cow_lvm *lvm, const char *vg_lv, const struct cow_lv **ret_lv,
		 struct cow_err *err)
{
	const char *slash = strchr(vg_lv, '/');
	char name[LVM_NAME_BYTES], text[400];
	struct lvm_vg *vg = NULL;
	int ret;

	if (!slash || strchr(slash + 1, '/') || slash == vg_lv || !slash[1] ||
	    (size_t)(slash - vg_lv) >= sizeof(name))
		return cow_fail(err, -EINVAL, "\"%s\" is not of the form VG/LV", vg_lv);
	snprintf(name, sizeof(name), "%.*s", (int)(slash - vg_lv), vg_lv);
	ret = vg_find(lvm, name, &vg, err);
	if (!ret)
		ret = vg_check(lvm, vg, err);
	if (ret)
		return ret;
	*ret_lv = cow_lvm_vg_lv(vg, slash + 1);
	if (*ret_lv)
		return 0;
	lv_names(vg, text, sizeof(text));
	return cow_refuse(err, -ENOENT, "no-lv", NULL,
			  "there is no logical volume \"%s\" in VG %s; it has %s", slash + 1,
			  vg->name, text[0] ? text : "none");
}

const char *cow_lv_name(const struct cow_lv *lv)
{
	return lv->full_name;
}

const char *cow_lv_id(const struct cow_lv *lv)
{
	return lv->uuid;
}

const struct cow_lv *cow_lv_origin(const struct cow_lv *lv)
{
	return lv->origin;
}

bool cow_lv_is_merging(const struct cow_lv *lv, const struct cow_lv **ret_snapshot)
{
	const struct cow_lv *snapshot = lv->origin ? lv : lv->first_snapshot;

	while (snapshot && !snapshot->is_merging && !lv->origin)
		snapshot = snapshot->next_snapshot;
	if (!snapshot || !snapshot->is_merging)
		return false;
	if (ret_snapshot)
		*ret_snapshot = snapshot;
	return true;
}

static uint64_t extents_to_bytes(const struct cow_lv *lv, uint64_t nr_extents)
{
	uint64_t bytes;

	if (mul_overflows(nr_extents, lv->vg->extent_sectors, &bytes) ||
	    sectors_to_bytes_overflows(bytes, &bytes))
		return 0;
	return bytes;
}

uint64_t cow_lv_view_bytes(const struct cow_lv *lv)
{
	return extents_to_bytes(lv, lv->view_extents);
}

uint64_t cow_lv_chunk_bytes(const struct cow_lv *lv)
{
	return sectors_to_bytes(lv->chunk_sectors);
}

const struct cow_lv *cow_lv_next_snapshot(const struct cow_lv *origin, const struct cow_lv *before)
{
	return before ? before->next_snapshot : origin->first_snapshot;
}

static const struct lvm_segment *first_segment(const struct cow_lv *lv)
{
	return lv->nr_segments ? &lv->vg->segments[lv->first_segment] : NULL;
}

/* LVM makes one segment of either; of another number nothing is known. */
static const struct lvm_segment *thin_segment(const struct cow_lv *lv, enum lvm_segment_kind kind)
{
	const struct lvm_segment *segment = first_segment(lv);

	return lv->nr_segments == 1 && segment->kind == kind && !lv->fault[0] ? segment : NULL;
}

bool cow_lv_thin(const struct cow_lv *lv, struct cow_lv_thin *ret_thin)
{
	const struct lvm_segment *device = thin_segment(lv, LVM_SEGMENT_THIN);
	const struct cow_lv *pool = device ? &lv->vg->lvs[device->thin.pool] : lv;
	const struct lvm_segment *segment = thin_segment(pool, LVM_SEGMENT_POOL);

	if (!segment)
		return false;
	*ret_thin = (struct cow_lv_thin){
		.is_pool = !device,
		.pool = pool,
		.metadata = &lv->vg->lvs[segment->thin.metadata],
		.data = &lv->vg->lvs[segment->thin.data],
		.transaction_id = segment->thin.transaction_id,
		.block_sectors = segment->thin.chunk_sectors,
		.has_message = segment->thin.has_message,
		.origin = "",
	};
	if (!device)
		return true;
	ret_thin->device_id = device->thin.device_id;
	ret_thin->size_bytes = extents_to_bytes(lv, lv->nr_extents);
	ret_thin->origin = device->thin.origin;
	ret_thin->is_merging = device->thin.is_merging;
	if (device->thin.external_origin != LVM_NO_LV)
		ret_thin->external_origin = &lv->vg->lvs[device->thin.external_origin];
	return true;
}

bool cow_lv_pool_of_metadata(const struct cow_lv *metadata, struct cow_lv_thin *ret_thin)
{
	const struct lvm_vg *vg = metadata->vg;

	for (size_t i = 0; i < vg->nr_lvs; i++)
		if (cow_lv_thin(&vg->lvs[i], ret_thin) && ret_thin->is_pool &&
		    ret_thin->metadata == metadata)
			return true;
	return false;
}

const struct cow_lv *cow_lv_next_thin(const struct cow_lv *pool, const struct cow_lv *before)
{
	const struct lvm_vg *vg = pool->vg;

	for (size_t i = before ? (size_t)(before - vg->lvs) + 1 : 0; i < vg->nr_lvs; i++) {
		const struct lvm_segment *segment = thin_segment(&vg->lvs[i], LVM_SEGMENT_THIN);

		if (segment && &vg->lvs[segment->thin.pool] == pool)
			return &vg->lvs[i];
	}
	return NULL;
}

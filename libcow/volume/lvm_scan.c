/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_scan.c - finds physical volumes on disks, and the metadata that count: of
 * all copies with a right checksum, the one with the highest number. What was not
 * used, and why, becomes a note.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/volume/lvm_vg.h"
#include "libcow/volume/partitions.h"

/* Enough for people; a hostile image must not fill the memory. */
#define NOTES_MAX 200

void cow_lvm_say(struct cow_lvm *lvm, bool is_damage, const char *format, ...)
{
	struct lvm_note *notes;
	va_list args;

	if (lvm->nr_notes == NOTES_MAX)
		return;
	notes = (struct lvm_note *)cow_array_grow(lvm->notes, lvm->nr_notes, &lvm->notes_capacity,
						  sizeof(*notes));
	if (!notes)
		return;
	lvm->notes = notes;
	va_start(args, format);
	vsnprintf(notes[lvm->nr_notes].text, sizeof(notes->text), format, args);
	va_end(args);
	notes[lvm->nr_notes++].is_damage = is_damage;
}

void cow_lvm_pv_name(const struct lvm_pv *pv, char *text, size_t size)
{
	if (pv->partition)
		snprintf(text, size, "part:%s:%u", pv->disk->name, pv->partition);
	else
		snprintf(text, size, "%s", pv->disk->name);
}

static int pv_keep(struct cow_lvm *lvm, const struct lvm_pv *pv, struct cow_err *err)
{
	struct lvm_pv *pvs = (struct lvm_pv *)cow_array_grow(lvm->pvs, lvm->nr_pvs,
							     &lvm->pvs_capacity, sizeof(*pvs));

	if (!pvs)
		return cow_fail(err, -ENOMEM, "no memory for physical volumes");
	lvm->pvs = pvs;
	pvs[lvm->nr_pvs++] = *pv;
	return 0;
}

/* The place has been clipped to the disk. */
static int place_scan(struct cow_lvm *lvm, struct lvm_pv *pv, struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	char name[300];
	int ret;

	if (pv->place.len_bytes < COW_SECTOR_BYTES)
		return 0;
	ret = cow_image_window_new(pv->disk, &pv->place, 1, &pv->image, err);
	if (ret)
		return ret;
	ret = cow_lvm_label_read(pv->image, &pv->label, &why);
	cow_lvm_pv_name(pv, name, sizeof(name));
	if (!ret || ret == -EMEDIUMTYPE) {
		if (pv->label.note[0])
			cow_lvm_say(lvm, true, "%s: %s", name, pv->label.note);
	} else {
		cow_lvm_say(lvm, true, "%s: cannot be read: %s", name, why.message);
	}
	if (!ret)
		ret = pv_keep(lvm, pv, err);
	else if (ret != -ENOMEM)
		ret = -EMEDIUMTYPE;
	if (ret)
		cow_image_close(pv->image);
	return ret == -EMEDIUMTYPE ? 0 : ret;
}

static int partition_scan(struct cow_lvm *lvm, const struct lvm_pv *disk,
			  const struct cow_partition *item, struct cow_err *err)
{
	struct lvm_pv pv = *disk;
	uint64_t size_bytes = disk->disk->size_bytes;

	if (item->offset_bytes >= size_bytes)
		return 0;
	pv.partition = item->number;
	pv.len_bytes = item->len_bytes;
	pv.place.offset_bytes = item->offset_bytes;
	pv.place.len_bytes = min_u64(item->len_bytes, size_bytes - item->offset_bytes);
	return place_scan(lvm, &pv, err);
}

/* LVM does not look at a disk that has partitions. */
static void note_both(struct cow_lvm *lvm, struct cow_image *disk)
{
	struct lvm_label label;

	if (!cow_lvm_label_read(disk, &label, NULL))
		cow_lvm_say(lvm, false,
			    "%s has an LVM label and a partition table; LVM uses the partitions "
			    "only, and so does this program",
			    disk->name);
}

int cow_lvm_disk_scan(struct cow_lvm *lvm, struct cow_image *disk, size_t disk_index,
		      struct cow_err *err)
{
	struct lvm_pv pv = {
		.disk = disk,
		.disk_index = disk_index,
		.place = { 0, disk->size_bytes },
		.len_bytes = disk->size_bytes,
	};
	AUTO_FREE struct cow_partitions *table = (struct cow_partitions *)calloc(1, sizeof(*table));
	struct cow_err why = COW_ERR_INIT;
	int ret;

	if (!table)
		return cow_fail(err, -ENOMEM, "no memory for a partition table");
	ret = cow_partitions_read(disk, table, &why);
	if (ret) {
		cow_lvm_say(lvm, true, "%s: %s", disk->name, why.message);
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return 0;
	}
	if (table->fault)
		cow_lvm_say(lvm, true, "the partition table of %s: %s", disk->name, table->fault);
	if (!table->kind)
		return place_scan(lvm, &pv, err);
	note_both(lvm, disk);
	for (size_t i = 0; i < table->nr_items && !ret; i++)
		ret = partition_scan(lvm, &pv, &table->items[i], err);
	return ret;
}

static struct lvm_vg *vg_of_uuid(const struct cow_lvm *lvm, const char *uuid)
{
	for (size_t i = 0; i < lvm->nr_vgs; i++)
		if (!strcmp(lvm->vgs[i]->uuid, uuid))
			return lvm->vgs[i];
	return NULL;
}

static bool is_same_text(const struct lvm_vg *vg, const char *bytes, size_t len_bytes)
{
	return vg->len_bytes == len_bytes && !memcmp(vg->bytes, bytes, len_bytes);
}

static int vg_keep(struct cow_lvm *lvm, struct lvm_vg *vg, struct cow_err *err)
{
	struct lvm_vg **vgs = (struct lvm_vg **)cow_array_grow(
		lvm->vgs, lvm->nr_vgs, &lvm->vgs_capacity, sizeof(struct lvm_vg *));

	if (!vgs)
		return cow_fail(err, -ENOMEM, "no memory for volume groups");
	lvm->vgs = vgs;
	vgs[lvm->nr_vgs++] = vg;
	return 0;
}

/* Of two texts of one VG, that with the higher number stays. */
static void vg_choose(struct cow_lvm *lvm, struct lvm_vg *old, struct lvm_vg *new)
{
	struct lvm_vg swap;

	if (new->seqno == old->seqno) {
		old->fault = "two copies of its metadata have the same number and differ";
	} else {
		cow_lvm_say(lvm, true,
			    "VG %s: the metadata with number %" PRId64
			    " are used; an older copy, number %" PRId64 ", is not",
			    old->name, new->seqno > old->seqno ? new->seqno : old->seqno,
			    new->seqno > old->seqno ? old->seqno : new->seqno);
		if (new->seqno > old->seqno) {
			swap = *old;
			*old = *new;
			*new = swap;
		}
	}
	cow_lvm_vg_free(new);
}

/* Takes over bytes. */
static int text_add(struct cow_lvm *lvm, struct lvm_pv *pv, char *bytes, size_t len_bytes,
		    struct cow_err *err)
{
	struct lvm_vg *vg = NULL, *old;
	int ret;

	for (size_t i = 0; i < lvm->nr_vgs; i++)
		if (is_same_text(lvm->vgs[i], bytes, len_bytes)) {
			memcpy(pv->vg_uuid, lvm->vgs[i]->uuid, sizeof(pv->vg_uuid));
			free(bytes);
			return 0;
		}
	ret = cow_lvm_vg_new(bytes, len_bytes, &vg, err);
	if (ret) {
		free(bytes);
		return ret;
	}
	memcpy(pv->vg_uuid, vg->uuid, sizeof(pv->vg_uuid));
	old = vg_of_uuid(lvm, vg->uuid);
	if (old) {
		vg_choose(lvm, old, vg);
		return 0;
	}
	ret = vg_keep(lvm, vg, err);
	if (ret)
		cow_lvm_vg_free(vg);
	return ret;
}

int cow_lvm_areas_scan(struct cow_lvm *lvm, struct lvm_pv *pv, struct cow_err *err)
{
	char name[300];

	cow_lvm_pv_name(pv, name, sizeof(name));
	for (size_t i = 0; i < pv->label.nr_areas; i++) {
		struct cow_err why = COW_ERR_INIT;
		size_t len_bytes = 0;
		char *bytes = NULL;
		int ret =
			cow_lvm_area_read(pv->image, &pv->label.areas[i], &bytes, &len_bytes, &why);

		if (!ret)
			ret = text_add(lvm, pv, bytes, len_bytes, &why);
		if (ret == -ENOMEM)
			return cow_fail(err, ret, "%s", why.message);
		if (ret)
			cow_lvm_say(lvm, true,
				    "%s: the metadata area at byte %" PRIu64 " is not used: %s",
				    name, pv->label.areas[i].offset_bytes, why.message);
	}
	return 0;
}

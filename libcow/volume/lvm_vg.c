/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_vg.c - reads a volume group out of its text: the VG, its PVs, the names of
 * its LVs. LVM refuses a whole VG for one fault in one LV; here the fault is kept
 * with the LV, and the others stay usable.
 *
 * Source: lvm2 lib/format_text/import_vsn1.c.
 */
#include "libcow/volume/lvm_vg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

/* 2^32 sectors are 2 TiB; LVM allows less. */
#define EXTENT_SECTORS_MAX (UINT64_C(1) << 32)
#define EXTENTS_MAX (UINT64_C(1) << 32)
#define SECTORS_MAX (COW_IMAGE_BYTES_MAX / COW_SECTOR_BYTES)

/* What an LV may have in "status". Source: lvm2 lib/format_text/flags.c. */
static const char *const lv_status_words[] = {
	"READ",
	"WRITE",
	"FIXED_MINOR",
	"VISIBLE",
	"PVMOVE",
	"LOCKED",
	"NOTSYNCED",
	"REBUILD",
	"RESHAPE",
	"WRITEMOSTLY",
	"VIRTUAL",
	"RESHAPE_DELTA_DISKS_PLUS",
	"RESHAPE_DELTA_DISKS_MINUS",
};

void cow_lv_blame(struct cow_lv *lv, const char *format, ...)
{
	va_list args;

	if (lv->fault[0])
		return;
	va_start(args, format);
	vsnprintf(lv->fault, sizeof(lv->fault), format, args);
	va_end(args);
}

void cow_lvm_vg_free(struct lvm_vg *vg)
{
	if (!vg)
		return;
	free(vg->bytes);
	free(vg->pvs);
	free(vg->lvs);
	free(vg->pv_names);
	free(vg->lv_names);
	free(vg->segments);
	free(vg->areas);
	free(vg);
}

COW_DEFINE_AUTO(vg, struct lvm_vg *, cow_lvm_vg_free);

static void text_auto_free(struct lvm_text *text)
{
	cow_lvm_text_free(text);
}
#define AUTO_TEXT __attribute__((cleanup(text_auto_free)))

static bool is_name(const char *name)
{
	if (!*name || *name == '-' || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
		      (*name >= '0' && *name <= '9') || strchr("+_.-", *name)))
			return false;
	return true;
}

/* The section of the VG, with which the text must begin. */
static const struct lvm_node *vg_section(const struct lvm_text *text)
{
	const struct lvm_node *node = cow_lvm_text_child(text, &text->nodes[0]);

	return node && node->type == LVM_SECTION && !node->key ? node : NULL;
}

static bool read_uuid(const struct lvm_text *text, const struct lvm_node *node, char *uuid)
{
	char buf[64];

	return cow_lvm_text_string(text, node, "id", buf, sizeof(buf)) &&
	       cow_lvm_uuid_plain(buf, uuid);
}

static int vg_head_read(struct lvm_vg *vg, const struct lvm_text *text, struct cow_err *err)
{
	const struct lvm_node *node = vg_section(text), *seqno;

	if (!node || !cow_lvm_text_key(text, node, vg->name, sizeof(vg->name)) ||
	    !is_name(vg->name))
		return cow_fail(err, -EBADMSG, "the text does not begin with the name of a VG");
	if (!read_uuid(text, node, vg->uuid))
		return cow_fail(err, -EBADMSG, "the VG has no UUID");
	seqno = cow_lvm_text_find(text, node, "seqno");
	if (!seqno || seqno->type != LVM_NUMBER)
		return cow_fail(err, -EBADMSG, "the VG has no sequence number");
	vg->seqno = seqno->number;
	return 0;
}

int cow_lvm_vg_new(char *bytes, size_t len_bytes, struct lvm_vg **ret_vg, struct cow_err *err)
{
	AUTO_HANDLE(vg) struct lvm_vg *vg = (struct lvm_vg *)calloc(1, sizeof(*vg));
	AUTO_TEXT struct lvm_text text = { .bytes = NULL };
	int ret;

	if (!vg)
		return cow_fail(err, -ENOMEM, "no memory for a volume group");
	ret = cow_lvm_text_parse(bytes, len_bytes, &text, err);
	if (!ret)
		ret = vg_head_read(vg, &text, err);
	if (ret)
		return ret;
	vg->bytes = bytes;
	vg->len_bytes = len_bytes;
	*ret_vg = take_ptr(vg);
	return 0;
}

static int pv_read(struct lvm_vg *vg, const struct lvm_text *text, const struct lvm_node *node,
		   struct cow_err *err)
{
	struct lvm_vg_pv *pvs = (struct lvm_vg_pv *)cow_array_grow(vg->pvs, vg->nr_pvs,
								   &vg->pvs_capacity, sizeof(*pvs));
	struct lvm_vg_pv pv = { .is_missing = false };

	if (!pvs)
		return cow_fail(err, -ENOMEM, "no memory for the PVs of a volume group");
	vg->pvs = pvs;
	if (!cow_lvm_text_key(text, node, pv.name, sizeof(pv.name)) ||
	    !read_uuid(text, node, pv.uuid) ||
	    !cow_lvm_text_number(text, node, "pe_start", SECTORS_MAX, &pv.pe_start) ||
	    !cow_lvm_text_number(text, node, "pe_count", EXTENTS_MAX, &pv.pe_count))
		return cow_fail(err, -EBADMSG,
				"PV %zu of VG %s has no UUID, or no pe_start and pe_count that are "
				"possible",
				vg->nr_pvs + 1, vg->name);
	if (!cow_lvm_text_number(text, node, "dev_size", SECTORS_MAX, &pv.dev_sectors))
		pv.dev_sectors = 0;
	pv.is_missing = cow_lvm_text_has_word(text, node, "flags", "MISSING") ||
			cow_lvm_text_has_word(text, node, "status", "MISSING");
	pvs[vg->nr_pvs++] = pv;
	return 0;
}

static int pvs_read(struct lvm_vg *vg, const struct lvm_text *text, const struct lvm_node *vg_node,
		    struct cow_err *err)
{
	const struct lvm_node *node = cow_lvm_text_section(text, vg_node, "physical_volumes");
	int ret = 0;

	for (node = cow_lvm_text_child(text, node); node && !ret;
	     node = cow_lvm_text_next(text, node))
		if (node->type == LVM_SECTION)
			ret = pv_read(vg, text, node, err);
	return ret;
}

static bool is_status_known(const struct lvm_text *text, const struct lvm_node *word)
{
	char buf[40];

	if (!cow_lvm_text_value(text, word, buf, sizeof(buf)))
		return false;
	for (size_t i = 0; i < sizeof(lv_status_words) / sizeof(lv_status_words[0]); i++)
		if (!strcmp(buf, lv_status_words[i]))
			return true;
	return false;
}

static void lv_status_read(struct cow_lv *lv, const struct lvm_text *text,
			   const struct lvm_node *node)
{
	const struct lvm_node *status = cow_lvm_text_find(text, node, "status"), *word;

	lv->is_visible = cow_lvm_text_has_word(text, node, "status", "VISIBLE");
	lv->is_locked = cow_lvm_text_has_word(text, node, "status", "LOCKED");
	lv->has_unknown_status = !status || status->type != LVM_ARRAY;
	for (word = cow_lvm_text_child(text, status); word; word = cow_lvm_text_next(text, word))
		lv->has_unknown_status |= !is_status_known(text, word);
}

static int lv_read(struct lvm_vg *vg, const struct lvm_text *text, const struct lvm_node *node,
		   struct cow_err *err)
{
	struct cow_lv *lvs = (struct cow_lv *)cow_array_grow(vg->lvs, vg->nr_lvs, &vg->lvs_capacity,
							     sizeof(*lvs));
	struct cow_lv *lv;

	if (!lvs)
		return cow_fail(err, -ENOMEM, "no memory for the LVs of a volume group");
	vg->lvs = lvs;
	lv = &lvs[vg->nr_lvs++];
	*lv = (struct cow_lv){ .vg = vg };
	if (!cow_lvm_text_key(text, node, lv->name, sizeof(lv->name))) {
		snprintf(lv->name, sizeof(lv->name), "%.100s", text->bytes + node->key);
		cow_lv_blame(lv, "its name is too long");
	}
	if (!is_name(lv->name))
		cow_lv_blame(lv, "its name is not one that LVM allows");
	if (!read_uuid(text, node, lv->uuid))
		cow_lv_blame(lv, "it has no UUID");
	snprintf(lv->full_name, sizeof(lv->full_name), "%s/%s", vg->name, lv->name);
	lv_status_read(lv, text, node);
	return 0;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(((const struct lvm_name *)a)->name, ((const struct lvm_name *)b)->name);
}

bool cow_lvm_name_find(const struct lvm_name *names, size_t nr_names, const char *name,
		       uint32_t *ret_index)
{
	struct lvm_name key = { .name = name };
	const struct lvm_name *found =
		nr_names ? (const struct lvm_name *)bsearch(&key, names, nr_names, sizeof(*names),
							    name_compare)
			 : NULL;

	if (found)
		*ret_index = found->index;
	return found;
}

struct cow_lv *cow_lvm_vg_lv(const struct lvm_vg *vg, const char *name)
{
	uint32_t index;

	return cow_lvm_name_find(vg->lv_names, vg->nr_lvs, name, &index) ? &vg->lvs[index] : NULL;
}

/* Both lists; the names stay where they are from now on. */
static int names_sort(struct lvm_vg *vg, struct cow_err *err)
{
	/* bounded: as many as there are items in memory already */
	vg->pv_names =
		(struct lvm_name *)reallocarray(NULL, vg->nr_pvs + 1, sizeof(struct lvm_name));
	/* bounded: the same */
	vg->lv_names =
		(struct lvm_name *)reallocarray(NULL, vg->nr_lvs + 1, sizeof(struct lvm_name));
	if (!vg->pv_names || !vg->lv_names)
		return cow_fail(err, -ENOMEM, "no memory for the names of a volume group");
	for (uint32_t i = 0; i < vg->nr_pvs; i++)
		vg->pv_names[i] = (struct lvm_name){ vg->pvs[i].name, i };
	for (uint32_t i = 0; i < vg->nr_lvs; i++)
		vg->lv_names[i] = (struct lvm_name){ vg->lvs[i].name, i };
	qsort(vg->pv_names, vg->nr_pvs, sizeof(struct lvm_name), name_compare);
	qsort(vg->lv_names, vg->nr_lvs, sizeof(struct lvm_name), name_compare);
	for (size_t i = 1; i < vg->nr_pvs; i++)
		if (!strcmp(vg->pv_names[i].name, vg->pv_names[i - 1].name))
			vg->fault = "two of its PVs have one name";
	for (size_t i = 1; i < vg->nr_lvs; i++)
		if (!strcmp(vg->lv_names[i].name, vg->lv_names[i - 1].name))
			for (size_t k = i - 1; k <= i; k++)
				cow_lv_blame(&vg->lvs[vg->lv_names[k].index],
					     "another LV of the VG has the same name");
	return 0;
}

static void vg_facts_read(struct lvm_vg *vg, const struct lvm_text *text,
			  const struct lvm_node *node)
{
	vg->is_exported = cow_lvm_text_has_word(text, node, "status", "EXPORTED");
	cow_lvm_text_string(text, node, "system_id", vg->system_id, sizeof(vg->system_id));
	if (!cow_lvm_text_number(text, node, "extent_size", EXTENT_SECTORS_MAX,
				 &vg->extent_sectors) ||
	    !vg->extent_sectors)
		vg->fault = "its extents have no size that is possible";
}

int cow_lvm_vg_fill(struct lvm_vg *vg, struct cow_err *err)
{
	AUTO_TEXT struct lvm_text text = { .bytes = NULL };
	const struct lvm_node *node, *lvs, *lv;
	int ret = cow_lvm_text_parse(vg->bytes, vg->len_bytes, &text, err);

	if (ret)
		return ret;
	node = vg_section(&text);
	vg_facts_read(vg, &text, node);
	ret = pvs_read(vg, &text, node, err);
	lvs = cow_lvm_text_section(&text, node, "logical_volumes");
	for (lv = cow_lvm_text_child(&text, lvs); lv && !ret; lv = cow_lvm_text_next(&text, lv))
		if (lv->type == LVM_SECTION)
			ret = lv_read(vg, &text, lv, err);
	if (!ret)
		ret = names_sort(vg, err);
	if (!ret)
		ret = cow_lvm_segments_read(vg, &text, lvs, err);
	if (ret)
		return ret;
	cow_lvm_snapshots_join(vg, &text, lvs);
	return cow_lvm_overlaps_mark(vg, err);
}

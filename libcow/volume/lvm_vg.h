/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_vg.h - volume groups as they stand in memory: what the metadata say, made
 * of numbers that have been checked, with a sentence where something is wrong.
 */
#ifndef COW_VOLUME_LVM_VG_H
#define COW_VOLUME_LVM_VG_H

#include "libcow/volume/lvm_label.h"
#include "libcow/volume/lvm_text.h"
#include "libcow/volume/volume.h"

#define LVM_NAME_BYTES 128

/* A physical volume that was found. */
struct lvm_pv {
	struct cow_image *disk; /* the caller's */
	size_t disk_index;
	unsigned int partition;	  /* 0: the whole disk */
	struct cow_segment place; /* on the disk; clipped to its end */
	uint64_t len_bytes;	  /* as the partition table says */
	struct cow_image *image;  /* window of the disk */
	struct lvm_label label;
	char vg_uuid[LVM_UUID_BYTES]; /* of the VG that its own text describes, or "" */
	const struct lvm_vg *vg;      /* the VG that it belongs to, or NULL */
};

/* A physical volume as a VG names it. */
struct lvm_vg_pv {
	char name[LVM_NAME_BYTES];
	char uuid[LVM_UUID_BYTES];
	const struct lvm_pv *found; /* NULL: missing */
	bool is_missing;	    /* flagged as missing by LVM */
	uint64_t pe_start, pe_count, dev_sectors;
};

/* A piece of a segment: extents of a PV, or of another LV. */
struct lvm_area {
	bool is_lv;
	uint32_t index; /* in the VG's list of its kind */
	uint64_t extent;
};

enum lvm_segment_kind {
	LVM_SEGMENT_OTHER,   /* known by its type, or not at all; without areas */
	LVM_SEGMENT_STRIPED, /* one area: linear */
	LVM_SEGMENT_LEGS,    /* nr_copies areas hold the same; of several such, stripes */
	LVM_SEGMENT_PARITY,  /* raid4, raid5: all areas but one have the data of a row */
	LVM_SEGMENT_THIN,    /* a device of a pool; without areas */
	LVM_SEGMENT_POOL,    /* of thin devices; without areas */
};

#define LVM_NO_LV UINT32_MAX

/* What the text says of a pool, or of a thin device. Numbers of LVs of the VG. */
struct lvm_thin {
	uint32_t pool, external_origin; /* of a device; the latter or LVM_NO_LV */
	uint64_t device_id;
	uint32_t metadata, data; /* of a pool */
	uint64_t transaction_id, chunk_sectors;
	bool has_message;	     /* that LVM sends at the next activation */
	char origin[LVM_NAME_BYTES]; /* of a device: a name only, "": none */
	bool is_merging; /* of a device: LVM merges it into its origin at the next activation */
};

struct lvm_segment {
	uint64_t start_extent, extent_count;
	char type[48];
	enum lvm_segment_kind kind;
	uint64_t stripe_sectors;
	uint64_t area_extents; /* of each area */
	size_t nr_copies;
	size_t first_area, nr_areas; /* in the VG's list */
	bool has_metas;		     /* as many areas follow: superblocks of a raid */
	uint32_t layout;	     /* of PARITY: enum image_parity_layout */
	struct lvm_thin thin;
};

struct cow_lv {
	const struct lvm_vg *vg;
	char name[LVM_NAME_BYTES];
	char full_name[2 * LVM_NAME_BYTES];
	char uuid[LVM_UUID_BYTES];
	bool is_visible, is_locked;
	bool has_unknown_status; /* LVM refuses the VG: nothing is written through it */
	char fault[300];	 /* why it cannot be used, or "" */
	uint64_t nr_extents;
	size_t first_segment, nr_segments; /* in the VG's list */
	bool is_joint;			   /* the hidden snapshotN */
	/* Snapshots: what a joint says. */
	struct cow_lv *origin, *next_snapshot; /* of a COW volume */
	struct cow_lv *first_snapshot;	       /* of an origin */
	bool is_merging;
	uint64_t view_extents, chunk_sectors;
};

struct lvm_name {
	const char *name;
	uint32_t index;
};

struct lvm_vg {
	char name[LVM_NAME_BYTES];
	char uuid[LVM_UUID_BYTES];
	char system_id[LVM_NAME_BYTES];
	bool is_exported;
	int64_t seqno;
	uint64_t extent_sectors;
	const char *fault; /* why none of its LVs can be used, or NULL */
	bool is_ambiguous; /* another VG has the same name */
	bool has_twins;	   /* one of its PVs was found twice */
	char *bytes;	   /* the text */
	size_t len_bytes;
	size_t nr_pvs, nr_lvs, nr_segments, nr_areas;
	size_t pvs_capacity, lvs_capacity, segments_capacity, areas_capacity;
	struct lvm_vg_pv *pvs;
	struct cow_lv *lvs;
	struct lvm_name *pv_names, *lv_names; /* sorted, nr_pvs and nr_lvs of them */
	struct lvm_segment *segments;
	struct lvm_area *areas;
};

struct lvm_note {
	char text[600];
	bool is_damage; /* or something is missing */
};

struct cow_lvm {
	size_t nr_pvs, pvs_capacity;
	struct lvm_pv *pvs;
	size_t nr_vgs, vgs_capacity;
	struct lvm_vg **vgs;
	size_t nr_notes, notes_capacity;
	struct lvm_note *notes;
};

/* As cow_lvm_open(), but without a PV there are notes alone. Errors: -EIO, -ENOMEM. */
int cow_lvm_scan(struct cow_image *const *disks, size_t nr_disks, struct cow_lvm **ret_lvm,
		 struct cow_err *err);
/* Looks for PVs on a disk: on the whole, or in its partitions. Errors: -EIO,
 * -ENOMEM. */
int cow_lvm_disk_scan(struct cow_lvm *lvm, struct cow_image *disk, size_t disk_index,
		      struct cow_err *err);
/* Reads the metadata areas of a PV, and keeps the newest text of each VG. */
int cow_lvm_areas_scan(struct cow_lvm *lvm, struct lvm_pv *pv, struct cow_err *err);

/* Keeps a sentence for cow_lvm_note(); without memory it is lost. */
__attribute__((format(printf, 3, 4))) void cow_lvm_say(struct cow_lvm *lvm, bool is_damage,
						       const char *format, ...);
/* "disk.img" or "part:disk.img:2". */
void cow_lvm_pv_name(const struct lvm_pv *pv, char *text, size_t size);

/*
 * Makes a VG of a text, without its LVs: name, UUID, seqno. bytes becomes the
 * VG's after success. Errors: -EBADMSG, -ENOMEM.
 */
int cow_lvm_vg_new(char *bytes, size_t len_bytes, struct lvm_vg **ret_vg, struct cow_err *err);
/* Reads PVs, LVs and segments; what is wrong with one LV is kept in it. Errors:
 * -EBADMSG nothing can be made of the VG, -ENOMEM. */
int cow_lvm_vg_fill(struct lvm_vg *vg, struct cow_err *err);
void cow_lvm_vg_free(struct lvm_vg *vg);
/* NULL: there is none of this name. */
struct cow_lv *cow_lvm_vg_lv(const struct lvm_vg *vg, const char *name);

/* Reads the segments of all LVs. Errors: -ENOMEM. */
int cow_lvm_segments_read(struct lvm_vg *vg, const struct lvm_text *text,
			  const struct lvm_node *lvs, struct cow_err *err);
/* Checks a piece of an LV: name is that of a PV or an LV, from extent on nr_extents.
 * false: the LV is blamed. */
bool cow_lvm_area_check(struct cow_lv *lv, const char *name, int64_t extent, uint64_t nr_extents,
			struct lvm_area *ret_area);
/* Adds it to the list of the VG. Errors: -ENOMEM. */
int cow_lvm_area_add(struct lvm_vg *vg, const struct lvm_area *area, struct cow_err *err);
/* lvm_layers.c: what a segment lies on that is neither linear nor striped; what is wrong
 * is kept in the LV. Errors: -ENOMEM. */
int cow_lvm_layer_read(struct lvm_vg *vg, struct cow_lv *lv, const struct lvm_text *text,
		       const struct lvm_node *lvs, const struct lvm_node *node,
		       struct lvm_segment *segment, struct cow_err *err);
/* Finds a name in a sorted list; false: it is not there. */
bool cow_lvm_name_find(const struct lvm_name *names, size_t nr_names, const char *name,
		       uint32_t *ret_index);
/* Says why an LV cannot be used; the first reason stays. */
__attribute__((format(printf, 2, 3))) void cow_lv_blame(struct cow_lv *lv, const char *format, ...);

/* Joins snapshots to their origins. */
void cow_lvm_snapshots_join(struct lvm_vg *vg, const struct lvm_text *text,
			    const struct lvm_node *lvs);
/* Marks LVs of which an extent belongs to two. Errors: -ENOMEM. */
int cow_lvm_overlaps_mark(struct lvm_vg *vg, struct cow_err *err);

#endif

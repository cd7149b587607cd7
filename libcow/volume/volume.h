/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * volume.h - images inside images: partitions, and logical volumes of LVM. Reads
 * only; nothing of a partition table or of LVM's metadata is ever written. What
 * stands there is input that may be damaged or hostile: every number is bounded
 * before it is used, and one strange volume does not hide the others.
 *
 * An image that is returned stands on the disks it was found on, which must
 * outlive it. Writes go through the same map, if the disks can be written.
 */
#ifndef COW_VOLUME_VOLUME_H
#define COW_VOLUME_VOLUME_H

#include "libcow/image/image.h"

/*
 * Opens partition "number" of a disk, counted as the kernel does: MBR 1 to 4,
 * logical ones from 5, GPT by entry. Errors: -EMEDIUMTYPE no partition table (id
 * "no-table"), -ENOENT no such partition (id "no-partition"; the sentence names
 * those that there are), -EBADMSG the table is damaged, -ERANGE the partition
 * reaches beyond the disk; -EIO, -ENOMEM.
 */
int cow_volume_open_partition(struct cow_image *disk, uint64_t number, struct cow_image **ret_image,
			      struct cow_err *err);

/* All volume groups that lie on some disks. */
struct cow_lvm;
/* One logical volume; valid as long as its struct cow_lvm. */
struct cow_lv;

/*
 * Looks for physical volumes on each image, or in its partitions, and reads the
 * metadata of their volume groups. Damage is no error as long as something can
 * be read; cow_lvm_note() tells of it. disks stay the caller's and must outlive
 * the result. Errors: -EMEDIUMTYPE no physical volume on any of them (id
 * "no-pv"), -EIO, -ENOMEM.
 */
int cow_lvm_open(struct cow_image *const *disks, size_t nr_disks, struct cow_lvm **ret_lvm,
		 struct cow_err *err);
/* NULL is allowed. Images that were opened stay usable. */
void cow_lvm_close(struct cow_lvm *lvm);

/* What a person should know: missing PVs, copies that were not used, an exported
 * VG; a finished sentence. NULL behind the last one. Cannot fail. */
const char *cow_lvm_note(const struct cow_lvm *lvm, size_t index);

/*
 * Finds "VG/LV", where VG is a name or a UUID. Errors: -EINVAL not of this form,
 * -ENOENT no such VG or LV (the sentence names those that there are), -EPERM two
 * VGs have this name (id "vg-name"), or a PV is there twice (id "duplicate-pv").
 */
int cow_lvm_find(struct cow_lvm *lvm, const char *vg_lv, const struct cow_lv **ret_lv,
		 struct cow_err *err);

/* "VG/LV". */
const char *cow_lv_name(const struct cow_lv *lv);
/* The UUID of the LV, which no other one has. */
const char *cow_lv_id(const struct cow_lv *lv);
/* A COW volume: the origin whose snapshot it holds; NULL: no snapshot. */
const struct cow_lv *cow_lv_origin(const struct cow_lv *lv);
/* Of an origin or a snapshot: LVM merges it, or will at the next activation. For
 * an origin *ret_snapshot (NULL allowed) is the snapshot that is merged into it:
 * its device shows that snapshot's view. */
bool cow_lv_is_merging(const struct cow_lv *lv, const struct cow_lv **ret_snapshot);
/* Of a snapshot: the length of its view, which is what the origin had when the
 * snapshot was taken; and the chunk size that the text says, 0: none. */
uint64_t cow_lv_view_bytes(const struct cow_lv *lv);
uint64_t cow_lv_chunk_bytes(const struct cow_lv *lv);
/* All snapshots of an origin, one after the other: before NULL is the first one,
 * NULL behind the last one. */
const struct cow_lv *cow_lv_next_snapshot(const struct cow_lv *origin, const struct cow_lv *before);

/* A pool of thin devices, or one of them, as the text has it. */
struct cow_lv_thin {
	bool is_pool;
	const struct cow_lv *pool;	      /* itself, or that of the device */
	const struct cow_lv *metadata, *data; /* of the pool */
	uint64_t transaction_id, block_sectors;
	bool has_message;		      /* LVM has not told the pool yet what it did last */
	uint64_t device_id, size_bytes;	      /* of a device */
	const struct cow_lv *external_origin; /* of a device; NULL: none */
	const char *origin;		      /* of a snapshot: the name that LVM keeps, or "" */
	bool is_merging; /* of a snapshot: LVM merges it when it is activated */
};
/* false: it is neither. */
bool cow_lv_thin(const struct cow_lv *lv, struct cow_lv_thin *ret_thin);
/* The pool that has this LV as its metadata; false: none. */
bool cow_lv_pool_of_metadata(const struct cow_lv *metadata, struct cow_lv_thin *ret_thin);
/* The thin devices of a pool, as cow_lv_next_snapshot(). */
const struct cow_lv *cow_lv_next_thin(const struct cow_lv *pool, const struct cow_lv *before);

/* Refuses what must not be written through this map. */
#define COW_LV_WRITE (1u << 0)
/* Written by a job that, cut off, writes the same bytes again when it is repeated: a raid1
 * of which all legs are complete is written, too, each leg. */
#define COW_LV_COPIES (1u << 1)

/*
 * Opens the bare volume: of a COW volume the store, of an origin the origin, also
 * while LVM merges it. flags: COW_LV_*. Errors: -EOPNOTSUPP its type is not
 * supported, named in the sentence (id "lv-type"); -EPERM written, but it has more
 * than one copy or a cache (id "lv-write"); -ENODEV a PV is missing or flagged as
 * missing (id "pv-missing"); -EBADMSG the metadata contradict themselves, or a leg is
 * not complete (id "lv-legs"); -ERANGE beyond the end of a PV; -ENOMEM, -EIO.
 */
int cow_lv_open(const struct cow_lv *lv, uint32_t flags, struct cow_image **ret_image,
		struct cow_err *err);

#endif

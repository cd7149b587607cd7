/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check.h - what the files snap_check*.c share: the state of
 * one check. snap_check.c looks at the header and draws the verdict,
 * snap_check_list.c at the records, snap_check_twice.c at what
 * occurs more than once, snap_check_bad.c at what cannot be read,
 * snap_check_empty.c at what would be lost with the store.
 */
#ifndef COW_STORE_SNAP_CHECK_H
#define COW_STORE_SNAP_CHECK_H

#include "libcow/core/chunkset.h"
#include "libcow/core/report.h"
#include "libcow/store/persistent/snap_end.h"

struct snap_check {
	const struct cow_store_args *args;
	const struct cow_callbacks *callbacks;
	struct cow_image *cow;
	struct cow_image *origin; /* NULL: not given */
	struct cow_report *report;
	struct snap_header header;
	struct snap_layout layout;
	struct snap_bounds bounds;

	bool kernel_refuses;	      /* to load it */
	bool is_below_blocks;	      /* the chunks are smaller than blocks of a device */
	bool kernel_wipes;	      /* it is new to the kernel */
	bool is_invalid;	      /* the header says so */
	bool is_damaged;	      /* a finding of that class or worse */
	bool may_have_lost;	      /* the list is empty, and a note says what is behind */
	bool has_other_size;	      /* a list where another chunk size would put it */
	bool is_merging;	      /* our label says so: what stands behind the list is merged */
	bool was_merged;	      /* our label says that a merge of ours emptied the list */
	bool is_doubtful;	      /* the list may be cut short, or an area is a copy */
	uint64_t copy_index, copy_of; /* an area with the bytes of another; UINT64_MAX: none */
	bool has_older;		      /* records of an older store stand behind it */

	/* The list. */
	struct cow_chunkset *olds;    /* of the sound records */
	uint64_t nr_records;	      /* live ones, as the kernel counts */
	uint64_t nr_bad;	      /* of them: break a rule */
	uint64_t nr_beyond_end;	      /* of these: new chunk beyond the image */
	uint64_t nr_beyond_origin;    /* old chunk beyond the origin */
	bool is_near_origin;	      /* one of them not far beyond it */
	uint64_t garbage_index;	      /* from here on it is garbage; UINT64_MAX: nowhere */
	bool is_list_certain;	      /* a list follows on what looked like garbage */
	uint64_t highest_new;	      /* of those that lie on the image */
	uint64_t last_new, next_area; /* no area is between the two */
	bool is_ascending;	      /* new chunks */
	bool has_end;
	bool is_list_damaged; /* counts of its chunks mean nothing */
	bool is_cut;	      /* the image is too short for its own list */
};

/* snap_check_add.c: adds a finding at [offset_bytes, + len_bytes) of the COW image. */
__attribute__((format(printf, 5, 6))) void
cow_snap_check_add(struct snap_check *check, enum snap_problem number, uint64_t offset_bytes,
		   uint64_t len_bytes, const char *format, ...);

/* snap_check_end.c: is the area that begins with this sector a copy? And: does
 * the list end where it should? *ret_is_settled: all was said about what stands
 * behind it. is_copy: is the record in an area that is a copy of another, once the
 * list was read? Errors: -EIO, -ENOMEM, -ECANCELED. */
bool cow_snap_check_is_copy(const struct snap_check *check, uint64_t index);
int cow_snap_check_copy(struct snap_check *check, const uint8_t *sector, uint64_t index,
			struct cow_err *err);
int cow_snap_check_end(struct snap_check *check, bool *ret_is_settled, struct cow_err *err);

/* Reads the whole list. Errors: -EIO, -ENOMEM, -ECANCELED. */
int cow_snap_check_list(struct snap_check *check, struct cow_err *err);
/* Reads it again for what can only be said after the first time: records that
 * occur twice, or beyond an end that was not cut. */
int cow_snap_check_twice(struct snap_check *check, struct cow_err *err);

/*
 * Opens a store as the kernel loads it, damaged or not, to see which of two
 * records its reads follow. *ret_store is NULL where the bytes do not allow it;
 * that the image cannot be read, or no memory, is a failure: another record
 * would be taken for the right one. Errors: -EIO, -ENOMEM.
 */
int cow_snap_kernel_open(const struct cow_store_args *args, struct cow_store **ret_store,
			 struct cow_err *err);

/*
 * Sets verdict->empty and nr_behind. After cow_snap_check_list(). label: as it
 * is on the disk. Errors: -EIO, -ENOMEM, -ECANCELED.
 */
int cow_snap_check_empty(struct snap_check *check, const uint8_t *label,
			 struct cow_verdict *verdict, struct cow_err *err);

/* snap_check_bad.c */
/* Is any of a range of the COW image known to be unreadable? */
bool cow_snap_check_is_bad(const struct snap_check *check, uint64_t offset_bytes,
			   uint64_t len_bytes);
/* Findings: the header; the data of a sound record, if it is; the metadata areas
 * that the list reaches. */
void cow_snap_check_header_bad(struct snap_check *check);
void cow_snap_check_data_bad(struct snap_check *check, const struct snap_record *record,
			     uint64_t index);
void cow_snap_check_areas_bad(struct snap_check *check);

#endif

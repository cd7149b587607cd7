/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_store.h - the persistent store when it is open; shared by the files
 * of this folder. snap_disk.h has the layout on disk.
 */
#ifndef COW_STORE_SNAP_H
#define COW_STORE_SNAP_H

#include "libcow/core/label.h"
#include "libcow/store/persistent/snap_disk.h"
#include "libcow/store/persistent/snap_list.h"
#include "libcow/store/store.h"

#define SNAP_TITLE "snapshot store" /* struct cow_store_info */

struct snap_store {
	struct cow_store store;
	struct snap_layout layout;
	uint8_t header[SNAP_HEADER_BYTES]; /* as last read or written */
	bool is_valid;
	uint64_t nr_records; /* length of the list on disk */
	uint64_t next_free;  /* chunk that is handed out next */
	uint64_t shown_free; /* the same, as the kernel would print it */
	/* An area with the bytes of another: its first record, and that area. The
	 * first is UINT64_MAX: there is none, or nobody looked (COW_STORE_DAMAGED). */
	uint64_t copy_index, copy_of;

	/* appending (snap_append.c) */
	struct cow_exmap *pending;   /* old chunks that were appended, not published */
	struct snap_record *records; /* the same, in the order they were handed out */
	size_t nr_pending, capacity;
	uint64_t unfinished_bytes; /* of the last pending chunk; 0: it is whole */
	bool has_failed;	   /* data is missing: nothing is published any more */
	bool tail_is_clean;	   /* zeros behind the end of the list (I5) */
	bool was_emptied;	   /* by settling, since it was opened */

	/* merging (snap_merge.c) */
	uint64_t cursor;       /* records below are still to be given out */
	struct snap_list list; /* read backwards; open while it has a buffer */
};

static inline struct snap_store *snap_store_of(struct cow_store *store)
{
	return (struct snap_store *)store;
}

/* snap_header.c */
/* Reads the header sector, from the disk if image is writable (I12). Errors:
 * -EIO, -EBADMSG the image is too short for one. */
int cow_snap_header_read(struct cow_image *image, uint8_t raw[SNAP_HEADER_BYTES],
			 struct cow_err *err);
/* Is the header what was found before? Asked before the first write. Errors:
 * -EBUSY (id "changed") it is not; as cow_snap_header_read(). */
int cow_snap_header_unchanged(struct cow_image *image, const uint8_t found[SNAP_HEADER_BYTES],
			      struct cow_err *err);

/*
 * Decodes a label; zeros where there is none, or where the list does not begin with the
 * record that it began with: then the kernel finished the merge, and the store was used
 * since. One that begins with the same record cannot be told. Errors: -EIO.
 */
int cow_snap_label_find(struct cow_image *cow, const struct snap_layout *layout,
			const uint8_t raw[LABEL_BYTES], struct cow_label *ret_label,
			struct cow_err *err);
/* Before the list gets another first record: takes from a label what it knows of the first
 * one, in header and, durably, on the image. Errors: -EIO, -EROFS. */
int cow_snap_mark_forget(struct cow_image *cow, uint8_t header[SNAP_HEADER_BYTES],
			 struct cow_err *err);

int cow_snap_invalidate(struct cow_store *store, struct cow_err *err);
int cow_snap_label_read(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES], struct cow_err *err);
int cow_snap_label_write(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			 struct cow_err *err);

/* snap_load.c: fills map, nr_records, next_free. */
int cow_snap_load(struct snap_store *p, uint32_t flags, struct cow_err *err);

/* snap_doubt.c: refuses a list that may be cut short, or that goes on in a copy of
 * another area. Errors: -EBADMSG (id "doubtful"), -EIO, -ENOMEM. */
int cow_snap_doubt(struct cow_store *store, struct cow_err *err);

/* snap_create.c: zeroes what stands behind the end of the list in its
 * area, durably; nothing where it is zero already. */
int cow_snap_tidy(struct cow_store *store, struct cow_err *err);
int cow_snap_create(const struct cow_store_args *args, struct cow_err *err);
int cow_snap_create_size(const struct cow_store_args *args, uint64_t origin_bytes,
			 uint64_t *ret_bytes, struct cow_err *err);
int cow_snap_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			uint64_t *ret_bytes, struct cow_err *err);

/* snap_append.c */
int cow_snap_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err);
int cow_snap_append(struct cow_store *store, uint64_t old_bytes, const void *buf, size_t len_bytes,
		    struct cow_err *err);
int cow_snap_publish(struct cow_store *store, struct cow_err *err);
bool cow_snap_pending_next(const struct cow_store *store, uint64_t old_chunk,
			   struct exmap_run *ret_run);

/* snap_merge.c */
int cow_snap_next_moves(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			struct cow_err *err);
int cow_snap_settle(struct cow_store *store, uint64_t token, struct cow_err *err);
int cow_snap_unused_from(const struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err);
void cow_snap_rewind(struct cow_store *store);

/* snap_keep.c */
int cow_snap_keep(struct cow_store *store, const uint64_t *old_chunks, size_t nr_chunks,
		  struct cow_err *err);

/* snap_check.c */
int cow_snap_check(const struct cow_store_args *args, const struct cow_check_params *params,
		   struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err);

/* snap_repair.c */
int cow_snap_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		    struct cow_repair_result *result, struct cow_err *err);

/* snap_metadata.c */
int cow_snap_metadata_copy(const struct cow_store_args *args, const struct cow_callbacks *callbacks,
			   struct cow_image *target, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_list.h - the list of records on disk: one iterator, which every reader
 * uses, and the two writers that put and zero records. No other file computes
 * where in a sector a record lies.
 *
 * The writers write whole sectors, and what else is in a sector stays: a sector
 * is atomic, so that no record but the named ones changes, whatever a crash
 * leaves (I9). They flush nothing: the order of writes and flushes is the
 * caller's.
 */
#ifndef COW_STORE_SNAP_LIST_H
#define COW_STORE_SNAP_LIST_H

#include "libcow/core/report.h"
#include "libcow/image/image.h"
#include "libcow/store/persistent/snap_disk.h"

/* Walks the records of the list in pieces of up to 1 MiB, area by area. */
struct snap_list {
	struct cow_image *image;
	const struct snap_layout *layout;
	uint8_t *buf;
	uint64_t buf_bytes;
	uint64_t index;			 /* of the next record */
	uint64_t piece_index, piece_end; /* the records in buf */
	int error;
	struct cow_err *err;

	/* Told before each piece but the first; set after opening, or not. */
	const struct cow_callbacks *callbacks;
	const char *phase;
	uint64_t total_bytes;
};

/* Begins at record number from_index. Errors: -ENOMEM. */
int cow_snap_list_open(struct snap_list *list, struct cow_image *image,
		       const struct snap_layout *layout, uint64_t from_index, struct cow_err *err);
/* Frees the buffer. Returns ret or, where ret is 0, what ended the walk: -EIO,
 * -ECANCELED. Also after a failed open. */
int cow_snap_list_close(struct snap_list *list, int ret);
/* For cow_snap_list_next(): reads the piece that begins at the next record. */
bool cow_snap_list_load(struct snap_list *list);

/*
 * Gives the next record, sound or not, also behind the end of the list. false:
 * the next area does not fit on the image, or the walk failed, which
 * cow_snap_list_close() returns. From a writable image the bytes come from the
 * disk, not from the cache (I12).
 */
static inline bool cow_snap_list_next(struct snap_list *list, struct snap_record *ret_record,
				      uint64_t *ret_index)
{
	if (list->index == list->piece_end && !cow_snap_list_load(list))
		return false;
	cow_snap_record_decode(list->buf + (list->index - list->piece_index) * SNAP_RECORD_BYTES,
			       ret_record);
	*ret_index = list->index++;
	return true;
}

/* Is this record the first of a piece? Every area begins with one. */
static inline bool cow_snap_list_is_first(const struct snap_list *list, uint64_t index)
{
	return index == list->piece_index;
}

/* The sector that holds the record given last. */
const uint8_t *cow_snap_list_sector(const struct snap_list *list);
/* Goes over the rest of the sector of the record given last. */
void cow_snap_list_skip_sector(struct snap_list *list);

/* Reads one record by its number, in pieces where records follow each other
 * downwards. For the caller that knows that the record is in the list. Errors: -EIO. */
int cow_snap_list_at(struct snap_list *list, uint64_t index, struct snap_record *ret_record,
		     struct cow_err *err);
/* Forgets what was read. */
void cow_snap_list_forget(struct snap_list *list);
/* Reads one record and keeps nothing. Errors: -EIO. */
int cow_snap_record_read(struct cow_image *image, const struct snap_layout *layout, uint64_t index,
			 struct snap_record *ret_record, struct cow_err *err);
/* Reads the sector in which a record lies. Errors: -EIO. */
int cow_snap_sector_read(struct cow_image *image, const struct snap_layout *layout, uint64_t index,
			 uint8_t ret_raw[COW_SECTOR_BYTES], struct cow_err *err);
/* The number of the record at a byte of a metadata area. */
uint64_t cow_snap_record_index(const struct snap_layout *layout, uint64_t offset_bytes);
/*
 * Finds the first place in [from, end) that does not lie in a hole of the image,
 * down to the start of its sector; end: there is none. Areas in one hole are
 * passed over together: an area may be a gigabyte, or there may be millions.
 * Errors: -EIO.
 */
int cow_snap_list_next_data(struct cow_image *image, const struct snap_layout *layout,
			    uint64_t from, uint64_t end, uint64_t *ret_index, struct cow_err *err);

/* Records and their places in the list, ascending. */
struct snap_rows {
	const struct snap_record *records;
	const uint64_t *places; /* NULL: one behind the other */
	uint64_t first;		/* then: the place of the first one */
	uint64_t nr;
};

/*
 * Puts records into their places: one write for sectors that follow each other
 * in an area, 1 MiB at most; lower places first. is_tail: zeros fill the last
 * sector of each write, in which nothing stands behind the records. Errors:
 * -EROFS, -EIO, -ENOMEM.
 */
int cow_snap_list_put(struct cow_image *image, const struct snap_layout *layout,
		      const struct snap_rows *rows, bool is_tail, struct cow_err *err);
/*
 * Zeroes records [from, end), all of one area. Any of its sectors may be old or
 * new after a crash: the list then ends at from, where it ended before, or in
 * between. Errors: as cow_snap_list_put().
 */
int cow_snap_list_zero(struct cow_image *image, const struct snap_layout *layout, uint64_t from,
		       uint64_t end, struct cow_err *err);
/* The same, where they are not zeros already; holes of the image are not read. */
int cow_snap_list_tidy(struct cow_image *image, const struct snap_layout *layout, uint64_t from,
		       uint64_t end, bool *ret_wrote, struct cow_err *err);

#endif

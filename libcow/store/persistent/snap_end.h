/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_end.h - does the list end where its writer ended it? What stands behind
 * the end decides, and where the end lies.
 */
#ifndef COW_STORE_SNAP_END_H
#define COW_STORE_SNAP_END_H

#include "libcow/store/persistent/snap_rules.h"

enum snap_end_outcome {
	SNAP_END_CLEAN,	   /* nothing stands behind it */
	SNAP_END_OLDER,	   /* records of an older store, or merged already */
	SNAP_END_EMPTY,	   /* the list is empty, and records stand behind it */
	SNAP_END_TORN,	   /* the rest of a commit or a merge that was cut off */
	SNAP_END_STALE,	   /* bytes in the area that are no records of this list */
	SNAP_END_CUT,	   /* part of the list is missing, and more of it behind that */
	SNAP_END_DOUBTFUL, /* cut, or it ended there over an older store */
};

struct snap_end {
	enum snap_end_outcome outcome;
	uint64_t nr_records;   /* of the list, in front of the end */
	uint64_t behind_index; /* the first record behind it */
	uint64_t nr_behind;    /* from there on to the next end */
	uint64_t old_before;   /* chunk of the origin in front of the gap, ... */
	uint64_t old_behind;   /* ... and behind it */
	bool is_run;	       /* they are as far apart as the gap is long */
	char why[200];	       /* a clause for a person */
};

/*
 * Judges the list of nr_records, which ends in an area that is on the image.
 * origin: NULL where it is not known; with it the data of records decides where
 * their places do not. Errors: -EIO, -ENOMEM, -ECANCELED.
 */
int cow_snap_end_judge(struct cow_image *cow, struct cow_image *origin,
		       const struct snap_bounds *bounds, uint64_t nr_records,
		       const struct cow_callbacks *callbacks, struct snap_end *ret_end,
		       struct cow_err *err);

/*
 * Is an area, of which sector is the first one, a copy of another? Its records
 * lie a number of areas off their places, and the area in which they would be
 * in place holds the same bytes. Errors: -EIO, -ENOMEM.
 */
int cow_snap_end_is_copy(struct cow_image *cow, const struct snap_layout *layout, uint64_t area,
			 const uint8_t *sector, uint64_t *ret_of_area, bool *ret_is_copy,
			 struct cow_err *err);

/*
 * Are the records of a sector, from number index on, a copy of another one? Each of
 * them belongs elsewhere by its chunk, one behind the other, and the same bytes
 * stand there. A repair that was cut off leaves records twice, too, but those moved
 * to the front: only what stands behind its place is a copy. Errors: -EIO.
 */
int cow_snap_end_is_sector_copy(struct cow_image *cow, const struct snap_layout *layout,
				uint64_t index, const uint8_t *sector, uint64_t *ret_of_index,
				bool *ret_is_copy, struct cow_err *err);

enum snap_end_loss {
	SNAP_LOSS_NONE,
	SNAP_LOSS_UNKNOWN, /* what would be used next is not zeros */
	SNAP_LOSS_LIKELY,  /* ... though the device was blank, and the origin lacks it */
};

/*
 * snap_end_loss.c: may the end of the list be lost? Asked where the list ends with a
 * sector. *ret_where of the COW image: what the next records would have named, also
 * if it cannot be read (-EIO); a length of 0: nothing can be told. highest_new: of
 * the records. origin: NULL where it is not known; else up to 16 GiB of it are read
 * where it decides. Errors: -EIO, -ENOMEM, -ECANCELED.
 */
int cow_snap_end_loss(struct cow_image *cow, struct cow_image *origin,
		      const struct snap_layout *layout, uint64_t nr_records, uint64_t highest_new,
		      const struct cow_callbacks *callbacks, struct cow_segment *ret_where,
		      enum snap_end_loss *ret_loss, struct cow_err *err);

#endif

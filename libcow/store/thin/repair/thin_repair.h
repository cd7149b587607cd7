/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair.h - what the files of the repair of a pool share: thin_repair.c decides,
 * thin_repair_devices.c says which devices the new metadata have, and what is lost of
 * each, thin_repair_orphans.c finds nodes whose parents are lost, thin_repair_times.c keeps what is
 * shared from being written in place, thin_repair_doubt.c looks for blocks that two devices own.
 */
#ifndef COW_STORE_THIN_REPAIR_H
#define COW_STORE_THIN_REPAIR_H

#include "libcow/core/consent.h"
#include "libcow/store/thin/check/thin_check.h"
#include "libcow/store/thin/repair/thin_rebuild.h"
#include "libcow/store/thin/repair/thin_salvage.h"

/* A block of a device that may show another one's bytes. */
struct thin_place {
	uint64_t id, key;
};

struct thin_repair {
	const struct cow_store_args *args;
	const struct cow_repair_params *params;
	struct cow_repair_result *result;
	struct cow_image *metadata, *data; /* data NULL: not given */
	struct thin_args wanted;
	struct thin_super super;
	struct cow_report *report;
	struct cow_consent consent;
	bool is_super_found;	/* it was made of what the trees say */
	bool is_super_doubtful; /* it may be that of an earlier commit */

	struct thin_check list; /* what both trees of devices say */
	struct thin_salvage *salvage;
	struct cow_image *patched; /* over metadata, where lost nodes were found; else NULL */
	struct thin_rebuild rebuild;
	struct pdata_counts *data_counts; /* of what was salvaged */
	struct pdata_map_root old_data_map;
	struct thin_place *doubts; /* ascending */
	size_t nr_doubts, doubts_capacity;
};

/* Makes super of trees that are whole, where the superblock is lost; raw NULL: it cannot
 * be read. Errors: -EBADMSG (ids "table", "damaged", "doubtful"), -ENOMEM. */
int cow_thin_repair_super(struct thin_repair *repair, const uint8_t *raw, struct cow_err *err);
/* Is a device there as a whole, as far as its tree says? */
bool cow_thin_repair_is_whole(const struct thin_repair *repair, const struct thin_device *device);
/* Makes rebuild.devices of what was salvaged. Errors: -ENOMEM, -EIO. */
int cow_thin_repair_devices(struct thin_repair *repair, struct cow_err *err);
/* Tells what is lost of each device. Errors: -ENOMEM. */
int cow_thin_repair_tell(struct thin_repair *repair, struct cow_err *err);
/* Raises the last snapshot of devices, and the time of the pool, where a block is shared
 * and would be written in place. Errors: -ENOMEM, -EBADMSG. */
int cow_thin_repair_times(struct thin_repair *repair, struct cow_err *err);
/* Finds mappings that may show another device's bytes. Errors: -ENOMEM, -EBADMSG. */
int cow_thin_repair_doubt(struct thin_repair *repair, struct cow_err *err);
void cow_thin_repair_doubt_tell(struct thin_repair *repair);

/* Is an edge of cow_thin_rebuild_walk() over what was salvaged one of the device at that
 * place? */
bool cow_thin_repair_owns(const struct thin_repair *repair, size_t place,
			  const struct pdata_edge *edge);

static inline uint64_t thin_repair_count(const struct thin_repair *repair,
					 enum thin_problem problem)
{
	return cow_report_count_id(repair->report, cow_thin_problem_row(problem)->problem.id);
}

#endif

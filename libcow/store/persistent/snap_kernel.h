/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_kernel.h - what the kernel's reads return from a list that is not
 * sound. The kernel keeps its exceptions in lists, one for each group of 256
 * old chunks (dm-snap.c, exception_hash), ordered by old chunk, joins
 * neighbours into runs while it inserts (dm_insert_exception), believes a run
 * length that stands in the top byte of a record, and takes the first entry
 * that covers a chunk (dm_lookup_exception). Two records for one old chunk can
 * so be decided by a third. Linux 6.1.
 */
#ifndef COW_STORE_SNAP_KERNEL_H
#define COW_STORE_SNAP_KERNEL_H

#include "libcow/base/cleanup.h"
#include "libcow/core/exmap.h"
#include "libcow/store/persistent/snap_disk.h"

/* The groups with records that need the kernel's own way. */
struct snap_odd;

int cow_snap_odd_new(const struct snap_layout *layout, struct snap_odd **ret_odd,
		     struct cow_err *err);
void cow_snap_odd_free(struct snap_odd *odd);
COW_DEFINE_AUTO(snap_odd, struct snap_odd *, cow_snap_odd_free);

/*
 * Turns a record into what goes into the map: ret_run, or nr_chunks 0 if it
 * is kept back. In the first pass odd records are noted; in the second, those
 * of odd groups are kept for cow_snap_odd_resolve(). Errors: -ENOMEM.
 */
int cow_snap_odd_filter(struct snap_odd *odd, const struct snap_record *record,
			uint64_t nr_origin_chunks, struct exmap_run *ret_run, struct cow_err *err);

/* Callback of cow_exmap_seal(): user is the snap_odd. */
int cow_snap_odd_duplicate(void *user, const struct exmap_duplicate *duplicate);

/* Tells, after the first pass, whether a second is needed (which begins with
 * this call), and whether anything was not sound. */
bool cow_snap_odd_is_needed(struct snap_odd *odd);
bool cow_snap_odd_is_damaged(const struct snap_odd *odd);

/* Adds the odd groups to the map. Errors: -ENOMEM. */
int cow_snap_odd_resolve(struct snap_odd *odd, struct cow_exmap *map, struct cow_err *err);

#endif

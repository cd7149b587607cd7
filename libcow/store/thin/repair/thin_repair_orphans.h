/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_orphans.h - nodes of mappings that nothing leads to any more, because the
 * node above them is lost. The old space map of the metadata is the witness: it counts
 * each reference of the last commit, those of the lost nodes too. A node that is counted
 * more often than what is left refers to it was below a lost node; a node of an earlier
 * commit is counted as free.
 *
 *	thin_repair_orphans.c	finds these nodes, and the places where one is missing
 *	thin_repair_adopt.c	decides which node belongs into which place, and puts it there
 */
#ifndef COW_STORE_THIN_REPAIR_ORPHANS_H
#define COW_STORE_THIN_REPAIR_ORPHANS_H

#include "libcow/store/thin/repair/thin_repair.h"

/* A whole tree of which some parent is lost. */
struct orphan {
	uint64_t block, first, last, nr; /* its keys and mappings */
	unsigned int height;
	uint32_t nr_missing; /* references that are counted and not found */
};

/* Where a node is missing. */
struct orphan_place {
	uint64_t parent; /* whose entry leads there; COW_OFFSET_NONE: a root */
	uint32_t index;	 /* of the entry */
	uint64_t block;	 /* what it leads to */
	uint64_t first, last;
	int height;  /* of the missing node; -1: not known */
	uint64_t nr; /* mappings below it; UINT64_MAX: not known */
	bool is_done;
};

struct orphans {
	struct thin_repair *repair;
	struct thin_salvage *before; /* to read nodes as they were */
	struct pdata_counts *counts; /* references that are left */
	uint32_t *missing;	     /* of each block */
	struct orphan *units;
	size_t nr_units, units_capacity;
	struct orphan_place *places;
	size_t nr_places, places_capacity;
	struct cow_image *patched; /* over the metadata; with what is adopted; the caller's */
	uint64_t next_free;	   /* where to look for a block of a new node */
	bool has_adopted;
};

/* Fills units and places. Errors: -ENOMEM, -EIO. */
int cow_thin_orphans_find(struct orphans *orphans, struct cow_err *err);
/* Puts into its place what belongs there without a doubt, in patched and in the list of
 * devices. Errors: as above. */
int cow_thin_orphans_adopt(struct orphans *orphans, struct cow_err *err);

/* Not patched. */
void cow_thin_orphans_free(struct orphans *orphans);

#endif

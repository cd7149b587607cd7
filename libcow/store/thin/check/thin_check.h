/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check.h - what the files thin_check*.c share: the state of one check.
 * thin_check.c looks at the superblock and at sizes and draws the verdict,
 * thin_check_devices.c at the trees that say which devices there are,
 * thin_check_mappings.c at the trees of mappings and their times, thin_check_maps.c at
 * both space maps.
 *
 * The rule of counting: each node is visited once, however many devices reach it. A
 * metadata block has as many references as distinct nodes point to it; a data block as
 * many as there are entries, in distinct leaves, that map it. The trees of a metadata
 * snapshot count like any other.
 */
#ifndef COW_STORE_THIN_CHECK_H
#define COW_STORE_THIN_CHECK_H

#include "libcow/core/report.h"
#include "libcow/pdata/pdata_walk.h"
#include "libcow/store/thin/thin_problems.h"
#include "libcow/store/thin/thin_store.h"

/* Owner of the nodes that the metadata snapshot alone reaches. */
#define THIN_OWNER_HELD (PDATA_OWNER_MANY - 1)

/* A device, as the live trees have it. */
struct thin_device {
	uint64_t id;
	uint64_t root; /* of its mappings; has_root */
	struct thin_details details;
	bool has_root, has_details;
	bool is_damaged;  /* some of it was not read */
	bool is_doubtful; /* for a repair: its tree may be another device's */
	uint64_t nr_mapped, nr_exclusive;
};

/* A leaf that one live device alone has. */
struct thin_leaf {
	uint32_t block, owner, stamp, nr_entries;
};

struct thin_check {
	const struct cow_store_args *args;
	const struct cow_callbacks *callbacks;
	struct thin_args wanted;
	struct cow_image *metadata, *data; /* data NULL: not given */
	struct cow_report *report;
	struct pdata_blocks *blocks;
	struct thin_super super, held; /* held: of the metadata snapshot, if there is one */
	bool has_held;
	enum thin_kernel kernel; /* the worst of what it does */
	int writes;		 /* the same of writes: COW_KERNEL_WRITES_* */
	uint64_t nr_named;	 /* findings whose devices were looked for */
	bool is_damaged;	 /* a finding of that class or worse */
	bool found[THIN_NR_PROBLEMS];
	bool has_hidden; /* some tree was not read to its end: more may be in use */

	struct thin_device *devices; /* ascending */
	size_t nr_devices, devices_capacity;
	/* Roots that the metadata snapshot has, and the live tree has elsewhere. */
	uint64_t *held_roots;
	size_t nr_held_roots, held_capacity;

	struct pdata_counts *counts;	  /* of the metadata blocks */
	struct pdata_counts *data_counts; /* of the data blocks */
	/* The same by the live devices alone, where a metadata snapshot has leaves of
	 * its own: it does not keep a block from being written in place. Else NULL. */
	struct pdata_counts *live_counts;
	struct cow_pages below; /* of each node: see thin_check_devices.c */
	struct data_run *runs;	/* thin_check_owners.c: data blocks that are counted wrongly */
	size_t nr_runs, runs_capacity;
	struct thin_leaf *leaves;
	size_t nr_leaves, leaves_capacity;
	uint64_t nr_entries;	 /* mappings in distinct leaves */
	uint64_t nr_leaves_seen; /* for progress */
	uint64_t nr_used, nr_data_used;
};

/* What a check has counted, for who is about to write. */
struct thin_counts {
	struct pdata_counts *metadata, *data;
};
/* Checks all of a pool. Findings go to the report; counts, the caller's then, are right
 * where there is none but of leaks, and NULL where the trees cannot be reached. Errors:
 * as of cow_thin_check(). */
int cow_thin_check_counts(const struct cow_store_args *args, struct cow_report *report,
			  struct thin_counts *ret_counts, struct cow_err *err);

/* Adds a finding about a metadata block (COW_OFFSET_NONE: about no block). */
__attribute__((format(printf, 4, 5))) void cow_thin_check_add(struct thin_check *check,
							      enum thin_problem number,
							      uint64_t block, const char *format,
							      ...);
/* The same about a data block. */
__attribute__((format(printf, 4, 5))) void cow_thin_check_add_data(struct thin_check *check,
								   enum thin_problem number,
								   uint64_t block,
								   const char *format, ...);

/* thin_check_owners.c: says which devices an edge belongs to: "device 7", "devices 0, 3
 * and 5". */
#define THIN_OWNER_BYTES 160
void cow_thin_owner_text(struct thin_check *check, const struct pdata_edge *edge,
			 char ret_text[THIN_OWNER_BYTES]);

/* Keeps data blocks that are counted wrongly, and mapped, until their owners are known:
 * found and counted as of cow_pdata_map_compare(). In ascending order. Errors: -ENOMEM. */
int cow_thin_owners_keep(struct thin_check *check, enum thin_problem problem, uint64_t first,
			 uint64_t nr, uint32_t found, uint32_t counted, struct cow_err *err);
/* Looks for their owners, and adds a finding for each. Errors: -ENOMEM. */
int cow_thin_owners_tell(struct thin_check *check, struct cow_err *err);
/* thin_check_mappings.c: visits each leaf of all devices once more. Errors: -ENOMEM, those
 * of leaf. */
int cow_thin_check_each_leaf(struct thin_check *check,
			     int (*leaf)(void *user, const struct pdata_node *node,
					 const struct pdata_edge *edge, struct cow_err *err),
			     struct cow_err *err);

/* Does the way of a tree to the first key of an edge lead to its node? What cannot be
 * read ends the way. */
bool cow_thin_leads_to(struct pdata_blocks *blocks, uint64_t root, const struct pdata_edge *edge);

/* All: errors -ENOMEM, -ECANCELED. In this order; the first is about the superblock of the
 * metadata snapshot. */
int cow_thin_check_held(struct thin_check *check, struct cow_err *err);
int cow_thin_check_devices(struct thin_check *check, struct cow_err *err);
int cow_thin_check_mappings(struct thin_check *check, struct cow_err *err);
/* Counts the mappings of each device, and compares. */
int cow_thin_check_mapped(struct thin_check *check, struct cow_err *err);
int cow_thin_check_maps(struct thin_check *check, struct cow_err *err);
/* What is exclusive, and what is shared against the times. */
int cow_thin_check_shared(struct thin_check *check, struct cow_err *err);

/* Marks the nodes that were counted so far as those of other trees. Errors: -ENOMEM. */
int cow_thin_below_mark(struct thin_check *check, struct cow_err *err);
bool cow_thin_below_is_foreign(const struct thin_check *check, uint64_t block);
/* Remembers how many mappings lie below a node. Errors: -ENOMEM. */
int cow_thin_below_set(struct thin_check *check, uint64_t block, uint64_t nr, bool is_broken,
		       struct cow_err *err);

#endif

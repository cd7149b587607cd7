/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapmerge.h - the parts of snapmerge. A merge in place goes: open everything,
 * a dry run that finds what would be refused, the plan, the question, only
 * then the first write.
 */
#ifndef TOOLS_SNAPMERGE_H
#define TOOLS_SNAPMERGE_H

#include "tools/images/bad.h"
#include "tools/common/cli.h"
#include "tools/images/operands.h"
#include "tools/images/volumes.h"
#include "tools/common/opts.h"

struct merge_options {
	struct cli_common common;
	uint64_t batch_bytes;
	const char *output;    /* NULL: in place */
	const char *table;     /* NULL: not given */
	const char *save_undo; /* NULL: none */
	const char *reflink;
	struct opt_list siblings, dropped;
	bool keep, take_back, sparse, discard, scrub, all_siblings;
	struct bad_options bad;
};

/* Other stores of the origin, open: kept true, or given up. */
struct merge_siblings {
	struct cow_image **images; /* NULL: it is a device of a pool */
	struct cow_store **stores;
	struct roles *roles; /* of such a device; its images, if it is the first of its pool */
	size_t *pools;	     /* which sibling is that */
	const char *const *specs;
	size_t nr_stores;
};

/* The file that saves what the merge overwrites. */
struct merge_undo {
	const char *path;
	uint64_t size_bytes;	   /* of a new one */
	struct cow_output *output; /* new; else image is ours */
	struct cow_image *image;
	struct cow_store *store;
	bool existed; /* of an interrupted run, or another's */
	bool is_published;
};

struct merge_job {
	const struct merge_options *options;
	struct operands operands;
	struct cow_store_info info; /* of the store as it was found */
	struct merge_siblings kept, dropped;
	struct merge_undo undo;
	struct cow_merge_result planned; /* of the dry run */
	uint64_t room_bytes; /* for what is written into holes; COW_OFFSET_NONE: not asked */
	/* With --skip-unreadable. */
	struct bad_words skipped;
	struct bad_list bad_list;
	/* LVM's metadata were asked: they name all snapshots of the origin. */
	bool knows_siblings, is_lvm_merging;
	char lvm_name[300]; /* "VG/LV" of COW; "": it is no snapshot that LVM knows */
	struct volumes_list snapshots;
	struct opt_list siblings; /* those that are to be kept true: all of them, maybe */
};

/* What the command line asks for; each returns the exit status. */
int merge_in_place(const struct merge_options *options);
int merge_to_output(const struct merge_options *options);
/* Fills in what concerns bad sectors. */
void merge_bad_params(const struct merge_options *options, struct operands_params *params);

/* COW_REFLINK_* of a word of --reflink. */
int merge_reflink(const struct merge_options *options);

/* merge_finish.c: a clone is finished, the source copied to the destination.
 * By its words alone: is the operand a clone? */
bool merge_names_clone(const struct merge_options *options);
bool merge_finishes(const struct merge_job *job);
/* Refuses what cannot be asked of it, by its name. Errors: -EINVAL. */
int merge_finish_options(const struct merge_options *options, struct cow_err *err);
/* Do source and destination belong to the metadata? Compares some regions that are
 * hydrated. Errors: -EPERM (id "origin", force "origin"), -EIO, -ENOMEM. */
int merge_finish_check(const struct merge_job *job, struct cow_err *err);
void merge_finish_say_plan(const struct merge_job *job);
void merge_finish_say_success(const struct merge_job *job, const struct cow_merge_result *result);

/* merge_swap.c: two devices of a thin pool exchange what they show. false: the operands
 * are no such two, and nothing was done. */
bool merge_swap(const struct merge_options *options, int *ret_status);

/* merge_rollback.c: a snapshot whose blocks are on logs, which hold no label. */
bool merge_rolls_back(const struct merge_job *job);
/* Refuses what cannot be asked of it, by its name. Errors: -EINVAL. */
int merge_rollback_options(const struct merge_options *options, struct cow_err *err);
void merge_rollback_say_plan(const struct merge_job *job);

/* merge_lvm.c: fills in the siblings; refuses other snapshots of the origin that no
 * option names, and one that LVM merges; and says what LVM does next. */
int merge_lvm_check(struct merge_job *job, struct cow_err *err);
void merge_lvm_close(struct merge_job *job);
void merge_lvm_say_next(const struct merge_job *job);

/* merge_siblings.c. role: what --json calls them. After a failure of open, close is to be
 * called too. */
int merge_siblings_open(struct merge_siblings *siblings, const char *role,
			const struct opt_list *specs, const struct operands *operands,
			bool will_write, struct cow_err *err);
void merge_siblings_close(struct merge_siblings *siblings);
/* What one of them is called. */
const char *merge_siblings_name(const struct merge_siblings *siblings, size_t index);

/* merge_devices.c: siblings that are devices of a pool and stand on the origin. Is it one?
 * Fills roles. */
bool merge_device_read(struct cow_imageset *set, const char *spec, struct roles *roles);
/* Opens sibling number index, whose roles are read. Errors: -EPERM it does not say that it
 * stands on the origin (id "origin"), or how long it is (id "size"). */
int merge_device_open(struct merge_siblings *siblings, size_t index,
		      const struct operands *operands, bool will_write, struct cow_err *err);
/* Asks once whether other devices of these pools stand on the origin, too. Errors: -EPERM
 * (id "siblings", force "siblings"), and those of ask_confirm(). */
int merge_devices_ask(const struct merge_job *job, struct cow_err *err);

/* Marks them invalid, durably. */
int merge_siblings_drop(struct merge_siblings *siblings, struct cow_err *err);

/*
 * merge_undo.c. prepare: refuses a bad place, opens an existing file (which
 * only an interrupted run of the same job can have left), opens a new one of
 * the size that it needs, without a name. create: makes a store of that.
 * publish: gives it its name.
 */
int merge_undo_prepare(struct merge_undo *undo, const char *path, const struct operands *operands,
		       bool will_write, struct cow_err *err);
int merge_undo_create(struct merge_undo *undo, const struct operands *operands,
		      uint64_t chunk_bytes, struct cow_err *err);
int merge_undo_publish(struct merge_undo *undo, struct cow_err *err);
void merge_undo_close(struct merge_undo *undo);

/* merge_room.c: look asks the file system, before the sandbox; check refuses a merge into
 * the holes of an origin that have no room. Errors: -EPERM (id "no-space", force
 * "no-space"), -EIO. */
void merge_room_look(struct merge_job *job);
int merge_room_check(const struct merge_job *job, struct cow_err *err);

/* merge_skip.c: may bad sectors be left in place? Errors: -EPERM (id "bad-cow",
 * force "bad-cow"). */
int merge_check_skip(const struct merge_job *job, struct cow_err *err);
/* Callback of cow_merge(): says and lists a range. */
int merge_on_skipped(void *user, uint64_t offset_bytes, uint64_t len_bytes, struct cow_err *err);

/* merge_words.c */
/* The image that is written to: the origin, or the destination. */
const char *merge_target_name(const struct merge_job *job);
void merge_say_plan(const struct merge_job *job);
void merge_say_mixture(const struct merge_job *job);
void merge_say_success(const struct merge_job *job, const struct cow_merge_result *result);
/* Says what stands on disk after a stop or a failure and what goes on from
 * there; returns the exit status. */
int merge_say_failure(const struct merge_job *job, const struct cow_merge_result *result,
		      const struct cow_err *err);
void merge_report(const struct merge_options *options, const struct cow_merge_result *result,
		  double seconds);

#endif

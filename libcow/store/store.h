/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * store.h - what a kind of store provides. engine/ and snapshot/ know only
 * this; registry.c names the kinds and finds the one that an image holds.
 *
 * A kind fills a struct store_ops. An operation may be NULL. Only dispatch.c asks
 * whether it is there: it does without, where the comment says how, or answers
 * -EOPNOTSUPP.
 *
 * The caller gives images in roles; a kind says which it needs (persistent: COW
 * image and origin; a clone: metadata, source and destination). Facts that a
 * format does not record come as geometry, key and value. The engine knows the
 * images by what they are to a merge: struct cow_store has the one below the view,
 * the target of the moves, data and metadata.
 *
 * A store may hold many snapshots. A handle shows one of them. All handles on one
 * store have the same struct store_shared and one transaction: publish, settle
 * and swap of any of them make durable what was done through all of them.
 */
#ifndef COW_STORE_STORE_H
#define COW_STORE_STORE_H

#include "libcow.h"
#include "libcow/base/cleanup.h"
#include "libcow/base/overflow.h"
#include "libcow/core/exmap.h"
#include "libcow/core/label.h"
#include "libcow/core/problem.h"
#include "libcow/image/image.h"

/* One piece of a merge: bytes to be copied from one image to another. */
struct store_move {
	struct cow_image *from;
	struct cow_image *to;
	uint64_t from_bytes;
	uint64_t to_bytes;
	uint64_t len_bytes; /* clipped at the end of the target (I11) */
};

/* What may be moved next: a growable array that the caller keeps. */
struct store_moves {
	struct store_move *moves;
	size_t nr_moves, capacity;
	uint64_t nr_chunks; /* exceptions behind these moves */
	/* Of the target, that needed no move: a hole at the other end became zeros at once.
	 * For the progress; a hole that stays one is not counted. */
	uint64_t settled_bytes;
	uint64_t token; /* for settle(); later tokens include earlier */
	bool is_last;	/* nothing is left after these */
};

/* What is left of a merge. Records are counted, so one that is there twice counts
 * twice. */
struct store_left {
	uint64_t nr_chunks; /* exceptions, or regions, still to be moved */
	uint64_t bytes;	    /* of the target, clipped at its end (I11); without what stays a hole */
};

/* A run of one snapshot's map. */
struct store_run {
	uint64_t old_bytes, new_bytes, len_bytes;
	bool is_shared; /* a write to it needs a block of its own first */
};

/* Jobs that not every kind allows; a merge asks before it writes. */
#define STORE_JOB_SIBLING (1u << 0) /* keep other snapshots true */
#define STORE_JOB_UNDO (1u << 1)    /* save what is overwritten; needs a label */
#define STORE_JOB_KEEP (1u << 2)    /* leave the exceptions where they are */
#define STORE_JOB_DISCARD (1u << 3) /* give unused blocks back */
#define STORE_JOB_SCRUB (1u << 4)   /* overwrite them */
#define STORE_JOB_SKIP (1u << 5)    /* go on past what cannot be read */
#define STORE_JOBS_ALL 63u

/* No snapshot: the parent of an empty one; behind the last. */
#define STORE_SNAPSHOT_NONE UINT64_MAX
/* A flag beside COW_STORE_*: a handle on no snapshot will do, to change the store with. */
#define STORE_OPEN_NONE (1u << 31)

/* A stretch of whole chunks (but for the end of a view) that some snapshots of
 * one store lack. */
struct store_lack {
	uint64_t offset_bytes, len_bytes;
	struct cow_store *const *members;
	size_t nr_members;
};

/* A walk over them, ascending; members are valid until the next call. */
struct store_lacks {
	bool (*next)(struct store_lacks *lacks, struct store_lack *ret_lack);
};

struct store_ops {
	const char *name;    /* for --type and messages: "persistent" */
	const char *summary; /* one line for --help and the manual page */
	bool can_share;	     /* takes args->sibling */
	bool is_lvm_pool;    /* what LVM makes of a pool and the volumes in it */
	int probe_role;	     /* which image probe() looks at, and cow_create() is given */
	uint32_t jobs;	     /* STORE_JOB_* that it allows */
	/* What a line of `dmsetup table` says of it, by the keys of a specification:
	 * the length, then the words behind the name; NULL ends them. NULL: it has
	 * no such line. */
	const char *const *table;
	/* Moves go to the image that holds the exceptions, too; else it is refused
	 * that these are one. */
	bool is_target_data;
	/* repair() writes to params->target, as a whole, and to nothing else. */
	bool needs_target;

	/* 0: mine; -EMEDIUMTYPE: not mine; anything else: could not look. */
	int (*probe)(struct cow_image *image, struct cow_err *err);
	/*
	 * Allocates the kind's struct (cow_store first), reads header and
	 * exceptions (filling store->map, sealed); refuses what is damaged
	 * unless flags say otherwise. Must not write (I10). Many snapshots:
	 * args->sibling is a handle of this kind on the same store, whose shared
	 * object the new one stands on; the wrapper has refused it where
	 * can_share is false.
	 */
	int (*open)(const struct cow_store_args *args, struct cow_store **ret_store,
		    struct cow_err *err);
	void (*close)(struct cow_store *store); /* the wrapper frees map and struct */
	void (*info)(const struct cow_store *store, struct cow_store_info *ret_info);
	/* Finds the run at or behind old_chunk, clipped to begin there; false:
	 * none. NULL: store->map says it. Cannot fail: what it needs is in
	 * memory since open(). */
	bool (*map_next)(const struct cow_store *store, uint64_t old_chunk,
			 struct exmap_run *ret_run);

	/* What a person should know of an open store; NULL: behind the last. NULL
	 * operation: nothing. */
	const char *(*note)(const struct cow_store *store, size_t index);
	/* Does a write to this chunk need a block of its own first? *nr_chunks is
	 * shortened to those of which the same is true. NULL: none does. */
	bool (*is_shared)(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks);

	/* Works on images that open() refuses; findings go to the report. */
	int (*check)(const struct cow_store_args *args, const struct cow_check_params *params,
		     struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err);

	/* Works on images that open() refuses; durable when it returns. */
	int (*repair)(const struct cow_store_args *args, const struct cow_repair_params *params,
		      struct cow_repair_result *result, struct cow_err *err);

	/* Contract in libcow.h; target has the size of the image. */
	int (*metadata_copy)(const struct cow_store_args *args,
			     const struct cow_callbacks *callbacks, struct cow_image *target,
			     struct cow_err *err);

	/* What is left to be moved, and where: the first range of the target at or
	 * behind from_bytes that the rest of the job overwrites, clipped to begin
	 * there; false: none. NULL: all exceptions that open() found, each in its
	 * place of the origin. Progress, preserving, undo and counts go by these
	 * two, never by the map. */
	void (*moves_left)(const struct cow_store *store, struct store_left *ret_left);
	bool (*target_next)(const struct cow_store *store, uint64_t from_bytes,
			    struct cow_segment *ret_range);

	/* Merge. next_moves: further moves, about budget_bytes of them, from the
	 * end of the list towards its start, behind what earlier calls gave.
	 * settle: the data of everything up to token is durable on the target
	 * (I1); forget its exceptions with one metadata write, durably (I2).
	 * rewind: forget what next_moves has given beyond the last settle. */
	int (*next_moves)(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			  struct cow_err *err);
	int (*settle)(struct cow_store *store, uint64_t token, struct cow_err *err);
	void (*rewind)(struct cow_store *store);
	/* After all moves were given out: the data of all exceptions but those
	 * of these chunks of the origin (ascending, at least one) is durable
	 * there; leave exactly these, durably (I13). */
	int (*keep)(struct cow_store *store, const uint64_t *old_chunks, size_t nr_chunks,
		    struct cow_err *err);
	/* Zeroes what stands behind the end of the list in the last area, as a
	 * torn settlement leaves it (I5), durably. Nothing to do: no write. */
	int (*tidy)(struct cow_store *store, struct cow_err *err);
	/* Of an empty store: from where on the bytes of its data image mean
	 * nothing. Errors: -EBUSY it is not empty. */
	int (*unused_from)(const struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err);

	/* Number index of the ranges of the metadata image that hold metadata in
	 * use; false: there are no more. NULL: none. */
	bool (*metadata_range)(const struct cow_store *store, uint64_t index,
			       struct cow_segment *ret_range);

	/* Copy-out; contracts in libcow.h. */
	int (*reserve)(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err);
	int (*append)(struct cow_store *store, uint64_t old_bytes, const void *buf,
		      size_t len_bytes, struct cow_err *err);
	int (*publish)(struct cow_store *store, struct cow_err *err);
	/* Finds the run at or behind old_chunk among what was appended and not published,
	 * clipped to begin there; false: none. NULL: a view of it is not written to. */
	bool (*pending_next)(const struct cow_store *store, uint64_t old_chunk,
			     struct exmap_run *ret_run);

	/*
	 * Copy-out to several snapshots of one store: NULL, unless can_share.
	 * lacks: the stretches that will be appended, with the members that lack
	 * them. reserve_group counts data blocks of the union, and the metadata
	 * blocks of the worst case; append_group writes one block of data that
	 * each member finds. publish of one handle publishes all of the store.
	 */
	int (*reserve_group)(struct cow_store *const *stores, size_t nr_stores,
			     struct store_lacks *lacks, struct cow_err *err);
	int (*append_group)(struct cow_store *const *members, size_t nr_members, uint64_t old_bytes,
			    const void *buf, size_t len_bytes, struct cow_err *err);
	/* Gives each chunk of the range that is shared with another snapshot a
	 * block of its own, with the same data: what new_bytes names may be
	 * overwritten then. The record is durable with publish. NULL: nothing is
	 * ever shared. */
	int (*unshare)(struct cow_store *store, uint64_t old_bytes, uint64_t len_bytes,
		       struct cow_err *err);
	/* Exchanges what two snapshots of one store show, in one transaction;
	 * durable when it returns. It is its own undo. Nobody has them open. is_any:
	 * also two that have nothing in common, else -EPERM (id "origin"). */
	int (*swap)(struct cow_store *store, uint64_t a_id, uint64_t b_id, bool is_any,
		    struct cow_err *err);

	/*
	 * Many snapshots, on any handle of the store. next: the first id from
	 * from_id on, or STORE_SNAPSHOT_NONE. create: of a parent, or an empty one
	 * of view_bytes (parent STORE_SNAPSHOT_NONE); *id is the one that it should
	 * have (STORE_SNAPSHOT_NONE: any), and then the one that it has, where the kind
	 * lets the caller choose. delete: nobody has it open.
	 * Both are durable when they return. map: the first run of a snapshot at
	 * or behind from_bytes, clipped to begin there; len_bytes 0: none.
	 */
	int (*snapshot_next)(struct cow_store *store, uint64_t from_id, uint64_t *ret_id,
			     struct cow_err *err);
	int (*snapshot_create)(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			       uint64_t *id, struct cow_err *err);
	int (*snapshot_delete)(struct cow_store *store, uint64_t id, struct cow_err *err);
	/*
	 * As snapshot_create, but it has chunks of its own when it appears: *ret_made
	 * is a handle on it that takes them by append, ascending, whatever the parent
	 * has there; nothing can be read from it. All is one transaction, which end
	 * makes durable; publish does nothing before. A handle that is closed without
	 * spoils the others on this store for writing. Both or none. Errors: also
	 * -EPERM the parent has data behind view_bytes (id "size").
	 */
	int (*snapshot_begin)(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			      uint64_t *id, struct cow_store **ret_made, struct cow_err *err);
	int (*snapshot_end)(struct cow_store *made, struct cow_err *err);
	/* Of two handles on snapshots of one store; contracts in libcow.h. */
	int (*difference)(struct cow_store *a, struct cow_store *b,
			  int (*range)(void *user, uint64_t offset_bytes, uint64_t len_bytes),
			  void *user, struct cow_err *err);
	/* Finds out what other snapshots have of what this one has; from then on
	 * has_others tells it, as is_shared does. NULL: there are no others. */
	int (*find_owners)(struct cow_store *store, const struct cow_callbacks *callbacks,
			   struct cow_err *err);
	bool (*has_others)(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks);
	int (*snapshot_map)(struct cow_store *store, uint64_t id, uint64_t from_bytes,
			    struct store_run *ret_run, struct cow_err *err);

	/* args: roles, geometry and the wanted chunk_bytes, never 0; a kind
	 * refuses a geometry key that it does not know. All three or none. */
	int (*create_size)(const struct cow_store_args *args, uint64_t origin_bytes,
			   uint64_t *ret_bytes, struct cow_err *err);
	int (*create_fit)(const struct cow_store_args *args, uint64_t wanted_bytes,
			  uint64_t *ret_bytes, struct cow_err *err);
	int (*create)(const struct cow_store_args *args, struct cow_err *err);
	int (*invalidate)(struct cow_store *store, struct cow_err *err);
	/* The label (core/label.h); label_write is durable. */
	int (*label_read)(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES],
			  struct cow_err *err);
	int (*label_write)(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			   struct cow_err *err);
	/* Before the first write of a merge, and in a dry run too (I7): can it be
	 * changed, and is there room for the smallest settlement? Writes nothing.
	 * NULL: open() has looked at everything. */
	int (*ready)(struct cow_store *store, struct cow_err *err);
	/* Refuses a store whose list may be cut short, as open() does with
	 * COW_STORE_STRICT. Errors: -EBADMSG (id "doubtful"). NULL: no list can be. */
	int (*doubt)(struct cow_store *store, struct cow_err *err);
	/* Re-reads the header: has somebody changed it since open? -EBUSY. */
	int (*unchanged)(struct cow_store *store, struct cow_err *err);
};

/* What several handles on one store have in common, as its kind keeps it: each
 * kind that has such an object begins its own with this. */
struct store_shared {
	unsigned int nr_handles; /* open ones; the kind frees it with the last */
	bool is_rehearsal;	 /* a change does everything but its first write */
	bool is_managed;	 /* somebody else (LVM) has a list of the snapshots in it */
};

struct cow_store {
	const struct store_ops *ops;
	struct cow_exmap *map;	     /* sealed; NULL: ops->map_next has it */
	struct cow_image *origin;    /* below the view; NULL: not given, or zeros */
	struct cow_image *target;    /* where moves go, what the engine flushes; NULL: not given */
	struct cow_image *data;	     /* where the map's new chunks lie */
	struct cow_image *metadata;  /* what settle() writes; often data itself */
	uint64_t chunk_bytes;	     /* whole sectors, not always a power of two */
	uint64_t view_bytes;	     /* length of the view; 0: the origin's */
	bool is_damaged;	     /* opened in spite of damage: read, never merged */
	struct store_shared *shared; /* with which other handles; NULL: with none */
	uint64_t snapshot_id;	     /* which of several snapshots; else 0 */
	bool has_no_map;	     /* opened with COW_STORE_NO_MAP */
	bool has_owners;	     /* has_others may be asked */
	bool is_past;		     /* what that was once: a metadata snapshot has it */
};

COW_DEFINE_AUTO(store, struct cow_store *, cow_store_close);

/* The kinds, in the order in which they are probed. */
extern const struct store_ops cow_store_persistent_ops;
extern const struct store_ops cow_store_clone_ops;
extern const struct store_ops cow_store_snaplog_ops;
extern const struct store_ops cow_store_thin_ops;
/* Their findings. */
extern const struct problem_table cow_snap_problems;
extern const struct problem_table cow_clone_problems;
extern const struct problem_table cow_snaplog_problems;
extern const struct problem_table cow_thin_problems;

/* registry.c: by name, or by probing; for engine/. Errors: -EMEDIUMTYPE,
 * -EINVAL no such kind. */
int cow_store_find_ops(const struct cow_store_args *args, const struct store_ops **ret_ops,
		       struct cow_err *err);
/* The kind that LVM's pools are. Cannot fail. */
const char *cow_store_pool_kind(void);
/* The image of a role, or NULL. */
struct cow_image *cow_store_args_image(const struct cow_store_args *args, int role, uint32_t index);
/* The value of a key of the geometry, or NULL. */
const char *cow_store_args_value(const struct cow_store_args *args, const char *key);
/* Refuses a key that is not in keys (NULL ends them). Errors: -EINVAL. */
int cow_store_args_check_keys(const struct cow_store_args *args, const char *const *keys,
			      struct cow_err *err);

/* dispatch.c; contracts above, -EOPNOTSUPP where the kind has no such operation. */
/* Does the kind allow all of the wanted jobs (STORE_JOB_*)? Errors: -EOPNOTSUPP (id "unsupported").
 */
int cow_store_allows(const struct cow_store *store, uint32_t wanted, struct cow_err *err);
/* May the two be one image? */
bool cow_store_is_target_data(const struct cow_store *store);
bool cow_store_map_next(const struct cow_store *store, uint64_t old_chunk,
			struct exmap_run *ret_run);
bool cow_store_is_shared(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks);
bool cow_store_has_others(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks);
/* As ops->pending_next; false, too, where it is not there. */
bool cow_store_pending_next(const struct cow_store *store, uint64_t old_chunk,
			    struct exmap_run *ret_run);
/* Can a view of it be written to? Errors: -EOPNOTSUPP (id "unsupported"). */
int cow_store_takes_writes(const struct cow_store *store, struct cow_err *err);
void cow_store_moves_left(const struct cow_store *store, struct store_left *ret_left);
bool cow_store_target_next(const struct cow_store *store, uint64_t from_bytes,
			   struct cow_segment *ret_range);
int cow_store_next_moves(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			 struct cow_err *err);
int cow_store_settle(struct cow_store *store, uint64_t token, struct cow_err *err);
void cow_store_rewind(struct cow_store *store);
int cow_store_keep(struct cow_store *store, const uint64_t *old_chunks, size_t nr_chunks,
		   struct cow_err *err);
int cow_store_tidy(struct cow_store *store, struct cow_err *err);
int cow_store_unused_from(const struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err);
bool cow_store_metadata_range(const struct cow_store *store, uint64_t index,
			      struct cow_segment *ret_range);
int cow_store_unchanged(struct cow_store *store, struct cow_err *err);
int cow_store_ready(struct cow_store *store, struct cow_err *err);
int cow_store_doubt(struct cow_store *store, struct cow_err *err);
/* Can it hold a label? */
bool cow_store_has_label(const struct cow_store *store);
int cow_store_label_read(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES],
			 struct cow_err *err);
int cow_store_label_write(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			  struct cow_err *err);

int cow_store_reserve_group(struct cow_store *const *stores, size_t nr_stores,
			    struct store_lacks *lacks, struct cow_err *err);
int cow_store_append_group(struct cow_store *const *members, size_t nr_members, uint64_t old_bytes,
			   const void *buf, size_t len_bytes, struct cow_err *err);
int cow_store_unshare(struct cow_store *store, uint64_t old_bytes, uint64_t len_bytes,
		      struct cow_err *err);
/* Also -EINVAL: the two are one. */
int cow_store_swap(struct cow_store *store, uint64_t a_id, uint64_t b_id, bool is_any,
		   struct cow_err *err);
int cow_store_snapshot_next(struct cow_store *store, uint64_t from_id, uint64_t *ret_id,
			    struct cow_err *err);
int cow_store_snapshot_create(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			      uint64_t *id, struct cow_err *err);
int cow_store_snapshot_delete(struct cow_store *store, uint64_t id, struct cow_err *err);
int cow_store_snapshot_begin(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			     uint64_t *id, struct cow_store **ret_made, struct cow_err *err);
int cow_store_snapshot_end(struct cow_store *made, struct cow_err *err);
/* As cow_store_open(), but with a handle on no snapshot if args name none. Errors: also
 * -EOPNOTSUPP it is a store of one snapshot. */
int cow_store_open_shared(const struct cow_store_args *args, struct cow_store **ret_store,
			  struct cow_err *err);
int cow_store_snapshot_map(struct cow_store *store, uint64_t id, uint64_t from_bytes,
			   struct store_run *ret_run, struct cow_err *err);

/* store.c */
/* Are the two handles on one snapshot? By the shared object and the id, where there
 * is one, else by the image with the data. */
bool cow_store_is_same(const struct cow_store *a, const struct cow_store *b);
/* Has it no exception? */
bool cow_store_is_empty(const struct cow_store *store);
/* The length of the view over an image (NULL: none). */
uint64_t cow_store_view_bytes(const struct cow_store *store, const struct cow_image *origin);
/* Appends to the array, joining a move that continues the last one
 * (downwards or upwards). Errors: -ENOMEM. */
int cow_store_moves_add(struct store_moves *moves, const struct store_move *move,
			struct cow_err *err);
void cow_store_moves_clear(struct store_moves *moves); /* keeps the memory */
void cow_store_moves_free(struct store_moves *moves);

#endif

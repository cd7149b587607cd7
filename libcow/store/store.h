/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * store.h - what a kind of store provides. engine/ and snapshot/ know only
 * this. An operation may be NULL; only dispatch.c asks whether it is there, and
 * answers -EOPNOTSUPP where nothing else makes sense. registry.c names the
 * kinds and finds the one that an image holds.
 *
 * Shaped for what comes: images have roles (a clone has metadata, source and
 * destination; a log store has log devices 0..n), a store may hold many
 * snapshots, facts that a format does not record arrive as key=value geometry.
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
	uint64_t len_bytes; /* clipped at the end of the origin (I11) */
};

/* What may be moved next: a growable array that the caller keeps. */
struct store_moves {
	struct store_move *moves;
	size_t nr_moves, capacity;
	uint64_t nr_chunks; /* exceptions behind these moves */
	uint64_t token;	    /* for settle(); later tokens include earlier */
	bool is_last;	    /* nothing is left after these */
};

struct store_ops {
	const char *name;    /* for --type and messages: "persistent" */
	const char *summary; /* one line for --help and the manual page */
	int probe_role;	     /* which image probe() looks at */

	/* 0: mine; -EMEDIUMTYPE: not mine; anything else: could not look. */
	int (*probe)(struct cow_image *image, struct cow_err *err);
	/* Allocates the kind's struct (cow_store first), reads header and
	 * exceptions (filling store->map, sealed); refuses what is damaged
	 * unless flags say otherwise. Must not write (I10). */
	int (*open)(const struct cow_store_args *args, struct cow_store **ret_store,
		    struct cow_err *err);
	void (*close)(struct cow_store *store); /* the wrapper frees map and struct */
	void (*info)(const struct cow_store *store, struct cow_store_info *ret_info);

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

	/* Merge. next_moves: further moves, about budget_bytes of them, from the
	 * end of the list towards its start, behind what earlier calls gave.
	 * settle: the data of everything up to token is durable on the origin
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

	int (*create_size)(uint64_t origin_bytes, uint64_t chunk_bytes, uint64_t *ret_bytes,
			   struct cow_err *err);
	int (*create_fit)(uint64_t wanted_bytes, uint64_t chunk_bytes, uint64_t *ret_bytes,
			  struct cow_err *err);
	int (*create)(struct cow_image *cow, uint64_t chunk_bytes, struct cow_err *err);
	int (*invalidate)(struct cow_store *store, struct cow_err *err);
	/* The label (core/label.h); label_write is durable. */
	int (*label_read)(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES],
			  struct cow_err *err);
	int (*label_write)(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			   struct cow_err *err);
	/* Re-reads the header: has somebody changed it since open? -EBUSY. */
	int (*unchanged)(struct cow_store *store, struct cow_err *err);
};

struct cow_store {
	const struct store_ops *ops;
	struct cow_exmap *map;	    /* sealed */
	struct cow_image *origin;   /* NULL: role not given */
	struct cow_image *data;	    /* where the map's new chunks lie */
	struct cow_image *metadata; /* what settle() writes; often data itself */
	uint64_t chunk_bytes;
	/* log2 of chunk_bytes. "chunk << chunk_shift" fits: an old chunk in the map lies
	 * below the end of the largest origin, a new one below that of the image; but
	 * for a new one of a damaged store, see store_chunk_to_bytes(). */
	unsigned int chunk_shift;
	bool is_damaged; /* opened in spite of damage: read, never merged */
};

/* Where a chunk begins; UINT64_MAX, behind all images, where no number says so:
 * new chunks of a damaged store may be up to 2^54, and a chunk has up to 2^30
 * bytes. */
static inline uint64_t store_chunk_to_bytes(const struct cow_store *store, uint64_t chunk)
{
	uint64_t bytes;

	return mul_overflows(chunk, store->chunk_bytes, &bytes) ? UINT64_MAX : bytes;
}

COW_DEFINE_AUTO(store, struct cow_store *, cow_store_close);

/* The kinds, in the order in which they are probed. */
extern const struct store_ops cow_store_persistent_ops;
/* Their findings. */
extern const struct problem_table cow_snap_problems;

/* registry.c: by name, or by probing; for engine/. Errors: -EMEDIUMTYPE,
 * -EINVAL no such kind. */
int cow_store_find_ops(const struct cow_store_args *args, const struct store_ops **ret_ops,
		       struct cow_err *err);
/* The image of a role, or NULL. */
struct cow_image *cow_store_args_image(const struct cow_store_args *args, int role, uint32_t index);

/* dispatch.c; contracts above, -EOPNOTSUPP where the kind has no such operation. */
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
/* Can it hold a label? */
bool cow_store_has_label(const struct cow_store *store);
int cow_store_label_read(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES],
			 struct cow_err *err);
int cow_store_label_write(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			  struct cow_err *err);

/* store.c: appends to the array, joining a move that continues the last one
 * (downwards or upwards). Errors: -ENOMEM. */
int cow_store_moves_add(struct store_moves *moves, const struct store_move *move,
			struct cow_err *err);
void cow_store_moves_clear(struct store_moves *moves); /* keeps the memory */
void cow_store_moves_free(struct store_moves *moves);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_store.h - what the files of a snaplog store share.
 *
 * The snapshot shows a block from the earliest log that holds it, else from the
 * source. In the words of store.h the source is origin and target; a stored block
 * is an exception; data and metadata are the logs, one after the other as one
 * image.
 */
#ifndef COW_STORE_SNAPLOG_STORE_H
#define COW_STORE_SNAPLOG_STORE_H

#include "libcow/core/report.h"
#include "libcow/store/snaplog/snaplog_load.h"
#include "libcow/store/store.h"

/* Words of struct cow_store_info. */
#define SNAPLOG_UNITS "blocks"
#define SNAPLOG_HELD "stored"
#define SNAPLOG_TITLE "snapshot of the driver of 2001"

struct snaplog_store {
	struct cow_store store;
	struct snaplog_logs logs;
	struct cow_image **parts;	  /* whole blocks of each log; NULL: the log itself */
	struct cow_image *joined;	  /* all of them; NULL: there is one */
	uint8_t digest[COW_DIGEST_BYTES]; /* of all bitmaps, as they were read */
	uint64_t nr_entries;		  /* that are set, second copies included */
	uint64_t nr_blocks;		  /* of the source that are stored */

	/* Rolling back goes from the last chunk down (snaplog_rollback.c). Chunks
	 * from these on were given out, and are settled. */
	uint64_t given_chunk, settled_chunk;
	uint64_t nr_given, nr_settled; /* entries */
	/* Of each log value -> key, while it is worked on; else NULL. */
	struct cow_exmap **values;
};

static inline struct snaplog_store *snaplog_store_of(struct cow_store *store)
{
	return (struct snaplog_store *)store;
}

/* Which facts of the geometry a store needs to be told, as bits; count follows from
 * the source where keys are blocks. */
uint32_t cow_snaplog_keys_missing(const struct snaplog_geometry *geometry, uint32_t given);
/* Refuses a geometry with gaps. Errors: -EINVAL (id "geometry"). */
int cow_snaplog_keys_refuse(uint32_t missing, struct cow_err *err);
/* One sentence for each fault, without the name of the image. */
void cow_snaplog_fault_say(const struct snaplog_logs *logs, const struct snaplog_fault *fault,
			   char *text, size_t text_bytes);

/* Where it is. */
struct finding_place cow_snaplog_fault_place(const struct snaplog_logs *logs,
					     const struct snaplog_fault *fault);
/* Are so many impossible entries a wrong geometry rather than damage? */
bool cow_snaplog_is_doubted(uint64_t nr_impossible, uint64_t nr_entries);

/* Contracts in store.h. snaplog_check.c, snaplog_repair.c. */
int cow_snaplog_check(const struct cow_store_args *args, const struct cow_check_params *params,
		      struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err);
int cow_snaplog_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		       struct cow_repair_result *result, struct cow_err *err);
/* snaplog_metadata.c */
int cow_snaplog_metadata_copy(const struct cow_store_args *args,
			      const struct cow_callbacks *callbacks, struct cow_image *target,
			      struct cow_err *err);
/* snaplog_rollback.c */
int cow_snaplog_next_moves(struct cow_store *store, uint64_t budget_bytes,
			   struct store_moves *moves, struct cow_err *err);
int cow_snaplog_settle(struct cow_store *store, uint64_t token, struct cow_err *err);
void cow_snaplog_rewind(struct cow_store *store);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_merge.c - gives the list away from its end, and cuts it.
 *
 * settle	the engine has flushed the origin (I1)
 *		records from the cut to the end of their area zeroed: one
 *		write, in the lowest area that is touched; areas above become
 *		unreachable without being written; FLUSH
 *	Every sector of that write is old or new after a crash (I9). If the
 *	sector of the cut is old, the list ends at the first zeroed sector or
 *	where it ended before; if it is new, at the cut. Each is a prefix (I2).
 *	What may then stand behind the end is merged already; tidy() zeroes it
 *	before anything is appended (I5).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_store.h"

/* Reads the piece of the list that ends at the cursor. */
static int piece_load(struct snap_store *p, struct cow_err *err)
{
	uint64_t last = p->cursor - 1;
	uint64_t per_piece = min_u64(p->layout.chunk_bytes, COW_PIECE_BYTES) / SNAP_RECORD_BYTES;
	uint64_t begin = floor_to(last, per_piece);
	int ret;

	if (p->piece && begin == p->piece_index && p->piece_records)
		return 0;
	if (!p->piece) {
		/* bounded: a piece, COW_PIECE_BYTES at most */
		p->piece = malloc(per_piece * SNAP_RECORD_BYTES);
		if (!p->piece)
			return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	}
	p->piece_records = 0;
	ret = cow_image_pread(p->store.metadata, p->piece, (last - begin + 1) * SNAP_RECORD_BYTES,
			      cow_snap_record_offset(&p->layout, begin), err);
	if (ret)
		return ret;
	p->piece_index = begin;
	p->piece_records = last - begin + 1;
	return 0;
}

/* The record was sound when the store was opened; is it still? */
static int record_recheck(const struct snap_store *p, const struct snap_record *record,
			  uint64_t index, struct cow_err *err)
{
	struct exmap_run run;
	int ret;

	if (cow_exmap_lookup(p->store.map, record->old_chunk, &run) &&
	    run.new_chunk == record->new_chunk)
		return 0;
	ret = cow_refuse(err, -EBUSY, "changed", NULL,
			 "record %" PRIu64 " of the list is not what it was when %s was opened: "
			 "somebody else writes to it",
			 index, p->store.metadata->name);
	cow_err_place(err, p->store.metadata->name, cow_snap_record_offset(&p->layout, index));
	return ret;
}

static int move_add(const struct snap_store *p, const struct snap_record *record,
		    struct store_moves *moves, struct cow_err *err)
{
	struct store_move move = {
		.from = p->store.data,
		.to = p->store.target,
		.from_bytes = record->new_chunk << p->layout.chunk_shift,
		.to_bytes = record->old_chunk << p->layout.chunk_shift,
		.len_bytes = p->layout.chunk_bytes,
	};

	/* I11: the origin's last chunk may be short. */
	move.len_bytes = min_u64(move.len_bytes, p->store.target->size_bytes - move.to_bytes);
	moves->nr_chunks++;
	return cow_store_moves_add(moves, &move, err);
}

int cow_snap_next_moves(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint64_t bytes = 0;
	int ret;

	if (!store->target)
		return cow_fail(err, -EINVAL, "the store was opened without its origin");
	for (; p->cursor && bytes < max_u64(budget_bytes, 1); bytes += p->layout.chunk_bytes) {
		struct snap_record record;

		ret = piece_load(p, err);
		if (ret)
			return ret;
		cow_snap_record_decode(
			p->piece + (p->cursor - 1 - p->piece_index) * SNAP_RECORD_BYTES, &record);
		ret = record_recheck(p, &record, p->cursor - 1, err);
		if (!ret)
			ret = move_add(p, &record, moves, err);
		if (ret)
			return ret;
		p->cursor--;
	}
	moves->token = p->cursor;
	moves->is_last = !p->cursor;
	return 0;
}

void cow_snap_rewind(struct cow_store *store)
{
	struct snap_store *p = snap_store_of(store);

	p->cursor = p->nr_records;
	p->piece_records = 0;
}

/* Zeroes records [from, end) of the list, all of one area, from the back:
 * at each instant what is left is a prefix. Most areas are one write. */
static int records_zero(struct snap_store *p, uint64_t from, uint64_t end, struct cow_err *err)
{
	uint64_t per_piece = COW_PIECE_BYTES / SNAP_RECORD_BYTES;
	AUTO_FREE uint8_t *buf = NULL;
	int ret;

	buf = malloc(COW_PIECE_BYTES);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	while (end > from) {
		uint64_t begin = max_u64(floor_to(end - 1, per_piece), from);
		uint64_t kept = begin % SNAP_RECORDS_PER_SECTOR;
		uint64_t offset = cow_snap_record_offset(&p->layout, begin - kept);
		uint64_t len = (end - begin + kept) * SNAP_RECORD_BYTES;

		len = ceil_to(len, COW_SECTOR_BYTES);
		memset(buf, 0, len);
		if (kept) {
			ret = cow_image_pread(p->store.metadata, buf, kept * SNAP_RECORD_BYTES,
					      offset, err);
			if (ret)
				return ret;
		}
		ret = cow_image_pwrite(p->store.metadata, buf, len, offset, err);
		if (ret)
			return ret;
		end = begin;
	}
	return 0;
}

int cow_snap_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint64_t per_area = p->layout.records_per_area;
	uint64_t area = token / per_area;
	uint64_t end = min_u64(p->nr_records, (area + 1) * per_area);
	int ret;

	if (token < p->cursor || token > p->nr_records)
		return cow_fail(err, -EINVAL,
				"token %" PRIu64 " is not one of the moves that were given out",
				token);
	if (token == p->nr_records)
		return 0;
	p->tail_is_clean = false;
	ret = records_zero(p, token, end, err);
	if (!ret)
		ret = cow_image_flush(store->metadata, err);
	if (ret)
		return ret;
	p->nr_records = token;
	p->piece_records = 0;
	/* Source: dm-snap-persistent.c, persistent_commit_merge. Where chunks were
	 * not handed out in order, this may name one that is still in use: it is
	 * for show, next_free stays behind the highest. */
	p->shown_free = cow_snap_area_chunk(&p->layout, area) + token % per_area + 1;
	if (token)
		return 0;
	p->next_free = SNAP_FIRST_DATA_CHUNK;
	p->was_emptied = true;
	return 0;
}

/* The list ends in area 0; the areas above are as unreachable as the data. */
int cow_snap_unused_from(const struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err)
{
	const struct snap_store *p = (const struct snap_store *)store;

	if (p->nr_records)
		return cow_fail(err, -EBUSY, "%s still holds %" PRIu64 " exceptions",
				store->metadata->name, p->nr_records);
	*ret_bytes = (uint64_t)SNAP_FIRST_DATA_CHUNK << p->layout.chunk_shift;
	return 0;
}

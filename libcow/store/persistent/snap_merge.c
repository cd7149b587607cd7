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

/* The last record that was not given out. */
static int record_at_cursor(struct snap_store *p, struct snap_record *ret_record,
			    struct cow_err *err)
{
	int ret = 0;

	if (!p->list.buf)
		ret = cow_snap_list_open(&p->list, p->store.metadata, &p->layout, 0, err);
	return ret ? ret : cow_snap_list_at(&p->list, p->cursor - 1, ret_record, err);
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
	ret = cow_refuse(
		err, -EBUSY, "changed", NULL,
		"record %" PRIu64
		" of the list has changed since %s was opened: another program writes to it",
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

		ret = record_at_cursor(p, &record, err);
		if (!ret)
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
	cow_snap_list_forget(&p->list);
}

int cow_snap_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint64_t per_area = p->layout.records_per_area;
	uint64_t area = token / per_area;
	/* what a torn write left in the last sector goes with it */
	uint64_t end =
		min_u64(ceil_to(p->nr_records, SNAP_RECORDS_PER_SECTOR), (area + 1) * per_area);
	int ret;

	if (token < p->cursor || token > p->nr_records)
		return cow_fail(err, -EINVAL,
				"token %" PRIu64 " is not one of the moves that were given out",
				token);
	if (token == p->nr_records)
		return 0;
	p->tail_is_clean = false;
	ret = cow_snap_list_zero(store->metadata, &p->layout, token, end, err);
	if (!ret)
		ret = cow_image_flush(store->metadata, err);
	if (ret)
		return ret;
	p->nr_records = token;
	cow_snap_list_forget(&p->list);
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

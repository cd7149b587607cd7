/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * store.c - what all kinds of store have in common: extents, the array of
 * moves.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"

bool cow_store_next_extent(const struct cow_store *store, uint64_t old_bytes,
			   struct cow_extent *ret_extent)
{
	uint64_t chunk_bytes = store->chunk_bytes;
	struct exmap_run run;
	uint64_t within;

	if (!cow_store_map_next(store, chunk_of(old_bytes, chunk_bytes), &run))
		return false;
	ret_extent->is_shared = cow_store_is_shared(store, run.old_chunk, &run.nr_chunks);
	ret_extent->has_others = cow_store_has_others(store, run.old_chunk, &run.nr_chunks);
	ret_extent->old_bytes = chunk_to_bytes(run.old_chunk, chunk_bytes);
	ret_extent->new_bytes = chunk_to_bytes(run.new_chunk, chunk_bytes);
	ret_extent->len_bytes = chunk_to_bytes(run.nr_chunks, chunk_bytes);
	if (ret_extent->old_bytes < old_bytes) { /* begin within the chunk */
		within = old_bytes - ret_extent->old_bytes;
		ret_extent->old_bytes += within;
		if (add_overflows(ret_extent->new_bytes, within, &ret_extent->new_bytes))
			ret_extent->new_bytes = COW_OFFSET_NONE;
		ret_extent->len_bytes -= within;
	}
	return true;
}

bool cow_store_is_same(const struct cow_store *a, const struct cow_store *b)
{
	if (a->shared || b->shared)
		return a->shared == b->shared && a->snapshot_id == b->snapshot_id &&
		       a->is_past == b->is_past;
	return a->data == b->data;
}

bool cow_store_is_empty(const struct cow_store *store)
{
	struct exmap_run run;

	return !cow_store_map_next(store, 0, &run);
}

uint64_t cow_store_view_bytes(const struct cow_store *store, const struct cow_image *origin)
{
	if (store->view_bytes)
		return store->view_bytes;
	return origin ? origin->size_bytes : 0;
}

/* Joins a move that continues the last one, upwards or downwards. */
static bool move_join(struct store_move *last, const struct store_move *move)
{
	if (last->from != move->from || last->to != move->to)
		return false;
	if (move->from_bytes + move->len_bytes == last->from_bytes &&
	    move->to_bytes + move->len_bytes == last->to_bytes) {
		last->from_bytes = move->from_bytes;
		last->to_bytes = move->to_bytes;
		last->len_bytes += move->len_bytes;
		return true;
	}
	if (last->from_bytes + last->len_bytes == move->from_bytes &&
	    last->to_bytes + last->len_bytes == move->to_bytes) {
		last->len_bytes += move->len_bytes;
		return true;
	}
	return false;
}

int cow_store_moves_add(struct store_moves *moves, const struct store_move *move,
			struct cow_err *err)
{
	struct store_move *larger;

	if (moves->nr_moves && move_join(&moves->moves[moves->nr_moves - 1], move))
		return 0;
	larger = cow_array_grow(moves->moves, moves->nr_moves, &moves->capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for more than %zu moves", moves->nr_moves);
	moves->moves = larger;
	moves->moves[moves->nr_moves++] = *move;
	return 0;
}

void cow_store_moves_clear(struct store_moves *moves)
{
	moves->nr_moves = 0;
	moves->nr_chunks = 0;
	moves->settled_bytes = 0;
	moves->token = 0;
	moves->is_last = false;
}

void cow_store_moves_free(struct store_moves *moves)
{
	free(moves->moves);
	moves->moves = NULL;
	moves->nr_moves = moves->capacity = 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_rollback.c - rolls the source back: stored blocks go from the logs to the
 * source, the newest log first, and of one log by falling map value, so from the end
 * of what was handed out. Where an earlier log has the block too, its copy is the
 * older one and counts: from the later log nothing is copied, only its bit is
 * cleared.
 *
 *	1 the engine writes a stretch of blocks to the source and flushes it (I1)
 *	2 the bits of these blocks on the newest log among them are cleared; FLUSH of
 *	  that log
 *	3 the same for the log before it
 *
 * So at each instant a set bit names data that is still there, and no bit of a
 * log is cleared before every bit of the logs behind it is, durably: with a second
 * copy on a later log still set, the source would be given newer data by the run
 * after a crash. Of the bits that 2 clears a crash may leave any, sector by
 * sector (I9): what is left is a snapshot with the same view, which may have
 * holes in its map values, and the same command goes on (I6).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/snaplog/snaplog_bits.h"
#include "libcow/store/snaplog/snaplog_store.h"

static int changed(const struct snaplog_store *p, size_t log, struct cow_err *err)
{
	return cow_refuse(err, -EBUSY, "changed", NULL,
			  "%s has changed since it was opened: another program writes to it",
			  p->logs.logs[log].image->name);
}

/* It was sound when it was opened. */
static int fault_is_change(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	if (!cow_snaplog_problem_row(fault->problem)->is_impossible)
		return 0;
	return changed((const struct snaplog_store *)user, fault->log, err);
}

static int values_load(struct snaplog_store *p, size_t log, struct cow_err *err)
{
	const struct snaplog_judge judge = { .user = p, .fault = fault_is_change };

	if (p->values[log])
		return 0;
	return cow_snaplog_load_values(&p->logs, log, &judge, NULL, &p->values[log], err);
}

static void values_free(struct snaplog_store *p, size_t log)
{
	cow_exmap_free(p->values[log]);
	p->values[log] = NULL;
}

/* ---------------------------------------------------------------- moves */

/* Is this the copy that counts? */
static bool is_oldest(const struct snaplog_store *p, uint64_t block, uint64_t chunk)
{
	struct exmap_run run;

	return cow_exmap_lookup(p->store.map, block, &run) && run.new_chunk == chunk;
}

static int move_add(const struct snaplog_store *p, size_t log, uint64_t value, uint64_t key,
		    struct store_moves *moves, struct cow_err *err)
{
	uint64_t block = key / p->logs.geometry.keys_per_block;
	uint64_t chunk = p->logs.logs[log].first_chunk + value;
	struct store_move move = {
		.from = p->store.data,
		.to = p->store.target,
		.from_bytes = chunk * p->store.chunk_bytes,
		.to_bytes = block * p->store.chunk_bytes,
	};

	moves->nr_chunks++;
	if (!is_oldest(p, block, chunk))
		return 0;
	/* I11: the source may end inside a block */
	move.len_bytes = min_u64(p->store.chunk_bytes, p->store.view_bytes - move.to_bytes);
	return cow_store_moves_add(moves, &move, err);
}

/* The log in which the chunks below are; nr_logs: none. */
static size_t log_below(const struct snaplog_store *p, uint64_t chunk)
{
	size_t log = p->logs.nr_logs;

	while (log-- > 0)
		if (p->logs.logs[log].first_chunk < chunk && p->logs.logs[log].nr_entries)
			return log;
	return p->logs.nr_logs;
}

/* Entries of one log, up to budget of them; *ret_nr 0: there are no more. */
static int log_moves(struct snaplog_store *p, size_t log, uint64_t budget,
		     struct store_moves *moves, uint64_t *ret_nr, struct cow_err *err)
{
	uint64_t first = p->logs.logs[log].first_chunk, nr = 0;
	struct exmap_run run;
	int ret = values_load(p, log, err);

	while (!ret && nr < budget &&
	       cow_exmap_prev(p->values[log], p->given_chunk - first, &run)) {
		uint64_t take = min_u64(run.nr_chunks, budget - nr);

		for (uint64_t i = 1; !ret && i <= take; i++)
			ret = move_add(p, log, run.old_chunk + run.nr_chunks - i,
				       run.new_chunk + run.nr_chunks - i, moves, err);
		p->given_chunk = first + run.old_chunk + run.nr_chunks - take;
		nr += take;
	}
	*ret_nr = nr;
	return ret;
}

int cow_snaplog_next_moves(struct cow_store *store, uint64_t budget_bytes,
			   struct store_moves *moves, struct cow_err *err)
{
	struct snaplog_store *p = snaplog_store_of(store);
	uint64_t budget = max_u64(budget_bytes / store->chunk_bytes, 1), nr;
	size_t log;
	int ret = 0;

	while (!ret && budget && (log = log_below(p, p->given_chunk)) < p->logs.nr_logs) {
		ret = log_moves(p, log, budget, moves, &nr, err);
		if (!ret && !nr)
			p->given_chunk = p->logs.logs[log].first_chunk;
		budget -= nr;
		p->nr_given += nr;
	}
	moves->token = p->given_chunk;
	moves->is_last = p->nr_given >= p->nr_entries;
	return ret;
}

void cow_snaplog_rewind(struct cow_store *store)
{
	struct snaplog_store *p = snaplog_store_of(store);

	p->given_chunk = p->settled_chunk;
	p->nr_given = p->nr_settled;
}

/* ---------------------------------------------------------------- settling */

/* The keys whose values are in a range, and how many of them count. */
static int keys_collect(struct snaplog_store *p, size_t log, uint64_t from, uint64_t end,
			uint64_t *keys, size_t *ret_nr, struct cow_err *err)
{
	uint64_t nr_stored = 0, first = p->logs.logs[log].first_chunk;
	struct exmap_run run;
	size_t nr = 0;

	for (uint64_t at = from;
	     at < end && cow_exmap_next(p->values[log], at, &run) && run.old_chunk < end;
	     at = run.old_chunk + run.nr_chunks) {
		run.nr_chunks = min_u64(run.nr_chunks, end - run.old_chunk);
		if (run.nr_chunks > p->logs.logs[log].nr_entries - nr)
			return changed(p, log, err);
		for (uint64_t i = 0; i < run.nr_chunks; i++) {
			uint64_t block = (run.new_chunk + i) / p->logs.geometry.keys_per_block;

			keys[nr++] = run.new_chunk + i;
			nr_stored += is_oldest(p, block, first + run.old_chunk + i);
		}
	}
	p->nr_blocks -= min_u64(nr_stored, p->nr_blocks);
	*ret_nr = nr;
	return 0;
}

/* Of one log, down to token. */
static int log_settle(struct snaplog_store *p, size_t log, uint64_t token, struct cow_err *err)
{
	const struct snaplog_log *found = &p->logs.logs[log];
	uint64_t from = max_u64(token, found->first_chunk) - found->first_chunk;
	uint64_t end = min_u64(p->settled_chunk - found->first_chunk, found->nr_blocks);
	AUTO_FREE uint64_t *keys = NULL;
	size_t nr = 0;
	int ret = values_load(p, log, err);

	if (ret)
		return ret;
	/* bounded: a chunk of the log for each */
	keys = (uint64_t *)reallocarray(NULL, min_u64(end - from, found->nr_entries) + 1,
					sizeof(*keys));
	if (!keys)
		return cow_fail(err, -ENOMEM, "no memory for the keys of an epoch");
	ret = keys_collect(p, log, from, end, keys, &nr, err);
	if (!ret)
		ret = cow_snaplog_bits_clear(&p->logs, log, keys, nr, err);
	if (ret)
		return ret;
	/* a merge counts those of the whole */
	if (nr && p->joined)
		p->joined->stats.nr_flushes++;
	p->nr_settled += nr;
	if (token <= found->first_chunk)
		values_free(p, log);
	return 0;
}

int cow_snaplog_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	struct snaplog_store *p = snaplog_store_of(store);
	size_t log;
	int ret = 0;

	if (token < p->given_chunk || token > p->settled_chunk)
		return cow_fail(err, -EINVAL,
				"token %" PRIu64 " is not one of the moves that were given out",
				token);
	while (!ret && p->settled_chunk > token &&
	       (log = log_below(p, p->settled_chunk)) < p->logs.nr_logs) {
		ret = log_settle(p, log, token, err);
		if (!ret)
			p->settled_chunk = max_u64(token, p->logs.logs[log].first_chunk);
	}
	if (!ret)
		p->settled_chunk = token;
	return ret;
}

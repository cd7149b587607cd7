/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * transient.c - a store in memory. Chunk numbers on the data image begin at 0;
 * the list is given out from its end, in whole runs or parts of one, as the
 * kinds on disk do. source: drivers/md/dm-snap-transient.c.
 */
#include "tests/aids/transient.h"

#include <inttypes.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"

#define CHUNK_BYTES_USUAL 4096
#define RUN_CHUNKS_MAX (UINT64_C(1) << 20)

struct transient {
	struct cow_store store; /* first: the wrappers free it */
	struct exmap_run *runs; /* in the order of appending */
	size_t nr_runs, capacity;
	uint64_t nr_chunks; /* in the list */
	uint64_t nr_given;  /* of them, not yet given out */
	uint64_t next_chunk;
	uint64_t unfinished_bytes; /* of the last chunk; 0: none */
	bool is_valid;
};

static struct transient *to_transient(const struct cow_store *store)
{
	return (struct transient *)store;
}

static const struct store_ops transient_ops;

int transient_open(const struct cow_store_args *args, struct cow_store **ret_store,
		   struct cow_err *err)
{
	uint64_t chunk_bytes = args->chunk_bytes ? args->chunk_bytes : CHUNK_BYTES_USUAL;
	struct transient *transient;
	int ret;

	if (!is_pow2(chunk_bytes) || chunk_bytes < COW_SECTOR_BYTES ||
	    chunk_bytes > UINT64_C(1) << 30)
		return cow_refuse(err, -EINVAL, "chunk-size", NULL,
				  "a chunk size of %" PRIu64
				  " bytes is not a power of two from 512 bytes to 1 GiB",
				  chunk_bytes);
	transient = calloc(1, sizeof(*transient));
	if (!transient)
		return cow_fail(err, -ENOMEM, "no memory for a store");
	transient->is_valid = true;
	transient->store.ops = &transient_ops;
	transient->store.origin = cow_store_args_image(args, COW_ROLE_ORIGIN, 0);
	transient->store.target = transient->store.origin;
	transient->store.chunk_bytes = chunk_bytes;
	ret = cow_image_memory_new(UINT64_C(1) << 62, &transient->store.data, err);
	if (!ret)
		ret = cow_exmap_new(&transient->store.map, err);
	if (!ret)
		ret = cow_exmap_seal(transient->store.map, NULL, NULL, err);
	if (ret) {
		cow_store_close(&transient->store);
		return ret;
	}
	transient->store.metadata = transient->store.data;
	*ret_store = &transient->store;
	return 0;
}

static void transient_close(struct cow_store *store)
{
	cow_image_close(store->data);
	free(to_transient(store)->runs);
}

static void transient_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	const struct transient *transient = to_transient(store);

	ret_info->valid = transient->is_valid;
	ret_info->nr_exceptions = transient->nr_chunks;
	ret_info->allocated_sectors = bytes_to_sectors(transient->next_chunk * store->chunk_bytes);
	ret_info->total_sectors = bytes_to_sectors(cow_image_size(store->data));
	ret_info->metadata_sectors = 0;
}

static int transient_next_moves(struct cow_store *store, uint64_t budget_bytes,
				struct store_moves *moves, struct cow_err *err)
{
	struct transient *transient = to_transient(store);
	uint64_t end = transient->nr_chunks, bytes = 0, origin_bytes;
	size_t i = transient->nr_runs;
	int ret;

	if (!store->origin)
		return cow_fail(err, -EINVAL, "merging needs an image in the role \"origin\"");
	origin_bytes = cow_image_size(store->origin);
	while (i && bytes < max_u64(budget_bytes, 1)) {
		const struct exmap_run *run = &transient->runs[--i];
		uint64_t first = end - run->nr_chunks, nr, take, skip;
		struct store_move move = { .from = store->data, .to = store->origin };

		end = first;
		if (transient->nr_given <= first)
			continue;
		nr = transient->nr_given - first;
		take = min_u64(nr, max_u64(1, (budget_bytes - bytes) / store->chunk_bytes));
		skip = nr - take;
		move.from_bytes = (run->new_chunk + skip) * store->chunk_bytes;
		move.to_bytes = (run->old_chunk + skip) * store->chunk_bytes;
		move.len_bytes = min_u64(take * store->chunk_bytes, origin_bytes - move.to_bytes);
		ret = cow_store_moves_add(moves, &move, err);
		if (ret)
			return ret;
		bytes += move.len_bytes;
		moves->nr_chunks += take;
		transient->nr_given -= take;
	}
	moves->token = transient->nr_given;
	moves->is_last = !transient->nr_given;
	return 0;
}

static int transient_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	struct transient *transient = to_transient(store);

	if (token > transient->nr_chunks || token < transient->nr_given)
		return cow_fail(err, -EINVAL, "token %" PRIu64 " was not given out", token);
	while (transient->nr_chunks > token) {
		struct exmap_run *last = &transient->runs[transient->nr_runs - 1];
		uint64_t cut = min_u64(last->nr_chunks, transient->nr_chunks - token);

		last->nr_chunks -= cut;
		transient->nr_chunks -= cut;
		if (!last->nr_chunks)
			transient->nr_runs--;
	}
	return 0;
}

static void transient_rewind(struct cow_store *store)
{
	to_transient(store)->nr_given = to_transient(store)->nr_chunks;
}

static int transient_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err)
{
	const struct transient *transient = to_transient(store);
	uint64_t all = cow_image_size(store->data) / store->chunk_bytes;

	if (nr_chunks <= all - transient->next_chunk)
		return 0;
	return cow_fail(err, -ENOSPC, "%" PRIu64 " chunks do not fit into memory", nr_chunks);
}

static int run_add(struct transient *transient, const struct exmap_run *run, struct cow_err *err)
{
	struct exmap_run *last =
		transient->nr_runs ? &transient->runs[transient->nr_runs - 1] : NULL;
	struct exmap_run *grown;
	int ret;

	ret = cow_exmap_insert(transient->store.map, run, err);
	if (ret)
		return ret;
	transient->nr_chunks += run->nr_chunks;
	transient->nr_given = transient->nr_chunks;
	if (last && last->old_chunk + last->nr_chunks == run->old_chunk &&
	    last->new_chunk + last->nr_chunks == run->new_chunk) {
		last->nr_chunks += run->nr_chunks;
		return 0;
	}
	grown = cow_array_grow(transient->runs, transient->nr_runs, &transient->capacity,
			       sizeof(*grown));
	if (!grown)
		return cow_fail(err, -ENOMEM, "no memory for exceptions");
	transient->runs = grown;
	transient->runs[transient->nr_runs++] = *run;
	return 0;
}

static int data_write(struct cow_store *store, const void *buf, uint64_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err)
{
	if (!buf)
		return cow_image_write_zeroes(store->data, offset_bytes, len_bytes, err);
	return cow_image_pwrite(store->data, buf, len_bytes, offset_bytes, err);
}

/* In memory a record may as well be there before its data is complete. */
static int transient_append(struct cow_store *store, uint64_t old_bytes, const void *buf,
			    size_t len_bytes, struct cow_err *err)
{
	struct transient *transient = to_transient(store);
	uint64_t skip = old_bytes & (store->chunk_bytes - 1), done = 0;
	const uint8_t *bytes = buf;
	struct exmap_run run;
	int ret = 0;

	if (skip != transient->unfinished_bytes)
		return cow_fail(err, -EINVAL,
				"offset %" PRIu64
				" neither begins a chunk nor continues the unfinished one",
				old_bytes);
	if (skip) {
		if (!cow_exmap_lookup(store->map, old_bytes / store->chunk_bytes, &run))
			return cow_fail(err, -EINVAL, "offset %" PRIu64 " continues no chunk",
					old_bytes);
		done = min_u64(len_bytes, store->chunk_bytes - skip);
		ret = data_write(store, bytes, done, (run.new_chunk * store->chunk_bytes) + skip,
				 err);
		transient->unfinished_bytes = (skip + done) & (store->chunk_bytes - 1);
	}
	while (!ret && done < len_bytes) {
		uint64_t nr = div_ceil(len_bytes - done, store->chunk_bytes), len;

		run.old_chunk = (old_bytes + done) / store->chunk_bytes;
		run.new_chunk = transient->next_chunk;
		run.nr_chunks = min_u64(nr, RUN_CHUNKS_MAX);
		len = min_u64(len_bytes - done, run.nr_chunks * store->chunk_bytes);
		ret = run_add(transient, &run, err);
		if (!ret)
			ret = data_write(store, bytes ? bytes + done : NULL, len,
					 run.new_chunk * store->chunk_bytes, err);
		transient->next_chunk += run.nr_chunks;
		done += len;
		transient->unfinished_bytes = len & (store->chunk_bytes - 1);
	}
	return ret;
}

static int transient_publish(struct cow_store *store, struct cow_err *err)
{
	struct transient *transient = to_transient(store);
	const struct exmap_run *last =
		transient->nr_runs ? &transient->runs[transient->nr_runs - 1] : NULL;
	uint64_t end;

	if (!transient->unfinished_bytes || !last)
		return 0;
	end = ((last->old_chunk + last->nr_chunks - 1) * store->chunk_bytes) +
	      transient->unfinished_bytes;
	if (!store->origin || end != cow_image_size(store->origin))
		return cow_fail(err, -EINVAL, "the last chunk is unfinished");
	transient->unfinished_bytes = 0;
	return 0;
}

static int transient_invalidate(struct cow_store *store, struct cow_err *err)
{
	(void)err;
	to_transient(store)->is_valid = false;
	return 0;
}

static const struct store_ops transient_ops = {
	.name = "transient",
	.summary = "a store in memory, gone when it is closed",
	.close = transient_close,
	.info = transient_info,
	.next_moves = transient_next_moves,
	.settle = transient_settle,
	.rewind = transient_rewind,
	.reserve = transient_reserve,
	.append = transient_append,
	.publish = transient_publish,
	.invalidate = transient_invalidate,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dispatch.c - the public functions on a store, and those that engine/ and
 * snapshot/ use: each looks at its parameters, asks whether the kind has the
 * operation, and calls it. The only file that asks that: an operation that is
 * NULL is either not needed (said here) or "not supported", -EOPNOTSUPP.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"

#define REPAIR_FLAGS                                                                               \
	(COW_REPAIR_SAFE | COW_REPAIR_LOST | COW_REPAIR_REVALIDATE | COW_REPAIR_ORIGIN |           \
	 COW_REPAIR_DOUBTFUL | COW_REPAIR_APPEND | COW_REPAIR_FILL | COW_REPAIR_LEAVE)

static int unsupported(const struct store_ops *ops, const char *what, struct cow_err *err)
{
	return cow_fail(err, -EOPNOTSUPP, "a store of kind \"%s\" cannot %s", ops->name, what);
}

/* ---------------------------------------------------- open, close, facts */

/* May a new handle stand on what another has open? */
static int check_handles(const struct store_ops *ops, const struct cow_store *sibling,
			 struct cow_err *err)
{
	if (!ops->can_share)
		return unsupported(ops, "be opened several times: it holds one snapshot", err);
	if (sibling->ops != ops || !sibling->shared)
		return cow_fail(err, -EINVAL, "the other handle is one on another store");
	return 0;
}

void cow_store_args_pair(struct cow_store_args *args, struct cow_role_image roles[2],
			 struct cow_image *cow, struct cow_image *origin)
{
	roles[0] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = cow };
	roles[1] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = origin };
	args->images = roles;
	args->nr_images = origin ? 2 : 1;
}

int cow_store_open(const struct cow_store_args *args, struct cow_store **ret_store,
		   struct cow_err *err)
{
	const struct store_ops *ops = NULL;
	int ret;

	ret = cow_params_check(args->size, sizeof(*args), args->flags,
			       COW_STORE_DAMAGED | COW_STORE_INVALID | COW_STORE_STRICT |
				       COW_STORE_NO_MAP,
			       "struct cow_store_args", err);
	if (ret)
		return ret;
	ret = cow_store_find_ops(args, &ops, err);
	if (!ret && args->sibling)
		ret = check_handles(ops, args->sibling, err);
	return ret ? ret : ops->open(args, ret_store, err);
}

void cow_store_close(struct cow_store *store)
{
	if (!store)
		return;
	if (store->ops->close)
		store->ops->close(store);
	cow_exmap_free(store->map);
	free(store);
}

int cow_store_get_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	if (ret_info->size != sizeof(*ret_info))
		return -EINVAL;
	store->ops->info(store, ret_info);
	return 0;
}

/* -------------------------------------------------- also without opening */

int cow_check(const struct cow_store_args *args, const struct cow_check_params *params,
	      struct cow_report *report, struct cow_verdict *ret_verdict, struct cow_err *err)
{
	struct cow_verdict verdict = COW_VERDICT_INIT;
	const struct store_ops *ops;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), params->flags,
			       COW_CHECK_HEADER_ONLY | COW_CHECK_EMPTY, "struct cow_check_params",
			       err);
	if (!ret)
		ret = cow_params_check(ret_verdict->size, sizeof(*ret_verdict), 0, 0,
				       "struct cow_verdict", err);
	if (!ret)
		ret = cow_store_find_ops(args, &ops, err);
	if (ret)
		return ret;
	if (!ops->check)
		return unsupported(ops, "be checked", err);
	ret = ops->check(args, params, report, &verdict, err);
	if (ret)
		return ret;
	*ret_verdict = verdict;
	return 0;
}

int cow_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
	       struct cow_repair_result *ret_result, struct cow_err *err)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	const struct store_ops *ops;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), params->flags, REPAIR_FLAGS,
			       "struct cow_repair_params", err);
	if (!ret)
		ret = cow_params_check(ret_result->size, sizeof(*ret_result), 0, 0,
				       "struct cow_repair_result", err);
	if (!ret)
		ret = cow_store_find_ops(args, &ops, err);
	if (ret)
		return ret;
	if (!ops->repair)
		return unsupported(ops, "be repaired", err);
	if (params->target && !ops->needs_target)
		return unsupported(ops, "be repaired into an image of its own", err);
	ret = ops->repair(args, params, &result, err);
	*ret_result = result;
	return ret;
}

int cow_metadata_copy(const struct cow_store_args *args, const struct cow_callbacks *callbacks,
		      struct cow_image *target, struct cow_err *err)
{
	const struct store_ops *ops;
	struct cow_image *first, *image;
	uint64_t size_bytes = 0;
	int ret;

	ret = cow_store_find_ops(args, &ops, err);
	if (ret)
		return ret;
	if (!ops->metadata_copy)
		return unsupported(ops, "be copied without its data", err);
	first = cow_store_args_image(args, ops->probe_role, 0);
	for (uint32_t i = 0; (image = cow_store_args_image(args, ops->probe_role, i)); i++)
		if (add_overflows(size_bytes, image->size_bytes, &size_bytes))
			return cow_fail(err, -ERANGE, "the images have more than 2^64 bytes");
	if (first && size_bytes != target->size_bytes)
		return cow_fail(err, -EINVAL,
				"%s has %" PRIu64 " bytes, what stands in for it %" PRIu64,
				first->name, size_bytes, target->size_bytes);
	return ops->metadata_copy(args, callbacks, target, err);
}

/* ---------------------------------------------------------------- create */

/* The kind that was asked for, or the first one of the registry. */
static int create_find(const struct cow_create_params *params, struct cow_store_args *ret_args,
		       const struct store_ops **ret_ops, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_create_params",
			       err);
	if (ret)
		return ret;
	args.kind = params->kind ? params->kind : cow_store_kind(0);
	args.images = params->images;
	args.nr_images = params->nr_images;
	args.geometry = params->geometry;
	args.nr_geometry = params->nr_geometry;
	args.chunk_bytes = params->chunk_bytes ? params->chunk_bytes : COW_CHUNK_BYTES_DEFAULT;
	ret = cow_store_find_ops(&args, ret_ops, err);
	if (ret)
		return ret;
	/* A kind has all three of these or none. */
	if (!(*ret_ops)->create)
		return unsupported(*ret_ops, "be made on an image", err);
	*ret_args = args;
	return 0;
}

int cow_create_size(const struct cow_create_params *params, uint64_t *ret_bytes,
		    struct cow_err *err)
{
	const struct store_ops *ops;
	struct cow_store_args args;
	int ret = create_find(params, &args, &ops, err);

	return ret ? ret : ops->create_size(&args, params->origin_bytes, ret_bytes, err);
}

int cow_create_fit(const struct cow_create_params *params, uint64_t wanted_bytes,
		   uint64_t *ret_bytes, struct cow_err *err)
{
	const struct store_ops *ops;
	struct cow_store_args args;
	int ret = create_find(params, &args, &ops, err);

	return ret ? ret : ops->create_fit(&args, wanted_bytes, ret_bytes, err);
}

/* image: in the main role of the kind, before those of the caller. */
static int create_on(struct cow_image *image, const struct store_ops *ops,
		     struct cow_store_args *args, struct cow_err *err)
{
	/* bounded: the caller has so many */
	AUTO_FREE struct cow_role_image *images = calloc(args->nr_images + 1, sizeof(*images));

	if (!images)
		return cow_fail(err, -ENOMEM, "no memory for %zu images", args->nr_images + 1);
	images[0] = (struct cow_role_image){ .role = ops->probe_role, .image = image };
	for (size_t i = 0; i < args->nr_images; i++)
		images[i + 1] = args->images[i];
	args->images = images;
	args->nr_images++;
	return ops->create(args, err);
}

int cow_create(struct cow_image *cow, const struct cow_create_params *params, struct cow_err *err)
{
	const struct store_ops *ops;
	struct cow_store_args args;
	int ret = create_find(params, &args, &ops, err);

	if (ret)
		return ret;
	return cow ? create_on(cow, ops, &args, err) : ops->create(&args, err);
}

/* ----------------------------------------------------- what the map says */

bool cow_store_map_next(const struct cow_store *store, uint64_t old_chunk,
			struct exmap_run *ret_run)
{
	return store->map ? cow_exmap_next(store->map, old_chunk, ret_run)
			  : store->ops->map_next(store, old_chunk, ret_run);
}

bool cow_store_is_shared(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks)
{
	return store->ops->is_shared && store->ops->is_shared(store, old_chunk, nr_chunks);
}

const char *cow_store_note(const struct cow_store *store, size_t index)
{
	return store->ops->note ? store->ops->note(store, index) : NULL;
}

bool cow_store_pending_next(const struct cow_store *store, uint64_t old_chunk,
			    struct exmap_run *ret_run)
{
	return store->ops->pending_next && store->ops->pending_next(store, old_chunk, ret_run);
}

int cow_store_takes_writes(const struct cow_store *store, struct cow_err *err)
{
	if (store->ops->pending_next && store->ops->append)
		return 0;
	return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
			  "a store of kind %s is read-only for now", store->ops->name);
}

/* All chunks, less what the target's last one is short of (I11). Records of a
 * sound store name chunks of its COW image, each once, so this cannot overflow. */
static void left_of_map(const struct cow_store *store, struct store_left *ret_left)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint64_t size = store->target ? store->target->size_bytes : 0;
	uint64_t tail = chunk_within(size, store->chunk_bytes);
	struct exmap_run run;

	store->ops->info(store, &info);
	ret_left->nr_chunks = info.nr_exceptions;
	ret_left->bytes = info.nr_exceptions * store->chunk_bytes;
	if (info.nr_exceptions && tail &&
	    cow_store_map_next(store, chunk_of(size, store->chunk_bytes), &run) &&
	    run.old_chunk == chunk_of(size, store->chunk_bytes))
		ret_left->bytes -= store->chunk_bytes - tail;
}

void cow_store_moves_left(const struct cow_store *store, struct store_left *ret_left)
{
	if (store->ops->moves_left)
		store->ops->moves_left(store, ret_left);
	else
		left_of_map(store, ret_left);
}

bool cow_store_target_next(const struct cow_store *store, uint64_t from_bytes,
			   struct cow_segment *ret_range)
{
	struct cow_extent extent;

	if (store->ops->target_next)
		return store->ops->target_next(store, from_bytes, ret_range);
	if (!cow_store_next_extent(store, from_bytes, &extent))
		return false;
	*ret_range = (struct cow_segment){ extent.old_bytes, extent.len_bytes };
	return true;
}

/* ------------------------------------------------------ what it allows */

static const struct {
	uint32_t job;
	const char *what;
} jobs[] = {
	{ STORE_JOB_SIBLING, "be merged with siblings" },
	{ STORE_JOB_UNDO, "be merged with an undo file" },
	{ STORE_JOB_KEEP, "keep its exceptions in a merge" },
	{ STORE_JOB_DISCARD, "have its unused blocks discarded" },
	{ STORE_JOB_SCRUB, "have its unused blocks overwritten" },
	{ STORE_JOB_SKIP, "be merged past what cannot be read" },
};

int cow_store_allows(const struct cow_store *store, uint32_t wanted, struct cow_err *err)
{
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		if (wanted & jobs[i].job & ~store->ops->jobs)
			return unsupported(store->ops, jobs[i].what, err);
	return 0;
}

bool cow_store_is_target_data(const struct cow_store *store)
{
	return store->ops->is_target_data;
}

/* --------------------------------------------------------------- writing */

int cow_store_invalidate(struct cow_store *store, struct cow_err *err)
{
	if (!store->ops->invalidate)
		return unsupported(store->ops, "be marked invalid", err);
	return store->ops->invalidate(store, err);
}

int cow_store_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err)
{
	if (!store->ops->reserve)
		return unsupported(store->ops, "take more exceptions", err);
	return store->ops->reserve(store, nr_chunks, err);
}

int cow_store_append(struct cow_store *store, uint64_t old_bytes, const void *buf, size_t len_bytes,
		     struct cow_err *err)
{
	if (!store->ops->append)
		return unsupported(store->ops, "take more exceptions", err);
	return store->ops->append(store, old_bytes, buf, len_bytes, err);
}

int cow_store_publish(struct cow_store *store, struct cow_err *err)
{
	if (!store->ops->publish)
		return unsupported(store->ops, "take more exceptions", err);
	return store->ops->publish(store, err);
}

int cow_store_next_moves(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			 struct cow_err *err)
{
	if (!store->ops->next_moves)
		return unsupported(store->ops, "be merged", err);
	return store->ops->next_moves(store, budget_bytes, moves, err);
}

int cow_store_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	if (!store->ops->settle)
		return unsupported(store->ops, "be merged", err);
	return store->ops->settle(store, token, err);
}

void cow_store_rewind(struct cow_store *store)
{
	if (store->ops->rewind)
		store->ops->rewind(store);
}

int cow_store_keep(struct cow_store *store, const uint64_t *old_chunks, size_t nr_chunks,
		   struct cow_err *err)
{
	if (!store->ops->keep)
		return unsupported(store->ops, "keep some of its exceptions", err);
	return store->ops->keep(store, old_chunks, nr_chunks, err);
}

int cow_store_tidy(struct cow_store *store, struct cow_err *err)
{
	return store->ops->tidy ? store->ops->tidy(store, err) : 0;
}

int cow_store_unused_from(const struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err)
{
	if (!store->ops->unused_from)
		return unsupported(store->ops, "say what is unused", err);
	return store->ops->unused_from(store, ret_bytes, err);
}

bool cow_store_metadata_range(const struct cow_store *store, uint64_t index,
			      struct cow_segment *ret_range)
{
	return store->ops->metadata_range && store->ops->metadata_range(store, index, ret_range);
}

int cow_store_ready(struct cow_store *store, struct cow_err *err)
{
	return store->ops->ready ? store->ops->ready(store, err) : 0;
}

int cow_store_doubt(struct cow_store *store, struct cow_err *err)
{
	return store->ops->doubt ? store->ops->doubt(store, err) : 0;
}

int cow_store_unchanged(struct cow_store *store, struct cow_err *err)
{
	return store->ops->unchanged ? store->ops->unchanged(store, err) : 0;
}

bool cow_store_has_label(const struct cow_store *store)
{
	return store->ops->label_write;
}

int cow_store_label_read(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES], struct cow_err *err)
{
	if (!store->ops->label_read)
		return unsupported(store->ops, "hold a label", err);
	return store->ops->label_read(store, ret_raw, err);
}

int cow_store_label_write(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			  struct cow_err *err)
{
	if (!store->ops->label_write)
		return unsupported(store->ops, "hold a label", err);
	return store->ops->label_write(store, raw, err);
}

/* --------------------------------------------------------- many snapshots */

/* A store that shares with nobody is a group of one. */
int cow_store_reserve_group(struct cow_store *const *stores, size_t nr_stores,
			    struct store_lacks *lacks, struct cow_err *err)
{
	struct cow_store *store = stores[0];
	struct store_lack lack;
	uint64_t nr_chunks = 0;

	if (store->ops->reserve_group)
		return store->ops->reserve_group(stores, nr_stores, lacks, err);
	while (lacks->next(lacks, &lack))
		nr_chunks += div_ceil(lack.len_bytes, store->chunk_bytes);
	return cow_store_reserve(store, nr_chunks, err);
}

int cow_store_append_group(struct cow_store *const *members, size_t nr_members, uint64_t old_bytes,
			   const void *buf, size_t len_bytes, struct cow_err *err)
{
	if (members[0]->ops->append_group)
		return members[0]->ops->append_group(members, nr_members, old_bytes, buf, len_bytes,
						     err);
	return cow_store_append(members[0], old_bytes, buf, len_bytes, err);
}

int cow_store_unshare(struct cow_store *store, uint64_t old_bytes, uint64_t len_bytes,
		      struct cow_err *err)
{
	return store->ops->unshare ? store->ops->unshare(store, old_bytes, len_bytes, err) : 0;
}

int cow_store_swap(struct cow_store *store, uint64_t a_id, uint64_t b_id, bool is_any,
		   struct cow_err *err)
{
	if (!store->ops->swap)
		return unsupported(store->ops, "exchange two snapshots", err);
	if (a_id == b_id)
		return cow_fail(err, -EINVAL, "%" PRIu64 " and %" PRIu64 " are one snapshot", a_id,
				b_id);
	return store->ops->swap(store, a_id, b_id, is_any, err);
}

int cow_store_snapshot_next(struct cow_store *store, uint64_t from_id, uint64_t *ret_id,
			    struct cow_err *err)
{
	if (!store->ops->snapshot_next)
		return unsupported(store->ops, "hold several snapshots", err);
	return store->ops->snapshot_next(store, from_id, ret_id, err);
}

int cow_store_snapshot_create(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			      uint64_t *id, struct cow_err *err)
{
	if (!store->ops->snapshot_create)
		return unsupported(store->ops, "hold several snapshots", err);
	return store->ops->snapshot_create(store, parent_id, view_bytes, id, err);
}

int cow_store_snapshot_begin(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			     uint64_t *id, struct cow_store **ret_made, struct cow_err *err)
{
	if (!store->ops->snapshot_begin)
		return unsupported(store->ops, "take a snapshot that is filled", err);
	return store->ops->snapshot_begin(store, parent_id, view_bytes, id, ret_made, err);
}

int cow_store_snapshot_end(struct cow_store *made, struct cow_err *err)
{
	return made->ops->snapshot_end(made, err);
}

int cow_store_open_shared(const struct cow_store_args *args, struct cow_store **ret_store,
			  struct cow_err *err)
{
	struct cow_store_args mine = *args;
	const struct store_ops *ops;
	int ret = cow_store_find_ops(args, &ops, err);

	if (ret)
		return ret;
	if (!ops->snapshot_create)
		return unsupported(ops, "hold several snapshots", err);
	mine.flags |= STORE_OPEN_NONE;
	return ops->open(&mine, ret_store, err);
}

int cow_store_snapshot_delete(struct cow_store *store, uint64_t id, struct cow_err *err)
{
	if (!store->ops->snapshot_delete)
		return unsupported(store->ops, "hold several snapshots", err);
	return store->ops->snapshot_delete(store, id, err);
}

int cow_store_snapshot_map(struct cow_store *store, uint64_t id, uint64_t from_bytes,
			   struct store_run *ret_run, struct cow_err *err)
{
	if (!store->ops->snapshot_map)
		return unsupported(store->ops, "hold several snapshots", err);
	return store->ops->snapshot_map(store, id, from_bytes, ret_run, err);
}

int cow_store_difference(struct cow_store *a, struct cow_store *b,
			 int (*range)(void *user, uint64_t offset_bytes, uint64_t len_bytes),
			 void *user, struct cow_err *err)
{
	if (!a->ops->difference)
		return unsupported(a->ops, "be compared with another: it holds one snapshot", err);
	if (a->ops != b->ops || a->shared != b->shared)
		return cow_fail(err, -EINVAL, "the two are not snapshots of one store");
	return a->ops->difference(a, b, range, user, err);
}

int cow_store_find_owners(struct cow_store *store, const struct cow_callbacks *callbacks,
			  struct cow_err *err)
{
	int ret = 0;

	if (store->ops->find_owners)
		ret = store->ops->find_owners(store, callbacks, err);
	store->has_owners = !ret && store->ops->find_owners;
	return ret;
}

bool cow_store_has_others(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks)
{
	return store->has_owners && store->ops->has_others(store, old_chunk, nr_chunks);
}

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

#define REPAIR_FLAGS (COW_REPAIR_SAFE | COW_REPAIR_LOST | COW_REPAIR_REVALIDATE)

static int unsupported(const struct store_ops *ops, const char *what, struct cow_err *err)
{
	return cow_fail(err, -EOPNOTSUPP, "a store of kind \"%s\" cannot %s", ops->name, what);
}

/* ---------------------------------------------------- open, close, facts */

int cow_store_open(const struct cow_store_args *args, struct cow_store **ret_store,
		   struct cow_err *err)
{
	const struct store_ops *ops;
	int ret;

	ret = cow_params_check(args->size, sizeof(*args), args->flags,
			       COW_STORE_DAMAGED | COW_STORE_INVALID, "struct cow_store_args", err);
	if (!ret)
		ret = cow_store_find_ops(args, &ops, err);
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

	ret = cow_params_check(params->size, sizeof(*params), params->flags, COW_CHECK_HEADER_ONLY,
			       "struct cow_check_params", err);
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
	ret = ops->repair(args, params, &result, err);
	*ret_result = result;
	return ret;
}

int cow_metadata_copy(const struct cow_store_args *args, const struct cow_callbacks *callbacks,
		      struct cow_image *target, struct cow_err *err)
{
	const struct store_ops *ops;
	struct cow_image *image;
	int ret;

	ret = cow_store_find_ops(args, &ops, err);
	if (ret)
		return ret;
	if (!ops->metadata_copy)
		return unsupported(ops, "be copied without its data", err);
	image = cow_store_args_image(args, ops->probe_role, 0);
	if (image && image->size_bytes != target->size_bytes)
		return cow_fail(err, -EINVAL,
				"%s has %" PRIu64 " bytes, what stands in for it %" PRIu64,
				image->name, image->size_bytes, target->size_bytes);
	return ops->metadata_copy(args, callbacks, target, err);
}

/* ---------------------------------------------------------------- create */

/* The kind that was asked for, or the first one of the registry. */
static int create_find(const struct cow_create_params *params, const struct store_ops **ret_ops,
		       struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_create_params",
			       err);
	if (ret)
		return ret;
	args.kind = params->kind ? params->kind : cow_store_kind(0);
	ret = cow_store_find_ops(&args, ret_ops, err);
	if (ret)
		return ret;
	/* A kind has all three of these or none. */
	if (!(*ret_ops)->create)
		return unsupported(*ret_ops, "be made on an image", err);
	return 0;
}

static uint64_t create_chunk_bytes(const struct cow_create_params *params)
{
	return params->chunk_bytes ? params->chunk_bytes : COW_CHUNK_BYTES_DEFAULT;
}

int cow_create_size(const struct cow_create_params *params, uint64_t *ret_bytes,
		    struct cow_err *err)
{
	const struct store_ops *ops;
	int ret = create_find(params, &ops, err);

	return ret ? ret
		   : ops->create_size(params->origin_bytes, create_chunk_bytes(params), ret_bytes,
				      err);
}

int cow_create_fit(const struct cow_create_params *params, uint64_t wanted_bytes,
		   uint64_t *ret_bytes, struct cow_err *err)
{
	const struct store_ops *ops;
	int ret = create_find(params, &ops, err);

	return ret ? ret
		   : ops->create_fit(wanted_bytes, create_chunk_bytes(params), ret_bytes, err);
}

int cow_create(struct cow_image *cow, const struct cow_create_params *params, struct cow_err *err)
{
	const struct store_ops *ops;
	int ret = create_find(params, &ops, err);

	return ret ? ret : ops->create(cow, create_chunk_bytes(params), err);
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

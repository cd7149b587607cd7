/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_rebuild.c - the repair of a store that is not repaired in place, the
 * metadata of a clone or of a pool: a new image gets all of it, and what is damaged is only read.
 * Where it cannot be decided what to write, that is an answer, not a failure: the
 * report of the check follows.
 */
#include <errno.h>
#include <stddef.h>

#include "tools/common/cli.h"
#include "tools/snapcheck/check_repair.h"

int check_rebuild_open(struct check_repair *repair, const struct cow_image *cow,
		       struct cow_err *err)
{
	int ret = 0;

	if (repair->output)
		ret = check_repair_output(repair, repair->target_bytes, err);
	if (ret || !repair->is_dry_run)
		return ret;
	ret = cow_image_standin_new(cow_image_name(cow), repair->target_bytes, 512,
				    &repair->preview, err);
	repair->target = repair->preview;
	return ret;
}

static void doubtful_add(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	const struct check_repair *repair = user;

	check_lost_add(repair->doubtful, offset_bytes, len_bytes);
}

static void snapshot_lost_add(void *user, uint64_t id, uint64_t offset_bytes, uint64_t len_bytes)
{
	const struct check_repair *repair = user;

	check_lost_add_device(repair->lost, id, offset_bytes, len_bytes);
}

static void snapshot_doubtful_add(void *user, uint64_t id, uint64_t offset_bytes,
				  uint64_t len_bytes)
{
	const struct check_repair *repair = user;

	check_lost_add_device(repair->doubtful, id, offset_bytes, len_bytes);
}

static void snapshot_found_add(void *user, uint64_t id, uint64_t nr, uint64_t nr_missing)
{
	const struct check_repair *repair = user;

	check_lost_add_found(repair->regained, id, nr, nr_missing);
}

static bool is_answer(int code)
{
	return code == -EBADMSG || code == -EOPNOTSUPP || code == -EPERM;
}

int check_rebuild_run(struct check_repair *repair, const struct cow_store_args *args,
		      struct cow_repair_result *ret_result, struct cow_err *err)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	int ret;

	if (repair->is_safe_only)
		params.flags |= COW_REPAIR_SAFE;
	if (cli_forced("doubtful"))
		params.flags |= COW_REPAIR_DOUBTFUL;
	params.callbacks = repair->callbacks;
	params.user = repair;
	params.target = repair->target;
	params.doubtful = doubtful_add;
	params.snapshot_lost = snapshot_lost_add;
	params.snapshot_doubtful = snapshot_doubtful_add;
	params.snapshot_found = snapshot_found_add;
	ret = cow_repair(args, &params, ret_result, err);
	if (!is_answer(ret))
		return ret;
	repair->is_refused = true;
	cli_note("%s is not made: %s%s%s", repair->output ? repair->output : "new metadata",
		 err->message, err->force[0] ? "; --force=" : "", err->force);
	*err = (struct cow_err)COW_ERR_INIT;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* repair.c - mends what check found and the caller approves of. */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"

#define FLAGS (COW_REPAIR_SAFE | COW_REPAIR_LOST | COW_REPAIR_REVALIDATE)

int cow_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
	       struct cow_repair_result *ret_result, struct cow_err *err)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	const struct store_ops *ops;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), params->flags, FLAGS,
			       "struct cow_repair_params", err);
	if (!ret)
		ret = cow_params_check(ret_result->size, sizeof(*ret_result), 0, 0,
				       "struct cow_repair_result", err);
	if (!ret)
		ret = cow_store_find_ops(args, &ops, err);
	if (ret)
		return ret;
	if (!ops->repair)
		return cow_fail(err, -EOPNOTSUPP, "a %s store cannot be repaired", ops->name);
	ret = ops->repair(args, params, &result, err);
	*ret_result = result;
	return ret;
}

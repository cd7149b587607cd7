/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check.c - looks at a store, also at one that cannot be opened. Damage is
 * not an error: it goes to the report, and the kind of store draws the
 * verdict. Never writes (I10).
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"

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
		return cow_fail(err, -EOPNOTSUPP, "a %s store cannot be checked", ops->name);
	ret = ops->check(args, params, report, &verdict, err);
	if (ret)
		return ret;
	*ret_verdict = verdict;
	return 0;
}

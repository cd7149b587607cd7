/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* consent.c - asks whether all that a check has found may be mended. */
#include "libcow/core/consent.h"

#include <errno.h>

#include "libcow/base/err.h"

void cow_consent_finding(void *user, const struct cow_finding *finding)
{
	struct cow_consent *consent = (struct cow_consent *)user;
	const struct cow_repair_params *params = consent->params;
	const struct cow_problem *problem = finding->problem;

	if (!(problem->flags & COW_PROBLEM_FIXABLE)) {
		consent->result->nr_left += problem->klass >= COW_CLASS_DAMAGE;
		return;
	}
	consent->result->nr_mended++;
	consent->nr_unsafe += !(problem->flags & COW_PROBLEM_SAFE);
	if (params->approve && !params->approve(params->user, finding))
		consent->is_declined = true;
}

int cow_consent_check(struct cow_consent *consent, struct cow_err *err)
{
	bool is_safe_only = consent->params->flags & COW_REPAIR_SAFE;

	if (!consent->is_declined && !(consent->nr_unsafe && is_safe_only))
		return 0;
	consent->result->nr_left += consent->result->nr_mended;
	consent->result->nr_mended = 0;
	return cow_refuse(err, -EPERM, "declined", NULL,
			  "not everything may be repaired, and new metadata cannot keep a part of "
			  "the damage");
}

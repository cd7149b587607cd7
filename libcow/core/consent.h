/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * consent.h - what a repair that makes new metadata may do. All findings are mended
 * in it, or it is not made: metadata that are written anew cannot keep a part of the
 * damage.
 */
#ifndef COW_CORE_CONSENT_H
#define COW_CORE_CONSENT_H

#include "libcow.h"

struct cow_consent {
	const struct cow_repair_params *params;
	struct cow_repair_result *result; /* nr_mended and nr_left are counted there */
	uint64_t nr_unsafe;		  /* findings that need more than what is safe */
	bool is_declined;
};

/* The callback for each finding of the check; user: the consent. Counts it, and asks
 * params->approve about one that can be mended. */
void cow_consent_finding(void *user, const struct cow_finding *finding);
/* May all of it be mended? Errors: -EPERM (id "declined"); nothing counts as mended then. */
int cow_consent_check(struct cow_consent *consent, struct cow_err *err);

#endif

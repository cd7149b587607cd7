/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge.h - merging under a label that somebody else has chosen: taking a
 * merge back is the merge of its undo store, under that store's own label.
 */
#ifndef COW_ENGINE_MERGE_H
#define COW_ENGINE_MERGE_H

#include "libcow/engine/job.h"

/* As cow_merge(); job is what cow_job_open() would have prepared. */
int cow_merge_with_job(struct cow_store *store, const struct cow_merge_params *params,
		       struct job *job, struct cow_merge_result *ret_result, struct cow_err *err);

#endif

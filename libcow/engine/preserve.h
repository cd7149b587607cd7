/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * preserve.h - the first phase of a merge: everything that it will overwrite
 * goes to the siblings and to the undo store, durably, before the first write
 * to the origin (I4). From then on any command, or the kernel, may finish the
 * merge without knowing of them.
 */
#ifndef COW_ENGINE_PRESERVE_H
#define COW_ENGINE_PRESERVE_H

#include "libcow/engine/job.h"

/* Looks at siblings and undo without writing (I7): roles, writability, room,
 * and whether the undo belongs to this job. Errors: -EPERM, -EINVAL, -EROFS,
 * -ENOSPC, -ENOMEM. */
int cow_preserve_check(struct cow_store *store, const struct cow_merge_params *params,
		       const struct job *job, struct cow_err *err);

/* Does it; the label says PRESERVE meanwhile. Nothing to do: no write. */
int cow_preserve(struct cow_store *store, const struct cow_merge_params *params, struct job *job,
		 uint64_t *ret_bytes, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * limit.h - names the limit of this process behind an error.
 */
#ifndef COW_BASE_LIMIT_H
#define COW_BASE_LIMIT_H

#include "libcow.h"

/* Adds to the sentence of a filled err what ran out, where its code says that a limit
 * may be the cause (-EMFILE, -EFBIG, -ENOMEM) and one is set: "this process may have 16
 * (ulimit -n)". For files their id becomes "limit". Keeps errno. */
void cow_limit_name(struct cow_err *err);

#endif

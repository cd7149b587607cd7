/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * volatile.h - refuses undo files on tmpfs: a power cut would lose them.
 */
#ifndef TOOLS_VOLATILE_H
#define TOOLS_VOLATILE_H

#include "libcow.h"

/* The directory that path lies in; the caller's to free. NULL: no memory. */
char *volatile_directory(const char *path);

/* Refuses a file that would be in memory. Errors: -EPERM (id "volatile", force
 * "volatile"), -ENOMEM. */
int volatile_check(const char *path, struct cow_err *err);

#endif

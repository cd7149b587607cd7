/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_empty.h - snapcheck --is-empty.
 */
#ifndef TOOLS_CHECK_EMPTY_H
#define TOOLS_CHECK_EMPTY_H

#include "tools/snapcheck/check.h"

/* Prints the answer that a check with COW_CHECK_EMPTY has found, as a line and
 * in the JSON object. Returns the exit bit: 0 nothing is lost with the store.
 * is_quiet: a yes is not printed. */
int check_empty_conclude(const struct check *check, bool is_quiet);

#endif

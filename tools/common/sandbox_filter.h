/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* sandbox_filter.h - which system calls there are, by seccomp; libseccomp knows
 * their numbers. Called after no_new_privs was set. Each returns 0 or a
 * negative errno: the kernel or libseccomp cannot do it here. */
#ifndef TOOLS_SANDBOX_FILTER_H
#define TOOLS_SANDBOX_FILTER_H

#include <stdbool.h>
#include <stddef.h>

/* All but those that no tool needs at any time. */
int sandbox_filter_begin(void);
/* Only those that work on what is open. */
int sandbox_filter_enter(void);
/* For a process that speaks with a server: only memory, and bytes that come and go on
 * these sockets. */
int sandbox_filter_courier(const int *fds, size_t nr_fds);
/* The names of what the second filter, or that of couriers, lets through whatever the
 * arguments are; NULL: there are no more. For its test. */
const char *sandbox_filter_allowed(bool is_courier, size_t i);

#endif

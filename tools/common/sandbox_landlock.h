/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* sandbox_landlock.h - the part of the sandbox that Landlock is. */
#ifndef TOOLS_SANDBOX_LANDLOCK_H
#define TOOLS_SANDBOX_LANDLOCK_H

/* For good: no file is opened or made any more, and one is named or removed only below
 * the directories that are open now. Needs no_new_privs. Errors: -ENOSYS, -EOPNOTSUPP a
 * kernel without it. */
int sandbox_landlock_enter(void);

#endif

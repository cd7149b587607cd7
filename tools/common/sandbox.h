/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sandbox.h - a tool gives up what it does not need, in two steps, so that a
 * fault in a reader of foreign bytes (ours, libext2fs, libarchive, libblkid)
 * reaches nothing but the files that are open already. Neither step fails:
 * where the kernel lacks a part, the tool goes on without and says so with -v.
 * COW_SANDBOX=off in the environment leaves both out, for debuggers.
 */
#ifndef TOOLS_SANDBOX_H
#define TOOLS_SANDBOX_H

/* Before the first image is opened: no other program, no network, no look at
 * other processes, no privilege that this one does not have yet. What is tried
 * all the same fails with EPERM: a sentence, not a death. */
void sandbox_begin(void);

/*
 * Once everything is open, and before there are threads: no file can be opened
 * or made any more, and one can be given a name or be removed only below the
 * directories that are open now, which are those of the outputs. System calls
 * that no tool needs fail with ENOSYS. Called again it does nothing.
 */
void sandbox_enter(void);

#endif

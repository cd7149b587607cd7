/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * progress.h - how far a job is, with rate and time left: a bar on a terminal,
 * a line whenever SIGUSR1 asks. The same callback tells the job to stop after
 * SIGINT.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include "tools/common/cli.h"

struct progress {
	bool is_shown, is_bar;
	const char *phase; /* the times below belong to this one */
	double phase_start, next_line;
	uint64_t phase_first_bytes;
};

/* mode: --progress, NULL for "auto". */
void progress_start(struct progress *progress, const char *mode, bool quiet);
/* For cow_callbacks.progress; user is the struct progress. */
int progress_update(void *user, const struct cow_progress *now);
/* Callbacks that feed it. */
struct cow_callbacks progress_callbacks(struct progress *progress);

#endif

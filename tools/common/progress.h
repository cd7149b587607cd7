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

#define PROGRESS_SAMPLES 16

struct progress {
	bool is_shown, is_bar;
	double next_line;
	bool is_always;
	const char *phase;	    /* the members below are of this phase */
	bool has_line, is_complete; /* a line stands there; it says 100 % */
	double phase_start;
	/* How far it was in the last seconds, oldest first: the rate is over them. */
	size_t nr_samples;
	struct progress_sample {
		double time;
		uint64_t done_bytes;
	} samples[PROGRESS_SAMPLES];
};

/* mode: --progress, NULL for "auto". */
void progress_start(struct progress *progress, const char *mode, bool quiet);
/* For cow_callbacks.progress; user is the struct progress. */
int progress_update(void *user, const struct cow_progress *now);
/* Callbacks that feed it. */
struct cow_callbacks progress_callbacks(struct progress *progress);

#endif

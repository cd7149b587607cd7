/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * progress.c - prints progress: a bar on a terminal, a line when SIGUSR1 asks;
 * tells a job to stop after a signal.
 */
#include "tools/common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/common/size_text.h"

#define FIRST_LINE_SECONDS 1.0
#define LINE_SECONDS 0.5
/* Before this the rate says nothing yet. */
#define ESTIMATE_SECONDS 3.0
#define BAR_CELLS 20

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void progress_start(struct progress *progress, const char *mode, bool quiet)
{
	bool is_always = mode && !strcmp(mode, "always");
	bool is_never = quiet || (mode && !strcmp(mode, "never"));

	memset(progress, 0, sizeof(*progress));
	progress->is_bar = cli_stderr_is_terminal();
	progress->is_shown = is_always || (!is_never && progress->is_bar);
	progress->next_line = now_seconds() + FIRST_LINE_SECONDS;
}

/* Never 100: that is said by the end of the job. */
static unsigned int percent(const struct cow_progress *now)
{
	double part = (double)now->done_bytes / (double)now->total_bytes * 100;

	return part >= 99 ? 99 : (unsigned int)part;
}

static size_t append_estimate(char *to, size_t room, double seconds, double rate,
			      const struct cow_progress *now)
{
	double left = (double)(now->total_bytes - now->done_bytes) / rate;

	if (seconds < ESTIMATE_SECONDS || now->done_bytes > now->total_bytes || left > 1e8)
		return 0;
	return (size_t)snprintf(to, room, ", %u:%02u:%02u left", (unsigned int)left / 3600,
				(unsigned int)left / 60 % 60, (unsigned int)left % 60);
}

static void format_line(const struct progress *progress, const struct cow_progress *now,
			double time, char *line, size_t room)
{
	char done[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES], rate_text[SIZE_TEXT_BYTES];
	double seconds = time - progress->phase_start;
	double rate = seconds > 0.01
			      ? (double)(now->done_bytes - progress->phase_first_bytes) / seconds
			      : 0;
	size_t used = 0;

	if (progress->is_bar && progress->is_shown && now->total_bytes) {
		unsigned int cells = percent(now) * BAR_CELLS / 100;

		used = (size_t)snprintf(line, room, "[%.*s%*s] ", (int)cells,
					"####################", (int)(BAR_CELLS - cells), "");
	}
	used += (size_t)snprintf(line + used, room - used, "%s %s", now->phase,
				 size_round(now->done_bytes, done));
	if (now->total_bytes)
		used += (size_t)snprintf(line + used, room - used, " of %s, %u %%",
					 size_round(now->total_bytes, total), percent(now));
	if (rate < 1)
		return;
	used += (size_t)snprintf(line + used, room - used, ", %s/s",
				 size_round((uint64_t)rate, rate_text));
	if (now->total_bytes)
		append_estimate(line + used, room - used, seconds, rate, now);
}

int progress_update(void *user, const struct cow_progress *now)
{
	struct progress *progress = user;
	double time = now_seconds();
	bool is_due = progress->is_shown && time >= progress->next_line;
	bool is_asked = cli_wants_line();
	char line[256];

	if (!progress->phase || strcmp(progress->phase, now->phase)) {
		progress->phase = now->phase;
		progress->phase_start = time;
		progress->phase_first_bytes = now->done_bytes;
	}
	if (is_due || is_asked) {
		format_line(progress, now, time, line, sizeof(line));
		if (is_asked || !progress->is_bar)
			cli_warn("%s", line);
		else
			cli_status_line(line);
		progress->next_line = time + LINE_SECONDS;
	}
	return cli_interrupted();
}

struct cow_callbacks progress_callbacks(struct progress *progress)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;

	callbacks.user = progress;
	callbacks.progress = progress_update;
	return callbacks;
}

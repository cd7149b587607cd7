/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * progress.c - prints progress: a bar that fits the terminal, a line when SIGUSR1 asks;
 * tells a job to stop after a signal.
 */
#include "tools/common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "libcow/base/units.h"
#include "tools/common/size_text.h"

#define FIRST_LINE_SECONDS 1.0
#define BAR_SECONDS 0.5
/* Between two lines: they stay on the screen, or in a log. */
#define LINE_SECONDS 5.0
#define SAMPLE_SECONDS 0.5
/* Before this the rate is too uncertain for an estimate. */
#define ESTIMATE_SECONDS 3.0
#define BAR_CELLS_MIN 5
#define BAR_CELLS_MAX 20
#define BAR_EDGES 3
#define LINE_BYTES 256

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Can the terminal overwrite a line? */
static bool can_draw(void)
{
	const char *term = getenv("TERM");

	return cli_stderr_is_terminal() && term && *term && strcmp(term, "dumb") != 0;
}

/* Asked again for each line, because a window can change its size. */
static size_t columns(void)
{
	const char *text = getenv("COLUMNS");
	unsigned long wanted = text ? strtoul(text, NULL, 10) : 0;
	struct winsize window;

	if (wanted && wanted <= LINE_BYTES)
		return wanted;
	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &window) && window.ws_col)
		return window.ws_col;
	return 80;
}

void progress_start(struct progress *progress, const char *mode, bool quiet)
{
	bool is_always = mode && !strcmp(mode, "always");
	bool is_never = quiet || (mode && !strcmp(mode, "never"));

	memset(progress, 0, sizeof(*progress));
	progress->is_always = is_always;
	progress->is_bar = can_draw();
	progress->is_shown = is_always || (!is_never && cli_stderr_is_terminal());
	progress->next_line = now_seconds() + FIRST_LINE_SECONDS;
}

/* 100 only of all of it. */
static unsigned int percent(const struct cow_progress *now)
{
	double part = (double)now->done_bytes / (double)now->total_bytes * 100;

	if (now->done_bytes == now->total_bytes)
		return 100;
	return part >= 99 ? 99 : (unsigned int)part;
}

/* Bytes in a second, over the last seconds; 0: too early to tell. */
static double rate_of(const struct progress *progress, const struct cow_progress *now, double time)
{
	const struct progress_sample *first = &progress->samples[0];

	if (!progress->nr_samples || time - first->time < 0.01 ||
	    now->done_bytes < first->done_bytes)
		return 0;
	return (double)(now->done_bytes - first->done_bytes) / (time - first->time);
}

static void sample(struct progress *progress, const struct cow_progress *now, double time)
{
	struct progress_sample *samples = progress->samples;

	if (progress->nr_samples && time - samples[progress->nr_samples - 1].time < SAMPLE_SECONDS)
		return;
	if (progress->nr_samples == PROGRESS_SAMPLES)
		memmove(samples, samples + 1, --progress->nr_samples * sizeof(*samples));
	samples[progress->nr_samples++] = (struct progress_sample){ time, now->done_bytes };
}

/* What a line says, the most important part first. */
enum { PART_DONE, PART_RATE, PART_LEFT, NR_PARTS };

static void format_parts(const struct progress *progress, const struct cow_progress *now,
			 double time, char parts[NR_PARTS][LINE_BYTES])
{
	char done[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES], rate_text[SIZE_TEXT_BYTES];
	double rate = rate_of(progress, now, time), left;

	parts[PART_RATE][0] = parts[PART_LEFT][0] = '\0';
	if (now->total_bytes)
		snprintf(parts[PART_DONE], LINE_BYTES, "%s %s of %s, %u %%", now->phase,
			 size_round(now->done_bytes, done), size_round(now->total_bytes, total),
			 percent(now));
	else
		snprintf(parts[PART_DONE], LINE_BYTES, "%s %s", now->phase,
			 size_round(now->done_bytes, done));
	if (rate < 1)
		return;
	snprintf(parts[PART_RATE], LINE_BYTES, ", %s/s", size_round((uint64_t)rate, rate_text));
	left = (double)(now->total_bytes - now->done_bytes) / rate;
	if (now->total_bytes > now->done_bytes && time - progress->phase_start > ESTIMATE_SECONDS &&
	    left < 1e8)
		snprintf(parts[PART_LEFT], LINE_BYTES, ", %u:%02u:%02u left",
			 (unsigned int)left / 3600, (unsigned int)left / 60 % 60,
			 (unsigned int)left % 60);
}

static size_t append(char *line, size_t used, size_t width, const char *text)
{
	size_t len = min_u64(strlen(text), width - used);

	memcpy(line + used, text, len);
	line[used + len] = '\0';
	return used + len;
}

static size_t append_bar(char *line, size_t cells, unsigned int percents)
{
	size_t done = percents * cells / 100;

	return (size_t)snprintf(line, BAR_CELLS_MAX + BAR_EDGES + 1, "[%.*s%*s] ", (int)done,
				"####################", (int)(cells - done), "");
}

/* A bar and as many parts behind it as fit; what does not fit is left out. width is
 * at most LINE_BYTES - 1. */
static void format_line(const struct progress *progress, const struct cow_progress *now,
			double time, size_t width, char line[LINE_BYTES])
{
	bool has_bar = progress->is_bar && progress->is_shown && now->total_bytes;
	char parts[NR_PARTS][LINE_BYTES];
	size_t used, needed, nr;

	format_parts(progress, now, time, parts);
	needed = strlen(parts[PART_DONE]) + (has_bar ? BAR_CELLS_MIN + BAR_EDGES : 0);
	if (has_bar && needed > width) {
		has_bar = false;
		needed -= BAR_CELLS_MIN + BAR_EDGES;
	}
	for (nr = 1; nr < NR_PARTS && needed + strlen(parts[nr]) <= width; nr++)
		needed += strlen(parts[nr]);
	used = has_bar ? append_bar(line, min_u64(BAR_CELLS_MIN + width - needed, BAR_CELLS_MAX),
				    percent(now))
		       : 0;
	for (size_t i = 0; i < nr; i++)
		used = append(line, used, width, parts[i]);
}

static void show(struct progress *progress, const struct cow_progress *now, double time,
		 bool is_asked)
{
	bool is_bar = progress->is_bar && !is_asked;
	size_t width = is_bar ? columns() - 1 : LINE_BYTES - 1;
	char line[LINE_BYTES];

	format_line(progress, now, time, min_u64(width, LINE_BYTES - 1), line);
	if (is_bar)
		cli_status_line(line);
	else
		cli_warn("%s", line);
	progress->has_line = true;
	progress->next_line = time + (is_bar ? BAR_SECONDS : LINE_SECONDS);
}

/* Is this the last line of a phase? A log then shows that the phase was completed. */
static bool is_end(const struct progress *progress, const struct cow_progress *now)
{
	return progress->is_shown && !progress->is_complete && now->total_bytes &&
	       now->done_bytes == now->total_bytes && (progress->is_always || progress->has_line);
}

/* The same phase can come again, for another image. */
static bool is_new_phase(const struct progress *progress, const struct cow_progress *now)
{
	return !progress->phase || strcmp(progress->phase, now->phase) ||
	       (progress->is_complete && now->done_bytes < now->total_bytes);
}

int progress_update(void *user, const struct cow_progress *now)
{
	struct progress *progress = user;
	double time = now_seconds();
	bool is_asked = cli_wants_line();

	if (is_new_phase(progress, now)) {
		progress->phase = now->phase;
		progress->phase_start = time;
		progress->nr_samples = 0;
		progress->has_line = progress->is_complete = false;
	}
	sample(progress, now, time);
	if (is_end(progress, now)) {
		progress->is_complete = true;
		show(progress, now, time, is_asked);
	} else if (is_asked || (progress->is_shown && time >= progress->next_line)) {
		show(progress, now, time, is_asked);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * signals.c - what signals do to a tool.
 *
 * SIGINT, SIGTERM and SIGHUP stop the job at its next safe point; the second
 * one ends the process at once, which is safe too: every state on disk is one
 * that the same command continues from.
 */
#include "tools/common/signals.h"

#include <signal.h>
#include <stddef.h>

#include "tools/common/cli.h"

static volatile sig_atomic_t stop_wanted, line_wanted;

static void on_stop(int number)
{
	stop_wanted = 1;
	/* The handler runs once: the second signal ends the process. */
	(void)signal(number, SIG_DFL);
}

static void on_line(int number)
{
	(void)number;
	line_wanted = 1;
}

void signals_install(void)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_stop };
	struct sigaction old;

	/* No SA_RESTART: a signal must end the wait for an answer. */
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		/* nohup and shells that ignore SIGINT for background jobs. */
		if (!sigaction(stops[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(stops[i], &action, NULL);
	}
	action.sa_handler = on_line;
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	/* A reader that goes away is noticed as EPIPE. */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	/* ulimit -f, as EFBIG. */
	sigaction(SIGXFSZ, &action, NULL);
}

bool cli_interrupted(void)
{
	return stop_wanted;
}

bool cli_wants_line(void)
{
	if (!line_wanted)
		return false;
	line_wanted = 0;
	return true;
}

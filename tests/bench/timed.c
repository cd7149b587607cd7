/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * timed REPORT COMMAND... - runs a command and writes what it took to REPORT:
 * seconds, seconds of processor, peak memory in KiB. The system counts the
 * memory of whoever starts a program as the program's own until it runs, so
 * that is done by something small. Exits as the command does.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double start = now();
	FILE *report;
	pid_t child;
	int status;

	if (argc < 3)
		errx(2, "usage: timed REPORT COMMAND...");
	child = fork();
	if (!child) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (child < 0 || wait4(child, &status, 0, &used) < 0)
		err(126, "%s", argv[2]);
	start = now() - start;
	report = fopen(argv[1], "we");
	if (!report ||
	    fprintf(report, "%.6f %.6f %ld\n", start,
		    seconds(&used.ru_utime) + seconds(&used.ru_stime), used.ru_maxrss) < 0 ||
	    fclose(report))
		err(126, "%s", argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * limit.c - names the limit of this process behind an error. "File too large" and "no
 * memory" read as if the disk or the machine were too small, when it is often a limit
 * that a shell, a service or a container has set.
 */
#include "libcow/base/limit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
	int code;
	int resource;
	const char *id; /* NULL: as it is */
	const char *before, *after;
} limits[] = {
	{ -EMFILE, RLIMIT_NOFILE, "limit", "this process may have ", " (ulimit -n)" },
	{ -EFBIG, RLIMIT_FSIZE, "limit", "files of this process may have ", " bytes (ulimit -f)" },
	{ -ENOMEM, RLIMIT_AS, NULL, "this process may have ", " bytes of memory (ulimit -v)" },
	{ -ENOMEM, RLIMIT_DATA, NULL, "this process may have ", " bytes of data (ulimit -d)" },
};

void cow_limit_name(struct cow_err *err)
{
	int error = errno;
	struct rlimit limit;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		size_t used = strlen(err->message);

		if (limits[i].code != err->code || getrlimit(limits[i].resource, &limit) ||
		    limit.rlim_cur == RLIM_INFINITY)
			continue;
		snprintf(err->message + used, sizeof(err->message) - used, "; %s%" PRIu64 "%s",
			 limits[i].before, (uint64_t)limit.rlim_cur, limits[i].after);
		if (limits[i].id)
			snprintf(err->id, sizeof(err->id), "%s", limits[i].id);
	}
	errno = error;
}

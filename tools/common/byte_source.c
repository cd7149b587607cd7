/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * byte_source.c - opens files that are read once, from beginning to end.
 */
#include "tools/common/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/cli.h"

int byte_source_open(const char *path, int *ret_fd, struct cow_err *err)
{
	*ret_fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	/* a FIFO waits for its writer */
	if (*ret_fd < 0 && cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	if (*ret_fd < 0)
		return cli_refuse(err, -errno, "system", NULL, "%s: cannot open: %s", path,
				  strerror(errno));
	return 0;
}

int byte_source_read_fd(int fd, const char *name, const char *id, void *buf, size_t len_bytes,
			size_t *ret_len_bytes, struct cow_err *err)
{
	ssize_t got;

	do {
		if (cli_interrupted())
			return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
		got = read(fd, buf, len_bytes);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return cli_refuse(err, -errno, id, NULL, "%s: cannot read: %s", name,
				  strerror(errno));
	*ret_len_bytes = (size_t)got;
	return 0;
}

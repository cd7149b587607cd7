/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * byte_source.c - opens what is read from its beginning to its end.
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
	if (*ret_fd < 0)
		return cli_refuse(err, -errno, "system", NULL, "%s: cannot open: %s", path,
				  strerror(errno));
	return 0;
}

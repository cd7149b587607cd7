/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * volatile.c - finds out whether a file would be in memory: on tmpfs, or on an
 * overlay whose upper directory does. Looks at mounts: call it before
 * sandbox_enter().
 */
#include "tools/common/volatile.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "tools/common/cli.h"

char *volatile_directory(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static bool is_memory(const char *directory, bool *ret_is_overlay)
{
	struct statfs fs;
	uint32_t type;

	*ret_is_overlay = false;
	if (statfs(directory, &fs))
		return false;	    /* opening it will say why */
	type = (uint32_t)fs.f_type; /* signed on 32 bit, with as many bits */
	*ret_is_overlay = type == OVERLAYFS_SUPER_MAGIC;
	return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

/* The upper directory of the overlay with this device number, where what is
 * written ends up; cut out of a line of mountinfo(5), or NULL. */
static char *upper_of(char *line, dev_t dev)
{
	unsigned int dev_major, dev_minor;
	char *upper;

	if (sscanf(line, "%*d %*d %u:%u", &dev_major, &dev_minor) != 2 || dev_major != major(dev) ||
	    dev_minor != minor(dev))
		return NULL;
	upper = strstr(line, ",upperdir=");
	if (!upper)
		return NULL;
	upper += strlen(",upperdir=");
	upper[strcspn(upper, ",\n")] = '\0';
	return upper;
}

/* Live media have an overlay whose upper layer is memory. */
static bool is_overlay_on_memory(const char *directory)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *upper = NULL;
	bool is_volatile = false, is_overlay;
	struct stat st;
	size_t size = 0;

	while (mounts && !stat(directory, &st) && !upper && getline(&line, &size, mounts) > 0)
		upper = upper_of(line, st.st_dev);
	if (upper)
		is_volatile = is_memory(upper, &is_overlay);
	if (mounts)
		(void)fclose(mounts);
	free(line);
	return is_volatile;
}

int volatile_check(const char *path, struct cow_err *err)
{
	bool is_overlay, is_volatile;
	char *directory;
	struct stat st;

	if (cli_forced("volatile") || (!stat(path, &st) && S_ISBLK(st.st_mode)))
		return 0;
	directory = volatile_directory(path);
	if (!directory)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	is_volatile = is_memory(directory, &is_overlay) ||
		      (is_overlay && is_overlay_on_memory(directory));
	free(directory);
	if (!is_volatile)
		return 0;
	return cli_refuse(err, -EPERM, "volatile", "volatile",
			  "%s would be in memory: a power cut would lose it, and with it the only "
			  "copy of what was overwritten; name a file on a disk",
			  path);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/temp_dir.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[4096];
static pid_t owner;

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

/* A child that ends through exit() leaves it alone. */
static void directory_remove(void)
{
	if (getpid() == owner)
		nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void must(int condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

void temp_dir_enter(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/libcow-test-XXXXXX", tmp ? tmp : "/tmp");
	must(mkdtemp(directory) != NULL, directory);
	owner = getpid();
	atexit(directory_remove);
	must(!chdir(directory), directory);
}

void temp_file(const char *path, off_t size_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd >= 0 && !ftruncate(fd, size_bytes), path);
	close(fd);
}

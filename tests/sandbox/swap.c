/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * swap.c - preloaded into a tool; after its SWAP_AT-th look at the name SWAP_NAME (stat,
 * lstat, fstatat) the file SWAP_WITH takes that name, as somebody else would do it who has
 * waited for that moment. A process that began before the sandbox does it. SWAP_DONE is
 * made when it has been done.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int to_helper = -1, from_helper = -1;
static int looks_left;

static void helper(int in, int out)
{
	char byte;

	if (read(in, &byte, 1) != 1)
		_exit(0);
	if (!rename(getenv("SWAP_WITH"), getenv("SWAP_NAME")))
		close(open(getenv("SWAP_DONE"), O_CREAT | O_WRONLY, 0666));
	_exit(write(out, &byte, 1) != 1);
}

__attribute__((constructor)) static void start(void)
{
	int there[2], back[2];

	if (!getenv("SWAP_NAME") || pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		abort();
	looks_left = atoi(getenv("SWAP_AT"));
	if (!fork()) {
		/* Else it would wait for itself, for ever. */
		close(there[1]);
		close(back[0]);
		helper(there[0], back[1]);
	}
	/* High ones: a tool may count on low numbers. */
	to_helper = fcntl(there[1], F_DUPFD_CLOEXEC, 100);
	from_helper = fcntl(back[0], F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
}

static void looked(const char *path)
{
	const char *name = getenv("SWAP_NAME"), *slash = strrchr(name, '/');
	int error = errno;
	char byte = 0;

	if ((!strcmp(path, name) || (slash && !strcmp(path, slash + 1))) && !--looks_left)
		if (write(to_helper, &byte, 1) != 1 || read(from_helper, &byte, 1) != 1)
			abort();
	errno = error;
}

#define LOOK(name, args, path, ...)                                                                \
	int name args                                                                              \
	{                                                                                          \
		int ret = ((int(*) args)dlsym(RTLD_NEXT, #name))(__VA_ARGS__);                     \
                                                                                                   \
		looked(path);                                                                      \
		return ret;                                                                        \
	}

LOOK(stat, (const char *path, struct stat *st), path, path, st)
LOOK(lstat, (const char *path, struct stat *st), path, path, st)
LOOK(fstatat, (int fd, const char *path, struct stat *st, int flags), path, fd, path, st, flags)
LOOK(stat64, (const char *path, struct stat64 *st), path, path, st)
LOOK(lstat64, (const char *path, struct stat64 *st), path, path, st)
LOOK(fstatat64, (int fd, const char *path, struct stat64 *st, int flags), path, fd, path, st, flags)

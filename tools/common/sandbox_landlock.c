/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sandbox_landlock.c - which files may be named and removed.
 *
 * Landlock by raw system calls, which no libc wraps (source: Linux,
 * include/uapi/linux/landlock.h; the ABI grew from 1 in 5.13 to 7 in 6.15, and
 * what a kernel does not know must not be asked for).
 */
#include "tools/common/sandbox_landlock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture. */
#define NR_LANDLOCK_CREATE_RULESET 444
#define NR_LANDLOCK_ADD_RULE 445
#define NR_LANDLOCK_RESTRICT_SELF 446
#define LANDLOCK_VERSION 1u
#define LANDLOCK_PATH_BENEATH 1
#define LANDLOCK_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_MAKE_REG (UINT64_C(1) << 8)
#define LANDLOCK_MAKE_SYM (UINT64_C(1) << 12)
/* bind and connect; sockets outside, signals to processes outside */
#define LANDLOCK_NET_ALL UINT64_C(3)
#define LANDLOCK_SCOPE_ALL UINT64_C(3)

/* Output directories have numbers below this; a tool opens few files. */
#define DESCRIPTORS_MAX 1024

struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

struct path_beneath {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

/* Rights that this ABI of Landlock knows, all of them to be asked for. */
static struct ruleset ruleset_of(long abi, size_t *ret_size)
{
	/* 13 at first; then REFER, TRUNCATE, IOCTL_DEV */
	unsigned int nr_rights = abi < 2 ? 13 : abi < 3 ? 14 : abi < 5 ? 15 : 16;
	struct ruleset rules = { .handled_access_fs = (UINT64_C(1) << nr_rights) - 1 };

	*ret_size = sizeof(rules.handled_access_fs);
	if (abi >= 4) {
		rules.handled_access_net = LANDLOCK_NET_ALL;
		*ret_size += sizeof(rules.handled_access_net);
	}
	if (abi >= 6) {
		rules.scoped = LANDLOCK_SCOPE_ALL;
		*ret_size += sizeof(rules.scoped);
	}
	return rules;
}

/* Directories that are open: what is in them may be named and removed. A symbolic link may
 * change its name with an output that replaces it; the filter lets none be made. */
static int allow_directories(int ruleset_fd)
{
	struct path_beneath rule = { .allowed_access = LANDLOCK_MAKE_REG | LANDLOCK_MAKE_SYM |
						       LANDLOCK_REMOVE_FILE };
	struct stat st;

	for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS_MAX; fd++) {
		if (fstat(fd, &st) || !S_ISDIR(st.st_mode))
			continue;
		rule.parent_fd = fd;
		if (syscall(NR_LANDLOCK_ADD_RULE, ruleset_fd, LANDLOCK_PATH_BENEATH, &rule, 0))
			return -errno;
	}
	return 0;
}

int sandbox_landlock_enter(void)
{
	long abi = syscall(NR_LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_VERSION);
	struct ruleset rules;
	size_t size;
	int fd, ret;

	if (abi < 0)
		return -errno;
	rules = ruleset_of(abi, &size);
	fd = (int)syscall(NR_LANDLOCK_CREATE_RULESET, &rules, size, 0);
	if (fd < 0)
		return -errno;
	ret = allow_directories(fd);
	if (!ret && syscall(NR_LANDLOCK_RESTRICT_SELF, fd, 0))
		ret = -errno;
	close(fd);
	return ret;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * faults.so - for LD_PRELOAD: makes system calls of a tool fail, on files below
 * the directories in COW_FAULT_DIRS (colons between) and on their names.
 * COW_FAULT is MODE:N, the N-th such call alone, or MODE:N+, all from there on:
 *   eio, enospc   the call fails (enospc: not a read)
 *   torn          a write fails after half of it was done
 *   short         half of a read or write is done, and that is said
 *   kill          the process ends before the call
 * Only calls that the mode can concern are counted. COW_FAULT_LOG is a file that
 * gets a line for each of all calls: CLASS NAME FILE OFFSET LENGTH, where CLASS
 * is r read, w write, z zeros and sizes, f flush, n names.
 * COW_SANDBOX=off is needed: it looks at /proc/self/fd.
 */
/* NOTE: its inline functions have the names of ours. */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

enum mode { NONE, EIO_, ENOSPC_, TORN, SHORT, KILL };

static struct {
	bool is_ready;
	enum mode mode;
	uint64_t nth, nr_calls;
	bool for_ever;
	const char *directories;
	int log;
} plan;

static void plan_read(void)
{
	static const char *const names[] = { "", "eio", "enospc", "torn", "short", "kill" };
	const char *text = getenv("COW_FAULT"), *log = getenv("COW_FAULT_LOG"), *colon;
	char *end;

	if (plan.is_ready)
		return;
	plan.is_ready = true;
	plan.directories = getenv("COW_FAULT_DIRS");
	plan.log = log ? REAL("open", int (*)(const char *, int, ...))(
				 log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)
		       : -1;
	colon = text ? strchr(text, ':') : NULL;
	if (!colon)
		return;
	for (int i = 1; i <= KILL; i++)
		if (!strncmp(text, names[i], (size_t)(colon - text)))
			plan.mode = (enum mode)i;
	plan.nth = strtoull(colon + 1, &end, 10);
	plan.for_ever = *end == '+';
}

static bool is_ours(int fd, char path[512])
{
	const char *next = plan.directories;
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, 511);
	if (len <= 0)
		return false;
	path[len] = '\0';
	while (next && *next) {
		size_t n = strcspn(next, ":");

		if (!strncmp(path, next, n) && (!path[n] || path[n] == '/'))
			return true;
		next += n + (next[n] == ':');
	}
	return false;
}

/* Counts one call; says what is to become of it. */
static enum mode judge(char class, const char *name, const char *path, uint64_t offset,
		       uint64_t len)
{
	char line[700];
	int size;

	if (plan.log >= 0) {
		size = snprintf(line, sizeof(line), "%c %s %s %llu %llu\n", class, name, path,
				(unsigned long long)offset, (unsigned long long)len);
		if (REAL("write", ssize_t(*)(int, const void *, size_t))(plan.log, line,
									 (size_t)size) != size)
			abort();
	}
	if (plan.mode == NONE || (plan.mode == ENOSPC_ && class == 'r') ||
	    (plan.mode == TORN && class != 'w') ||
	    (plan.mode == SHORT && class != 'r' && class != 'w'))
		return NONE;
	plan.nr_calls++;
	if (plan.nr_calls < plan.nth || (plan.nr_calls > plan.nth && !plan.for_ever))
		return NONE;
	if (plan.mode == KILL)
		_exit(137);
	return plan.mode;
}

static enum mode judge_fd(char class, const char *name, int fd, uint64_t offset, uint64_t len)
{
	char path[512];
	int keep = errno;
	enum mode mode;

	plan_read();
	mode = is_ours(fd, path) ? judge(class, name, path, offset, len) : NONE;
	errno = mode == EIO_ || mode == TORN ? EIO : mode == ENOSPC_ ? ENOSPC : keep;
	return mode;
}

static enum mode judge_name(const char *name, const char *path)
{
	int keep = errno;
	enum mode mode;

	plan_read();
	mode = plan.directories ? judge('n', name, path, 0, 0) : NONE;
	errno = mode == EIO_ ? EIO : mode == ENOSPC_ ? ENOSPC : keep;
	return mode;
}

/* Of a write that is torn, whole sectors are there. */
static size_t part(enum mode mode, size_t len)
{
	if (mode == TORN)
		return len / 2 / 512 * 512;
	return mode == SHORT && len > 1 ? len / 2 : len;
}

/* ------------------------------------------------------------- transfers */

#define PREAD(name)                                                                                \
	EXPORT ssize_t name(int fd, void *buf, size_t len, off_t offset)                           \
	{                                                                                          \
		enum mode mode = judge_fd('r', #name, fd, (uint64_t)offset, len);                  \
                                                                                                   \
		if (mode == EIO_)                                                                  \
			return -1;                                                                 \
		return REAL(#name, ssize_t(*)(int, void *, size_t, off_t))(                        \
			fd, buf, part(mode, len), offset);                                         \
	}

#define PWRITE(name)                                                                               \
	EXPORT ssize_t name(int fd, const void *buf, size_t len, off_t offset)                     \
	{                                                                                          \
		enum mode mode = judge_fd('w', #name, fd, (uint64_t)offset, len);                  \
		ssize_t put;                                                                       \
                                                                                                   \
		if (mode == EIO_ || mode == ENOSPC_)                                               \
			return -1;                                                                 \
		put = REAL(#name, ssize_t(*)(int, const void *, size_t, off_t))(                   \
			fd, buf, part(mode, len), offset);                                         \
		if (mode == TORN)                                                                  \
			errno = EIO;                                                               \
		return mode == TORN ? -1 : put;                                                    \
	}

#define PWRITEV(name)                                                                              \
	EXPORT ssize_t name(int fd, const struct iovec *iov, int nr, off_t offset)                 \
	{                                                                                          \
		enum mode mode = judge_fd('w', #name, fd, (uint64_t)offset, (uint64_t)nr);         \
		struct iovec first = { iov[0].iov_base, part(mode, iov[0].iov_len) };              \
		ssize_t put;                                                                       \
                                                                                                   \
		if (mode == EIO_ || mode == ENOSPC_)                                               \
			return -1;                                                                 \
		put = REAL(#name, ssize_t(*)(int, const struct iovec *, int, off_t))(              \
			fd, mode == NONE ? iov : &first, mode == NONE ? nr : 1, offset);           \
		if (mode == TORN)                                                                  \
			errno = EIO;                                                               \
		return mode == TORN ? -1 : put;                                                    \
	}

PREAD(pread)
PWRITE(pwrite)
PWRITEV(pwritev)

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	enum mode mode = judge_fd('r', "read", fd, 0, len);

	if (mode == EIO_)
		return -1;
	return REAL("read", ssize_t(*)(int, void *, size_t))(fd, buf, part(mode, len));
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	enum mode mode = judge_fd('w', "write", fd, 0, len);
	ssize_t put;

	if (mode == EIO_ || mode == ENOSPC_)
		return -1;
	put = REAL("write", ssize_t(*)(int, const void *, size_t))(fd, buf, part(mode, len));
	if (mode == TORN)
		errno = EIO;
	return mode == TORN ? -1 : put;
}

/* ----------------------------------------------------- zeros and flushes */

#define FALLOCATE(name)                                                                            \
	EXPORT int name(int fd, int mode_, off_t offset, off_t len)                                \
	{                                                                                          \
		if (judge_fd('z', #name, fd, (uint64_t)offset, (uint64_t)len))                     \
			return -1;                                                                 \
		return REAL(#name, int (*)(int, int, off_t, off_t))(fd, mode_, offset, len);       \
	}
#define FTRUNCATE(name)                                                                            \
	EXPORT int name(int fd, off_t len)                                                         \
	{                                                                                          \
		return judge_fd('z', #name, fd, 0, (uint64_t)len)                                  \
			       ? -1                                                                \
			       : REAL(#name, int (*)(int, off_t))(fd, len);                        \
	}
#define SYNC(name)                                                                                 \
	EXPORT int name(int fd)                                                                    \
	{                                                                                          \
		return judge_fd('f', #name, fd, 0, 0) ? -1 : REAL(#name, int (*)(int))(fd);        \
	}

FALLOCATE(fallocate)
FTRUNCATE(ftruncate)
SYNC(fsync)
SYNC(fdatasync)

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if ((request == FICLONERANGE || request == BLKZEROOUT || request == BLKDISCARD) &&
	    judge_fd('z', "ioctl", fd, 0, request))
		return -1;
	return REAL("ioctl", int (*)(int, unsigned long, void *))(fd, request, argument);
}

/* ----------------------------------------------------------------- names */

EXPORT int linkat(int from, const char *path, int to, const char *name, int flags)
{
	return judge_name("linkat", name)
		       ? -1
		       : REAL("linkat", int (*)(int, const char *, int, const char *, int))(
				 from, path, to, name, flags);
}

EXPORT int renameat(int from, const char *path, int to, const char *name)
{
	return judge_name("renameat", name)
		       ? -1
		       : REAL("renameat", int (*)(int, const char *, int, const char *))(from, path,
											 to, name);
}

EXPORT int renameat2(int from, const char *path, int to, const char *name, unsigned int flags)
{
	return judge_name("renameat2", name)
		       ? -1
		       : REAL("renameat2", int (*)(int, const char *, int, const char *,
						   unsigned int))(from, path, to, name, flags);
}

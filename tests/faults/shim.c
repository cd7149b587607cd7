/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * shim.c - preloaded into a tool; counts calls by class and lets one of them
 * (or it and all after it) fail, do only a part of the work, or never begin.
 *
 *   r read     w write     f flush    t ftruncate   z fallocate, and the ioctls
 *   o open, of a relative name        n linkat and renames      that do such things
 *   m memory that the program asks for, a that libarchive asks for
 *
 * r w f t z are counted on the regular files of the file system in which the
 * job runs; flushes of its directories, too.
 *
 * FAULT_PLAN=CLASSES:NTH:MODE:ERRNO   one or more letters; the NTH of all such calls
 *     once, ever   it fails; it and all that follow fail
 *     short, eintr half of a transfer is done, and that is said; it is interrupted
 *     shorts       all of them are short, from there on
 *     torn         a write fails after the sectors of its first half were written
 *     kill         the program ends before the call, with exit status 137
 * FAULT_DIRS=A:B      counted is instead what lies below these, block devices, too;
 *                     needs COW_SANDBOX=off, because it looks at /proc/self/fd
 * FAULT_REPORT=FILE   counts go there, as numbers of 64 bits, also if the
 *                     program dies; must exist, FAULT_CLASSES + 1 of them
 * FAULT_LOG=FILE      a line for each call on files and names: CLASS NAME
 * FAULT_NO_TMPFILE=1  the file system knows no files without a name
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault_class { READ, WRITE, FLUSH, MALLOC, OPEN, FTRUNCATE, RENAME, FALLOCATE, LIBARCHIVE };
#define FAULT_CLASSES 9
static const char letters[] = "rwfmotnza";

enum fault_mode { NONE, ONCE, EVER, SHORT, SHORTS, EINTR_ONCE, TORN, KILL };

static struct {
	bool is_on;
	uint64_t *counts; /* and, last, how often a fault was given */
	dev_t device;
	const char *directories; /* or NULL */
	int log;
	bool classes[FAULT_CLASSES]; /* that the plan concerns */
	enum fault_mode mode;
	uint64_t nth, nr_calls;
	int error;
	bool no_tmpfile;
	uintptr_t program[2], archive[2]; /* where their code lies */
} shim;

static int on_object(struct dl_phdr_info *info, size_t size, void *user)
{
	bool *is_first = user;
	uintptr_t *range = *is_first				   ? shim.program
			   : strstr(info->dlpi_name, "libarchive") ? shim.archive
								   : NULL;

	(void)size;
	*is_first = false;
	for (int i = 0; range && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
			continue;
		range[0] = info->dlpi_addr + header->p_vaddr;
		range[1] = range[0] + header->p_memsz;
	}
	return 0;
}

static void plan_read(const char *text)
{
	static const char *const modes[] = { "none",   "once",	"ever", "short",
					     "shorts", "eintr", "torn", "kill" };
	char classes[16], mode[8];

	if (!text || sscanf(text, "%15[a-z]:%" SCNu64 ":%7[a-z]:%d", classes, &shim.nth, mode,
			    &shim.error) != 4)
		return;
	for (size_t i = 0; i < FAULT_CLASSES; i++)
		shim.classes[i] = strchr(classes, letters[i]);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(mode, modes[i]))
			shim.mode = i;
}

static bool report_map(const char *report)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, report, O_RDWR);
	void *map;

	if (fd < 0)
		return false;
	map = mmap(NULL, (FAULT_CLASSES + 1) * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return false;
	shim.counts = map;
	return true;
}

__attribute__((constructor)) static void begin(void)
{
	static uint64_t counts[FAULT_CLASSES + 1];
	const char *report = getenv("FAULT_REPORT"), *log = getenv("FAULT_LOG");
	bool is_first = true;
	struct stat st;

	unsetenv("LD_PRELOAD");
	shim.counts = counts;
	if ((report && !report_map(report)) || stat(".", &st))
		return;
	shim.device = st.st_dev;
	shim.directories = getenv("FAULT_DIRS");
	shim.no_tmpfile = getenv("FAULT_NO_TMPFILE");
	shim.log = log ? (int)syscall(SYS_openat, AT_FDCWD, log,
				      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)
		       : -1;
	dl_iterate_phdr(on_object, &is_first);
	plan_read(getenv("FAULT_PLAN"));
	shim.is_on = true;
}

/* Counts a call; is it the one? */
static enum fault_mode strike(enum fault_class class)
{
	uint64_t n;

	if (!shim.is_on)
		return NONE;
	__atomic_add_fetch(&shim.counts[class], 1, __ATOMIC_RELAXED);
	if (shim.mode == NONE || !shim.classes[class])
		return NONE;
	n = __atomic_add_fetch(&shim.nr_calls, 1, __ATOMIC_RELAXED);
	if (n < shim.nth || (n > shim.nth && shim.mode != EVER && shim.mode != SHORTS))
		return NONE;
	__atomic_add_fetch(&shim.counts[FAULT_CLASSES], 1, __ATOMIC_RELAXED);
	if (shim.mode == KILL)
		_exit(137);
	errno = shim.mode == EINTR_ONCE ? EINTR : shim.error;
	return shim.mode;
}

static void note(enum fault_class class, const char *name)
{
	int saved = errno;

	if (shim.is_on && shim.log >= 0 && dprintf(shim.log, "%c %s\n", letters[class], name) < 0)
		abort();
	errno = saved;
}

static bool is_below(const char *path)
{
	for (const char *next = shim.directories; next && *next;) {
		size_t n = strcspn(next, ":");

		if (!strncmp(path, next, n) && (!path[n] || path[n] == '/'))
			return true;
		next += n + (next[n] == ':');
	}
	return false;
}

/* Is this one of the files that are counted? Not a directory, unless asked. */
static bool is_counted(int fd, bool or_directory)
{
	char link[32], path[PATH_MAX];
	struct stat st;
	ssize_t len;

	if (!shim.directories)
		return !fstat(fd, &st) && st.st_dev == shim.device &&
		       (S_ISREG(st.st_mode) || or_directory);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return false;
	path[len] = '\0';
	return is_below(path);
}

static void note_file(enum fault_class class, int fd)
{
	char link[32], path[PATH_MAX];
	ssize_t len;

	if (shim.log < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	note(class, path);
}

static enum fault_mode strike_file(enum fault_class class, int fd)
{
	int saved = errno;
	bool is = shim.is_on && is_counted(fd, class == FLUSH);

	if (is)
		note_file(class, fd);
	errno = saved;
	return is ? strike(class) : NONE;
}

/* The real one. Never looked up while the program runs out of memory. */
#define REAL(result, name, parameters)                                                             \
	static result(*real) parameters;                                                           \
	if (!real)                                                                                 \
		real = (result(*) parameters)dlsym(RTLD_NEXT, #name);

/* A transfer: fails, or does the first half, at least a byte; what is torn does
 * the sectors of that, and fails. */
#define TRANSFER(class, len, call_all, call_part)                                                  \
	enum fault_mode mode = strike_file(class, fd);                                             \
	size_t part = (len) > 1 ? (len) / 2 : (len);                                               \
	if (mode == NONE)                                                                          \
		return call_all;                                                                   \
	if (mode == SHORT || mode == SHORTS)                                                       \
		return call_part;                                                                  \
	part = part / 512 * 512;                                                                   \
	if (mode == TORN && part && call_part < 0)                                                 \
		abort();                                                                           \
	errno = mode == TORN ? shim.error : errno;                                                 \
	return -1

ssize_t read(int fd, void *buf, size_t len)
{
	REAL(ssize_t, read, (int, void *, size_t))
	TRANSFER(READ, len, real(fd, buf, len), real(fd, buf, part));
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
	(void)size;
	return read(fd, buf, len);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	REAL(ssize_t, pread64, (int, void *, size_t, off64_t))
	TRANSFER(READ, len, real(fd, buf, len, at), real(fd, buf, part, at));
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	return pread64(fd, buf, len, at);
}

ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t size)
{
	(void)size;
	return pread64(fd, buf, len, at);
}

ssize_t __pread_chk(int fd, void *buf, size_t len, off_t at, size_t size)
{
	(void)size;
	return pread64(fd, buf, len, at);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	REAL(ssize_t, write, (int, const void *, size_t))
	TRANSFER(WRITE, len, real(fd, buf, len), real(fd, buf, part));
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	REAL(ssize_t, pwrite64, (int, const void *, size_t, off64_t))
	TRANSFER(WRITE, len, real(fd, buf, len, at), real(fd, buf, part, at));
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return pwrite64(fd, buf, len, at);
}

ssize_t preadv64(int fd, const struct iovec *iov, int nr, off64_t at)
{
	REAL(ssize_t, preadv64, (int, const struct iovec *, int, off64_t))
	TRANSFER(READ, iov->iov_len, real(fd, iov, nr, at),
		 syscall(SYS_pread64, fd, iov->iov_base, part, at));
}

ssize_t preadv(int fd, const struct iovec *iov, int nr, off_t at)
{
	return preadv64(fd, iov, nr, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int nr, off64_t at)
{
	REAL(ssize_t, pwritev64, (int, const struct iovec *, int, off64_t))
	TRANSFER(WRITE, iov->iov_len, real(fd, iov, nr, at),
		 syscall(SYS_pwrite64, fd, iov->iov_base, part, at));
}

ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t at)
{
	return pwritev64(fd, iov, nr, at);
}

#define ON_FILE(class, name, parameters, arguments)                                                \
	int name parameters                                                                        \
	{                                                                                          \
		REAL(int, name, parameters)                                                        \
		return strike_file(class, fd) ? -1 : real arguments;                               \
	}

ON_FILE(FLUSH, fdatasync, (int fd), (fd))
ON_FILE(FTRUNCATE, ftruncate64, (int fd, off64_t size), (fd, size))
ON_FILE(FALLOCATE, fallocate64, (int fd, int mode, off64_t at, off64_t len), (fd, mode, at, len))

/* Also of the directory that a name was given in. */
ON_FILE(FLUSH, fsync, (int fd), (fd))

int ioctl(int fd, unsigned long request, ...)
{
	REAL(int, ioctl, (int, unsigned long, void *))
	void *argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if ((request == FICLONERANGE || request == BLKZEROOUT || request == BLKDISCARD) &&
	    strike_file(FALLOCATE, fd))
		return -1;
	return real(fd, request, argument);
}

int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	return fallocate64(fd, mode, at, len);
}

/* Names from "/" on are the system's; a descriptor says what it stands for. */
int openat64(int directory, const char *path, int flags, ...)
{
	REAL(int, openat64, (int, const char *, int, ...))
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	if (shim.no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (*path != '/' && strike(OPEN))
		return -1;
	return real(directory, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return openat64(directory, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return openat64(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return openat64(AT_FDCWD, path, flags, mode);
}

int __open64_2(const char *path, int flags)
{
	return openat64(AT_FDCWD, path, flags, 0);
}

int __open_2(const char *path, int flags)
{
	return openat64(AT_FDCWD, path, flags, 0);
}

int __openat64_2(int directory, const char *path, int flags)
{
	return openat64(directory, path, flags, 0);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	REAL(int, linkat, (int, const char *, int, const char *, int))
	note(RENAME, new);
	return strike(RENAME) ? -1 : real(from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
	REAL(int, renameat, (int, const char *, int, const char *))
	note(RENAME, new);
	return strike(RENAME) ? -1 : real(from, old, to, new);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags)
{
	REAL(int, renameat2, (int, const char *, int, const char *, unsigned int))
	note(RENAME, new);
	return strike(RENAME) ? -1 : real(from, old, to, new, flags);
}

/* ---------------------------------------------------------------- memory */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool lies_in(const uintptr_t range[2], const void *code)
{
	return (uintptr_t)code >= range[0] && (uintptr_t)code < range[1];
}

static bool is_refused(const void *caller)
{
	if (!shim.is_on)
		return false;
	if (lies_in(shim.program, caller) ? strike(MALLOC)
					  : lies_in(shim.archive, caller) && strike(LIBARCHIVE)) {
		errno = ENOMEM;
		return true;
	}
	return false;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
	return is_refused(CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return is_refused(CALLER) ? NULL : __libc_calloc(nr, size);
}

void *realloc(void *old, size_t size)
{
	return is_refused(CALLER) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t nr, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nr, size, &bytes) || is_refused(CALLER))
		return NULL;
	return __libc_realloc(old, bytes);
}

char *strdup(const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = is_refused(CALLER) ? NULL : __libc_malloc(len);

	return copy ? memcpy(copy, text, len) : NULL;
}

char *strndup(const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	char *copy = is_refused(CALLER) ? NULL : __libc_malloc(len + 1);

	if (copy)
		((char *)memcpy(copy, text, len))[len] = '\0';
	return copy;
}

int vasprintf(char **ret_text, const char *format, va_list args)
{
	REAL(int, vasprintf, (char **, const char *, va_list))
	return is_refused(CALLER) ? -1 : real(ret_text, format, args);
}

int __vasprintf_chk(char **ret_text, int flag, const char *format, va_list args)
{
	REAL(int, vasprintf, (char **, const char *, va_list))
	(void)flag;
	return is_refused(CALLER) ? -1 : real(ret_text, format, args);
}

int __asprintf_chk(char **ret_text, int flag, const char *format, ...)
{
	REAL(int, vasprintf, (char **, const char *, va_list))
	va_list args;
	int len;

	(void)flag;
	if (is_refused(CALLER))
		return -1;
	va_start(args, format);
	len = real(ret_text, format, args);
	va_end(args);
	return len;
}

FILE *open_memstream(char **ret_text, size_t *ret_len)
{
	REAL(FILE *, open_memstream, (char **, size_t *))
	return is_refused(CALLER) ? NULL : real(ret_text, ret_len);
}

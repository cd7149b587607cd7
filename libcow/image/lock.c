/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lock.c - two locks, because programs look at one of two: flock(2) and open
 * file description locks of fcntl(2). Both go away with the descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>

#include "libcow/base/err.h"
#include "libcow/image/file.h"

#define DEVICE_TRIES 20
#define DEVICE_WAIT_NS 50000000L

/* qemu's writers hold a read lock on this byte (block/file-posix.c: base 100
 * plus bit 1, BLK_PERM_WRITE); against a reader's lock that is no conflict, so
 * a reader has to ask. */
#define QEMU_WRITER_BYTE 101

static bool is_busy(int error)
{
	return error == EWOULDBLOCK || error == EACCES || error == EAGAIN;
}

static int try_ofd_lock(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
	int error = fcntl(fd, F_OFD_SETLK, &lock) ? errno : 0;

	if (error != EBADF)
		return error;
	/* A writer's lock on what is open for reading: would another be in its way? */
	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK ? EAGAIN : 0;
}

/* Somebody who locks whole files, as we do, is no qemu. */
static bool has_qemu_writer(int fd)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = QEMU_WRITER_BYTE,
		.l_len = 1,
	};

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK && lock.l_len;
}

/* 0 or the errno; nothing is locked after a failure. */
static int try_lock(int fd, bool for_write)
{
	int error = 0;

	if (flock(fd, (for_write ? LOCK_EX : LOCK_SH) | LOCK_NB))
		error = errno;
	if (!error || !is_busy(error))
		error = try_ofd_lock(fd, for_write ? F_WRLCK : F_RDLCK);
	if (!error && !for_write && has_qemu_writer(fd))
		error = EAGAIN;
	if (is_busy(error))
		cow_file_unlock(fd);
	return error;
}

static bool is_on_read_only_fs(int fd)
{
	struct statvfs vfs;

	return !fstatvfs(fd, &vfs) && (vfs.f_flag & ST_RDONLY);
}

int cow_file_lock(int fd, bool for_write, struct cow_err *err)
{
	const struct timespec wait = { .tv_nsec = DEVICE_WAIT_NS };
	struct stat st;
	unsigned int tries = !fstat(fd, &st) && S_ISBLK(st.st_mode) ? DEVICE_TRIES : 1;
	int error;

	if (!for_write && tries == 1 && is_on_read_only_fs(fd))
		return 0;
	while (is_busy(error = try_lock(fd, for_write)) && --tries)
		nanosleep(&wait, NULL);
	/* Any other answer: this file system has no locks, for nobody. */
	if (!is_busy(error))
		return 0;
	return cow_refuse(err, -EBUSY, "locked", for_write ? NULL : "busy",
			  "another program has locked it%s", for_write ? "" : " for writing");
}

void cow_file_unlock(int fd)
{
	flock(fd, LOCK_UN);
	try_ofd_lock(fd, F_UNLCK);
}

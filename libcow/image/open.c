/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * open.c - opening a file or a device without surprises: looked at first, so
 * that no FIFO hangs, no tape rewinds and no watchdog starts; opened
 * O_NONBLOCK in case it was changed in between, and looked at again. A device
 * that is written to must be opened with O_EXCL, so one that took the place of a
 * file in between is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libcow/base/err.h"
#include "libcow/image/file.h"

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO (a named pipe)";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	default:
		return "no file";
	}
}

static int check_kind(const struct stat *st, struct cow_err *err)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return cow_refuse(err, -EPERM, "not-an-image", NULL,
			  "it is %s; an image is a regular file or a block device",
			  kind_of(st->st_mode));
}

static int open_error(const struct stat *st, bool for_write, int error, struct cow_err *err)
{
	const char *unchecked;

	if (for_write && error == EROFS)
		return cow_fail(err, -EROFS,
				"cannot be opened for writing: the file system is read-only");
	/* O_EXCL does not say why. */
	if (error == EBUSY && cow_inuse_check(st, -1, for_write, &unchecked, err))
		return -EBUSY;
	if (error == EBUSY)
		return cow_refuse(err, -EBUSY, "held", NULL,
				  "the device is in use: it, or a part of it, is mounted or held "
				  "by another device or program");
	return cow_fail(err, -error, "cannot be opened%s: %s", for_write ? " for writing" : "",
			strerrordesc_np(error));
}

int cow_file_stat(const char *path, struct stat *ret_st, struct cow_err *err)
{
	if (stat(path, ret_st))
		return cow_fail(err, -errno, "cannot be opened: %s", strerrordesc_np(errno));
	return check_kind(ret_st, err);
}

/* A device that is set to read-only opens for writing all the same. */
static int check_writable(int fd, const struct stat *st, struct cow_err *err)
{
	int is_read_only = 0;

	if (S_ISBLK(st->st_mode) && !ioctl(fd, BLKROGET, &is_read_only) && is_read_only)
		return cow_fail(err, -EROFS,
				"cannot be opened for writing: the device is read-only");
	return 0;
}

int cow_file_open(const char *path, bool for_write, int *ret_fd, struct stat *ret_st,
		  struct cow_err *err)
{
	int flags = (for_write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	AUTO_CLOSE int fd = -1;
	int ret = cow_file_stat(path, ret_st, err);

	if (ret)
		return ret;
	if (for_write && S_ISBLK(ret_st->st_mode))
		flags |= O_EXCL;
	do
		fd = open(path, flags);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return open_error(ret_st, for_write, errno, err);
	if (fstat(fd, ret_st))
		return cow_fail(err, -EIO, "fstat: %s", strerrordesc_np(errno));
	ret = check_kind(ret_st, err);
	if (!ret && for_write && S_ISBLK(ret_st->st_mode) && !(flags & O_EXCL))
		ret = cow_refuse(err, -EBUSY, "changed", NULL,
				 "it was a file when it was looked at, and a block device when it "
				 "was opened: somebody else exchanges it");
	if (!ret && for_write)
		ret = check_writable(fd, ret_st, err);
	if (ret)
		return ret;
	*ret_fd = take_fd(&fd);
	return 0;
}

int cow_file_settle(int fd, bool is_block_device, struct cow_err *err)
{
	int ret;

	do
		ret = fdatasync(fd);
	while (ret && errno == EINTR);
	if (ret)
		return cow_fail(err, -EIO,
				"data that other programs wrote to it cannot be flushed: %s; what "
				"is read could differ from what is on the disk",
				strerrordesc_np(errno));
	/* BLKFLSBUF is for root; the other drops what nobody uses. */
	if (is_block_device && ioctl(fd, BLKFLSBUF, 0))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * handle.c - opens and locks a file once for all images on it, and refuses
 * what somebody else uses.
 */
#include "libcow/image/handle.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"

void cow_handle_self(const struct stat *st, struct cow_ground *ret_self)
{
	bool is_block = S_ISBLK(st->st_mode);

	*ret_self = (struct cow_ground){
		.is_block_device = is_block,
		.device = is_block ? st->st_rdev : st->st_dev,
		.inode = is_block ? 0 : st->st_ino,
	};
}

void cow_handle_close(struct cow_handle *handle)
{
	cow_image_close(handle->image);
	free(handle->path);
	free(handle);
}

static int handle_new(const char *path, int fd, bool for_write, const struct stat *st,
		      struct cow_handle **ret_handle, struct cow_err *err)
{
	struct cow_handle *handle = (struct cow_handle *)calloc(1, sizeof(*handle));
	int ret;

	if (handle)
		handle->path = strdup(path);
	if (!handle || !handle->path) {
		free(handle);
		close(fd);
		return cow_fail(err, -ENOMEM, "no memory for a file");
	}
	handle->fd = fd;
	cow_handle_self(st, &handle->self);
	cow_ground_find(st, fd, &handle->ground);
	ret = cow_image_file_new(fd, path, for_write, &handle->image, err);
	if (ret) {
		cow_handle_close(handle);
		return ret;
	}
	*ret_handle = handle;
	return 0;
}

int cow_handle_open(const char *path, bool for_write, struct cow_handle **ret_handle,
		    struct cow_err *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int ret = cow_file_open(path, for_write, &fd, &st, err);

	if (ret)
		return ret;
	return handle_new(path, take_fd(&fd), for_write, &st, ret_handle, err);
}

static int handle_stat(int fd, struct stat *ret_st, struct cow_err *err)
{
	if (fstat(fd, ret_st))
		return cow_fail(err, -EIO, "fstat failed: %s", strerrordesc_np(errno));
	return 0;
}

/* Its size was read before it was locked. */
static int check_size(const struct cow_handle *handle, const struct stat *st, struct cow_err *err)
{
	if (S_ISBLK(st->st_mode) ||
	    floor_to((uint64_t)st->st_size, COW_SECTOR_BYTES) == handle->image->size_bytes)
		return 0;
	return cow_refuse(err, -EBUSY, "locked", NULL,
			  "another program has changed its size just now; start again");
}

static int secure_first(struct cow_handle *handle, uint32_t flags, struct cow_err *err)
{
	bool for_write = flags & (COW_OPEN_WRITE | COW_OPEN_REHEARSE);
	bool is_forced = !for_write && flags & COW_OPEN_BUSY;
	struct stat st;
	int ret = handle_stat(handle->fd, &st, err);

	if (!ret)
		ret = cow_dm_check(&st, err);
	if (!ret && !is_forced)
		ret = cow_inuse_check(&st, handle->fd, for_write, &handle->image->unchecked, err);
	if (ret)
		return ret;
	ret = cow_file_lock(handle->fd, for_write, is_forced ? NULL : err);
	if (is_forced)
		return 0;
	if (!ret)
		ret = handle_stat(handle->fd, &st, err);
	if (!ret)
		ret = check_size(handle, &st, err);
	if (!ret && flags & COW_OPEN_WRITE)
		ret = cow_file_settle(handle->fd, S_ISBLK(st.st_mode), err);
	if (ret)
		cow_file_unlock(handle->fd);
	return ret;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* With the new descriptor locked: is all as we left it? */
static int check_unchanged(const struct stat *before, int fd, struct cow_err *err)
{
	struct stat after;
	int ret = handle_stat(fd, &after, err);

	if (ret)
		return ret;
	if (!is_same_time(&before->st_ctim, &after.st_ctim))
		return cow_refuse(err, -EBUSY, "locked", NULL,
				  "another program has changed it just now; start again");
	return cow_file_settle(fd, S_ISBLK(after.st_mode), err);
}

static int reopen_for_write(const struct cow_handle *handle, int *ret_fd, struct cow_err *err)
{
	struct cow_ground self;
	struct stat st;
	AUTO_CLOSE int fd = -1;
	int ret = cow_file_open(handle->path, true, &fd, &st, err);

	if (ret)
		return ret;
	cow_handle_self(&st, &self);
	if (!cow_ground_is_same(&self, &handle->self))
		return cow_refuse(err, -EBUSY, "locked", NULL,
				  "another file has taken the place of \"%s\"", handle->path);
	ret = cow_inuse_check(&st, fd, true, &handle->image->unchecked, err);
	if (!ret)
		*ret_fd = take_fd(&fd);
	return ret;
}

static int secure_again(struct cow_handle *handle, struct cow_err *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat before;
	int ret = reopen_for_write(handle, &fd, err);

	if (!ret)
		ret = handle_stat(handle->fd, &before, err);
	if (ret)
		return ret;
	cow_file_unlock(handle->fd);
	ret = cow_file_lock(fd, true, err);
	if (!ret)
		ret = check_unchanged(&before, fd, err);
	if (!ret)
		return cow_image_file_upgrade(handle->image, take_fd(&fd), err);
	cow_file_unlock(fd);
	if (cow_file_lock(handle->fd, false, NULL))
		cow_err_prefix(err, "the lock for reading is lost, too");
	return ret;
}

int cow_handle_secure(struct cow_handle *handle, uint32_t flags, struct cow_err *err)
{
	int ret = 0;

	if (!handle->is_secured)
		ret = secure_first(handle, flags, err);
	else if (flags & COW_OPEN_WRITE && !handle->image->is_writable)
		ret = secure_again(handle, err);
	if (!ret)
		handle->is_secured = true;
	return ret;
}

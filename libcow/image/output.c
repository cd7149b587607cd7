/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * output.c - a new image that appears complete under its name or not at all.
 * A file has no name while it is written (O_TMPFILE), or, where the file
 * system cannot, the name .NAME.XXXXXX next to it; flush, name, flush of the
 * directory. Everything happens relative to the directory as it was opened.
 *
 * A symbolic link at the end of path: to a block device it is followed (that
 * is what /dev/mapper and /dev/disk consist of); else it is an existing file,
 * and COW_OUTPUT_OVERWRITE replaces the link itself, never what it points to.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/file.h"
#include "libcow/image/fill.h"
#include "libcow/image/imageset.h"

#define NAME_TRIES 100
#define TEMP_NAME_BYTES 256
/* What is left of NAME in .NAME.XXXXXX. */
#define TEMP_STEM_BYTES 240

struct cow_output {
	struct cow_image *image;
	struct cow_image *device; /* under image; NULL: a file */
	char *path;
	const char *name; /* the last part of path */
	int directory;	  /* -1: a device */
	int fd;		  /* of the file, besides the image's own */
	uint32_t flags;
	bool is_published;
	bool replaces; /* there was a file or a link of that name; which one: */
	struct stat replaced;
	char temp_name[TEMP_NAME_BYTES]; /* "": the file has no name */
};

static int system_error(const char *what, struct cow_err *err)
{
	int error = errno, code = -error;

	if (error == EDQUOT)
		code = -ENOSPC;
	return cow_fail(err, code, "%s: %s", what, strerrordesc_np(error));
}

static void temp_name_make(struct cow_output *output)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
	uint8_t random[6] = { 0 };
	int len = (int)strnlen(output->name, TEMP_STEM_BYTES);
	char *end;

	/* A guess that is taken costs another try, no more. */
	if (getrandom(random, sizeof(random), 0) < 0)
		random[0] = (uint8_t)getpid();
	end = output->temp_name +
	      snprintf(output->temp_name, sizeof(output->temp_name), ".%.*s.", len, output->name);
	for (size_t i = 0; i < sizeof(random); i++)
		*end++ = letters[random[i] % 32];
	*end = '\0';
}

static int refuse_existing(bool is_link, struct cow_err *err)
{
	return cow_refuse(err, -EEXIST, "exists", "overwrite", "%s",
			  is_link ? "a symbolic link of that name exists already"
				  : "a file of that name exists already");
}

/* What stands there already? *ret_is_device: it is to be written itself. */
static int check_target(struct cow_imageset *set, struct cow_output *output, bool *ret_is_device,
			struct cow_err *err)
{
	bool may_replace = output->flags & COW_OUTPUT_OVERWRITE, is_link;
	const char *path = output->path;
	struct stat st;
	int ret;

	*ret_is_device = false;
	if (lstat(path, &output->replaced))
		return errno == ENOENT ? 0 : system_error("cannot be made", err);
	output->replaces = true;
	is_link = S_ISLNK(output->replaced.st_mode);
	if (stat(path, &st))
		return may_replace ? 0 : refuse_existing(is_link, err);
	*ret_is_device = S_ISBLK(st.st_mode);
	if (*ret_is_device)
		return 0;
	ret = cow_file_stat(path, &st, err);
	if (!ret)
		ret = cow_imageset_refuse_file(set, &st, err);
	if (!ret && !may_replace)
		ret = refuse_existing(is_link, err);
	return ret;
}

static int refuse_small(uint64_t size_bytes, struct cow_err *err)
{
	return cow_fail(err, -ENOSPC,
			"the device is smaller than the %" PRIu64 " bytes it is to hold",
			size_bytes);
}

static int device_open(struct cow_imageset *set, struct cow_output *output, uint64_t size_bytes,
		       struct cow_err *err)
{
	struct cow_segment range = { 0, size_bytes };
	bool is_rehearsal = output->flags & COW_OUTPUT_REHEARSE;
	int ret = cow_imageset_open_range(set, output->path, &range,
					  is_rehearsal ? COW_OPEN_REHEARSE : COW_OPEN_WRITE,
					  &output->device, err);

	if (ret == -ERANGE)
		return refuse_small(size_bytes, err);
	if (ret)
		return ret;
	return is_rehearsal ? cow_image_overlay_new(output->device, &output->image, err)
			    : cow_image_fill_new(output->device, &output->image, err);
}

static int directory_open(struct cow_output *output, struct cow_err *err)
{
	char *slash = strrchr(output->path, '/');
	AUTO_FREE char *directory =
		slash ? strndup(output->path, (size_t)(slash - output->path)) : strdup(".");

	if (!directory)
		return cow_fail(err, -ENOMEM, "no memory for the name of a directory");
	output->name = slash ? slash + 1 : output->path;
	if (!*output->name || !strcmp(output->name, ".") || !strcmp(output->name, ".."))
		return cow_fail(err, -EINVAL, "it does not end with the name of a file");
	output->directory = open(slash && slash == output->path ? "/" : directory,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (output->directory < 0)
		return system_error("its directory cannot be opened", err);
	return 0;
}

/* The name of an open descriptor, for linkat(2). */
static bool has_fd_path(int fd, char *ret_path, size_t size)
{
	struct stat st;

	snprintf(ret_path, size, "/proc/self/fd/%d", fd);
	return !lstat(ret_path, &st);
}

static int temp_open(struct cow_output *output, struct cow_err *err)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY;
	char path[32];

	if (output->flags & COW_OUTPUT_REHEARSE) {
		output->fd = memfd_create("rehearsal", MFD_CLOEXEC);
		return output->fd < 0 ? system_error("cannot be made", err) : 0;
	}
	output->fd = openat(output->directory, ".", O_TMPFILE | flags, 0666);
	if (output->fd >= 0 && has_fd_path(output->fd, path, sizeof(path)))
		return 0;
	if (output->fd >= 0)
		close(output->fd);
	for (int i = 0; i < NAME_TRIES; i++) {
		temp_name_make(output);
		output->fd = openat(output->directory, output->temp_name,
				    O_CREAT | O_EXCL | O_NOFOLLOW | flags, 0666);
		if (output->fd >= 0 || errno != EEXIST)
			break;
	}
	if (output->fd >= 0)
		return 0;
	output->temp_name[0] = '\0';
	return system_error("cannot be made", err);
}

static int file_open(struct cow_imageset *set, struct cow_output *output, uint64_t size_bytes,
		     struct cow_err *err)
{
	int ret = directory_open(output, err), fd;

	if (!ret)
		ret = temp_open(output, err);
	if (ret)
		return ret;
	if (ftruncate(output->fd, (off_t)size_bytes))
		return system_error("cannot be made as large as it is to be", err);
	fd = fcntl(output->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return system_error("cannot be made", err);
	/* Once it has a name others can open it. */
	ret = cow_file_lock(fd, true, err);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = cow_image_file_new(fd, output->path, true, &output->image, err);
	if (!ret && !(output->flags & COW_OUTPUT_REHEARSE))
		output->image->rate = cow_imageset_rate(set);
	return ret;
}

static int output_open(struct cow_imageset *set, struct cow_output *output, uint64_t size_bytes,
		       struct cow_err *err)
{
	bool is_device;
	int ret;

	if (size_bytes % COW_SECTOR_BYTES || size_bytes > COW_IMAGE_BYTES_MAX)
		return cow_fail(err, -EINVAL,
				"an image of %" PRIu64
				" bytes cannot be made: not a multiple of 512, or out of range",
				size_bytes);
	ret = check_target(set, output, &is_device, err);
	if (ret)
		return ret;
	if (is_device && !size_bytes)
		return cow_refuse(err, -EPERM, "block-device", NULL,
				  "it is a block device, which takes an image, not a stream of "
				  "unknown length; pipe that to it");
	if (is_device)
		return device_open(set, output, size_bytes, err);
	return file_open(set, output, size_bytes, err);
}

int cow_output_open(struct cow_imageset *set, const char *path, uint64_t size_bytes, uint32_t flags,
		    struct cow_output **ret_output, struct cow_err *err)
{
	struct cow_output *output;
	int ret;

	if (flags & ~(COW_OUTPUT_OVERWRITE | COW_OUTPUT_REHEARSE))
		return cow_fail(err, -EINVAL, "unknown flags 0x%" PRIx32, flags);
	output = (struct cow_output *)calloc(1, sizeof(*output));
	if (!output)
		return cow_fail(err, -ENOMEM, "no memory for an output");
	output->directory = output->fd = -1;
	output->flags = flags;
	output->path = strdup(path);
	if (output->path)
		ret = output_open(set, output, size_bytes, err);
	else
		ret = cow_fail(err, -ENOMEM, "no memory for the name of an output");
	if (ret) {
		cow_err_place(err, path, COW_OFFSET_NONE);
		cow_output_close(output);
		return ret;
	}
	*ret_output = output;
	return 0;
}

/* What is over the device has the size that the device has then. */
static int device_grow(struct cow_output *output, uint64_t size_bytes, struct cow_err *err)
{
	bool is_rehearsal = output->flags & COW_OUTPUT_REHEARSE;
	int ret = cow_imageset_widen(output->device, size_bytes, err);

	if (ret)
		return ret == -ERANGE ? refuse_small(size_bytes, err) : ret;
	if (is_rehearsal)
		return cow_image_grow(output->image, size_bytes, err);
	output->image->size_bytes = size_bytes;
	return 0;
}

int cow_output_grow(struct cow_output *output, uint64_t size_bytes, struct cow_err *err)
{
	int ret;

	if (size_bytes < output->image->size_bytes || size_bytes % COW_SECTOR_BYTES ||
	    size_bytes > COW_IMAGE_BYTES_MAX)
		return cow_fail(err, -EINVAL,
				"an output of %" PRIu64 " bytes cannot be enlarged to %" PRIu64,
				output->image->size_bytes, size_bytes);
	ret = output->device ? device_grow(output, size_bytes, err)
			     : cow_image_grow(output->image, size_bytes, err);
	if (ret)
		cow_err_place(err, output->path, COW_OFFSET_NONE);
	return ret;
}

struct cow_image *cow_output_image(struct cow_output *output)
{
	return output->image;
}

int cow_output_fd(const struct cow_output *output)
{
	return output->fd;
}

/* From no name to name; fails where that exists. */
static int link_fd(const struct cow_output *output, const char *name)
{
	char path[32];

	has_fd_path(output->fd, path, sizeof(path));
	return linkat(AT_FDCWD, path, output->directory, name, AT_SYMLINK_FOLLOW);
}

/* To replace a file, its successor needs a name to be renamed from. */
static int link_temp(struct cow_output *output)
{
	int ret = -1;

	for (int i = 0; i < NAME_TRIES && ret; i++) {
		temp_name_make(output);
		ret = link_fd(output, output->temp_name);
		if (ret && errno != EEXIST)
			break;
	}
	if (ret)
		output->temp_name[0] = '\0';
	return ret;
}

/* renameat2(2) that replaces nothing; some file systems only have link. */
static int rename_new(const struct cow_output *output)
{
	int dir = output->directory;

	if (!renameat2(dir, output->temp_name, dir, output->name, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(dir, output->temp_name, dir, output->name, 0))
		return -1;
	return unlinkat(dir, output->temp_name, 0);
}

/* What was not made durable is not there: the same command may be repeated. */
static int refuse_flush(struct cow_output *output, struct cow_err *err)
{
	const char *error = strerrordesc_np(errno);

	cow_output_withdraw(output);
	return cow_fail(err, -EIO, "its name could not be made durable: %s%s", error,
			output->is_published ? "" : "; it was removed again");
}

static bool is_replaced_one(const struct cow_output *output, const char *name)
{
	struct stat st;

	return !fstatat(output->directory, name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == output->replaced.st_dev && st.st_ino == output->replaced.st_ino;
}

/*
 * The output takes the place of what was there when it was opened, and of nothing else: the
 * two exchange their names, and only then is looked at what has come out. Some file systems
 * cannot do that: there the look comes first.
 */
static int rename_over(struct cow_output *output)
{
	const char *temp = output->temp_name, *name = output->name;
	int dir = output->directory;

	if (!renameat2(dir, temp, dir, name, RENAME_EXCHANGE)) {
		if (is_replaced_one(output, temp))
			return unlinkat(dir, temp, 0);
		/* What came out is not ours to remove. */
		if (renameat2(dir, temp, dir, name, RENAME_EXCHANGE))
			output->temp_name[0] = '\0';
		errno = EEXIST;
		return -1;
	}
	/* Somebody has removed it. */
	if (errno == ENOENT)
		return rename_new(output);
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (is_replaced_one(output, name))
		return renameat(dir, temp, dir, name);
	errno = EEXIST;
	return -1;
}

static int output_name(struct cow_output *output, struct cow_err *err)
{
	int dir = output->directory, ret;

	if (!output->replaces && !output->temp_name[0])
		ret = link_fd(output, output->name);
	else if (!output->replaces)
		ret = rename_new(output);
	else if (!output->temp_name[0] && link_temp(output))
		ret = -1;
	else
		ret = rename_over(output);
	if (ret && errno == EEXIST && output->replaces)
		return cow_refuse(err, -EEXIST, "exists", NULL,
				  "another file has taken its place meanwhile");
	if (ret && errno == EEXIST)
		return refuse_existing(false, err);
	if (ret)
		return system_error("cannot be given its name", err);
	output->temp_name[0] = '\0';
	output->is_published = true;
	return !fsync(output->fd) && !fsync(dir) ? 0 : refuse_flush(output, err);
}

int cow_output_publish(struct cow_output *output, struct cow_err *err)
{
	int ret = 0;

	if (output->is_published)
		return cow_fail(err, -EINVAL, "the output was published already");
	if (output->flags & COW_OUTPUT_REHEARSE)
		return 0;
	if (output->directory < 0)
		ret = cow_image_fill_finish(output->image, err);
	if (!ret)
		ret = cow_image_flush(output->image, err);
	if (!ret && output->directory < 0)
		output->is_published = true;
	else if (!ret)
		ret = output_name(output, err);
	if (ret)
		cow_err_place(err, output->path, COW_OFFSET_NONE);
	return ret;
}

void cow_output_withdraw(struct cow_output *output)
{
	struct stat named, made;

	if (!output->is_published || output->directory < 0 || output->flags & COW_OUTPUT_OVERWRITE)
		return;
	if (fstatat(output->directory, output->name, &named, AT_SYMLINK_NOFOLLOW) ||
	    fstat(output->fd, &made) || named.st_dev != made.st_dev || named.st_ino != made.st_ino)
		return;
	output->is_published = unlinkat(output->directory, output->name, 0);
}

void cow_output_close(struct cow_output *output)
{
	if (!output)
		return;
	cow_image_close(output->image);
	/* The image of a device that is written closes what is under it. */
	if (output->flags & COW_OUTPUT_REHEARSE)
		cow_image_close(output->device);
	if (output->temp_name[0])
		unlinkat(output->directory, output->temp_name, 0);
	if (output->fd >= 0)
		close(output->fd);
	if (output->directory >= 0)
		close(output->directory);
	free(output->path);
	free(output);
}

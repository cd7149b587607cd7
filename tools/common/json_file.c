/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * json_file.c - opens the target of --json early and writes it whole at the
 * end.
 */
#include "tools/common/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/common/outputs.h"

/* How each report begins. */
#define BEGINNING "{\n  \"schema\":\"libcow.run/"

static struct json_file {
	const char *path;
	int fd;
	struct cow_imageset *set; /* NULL: stdout or a special file */
	struct cow_output *output;
	bool is_special;
	/* What the name was at the start: a file or a link, which the report replaces. */
	bool replaces;
	struct stat replaced;
	struct stat target; /* behind it */
} file;

/* Is it empty, or a report of an earlier run? */
static bool may_replace(const char *path)
{
	char bytes[sizeof(BEGINNING)];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool is_it = fd >= 0 && !fstat(fd, &st) && st.st_dev == file.target.st_dev &&
		     st.st_ino == file.target.st_ino;
	ssize_t len = is_it ? read(fd, bytes, sizeof(BEGINNING) - 1) : -1;

	if (fd >= 0)
		close(fd);
	return !len || (len == sizeof(BEGINNING) - 1 && !memcmp(bytes, BEGINNING, (size_t)len));
}

/* What exists there already? Later checks compare with this one look. */
static int look(const char *path)
{
	if (lstat(path, &file.replaced))
		return errno == ENOENT ? 0 : -errno;
	file.replaces = true;
	/* A symbolic link to nothing is replaced. */
	if (stat(path, &file.target))
		return errno == ENOENT || errno == ELOOP ? 0 : -errno;
	file.is_special = S_ISCHR(file.target.st_mode) || S_ISFIFO(file.target.st_mode);
	if (file.is_special)
		return 0;
	if (S_ISDIR(file.target.st_mode))
		return -EISDIR;
	return S_ISREG(file.target.st_mode) && may_replace(path) ? 0 : -EEXIST;
}

/* The output replaces the file that it found when it was opened: is that the file that was
 * looked at? */
static bool is_unchanged(const char *path)
{
	struct stat st;

	return !file.replaces || (!lstat(path, &st) && st.st_dev == file.replaced.st_dev &&
				  st.st_ino == file.replaced.st_ino);
}

static int open_output(const char *path)
{
	uint32_t flags = file.replaces ? COW_OUTPUT_OVERWRITE : 0;
	int ret = cow_imageset_new(&file.set, NULL);

	if (!ret)
		ret = outputs_open_report(file.set, path, flags, &file.output, NULL);
	if (!ret && !is_unchanged(path)) {
		outputs_close(file.output);
		ret = -EEXIST;
	}
	if (!ret)
		file.fd = cow_output_fd(file.output);
	else
		cow_imageset_free(file.set);
	return ret;
}

/* Opens the file that look() has seen; fails if another one has taken its place. */
static int open_special(const char *path)
{
	struct stat st;

	file.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (file.fd < 0)
		return -errno;
	if (!fstat(file.fd, &st) && st.st_dev == file.target.st_dev &&
	    st.st_ino == file.target.st_ino && st.st_mode == file.target.st_mode)
		return 0;
	close(file.fd);
	return -EEXIST;
}

int json_file_open(const char *target)
{
	int ret;

	file = (struct json_file){ .path = target, .fd = STDOUT_FILENO };
	if (!strcmp(target, "-"))
		file.path = "stdout";
	if (!strcmp(target, "-"))
		return 0;
	ret = look(target);
	if (ret)
		return ret;
	if (!file.is_special)
		return open_output(target);
	return open_special(target);
}

static int write_all(const char *text, size_t len, struct cow_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t done = write(file.fd, text + at, len - at);
		int code = errno;

		if (done < 0 && code == EINTR)
			continue;
		if (done < 0)
			return cli_refuse(err, -code, code == ENOSPC ? "no-space" : "io", NULL,
					  "%s: cannot write at byte %zu: %s", file.path, at,
					  strerror(code));
		at += (size_t)done;
	}
	return 0;
}

static int publish(struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_output_publish(file.output, &why);

	if (ret)
		return cli_refuse(err, ret, why.id, NULL, "%s: %s", file.path, why.message);
	return 0;
}

int json_file_write(const char *text, size_t len_bytes, struct cow_err *err)
{
	int ret = text ? write_all(text, len_bytes, err)
		       : cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the report");

	if (!ret && file.output)
		ret = publish(err);
	if (file.is_special && close(file.fd) && !ret)
		ret = cli_refuse(err, -errno, "io", NULL, "%s: %s", file.path, strerror(errno));
	outputs_close(file.output);
	cow_imageset_free(file.set);
	file = (struct json_file){ .fd = -1 };
	return ret;
}

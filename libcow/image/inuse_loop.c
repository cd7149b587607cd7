/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * inuse_loop.c - does a loop device stand on a file? Loop devices that are in
 * use are listed in /sys/block and in /proc/partitions. What one stands on is
 * told by the device itself (device and inode numbers, source: linux/loop.h,
 * struct loop_info64), if its node can be opened, else by the path that it was
 * set up with. That path is the one of another mount namespace, perhaps: it is
 * compared with the path of the file inside its file system, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "libcow/base/cleanup.h"
#include "libcow/image/file.h"

#define LOOP_MAJOR 7
#define LOOPS_MAX 4096
#define PATH_BYTES 4096

struct loop_query {
	const struct stat *wanted;
	bool is_anonymous;	  /* its st_dev is not the one that the kernel compares */
	char fs_path[PATH_BYTES]; /* inside its file system; "": not known */
	bool is_used[LOOPS_MAX];
	bool has_list; /* of the loop devices that are in use */
};

enum answer { NO, YES, NOBODY_KNOWS };

/* --------------------------------------------------- which ones are in use */

/* "   7        3       8192 loop3" */
static bool partition_note(char *line, void *user)
{
	struct loop_query *query = user;
	unsigned int dev_major, dev_minor;

	query->has_list = true;
	if (sscanf(line, "%u %u", &dev_major, &dev_minor) == 2 && dev_major == LOOP_MAJOR &&
	    dev_minor < LOOPS_MAX)
		query->is_used[dev_minor] = true;
	return false;
}

static void loops_list(struct loop_query *query)
{
	unsigned int number;
	glob_t found;

	cow_inuse_any_line("/proc/partitions", partition_note, query);
	if (!access("/sys/block", F_OK) && !access("/sys/dev/block", F_OK))
		query->has_list = true;
	if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (sscanf(found.gl_pathv[i], "/sys/block/loop%u/", &number) == 1 &&
		    number < LOOPS_MAX)
			query->is_used[number] = true;
	globfree(&found);
}

/* ------------------------------------------------------ where the file lies */

struct mount_line {
	int id;
	const char *path; /* of the file, as this process sees it */
	char *fs_path;
};

/* "id parent 98:0 /root /point ...": root is what of the file system is shown. */
static bool mount_translate(char *line, void *user)
{
	struct mount_line *mount = user;
	char root[1024], point[1024];
	size_t len;
	int id;

	if (sscanf(line, "%d %*d %*s %1023s %1023s", &id, root, point) != 3 || id != mount->id)
		return false;
	cow_inuse_unescape(root);
	cow_inuse_unescape(point);
	len = strcmp(point, "/") ? strlen(point) : 0;
	if (!strncmp(mount->path, point, len))
		snprintf(mount->fs_path, PATH_BYTES, "%s%s", strcmp(root, "/") ? root : "",
			 mount->path + len);
	return true;
}

static bool mount_id_read(char *line, void *user)
{
	return sscanf(line, "mnt_id: %d", (int *)user) == 1;
}

static void file_locate(struct loop_query *query, int fd)
{
	char link[64], path[PATH_BYTES];
	struct mount_line mount = { .id = -1, .path = path, .fs_path = query->fs_path };
	struct statfs fs;
	ssize_t len;

	if (fd < 0)
		return;
	query->is_anonymous = !fstatfs(fd, &fs) && ((uint32_t)fs.f_type == BTRFS_SUPER_MAGIC ||
						    (uint32_t)fs.f_type == OVERLAYFS_SUPER_MAGIC);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0)
		return;
	path[len] = '\0';
	snprintf(link, sizeof(link), "/proc/self/fdinfo/%d", fd);
	if (cow_inuse_any_line(link, mount_id_read, &mount.id))
		cow_inuse_any_line("/proc/self/mountinfo", mount_translate, &mount);
}

/* ------------------------------------------------------------- one of them */

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_backing_file(const struct loop_query *query, const char *path)
{
	const struct stat *wanted = query->wanted;
	struct stat st;

	if (query->fs_path[0] && !strcmp(query->fs_path, path))
		return true;
	if (stat(path, &st))
		return false;
	if (S_ISBLK(wanted->st_mode))
		return S_ISBLK(st.st_mode) && st.st_rdev == wanted->st_rdev;
	return st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
}

/* What the kernel says of it in /sys; "": nothing. */
static void backing_path(unsigned int number, char ret_path[PATH_BYTES])
{
	char name[64];
	FILE *file;

	ret_path[0] = '\0';
	snprintf(name, sizeof(name), "/sys/block/loop%u/loop/backing_file", number);
	file = fopen(name, "re");
	if (!file)
		return;
	if (!fgets(ret_path, PATH_BYTES, file))
		ret_path[0] = '\0';
	(void)fclose(file);
	ret_path[strcspn(ret_path, "\n")] = '\0';
}

/* Does it stand on a file? YES: *ret_info says on which one. */
static enum answer status_read(unsigned int number, struct loop_info64 *ret_info)
{
	enum answer answer = NOBODY_KNOWS;
	char node[32];
	struct stat st;
	int fd;

	snprintf(node, sizeof(node), "/dev/loop%u", number);
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NOBODY_KNOWS;
	if (!fstat(fd, &st) && st.st_rdev == makedev(LOOP_MAJOR, number)) {
		if (!ioctl(fd, LOOP_GET_STATUS64, ret_info))
			answer = YES;
		else if (errno == ENXIO)
			answer = NO;
	}
	close(fd);
	return answer;
}

static enum answer device_ask(const struct loop_query *query, unsigned int number)
{
	const struct stat *wanted = query->wanted;
	char path[PATH_BYTES];
	struct loop_info64 info;
	enum answer answer = status_read(number, &info);

	if (answer != YES)
		return answer;
	if (S_ISBLK(wanted->st_mode))
		return info.lo_rdevice == wanted->st_rdev ? YES : NO;
	if (info.lo_rdevice || info.lo_inode != wanted->st_ino)
		return NO;
	if (info.lo_device == wanted->st_dev)
		return YES;
	if (!query->is_anonymous)
		return NO;
	backing_path(number, path);
	return !path[0] || !query->fs_path[0] || !strcmp(last_part(path), last_part(query->fs_path))
		       ? YES
		       : NO;
}

static enum answer loop_ask(const struct loop_query *query, unsigned int number)
{
	enum answer answer = device_ask(query, number);
	char path[PATH_BYTES];
	struct stat st;

	if (answer != NOBODY_KNOWS)
		return answer;
	backing_path(number, path);
	if (!path[0])
		return NOBODY_KNOWS;
	if (is_backing_file(query, path))
		return YES;
	/* A path of another mount namespace; another name is another file. */
	if (!stat(path, &st) || strcmp(last_part(path), last_part(query->fs_path)) != 0)
		return NO;
	return NOBODY_KNOWS;
}

int cow_inuse_loop_find(const struct stat *st, int fd, const char **ret_unchecked)
{
	struct loop_query query = { .wanted = st };

	loops_list(&query);
	file_locate(&query, fd);
	if (!query.has_list)
		*ret_unchecked = "whether a loop device stands on it: neither /sys/block nor "
				 "/proc/partitions is there";
	for (unsigned int i = 0; i < LOOPS_MAX; i++) {
		enum answer answer = query.is_used[i] ? loop_ask(&query, i) : NO;

		if (answer == YES)
			return (int)i;
		if (answer == NOBODY_KNOWS)
			*ret_unchecked = "whether a loop device stands on it: one is in use, and "
					 "neither its node in /dev nor its path in /sys tells on "
					 "what";
	}
	return -1;
}

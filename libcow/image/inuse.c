/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * inuse.c - does the system use it: mounted, swap, held by another device,
 * behind a loop device? Answers come from /proc and /sys, without root; what
 * they do not tell is no reason to refuse.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "libcow/base/err.h"
#include "libcow/image/file.h"

static const char *force_id(bool for_write)
{
	return for_write ? NULL : "busy";
}

struct mount_query {
	dev_t device;
	char point[256];
};

/* "36 35 98:0 /root /point options fields - type source options"; the source
 * tells where the numbers are a file system's own (btrfs). */
static bool mount_matches(char *line, void *user)
{
	struct mount_query *query = (struct mount_query *)user;
	char *dash = strstr(line, " - "), source[256] = "";
	unsigned int dev_major, dev_minor;
	struct stat st;

	if (sscanf(line, "%*s %*s %u:%u %*s %255s", &dev_major, &dev_minor, query->point) != 3)
		return false;
	cow_inuse_unescape(query->point);
	if (makedev(dev_major, dev_minor) == query->device)
		return true;
	if (!dash || sscanf(dash, " - %*s %255s", source) != 1)
		return false;
	cow_inuse_unescape(source);
	return !strncmp(source, "/dev/", 5) && !stat(source, &st) && S_ISBLK(st.st_mode) &&
	       st.st_rdev == query->device;
}

static bool is_mounted(dev_t device, struct mount_query *query)
{
	query->device = device;
	return cow_inuse_any_line("/proc/self/mountinfo", mount_matches, query);
}

/* "path type size used priority" */
static bool swap_matches(char *line, void *user)
{
	const struct stat *wanted = (const struct stat *)user;
	struct stat st;

	line[strcspn(line, " \t\n")] = '\0';
	cow_inuse_unescape(line);
	if (line[0] != '/' || stat(line, &st))
		return false;
	if (S_ISBLK(wanted->st_mode))
		return S_ISBLK(st.st_mode) && st.st_rdev == wanted->st_rdev;
	return st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
}

static int check_swap(const struct stat *st, bool for_write, struct cow_err *err)
{
	struct stat wanted = *st;

	if (!cow_inuse_any_line("/proc/swaps", swap_matches, &wanted))
		return 0;
	return cow_refuse(err, -EBUSY, "mounted", force_id(for_write),
			  "the system swaps to it; swapoff frees it");
}

static int check_mounted(dev_t device, const char *what, bool for_write, struct cow_err *err)
{
	struct mount_query query;

	if (!is_mounted(device, &query))
		return 0;
	return cow_refuse(err, -EBUSY, "mounted", force_id(for_write),
			  "%s mounted on %s; unmount it first", what, query.point);
}

static int check_holders(dev_t device, bool for_write, struct cow_err *err)
{
	char pattern[64], snapshots[256];
	glob_t found;
	int ret = 0;

	snprintf(pattern, sizeof(pattern), "/sys/dev/block/%u:%u/holders/*", major(device),
		 minor(device));
	if (glob(pattern, 0, NULL, &found))
		return 0;
	cow_dm_snapshots(device, (const char *const *)found.gl_pathv, found.gl_pathc, snapshots,
			 sizeof(snapshots));
	if (found.gl_pathc)
		ret = cow_refuse(
			err, -EBUSY, "held", force_id(for_write),
			"/dev/%s stands on it; remove that first (dmsetup remove, vgchange "
			"-an, mdadm --stop)%s%s%s",
			strrchr(found.gl_pathv[0], '/') + 1,
			*snapshots ? "; it is the origin of " : "", snapshots,
			*snapshots ? ": a merge of any other snapshot corrupts those that are not "
				     "named as siblings"
				   : "");
	globfree(&found);
	return ret;
}

static int refuse_loop(unsigned int number, bool for_write, struct cow_err *err)
{
	char what[64];
	int ret;

	snprintf(what, sizeof(what), "it is behind /dev/loop%u, which is", number);
	ret = check_mounted(makedev(7, number), what, for_write, err);
	if (ret)
		return ret;
	return cow_refuse(err, -EBUSY, "loop", force_id(for_write),
			  "it is behind /dev/loop%u; losetup -d /dev/loop%u frees it", number,
			  number);
}

int cow_inuse_check(const struct stat *st, int fd, bool for_write, const char **ret_unchecked,
		    struct cow_err *err)
{
	int ret = check_swap(st, for_write, err), number;

	*ret_unchecked = NULL;
	if (!ret && S_ISBLK(st->st_mode))
		ret = check_mounted(st->st_rdev, "it is", for_write, err);
	if (!ret && S_ISBLK(st->st_mode))
		ret = check_holders(st->st_rdev, for_write, err);
	if (ret)
		return ret;
	number = cow_inuse_loop_find(st, fd, ret_unchecked);
	return number < 0 ? 0 : refuse_loop((unsigned int)number, for_write, err);
}

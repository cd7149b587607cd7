/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dm.c - asks the kernel what a device-mapper device is made of, with its own
 * ioctl (source: include/uapi/linux/dm-ioctl.h; drivers/md/dm-ioctl.c,
 * retrieve_status). A snapshot device shows a view, an origin device changes
 * its snapshots behind our back: the work is to be done on what lies below.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/image/file.h"

/* A table longer than that is no snapshot's. */
#define TABLE_BYTES 16384

struct dm_answer {
	struct dm_ioctl head;
	uint8_t data[TABLE_BYTES];
};

static bool ask_table(dev_t device, struct dm_answer *answer)
{
	AUTO_CLOSE int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	memset(answer, 0, sizeof(*answer));
	answer->head.version[0] = DM_VERSION_MAJOR;
	answer->head.data_size = sizeof(*answer);
	answer->head.data_start = offsetof(struct dm_answer, data);
	answer->head.dev = device;
	answer->head.flags = DM_STATUS_TABLE_FLAG;
	return !ioctl(fd, DM_TABLE_STATUS, answer);
}

static bool is_snapshot_type(const char *type)
{
	return !strcmp(type, "snapshot") || !strcmp(type, "snapshot-origin") ||
	       !strcmp(type, "snapshot-merge");
}

/* "253:1" -> "/dev/dm-1"; false: it is no number of a device. */
static bool name_device(const char *word, char *ret_name, size_t size)
{
	unsigned int dev_major, dev_minor;
	char link[64], target[256];
	ssize_t len;

	if (sscanf(word, "%u:%u", &dev_major, &dev_minor) != 2)
		return false;
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", dev_major, dev_minor);
	len = readlink(link, target, sizeof(target) - 1);
	target[len > 0 ? len : 0] = '\0';
	snprintf(ret_name, size, "%s%s", len > 0 ? "/dev/" : "",
		 len > 0 ? strrchr(target, '/') + 1 : word);
	return true;
}

/* "253:1 253:2 P 8" -> "/dev/dm-1 and /dev/dm-2"; else as it stands there. */
static void name_devices(const char *params, char *ret_names, size_t size)
{
	char copy[256], *save = NULL;
	size_t used = 0;

	snprintf(copy, sizeof(copy), "%s", params);
	ret_names[0] = '\0';
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char name[256];

		if (!name_device(word, name, sizeof(name)))
			continue;
		used += (size_t)snprintf(ret_names + used, size - used, "%s%s", used ? " and " : "",
					 name);
		if (used >= size)
			return;
	}
}

static int refuse_target(const char *name, const char *type, const char *params,
			 struct cow_err *err)
{
	char devices[256];

	name_devices(params, devices, sizeof(devices));
	return cow_refuse(err, -EPERM, "dm-snapshot", NULL,
			  "it is the device-mapper device \"%s\" of type %s; use what lies below, "
			  "%s, after \"umount\" and \"dmsetup remove %s\" have freed it (not "
			  "\"lvchange -an\", which takes those away too)",
			  name, type, devices[0] ? devices : params, name);
}

/* Calls call for each target of a device: its type, its parameters; ends with the first
 * error. Nothing is known of a device that is none of the device-mapper. */
typedef int target_fn(void *user, const char *name, const char *type, const char *params);

static int each_target(dev_t device, target_fn *call, void *user)
{
	AUTO_FREE struct dm_answer *answer = (struct dm_answer *)malloc(sizeof(*answer));
	uint64_t at = 0;
	int ret = 0;

	if (!answer)
		return -ENOMEM;
	if (!ask_table(device, answer))
		return 0;
	answer->data[TABLE_BYTES - 1] = '\0';
	for (uint32_t i = 0; i < answer->head.target_count && !ret; i++) {
		struct dm_target_spec spec;

		if (!range_fits(at, sizeof(spec), TABLE_BYTES - 1))
			return 0;
		memcpy(&spec, answer->data + at, sizeof(spec));
		spec.target_type[sizeof(spec.target_type) - 1] = '\0';
		ret = call(user, answer->head.name, spec.target_type,
			   (const char *)answer->data + at + sizeof(spec));
		at = spec.next;
	}
	return ret;
}

/* target_fn */
static int check_target(void *user, const char *name, const char *type, const char *params)
{
	return is_snapshot_type(type) ? refuse_target(name, type, params, (struct cow_err *)user)
				      : 0;
}

int cow_dm_check(const struct stat *st, struct cow_err *err)
{
	int ret = S_ISBLK(st->st_mode) ? each_target(st->st_rdev, check_target, err) : 0;

	return ret == -ENOMEM ? cow_fail(err, ret, "no memory for a device-mapper table") : ret;
}

/* What is known of the snapshots of a device, for a sentence. */
struct snapshots {
	dev_t origin;
	char *text;
	size_t used, size;
};

/* target_fn: "253:1 253:2 P 8" */
static int add_snapshot(void *user, const char *name, const char *type, const char *params)
{
	struct snapshots *all = (struct snapshots *)user;
	unsigned int dev_major, dev_minor;
	char cow[256], word[32];

	if (strcmp(type, "snapshot") != 0 ||
	    sscanf(params, "%u:%u %31s", &dev_major, &dev_minor, word) != 3 ||
	    makedev(dev_major, dev_minor) != all->origin || !name_device(word, cow, sizeof(cow)) ||
	    all->used >= all->size)
		return 0;
	all->used += (size_t)snprintf(all->text + all->used, all->size - all->used,
				      "%s%s (COW image %s)", all->used ? ", " : "", name, cow);
	return 0;
}

void cow_dm_snapshots(dev_t origin, const char *const *holders, size_t nr_holders, char *ret_text,
		      size_t size)
{
	struct snapshots all = { .origin = origin, .text = ret_text, .size = size };

	ret_text[0] = '\0';
	for (size_t i = 0; i < nr_holders; i++) {
		unsigned int dev_major, dev_minor;
		char path[512];
		AUTO_CLOSE int fd = -1;
		char number[32] = "";

		snprintf(path, sizeof(path), "%s/dev", holders[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, number, sizeof(number) - 1) > 0 &&
		    sscanf(number, "%u:%u", &dev_major, &dev_minor) == 2)
			(void)each_target(makedev(dev_major, dev_minor), add_snapshot, &all);
	}
}

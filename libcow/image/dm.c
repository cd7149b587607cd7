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

/* "253:1 253:2 P 8" -> "/dev/dm-1 and /dev/dm-2"; else as it stands there. */
static void name_devices(const char *params, char *ret_names, size_t size)
{
	char copy[256], *save = NULL;
	size_t used = 0;

	snprintf(copy, sizeof(copy), "%s", params);
	ret_names[0] = '\0';
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		unsigned int dev_major, dev_minor;
		char link[64], target[256];
		ssize_t len;

		if (sscanf(word, "%u:%u", &dev_major, &dev_minor) != 2)
			continue;
		snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", dev_major, dev_minor);
		len = readlink(link, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		used += (size_t)snprintf(ret_names + used, size - used, "%s%s%s",
					 used ? " and " : "", len > 0 ? "/dev/" : "",
					 len > 0 ? strrchr(target, '/') + 1 : word);
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

int cow_dm_check(const struct stat *st, struct cow_err *err)
{
	AUTO_FREE struct dm_answer *answer = NULL;
	uint64_t at = 0;

	if (!S_ISBLK(st->st_mode))
		return 0;
	answer = (struct dm_answer *)malloc(sizeof(*answer));
	if (!answer)
		return cow_fail(err, -ENOMEM, "no memory for a device-mapper table");
	if (!ask_table(st->st_rdev, answer))
		return 0;
	answer->data[TABLE_BYTES - 1] = '\0';
	for (uint32_t i = 0; i < answer->head.target_count; i++) {
		struct dm_target_spec spec;

		if (!range_fits(at, sizeof(spec), TABLE_BYTES - 1))
			return 0;
		memcpy(&spec, answer->data + at, sizeof(spec));
		spec.target_type[sizeof(spec.target_type) - 1] = '\0';
		if (is_snapshot_type(spec.target_type))
			return refuse_target(answer->head.name, spec.target_type,
					     (const char *)answer->data + at + sizeof(spec), err);
		at = spec.next;
	}
	return 0;
}

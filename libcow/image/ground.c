/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * ground.c - follows partitions to their disk and loop devices to their file,
 * so that one byte under two names is noticed. A loop device that is open is
 * asked itself; below that, /sys tells.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "libcow/base/units.h"
#include "libcow/image/file.h"

/* Loop devices on partitions on loop devices ... */
#define LEVELS_MAX 8

static void ground_of_device(uint64_t device, struct cow_ground *ground)
{
	ground->is_block_device = true;
	ground->device = device;
	ground->inode = 0;
}

/* The first line of a file of /sys, without its end. */
static bool sys_read(uint64_t device, const char *name, char *ret_text, size_t size)
{
	char path[128];
	FILE *file;
	bool ok;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	file = fopen(path, "re");
	if (!file)
		return false;
	ok = fgets(ret_text, (int)size, file);
	(void)fclose(file);
	if (ok)
		ret_text[strcspn(ret_text, "\n")] = '\0';
	return ok;
}

static bool sys_read_number(uint64_t device, const char *name, uint64_t *ret_value)
{
	char text[32], *end;

	if (!sys_read(device, name, text, sizeof(text)))
		return false;
	*ret_value = strtoull(text, &end, 10);
	return end != text && !*end;
}

static bool follow_partition(struct cow_ground *ground)
{
	uint64_t start, number;
	unsigned int disk_major, disk_minor;
	char text[32];

	if (!sys_read_number(ground->device, "partition", &number) ||
	    !sys_read_number(ground->device, "start", &start) ||
	    !sys_read(ground->device, "../dev", text, sizeof(text)) ||
	    sscanf(text, "%u:%u", &disk_major, &disk_minor) != 2)
		return false;
	ground->offset_bytes += sectors_to_bytes(start);
	ground_of_device(makedev(disk_major, disk_minor), ground);
	return true;
}

static bool follow_loop_by_ioctl(int fd, struct cow_ground *ground)
{
	struct loop_info64 info;

	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info))
		return false;
	ground->offset_bytes += info.lo_offset;
	ground->is_block_device = info.lo_rdevice;
	ground->device = info.lo_rdevice ? info.lo_rdevice : info.lo_device;
	ground->inode = info.lo_rdevice ? 0 : info.lo_inode;
	return true;
}

static bool follow_loop_by_sys(struct cow_ground *ground)
{
	uint64_t offset_bytes;
	char path[4096];
	struct stat st;

	if (!sys_read(ground->device, "loop/backing_file", path, sizeof(path)) ||
	    !sys_read_number(ground->device, "loop/offset", &offset_bytes) || stat(path, &st))
		return false;
	ground->offset_bytes += offset_bytes;
	ground->is_block_device = S_ISBLK(st.st_mode);
	ground->device = ground->is_block_device ? st.st_rdev : st.st_dev;
	ground->inode = ground->is_block_device ? 0 : st.st_ino;
	return true;
}

void cow_ground_find(const struct stat *st, int fd, struct cow_ground *ret_ground)
{
	struct cow_ground ground = { .device = st->st_dev, .inode = st->st_ino };

	if (S_ISBLK(st->st_mode))
		ground_of_device(st->st_rdev, &ground);
	for (int level = 0; ground.is_block_device && level < LEVELS_MAX; level++) {
		if (!follow_partition(&ground) &&
		    !(major(ground.device) == 7 &&
		      (follow_loop_by_ioctl(level ? -1 : fd, &ground) ||
		       follow_loop_by_sys(&ground))))
			break;
	}
	*ret_ground = ground;
}

bool cow_ground_is_same(const struct cow_ground *a, const struct cow_ground *b)
{
	return a->is_block_device == b->is_block_device && a->device == b->device &&
	       a->inode == b->inode;
}

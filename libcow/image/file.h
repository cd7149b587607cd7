/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * file.h - files and devices as the imageset and outputs handle them: the
 * image over a descriptor, opening, locks, what lies on what, and "is it in
 * use?". The sentences leave out the name, which stands in err.image, and
 * whether they can be forced, which stands in err.force.
 */
#ifndef COW_IMAGE_FILE_H
#define COW_IMAGE_FILE_H

#include <sys/stat.h>

#include "libcow/image/image.h"

/* Takes the descriptor over, also on failure. It is open and locked. */
int cow_image_file_new(int fd, const char *name, bool is_writable, struct cow_image **ret_image,
		       struct cow_err *err);

/* Another descriptor, for writing, under an image that was opened for
 * reading; takes it over, also on failure. Errors: -EIO. */
int cow_image_file_upgrade(struct cow_image *image, int fd, struct cow_err *err);

/* direct.c: reads whole logical blocks of a device past the page cache. Gives 0
 * or an errno; EINVAL: it cannot be done so, here or with this range. */
int cow_file_pread_direct(int fd, void *buf, size_t len_bytes, uint64_t offset_bytes,
			  uint32_t block_bytes);

/*
 * open.c: opens path after looking at what it is, so that a FIFO never hangs
 * and no character device is ever touched. Devices are opened O_EXCL for
 * writing. Errors: as cow_imageset_open().
 */
int cow_file_stat(const char *path, struct stat *ret_st, struct cow_err *err);
int cow_file_open(const char *path, bool for_write, int *ret_fd, struct stat *ret_st,
		  struct cow_err *err);
/* I12: what is cached must be on the disk, or the disk must have said no; a
 * device's cache is dropped, too. Errors: -EIO. */
int cow_file_settle(int fd, bool is_block_device, struct cow_err *err);

/*
 * lock.c: locks the whole file against others, for reading or writing,
 * without waiting: flock(2) for util-linux, blkid, udev, LVM, and an OFD lock
 * for qemu (which locks single bytes). No lock: for reading on a read-only
 * file system, and where the file system knows none. A device is tried for up
 * to a second, because udev locks it for a moment after each use.
 * Errors: -EBUSY (id "locked").
 */
int cow_file_lock(int fd, bool for_write, struct cow_err *err);
void cow_file_unlock(int fd);

/* Which bytes these really are: a partition lies on a disk, a loop device on
 * a file. Two files overlap if their grounds are one and the ranges meet. */
struct cow_ground {
	bool is_block_device;
	uint64_t device;       /* of the device, or of the file's file system */
	uint64_t inode;	       /* 0 for a device */
	uint64_t offset_bytes; /* of the first byte, on that */
};
/* ground.c. st is that of fd; fd may be -1, then less is found out. Never
 * fails: what cannot be found out lies on itself. */
void cow_ground_find(const struct stat *st, int fd, struct cow_ground *ret_ground);
bool cow_ground_is_same(const struct cow_ground *a, const struct cow_ground *b);

/*
 * inuse.c: refuses what is mounted, swapped to, held by device-mapper or md,
 * or behind a loop device. st is that of fd; fd may be -1, then less is found
 * out. Where the system does not tell (no /sys, no permission) it is not
 * refused: *ret_unchecked says what could not be found out (static), or is NULL.
 * Errors: -EBUSY (ids "mounted", "held", "loop"; force "busy" for reading).
 */
int cow_inuse_check(const struct stat *st, int fd, bool for_write, const char **ret_unchecked,
		    struct cow_err *err);
/* inuse_loop.c: the number of a loop device that stands on the file, or -1. */
int cow_inuse_loop_find(const struct stat *st, int fd, const char **ret_unchecked);
/* Undoes \040 and the like, as /proc writes blanks; in place. */
void cow_inuse_unescape(char *text);
/* Calls match for each line of a file of /proc until it says yes; false too where
 * there is no such file. */
bool cow_inuse_any_line(const char *path, bool (*match)(char *line, void *user), void *user);
/* dm.c: refuses a device-mapper snapshot, snapshot-origin, snapshot-merge.
 * Errors: -EPERM (id "dm-snapshot"). */
int cow_dm_check(const struct stat *st, struct cow_err *err);
/* Lists the snapshots of an origin among the devices that stand on it, each with its COW
 * device, for a sentence; "": none is known. holders: their directories in /sys. */
void cow_dm_snapshots(dev_t origin, const char *const *holders, size_t nr_holders, char *ret_text,
		      size_t size);

#endif

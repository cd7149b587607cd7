/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spy.c - preloaded into a tool; writes to descriptor 9 a line for each call of a library
 * that gets foreign bytes: its name, and "outside" or "inside" of the sandbox. Inside
 * nothing can be opened any more, not even the root directory.
 *
 * Names are all functions of these libraries that a tool is linked to; before_sandbox.bats
 * compares them with the programs. What is done is the same: six arguments are handed on,
 * of which a function takes what it has. Made for 64 bits, where each fits in a long.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPY_FD 9

static void note(const char *name)
{
	int error = errno;
	long fd = syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		close((int)fd);
	dprintf(SPY_FD, "%s %s\n", name, fd < 0 ? "inside" : "outside");
	errno = error;
}

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

#define SPY(name)                                                                                  \
	long name(long a, long b, long c, long d, long e, long f)                                  \
	{                                                                                          \
		note(#name);                                                                       \
		return ((long (*)(long, long, long, long, long, long))real(#name))(a, b, c, d, e,  \
										   f);             \
	}

SPY(archive_entry_filetype)
SPY(archive_entry_free)
SPY(archive_entry_hardlink)
SPY(archive_entry_new)
SPY(archive_entry_pathname)
SPY(archive_entry_set_filetype)
SPY(archive_entry_size)
SPY(archive_errno)
SPY(archive_error_string)
SPY(archive_read_append_filter)
SPY(archive_read_data_block)
SPY(archive_read_free)
SPY(archive_read_new)
SPY(archive_read_next_header2)
SPY(archive_read_open1)
SPY(archive_read_set_callback_data)
SPY(archive_read_set_read_callback)
SPY(archive_read_support_format_tar)
SPY(archive_set_error)
SPY(archive_write_add_filter)
SPY(archive_write_close)
SPY(archive_write_data)
SPY(archive_write_fail)
SPY(archive_write_finish_entry)
SPY(archive_write_free)
SPY(archive_write_header)
SPY(archive_write_new)
SPY(archive_write_open)
SPY(archive_write_set_bytes_per_block)
SPY(archive_write_set_filter_option)
SPY(archive_write_set_format_raw)
SPY(blkid_do_probe)
SPY(blkid_free_probe)
SPY(blkid_new_probe)
SPY(blkid_probe_enable_partitions)
SPY(blkid_probe_enable_superblocks)
SPY(blkid_probe_lookup_value)
SPY(blkid_probe_set_device)
SPY(blkid_probe_set_superblocks_flags)
SPY(ext2fs_bg_flags_test)
SPY(ext2fs_bg_itable_unused)
SPY(ext2fs_block_bitmap_loc)
SPY(ext2fs_block_iterate3)
SPY(ext2fs_blocks_count)
SPY(ext2fs_close_free)
SPY(ext2fs_crc32_be)
SPY(ext2fs_crc32c_le)
SPY(ext2fs_extent_free)
SPY(ext2fs_extent_get)
SPY(ext2fs_extent_open2)
SPY(ext2fs_file_acl_block)
SPY(ext2fs_get_rec_len)
SPY(ext2fs_inode_bitmap_loc)
SPY(ext2fs_inode_has_valid_blocks2)
SPY(ext2fs_inode_table_loc)
SPY(ext2fs_open2)
SPY(ext2fs_read_dir_block4)
SPY(ext2fs_read_inode)
SPY(ext2fs_read_inode_full)
SPY(ext2fs_super_and_bgd_loc2)
SPY(ext2fs_xattrs_close)
SPY(ext2fs_xattrs_iterate)
SPY(ext2fs_xattrs_open)
SPY(ext2fs_xattrs_read_inode)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * partitions.h - what a partition table says: MBR with logical partitions, and
 * GPT with sectors of 512 or 4096 bytes, which a file cannot tell by itself.
 */
#ifndef COW_VOLUME_PARTITIONS_H
#define COW_VOLUME_PARTITIONS_H

#include "libcow/image/image.h"

/* As many as the kernel has device numbers for on one disk. */
#define COW_PARTITIONS_MAX 256

struct cow_partition {
	unsigned int number; /* as the kernel counts */
	uint64_t offset_bytes, len_bytes;
	char type[37]; /* "8e", or the GUID in small letters */
};

struct cow_partitions {
	const char *kind; /* "mbr", "gpt"; NULL: no table */
	uint32_t sector_bytes;
	const char *fault; /* what is wrong with the table, but does not prevent its use; or NULL */
	size_t nr_items;
	struct cow_partition items[COW_PARTITIONS_MAX];
};

/*
 * Reads the table of a disk, if there is one: kind is NULL and the answer 0 where
 * there is none. Errors: -EBADMSG there is one, but it cannot be used; -EIO,
 * -ENOMEM.
 */
int cow_partitions_read(struct cow_image *disk, struct cow_partitions *ret_partitions,
			struct cow_err *err);
/* Adds a partition: helper of the formats. false: there is no room. */
bool cow_partitions_add(struct cow_partitions *partitions, const struct cow_partition *item);

/* GPT, below a protective MBR. -EMEDIUMTYPE: no header where one could be. */
int cow_partitions_gpt_read(struct cow_image *disk, struct cow_partitions *partitions,
			    struct cow_err *err);

#endif

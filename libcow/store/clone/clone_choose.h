/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_choose.h - which regions are hydrated, of metadata that may be damaged.
 */
#ifndef COW_STORE_CLONE_CHOOSE_H
#define COW_STORE_CLONE_CHOOSE_H

#include "libcow/store/clone/clone_store.h"

struct clone_choice {
	uint64_t region_sectors, target_sectors;
	struct clone_bits bits;	    /* hydrated, as far as can be known */
	struct clone_bits doubtful; /* not among them, and may be hydrated */
	bool is_certain;	    /* superblock and its bitset are whole */
};

/* takes_super: although other whole trees contradict that of the superblock. is_old:
 * the space map counts other blocks than that tree has. Errors: -EBADMSG nothing can be chosen: id
 * "table" the region size or the length is not known, "doubtful" several trees contradict each
 * other, "damaged" no tree is left; -EOPNOTSUPP an unknown version; -ENOMEM, -EIO, -ECANCELED,
 * -EINVAL. */
int cow_clone_choose(const struct cow_store_args *args, bool takes_super, bool is_old,
		     const struct cow_callbacks *callbacks, struct clone_choice *ret_choice,
		     struct cow_err *err);
void cow_clone_choice_destroy(struct clone_choice *choice);

struct clone_lost;
/* clone_witness.c: raw is a superblock with a wrong checksum; lost has found its trees.
 * Was it, with another root and index that are on the device, the superblock of a
 * commit? Errors: -ENOMEM. */
int cow_clone_witness_find(struct clone_lost *lost, const uint8_t raw[PDATA_BLOCK_BYTES],
			   struct clone_super *ret_super, bool *ret_found, struct cow_err *err);

#endif

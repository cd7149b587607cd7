/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_copy.h - the metadata device of a store without what is no metadata.
 */
#ifndef COW_PDATA_COPY_H
#define COW_PDATA_COPY_H

#include "libcow/pdata/pdata_block.h"

/* Copies block 0 and each block with the checksum of some type, super_type among
 * them, to target, which is as large and all zeros. Errors: -EIO, -ENOMEM, -ECANCELED. */
int cow_pdata_copy(struct cow_image *metadata, const struct pdata_type *super_type,
		   const struct cow_callbacks *callbacks, struct cow_image *target,
		   struct cow_err *err);

#endif

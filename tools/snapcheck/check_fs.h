/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check_fs.h - the file systems in the origin and in the snapshot, as libblkid tells. */
#ifndef TOOLS_CHECK_FS_H
#define TOOLS_CHECK_FS_H

#include <stdio.h>

#include "libcow.h"
#include "tools/common/json.h"
#include "tools/images/blkid.h"

struct check;

/* What one image holds. */
struct check_fs {
	bool is_known; /* it was looked at */
	uint64_t size_bytes;
	struct blkid_content content;
};

/* Looks at what is below the view (NULL: nothing) and at the view; forgets what it
 * found before. Only after sandbox_enter(). Never fails: of what cannot be read nothing is
 * known. */
void check_fs_look(struct check *check, struct cow_image *below, struct cow_store *store);
/* The same for a store that is not open. */
void check_fs_look_args(struct check *check, const struct cow_store_args *args);
/* One line if both hold the same, else two; none where nothing is known. */
void check_fs_print(const struct check *check, FILE *text);
void check_fs_put(const struct check *check);

/* Of an image on a list: the words, and the member "file_system"; nothing where none is
 * known or it cannot be read. What is a member of an array or a volume group is none. */
void check_fs_list(struct cow_image *image, struct json_object *at, char *ret_words,
		   size_t capacity);

#endif

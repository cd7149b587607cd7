/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_kind.h - what an image holds, for the sentence that says why it is not
 * what was wanted. Reads through struct cow_image, so that it works on a view.
 */
#ifndef TOOLS_FS_KIND_H
#define TOOLS_FS_KIND_H

#include "libcow.h"

/* Names the content ("an XFS file system"), or NULL where nothing known is
 * found or nothing can be read. */
const char *fs_kind(struct cow_image *image);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fill.h - a device as a new image: whatever was on it, it reads as zeros
 * until written, and at the end every byte has been written. Each byte is
 * zeroed at most once, and none that was written in ascending order.
 */
#ifndef COW_IMAGE_FILL_H
#define COW_IMAGE_FILL_H

#include "libcow/image/image.h"

/* Takes lower over, also on failure. Errors: -ENOMEM. */
int cow_image_fill_new(struct cow_image *lower, struct cow_image **ret_image, struct cow_err *err);
/* Writes the zeros that are still owed. Errors: as cow_image_pwrite(). */
int cow_image_fill_finish(struct cow_image *image, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * window_check.h - is a COW image the snapshot of a window, or of the whole disk that
 * the window lies on? Laid over the wrong one it shows old content in the wrong
 * places, and nothing in the format tells.
 */
#ifndef TOOLS_WINDOW_CHECK_H
#define TOOLS_WINDOW_CHECK_H

#include <stdbool.h>

#include "libcow.h"

/* Is it only a part of the file or device that it lies on? */
bool window_is_part(struct cow_image *origin);

/*
 * Refuses a COW image whose exceptions make sense on the whole disk and not on the
 * part of it that origin is, by whatever specification: they reach beyond the part
 * and fit the disk, or what the part begins with is there only if the disk is meant.
 * store: opened with origin; NULL: it does not fit, then only the first is asked.
 * Opens the disk once more, for reading: call it before sandbox_enter(). Errors:
 * -EPERM (id "origin", force "origin"), -EIO, -ENOMEM.
 */
int window_check(struct cow_image *origin, struct cow_image *cow, struct cow_store *store,
		 struct cow_err *err);

#endif

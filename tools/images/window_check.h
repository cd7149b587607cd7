/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * window_check.h - is a COW image the snapshot of a window, or of the whole disk that
 * the window lies on? Laid over the wrong one it shows old content in the wrong
 * places, and nothing in the format tells.
 */
#ifndef TOOLS_WINDOW_CHECK_H
#define TOOLS_WINDOW_CHECK_H

#include "libcow.h"

/*
 * Refuses a COW image whose exceptions make sense on the whole disk and not on
 * the window. origin was opened by spec; store with it; nothing is judged where
 * spec is no window of one segment, or the window holds no file system that is
 * known by its magic number. Opens the disk once more, for reading: call it
 * before sandbox_enter(). Errors: -EPERM (id "origin", force "origin"), -EIO,
 * -ENOMEM.
 */
int window_check(const char *spec, struct cow_image *origin, struct cow_image *cow,
		 struct cow_store *store, struct cow_err *err);

#endif

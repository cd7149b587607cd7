/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * json_file.h - where the object of --json goes. It is opened at the start,
 * when files can still be opened, and appears whole at the end or not at all;
 * a FIFO or a character device is written to.
 */
#ifndef TOOLS_JSON_FILE_H
#define TOOLS_JSON_FILE_H

#include <stddef.h>

#include "libcow.h"

/* Opens target, "-" is stdout. A file that exists must be empty or a report of an earlier run,
 * so that a typing error (--json=COW) does not replace an image. Returns 0 or a negative errno:
 * -EEXIST something else is there. */
int json_file_open(const char *target);
/* Writes the text and closes; NULL: only closes, -ENOMEM. -EEXIST: a file of that name was made
 * in the meantime, perhaps by this job. */
int json_file_write(const char *text, size_t len_bytes, struct cow_err *err);

#endif

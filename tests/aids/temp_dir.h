/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * temp_dir.h - a directory of the test's own, below TMPDIR, to work in; it
 * goes away when the program ends.
 */
#ifndef TESTS_AIDS_TEMP_DIR_H
#define TESTS_AIDS_TEMP_DIR_H

#include <sys/types.h>

void temp_dir_enter(void);
/* Makes a file of size_bytes zeros, as a hole. */
void temp_file(const char *path, off_t size_bytes);

#endif

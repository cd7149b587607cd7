/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* size_text.h - sizes for people; they are read by cow_size_parse(). */
#ifndef TOOLS_SIZE_TEXT_H
#define TOOLS_SIZE_TEXT_H

#include <stdint.h>

#define SIZE_TEXT_BYTES 64

/* "8388608 bytes (8 MiB)" */
const char *size_text(uint64_t bytes, char buf[SIZE_TEXT_BYTES]);
/* "8 MiB", "8.2 MiB" */
const char *size_round(uint64_t bytes, char buf[SIZE_TEXT_BYTES]);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pattern.h - bytes that tell who wrote them and where they belong: the
 * pattern() of tests/kernel/snap.py.
 */
#ifndef TESTS_AIDS_PATTERN_H
#define TESTS_AIDS_PATTERN_H

#include <stdint.h>

/* Fills whole sectors that belong at offset_bytes of the origin; generation
 * 0: zeros. */
void pattern_fill(char *buf, uint64_t offset_bytes, uint64_t len_bytes, uint64_t generation);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECTOR_BYTES 512u

void pattern_fill(char *buf, uint64_t offset_bytes, uint64_t len_bytes, uint64_t generation)
{
	char line[33];

	for (uint64_t at = 0; at < len_bytes; at += 32) {
		snprintf(line, sizeof(line), "%015" PRIx64 " %015" PRIx64 "\n", generation,
			 (offset_bytes + at) / SECTOR_BYTES);
		if (generation)
			memcpy(buf + at, line, 32);
		else
			memset(buf + at, 0, 32);
	}
}

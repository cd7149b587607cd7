/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* volume_crc32.c - the checksum of GPT and of LVM, four bits at a time: what it is for
 * is some MiB at most. */
#include "libcow/volume/volume_crc32.h"

static const uint32_t table[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
	0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

uint32_t cow_volume_crc32_add(uint32_t start, const void *buf, size_t len_bytes)
{
	const uint8_t *bytes = (const uint8_t *)buf;

	while (len_bytes--) {
		start ^= *bytes++;
		start = table[start & 15] ^ (start >> 4);
		start = table[start & 15] ^ (start >> 4);
	}
	return start;
}

uint32_t cow_volume_crc32(const void *buf, size_t len_bytes)
{
	return ~cow_volume_crc32_add(UINT32_MAX, buf, len_bytes);
}

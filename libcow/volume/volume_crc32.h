/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* volume_crc32.h - the checksum of GPT, and the same with LVM's beginning. */
#ifndef COW_VOLUME_VOLUME_CRC32_H
#define COW_VOLUME_VOLUME_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The reflected CRC with polynomial 0xEDB88320, from "start" on, not inverted;
 * for pieces, start is what the piece before gave. */
uint32_t cow_volume_crc32_add(uint32_t start, const void *buf, size_t len_bytes);
/* The usual one: all ones at the beginning, inverted at the end. */
uint32_t cow_volume_crc32(const void *buf, size_t len_bytes);

/* What LVM begins with. Source: lvm2 lib/misc/crc.h, INITIAL_CRC. */
#define COW_CRC32_LVM UINT32_C(0xf597a6cf)

#endif

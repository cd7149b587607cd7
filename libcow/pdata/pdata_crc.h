/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_crc.h - CRC32C as persistent-data has it: Castagnoli's polynomial,
 * reflected, without the final inversion.
 */
#ifndef COW_PDATA_CRC_H
#define COW_PDATA_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc, which is UINT32_MAX at the beginning. Uses the processor's
 * instruction where there is one. */
uint32_t cow_pdata_crc32c(uint32_t crc, const void *buf, size_t len_bytes);
/* The same by a table, on every machine. */
uint32_t cow_pdata_crc32c_table(uint32_t crc, const void *buf, size_t len_bytes);

#endif

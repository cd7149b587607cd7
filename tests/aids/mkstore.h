/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * mkstore.h - makes the bytes of a persistent store out of text, sound or
 * damaged on purpose; without a line of the library's own format code, so
 * that it can be its judge. One statement a line, in this order of sense:
 *
 *	# a comment; empty lines are ignored
 *	size 1M			bytes of the image (suffix s: sectors, K M G T);
 *				again, later: cut or enlarge it
 *	chunk 8			sectors; header and places follow from it
 *	header			the 16 bytes; fields may be given, default:
 *	header magic=0x70416e53 valid=1 version=1 chunk=8
 *	record 100 2		old and new chunk at the next place of the list
 *	record 100 2 20		a run of 20 records, both numbers ascending
 *	at 1 5			the next place is record 5 of area 1
 *	zero 3			three empty records
 *	auto 100 20		20 records from old chunk 100 on, at the new
 *				chunks that the kernel would hand out
 *	data 2 20		chunks 2..21 get bytes that tell them apart
 *	poke 16 deadbeef	bytes in hexadecimal at an offset
 *
 * Numbers are decimal, 0x... or 0...; a record may be any 64-bit number.
 */
#ifndef TESTS_AIDS_MKSTORE_H
#define TESTS_AIDS_MKSTORE_H

#include "libcow.h"

/* Makes an image in memory. Errors: -EINVAL with the number of the line. */
int mkstore(const char *text, struct cow_image **ret_image, struct cow_err *err);

/* Byte number i of data chunk number chunk. */
uint8_t mkstore_byte(uint64_t chunk, uint64_t i);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * utf8.h - the one decoder of UTF-8.
 * source: RFC 3629, section 4.
 */
#ifndef COW_BASE_UTF8_H
#define COW_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes the well-formed character at text has, 1 to 4. 0: none begins
 * there (a wrong or missing byte, an overlong form, a surrogate, beyond
 * U+10FFFF). Reads up to the first byte that is wrong: the zero that ends a
 * string is one, except where it is the character. */
static inline size_t utf8_len(const char *text)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };
	const uint8_t *p = (const uint8_t *)text;
	size_t len = 1;
	uint32_t code;

	while (len <= 4 && (p[0] & forms[len - 1].mask) != forms[len - 1].lead)
		len++;
	if (len > 4)
		return 0;
	code = p[0] & (uint8_t)~forms[len - 1].mask;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < forms[len - 1].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return len;
}

#endif

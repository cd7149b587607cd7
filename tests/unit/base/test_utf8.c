/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_utf8.c - every sequence of up to three bytes, and four bytes around each
 * bound: what is well-formed is what the C library takes.
 */
#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "libcow/base/utf8.h"
#include "tests/aids/test.h"

static size_t model(const char *text)
{
	mbstate_t state;
	wchar_t wide;
	size_t len;

	memset(&state, 0, sizeof(state));
	len = mbrtowc(&wide, text, strlen(text) + 1, &state);
	return len > 4 || wide > 0x10ffff ? 0 : len ? len : 1;
}

static void compare(const char *text)
{
	if (utf8_len(text) != model(text))
		fprintf(stderr, "%02x %02x %02x %02x: %zu, not %zu\n", (uint8_t)text[0],
			(uint8_t)text[1], (uint8_t)text[2], (uint8_t)text[3], utf8_len(text),
			model(text));
	CHECK_EQ(utf8_len(text), model(text));
}

static void test_short(void)
{
	for (uint32_t bytes = 0; bytes < 1u << 24; bytes++) {
		char text[5] = { (char)(bytes >> 16), (char)(bytes >> 8), (char)bytes };

		compare(text);
		/* of a first byte alone the others are not looked at */
		if (!((bytes >> 16) & 0x80))
			bytes |= 0xffff;
	}
}

static void test_four(void)
{
	static const uint8_t edges[] = { 0,    1,    0x41, 0x7f, 0x80, 0x81, 0x8f,
					 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
	const size_t nr = sizeof(edges);

	for (unsigned int first = 0xe0; first < 0x100; first++)
		for (size_t i = 0; i < nr * nr * nr; i++) {
			char text[5] = { (char)first, (char)edges[i / nr / nr],
					 (char)edges[i / nr % nr], (char)edges[i % nr] };

			compare(text);
		}
}

int main(void)
{
	CHECK(setlocale(LC_CTYPE, "C.UTF-8"));
	RUN(test_short);
	RUN(test_four);
	return test_end();
}

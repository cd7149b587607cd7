/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * text.h - what the fuzz targets of texts share: input in helpings, output to
 * memory, and the end of the program where they do not agree.
 */
#ifndef TESTS_FUZZ_TEXT_H
#define TESTS_FUZZ_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t size;
};

/* In small and large helpings, so that words cross their borders. */
static int bytes_read(void *user, void *buf, size_t len_bytes, size_t *ret_len_bytes,
		      struct cow_err *err)
{
	struct bytes *bytes = user;
	size_t len = bytes->size % 3 ? 7 : len_bytes;

	(void)err;
	len = len < bytes->size ? len : bytes->size;
	if (len)
		memcpy(buf, bytes->data, len);
	bytes->data += len;
	bytes->size -= len;
	*ret_len_bytes = len;
	return 0;
}

struct text {
	uint8_t *data;
	size_t size;
};

static int text_write(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct text *text = user;

	(void)err;
	text->data = realloc(text->data, text->size + len_bytes);
	if (!text->data)
		abort();
	memcpy(text->data + text->size, buf, len_bytes);
	text->size += len_bytes;
	return 0;
}

static void check(bool condition)
{
	if (!condition)
		abort();
}

#endif

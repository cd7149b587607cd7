/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sha256.h - the digests that the kernel-made images come with. Needs openssl.
 */
#ifndef TESTS_AIDS_SHA256_H
#define TESTS_AIDS_SHA256_H

#include <stdio.h>

#include "libcow.h"

#define SHA256_HEX_BYTES 65

struct sha256 {
	FILE *pipe;
	char path[32]; /* what openssl prints goes there */
};

/* Piece by piece. */
void sha256_begin(struct sha256 *sum);
void sha256_add(struct sha256 *sum, const void *bytes, size_t len_bytes);
void sha256_end(struct sha256 *sum, char ret_hex[SHA256_HEX_BYTES]);

/* Of a whole image. Errors: what reading it gives; ret_hex is set all the same. */
int sha256_image(struct cow_image *image, char ret_hex[SHA256_HEX_BYTES], struct cow_err *err);
/* Of the view of a store, which must be readable. */
void sha256_view(struct cow_store *store, char ret_hex[SHA256_HEX_BYTES]);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * digest.h - content digests (XXH3, 128 bits, canonical form). digest.c is
 * the only file that includes xxhash.h.
 */
#ifndef COW_BASE_DIGEST_H
#define COW_BASE_DIGEST_H

#include "libcow.h"

struct cow_digest;

/* Starts a digest. Errors: -ENOMEM. */
int cow_digest_new(struct cow_digest **ret_digest, struct cow_err *err);
void cow_digest_free(struct cow_digest *digest);
void cow_digest_update(struct cow_digest *digest, const void *buf, size_t len_bytes);
void cow_digest_final(const struct cow_digest *digest, uint8_t ret_bytes[COW_DIGEST_BYTES]);
/* All at once. */
void cow_digest_of(const void *buf, size_t len_bytes, uint8_t ret_bytes[COW_DIGEST_BYTES]);

#endif

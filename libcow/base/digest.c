/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * digest.c - XXH3 digests of 128 bits. No other file includes xxhash.h.
 */
#include "libcow/base/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "libcow/base/err.h"

struct cow_digest {
	XXH3_state_t *state;
};

int cow_digest_new(struct cow_digest **ret_digest, struct cow_err *err)
{
	struct cow_digest *digest = calloc(1, sizeof(*digest));

	if (digest)
		digest->state = XXH3_createState();
	if (!digest || !digest->state) {
		cow_digest_free(digest);
		return cow_fail(err, -ENOMEM, "no memory for a digest");
	}
	XXH3_128bits_reset(digest->state);
	*ret_digest = digest;
	return 0;
}

void cow_digest_free(struct cow_digest *digest)
{
	if (!digest)
		return;
	XXH3_freeState(digest->state);
	free(digest);
}

void cow_digest_update(struct cow_digest *digest, const void *buf, size_t len_bytes)
{
	XXH3_128bits_update(digest->state, buf, len_bytes);
}

static void canonical(XXH128_hash_t hash, uint8_t ret_bytes[COW_DIGEST_BYTES])
{
	XXH128_canonical_t bytes;

	XXH128_canonicalFromHash(&bytes, hash);
	memcpy(ret_bytes, bytes.digest, COW_DIGEST_BYTES);
}

void cow_digest_final(const struct cow_digest *digest, uint8_t ret_bytes[COW_DIGEST_BYTES])
{
	canonical(XXH3_128bits_digest(digest->state), ret_bytes);
}

void cow_digest_of(const void *buf, size_t len_bytes, uint8_t ret_bytes[COW_DIGEST_BYTES])
{
	canonical(XXH3_128bits(buf, len_bytes), ret_bytes);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sha256.c - digests by openssl, which uses the processor's own instructions.
 */
#include "tests/aids/sha256.h"

#include <string.h>
#include <unistd.h>

#include "libcow/base/units.h"
#include "libcow/store/store.h"
#include "tests/aids/test.h"

void sha256_begin(struct sha256 *sum)
{
	char command[80];
	int fd;

	snprintf(sum->path, sizeof(sum->path), "/dev/shm/cow-sum-XXXXXX");
	fd = mkstemp(sum->path);
	CHECK(fd >= 0 && !close(fd));
	snprintf(command, sizeof(command), "openssl dgst -sha256 -r >%s", sum->path);
	sum->pipe = popen(command, "w");
	CHECK(sum->pipe);
}

void sha256_add(struct sha256 *sum, const void *bytes, size_t len_bytes)
{
	CHECK_EQ(fwrite(bytes, 1, len_bytes, sum->pipe), len_bytes);
}

void sha256_end(struct sha256 *sum, char ret_hex[SHA256_HEX_BYTES])
{
	FILE *from;

	CHECK(!pclose(sum->pipe));
	from = fopen(sum->path, "r");
	CHECK(from && fscanf(from, "%64s", ret_hex) == 1);
	(void)fclose(from);
	(void)unlink(sum->path);
	CHECK_EQ(strlen(ret_hex), SHA256_HEX_BYTES - 1);
}

int sha256_image(struct cow_image *image, char ret_hex[SHA256_HEX_BYTES], struct cow_err *err)
{
	static uint8_t buf[1 << 20];
	struct sha256 sum;
	int ret = 0;

	sha256_begin(&sum);
	for (uint64_t at = 0, len; at < cow_image_size(image) && !ret; at += len) {
		len = min_u64(sizeof(buf), cow_image_size(image) - at);
		ret = cow_image_pread(image, buf, len, at, err);
		sha256_add(&sum, buf, len);
	}
	sha256_end(&sum, ret_hex);
	return ret;
}

void sha256_view(struct cow_store *store, char ret_hex[SHA256_HEX_BYTES])
{
	struct cow_image *view;

	OK(cow_view_new(store->origin, store, &view, err));
	OK(sha256_image(view, ret_hex, err));
	cow_image_close(view);
}

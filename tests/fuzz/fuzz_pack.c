/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * A metadata pack from anywhere, whole or cut, compressed or not: read, and
 * what stands in for the images checked. With 't' first the rest is the tar;
 * else it is metadata.json and, behind the first zero byte, cow.img, which are
 * put into a tar here.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/formats/pack.h"

#define BLOCK 512
/* The largest window that zstd takes unasked, however short the tar is. */
#define WINDOW_BYTES (UINT64_C(128) << 20)

static void put_header(uint8_t *block, const char *name, size_t size)
{
	unsigned int sum = 8 * ' ';

	memset(block, 0, BLOCK);
	strcpy((char *)block, name);
	memcpy(block + 100, "0000600", 8);
	snprintf((char *)block + 124, 12, "%011zo", size);
	block[156] = '0';
	memcpy(block + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += block[i];
	snprintf((char *)block + 148, 8, "%06o", sum);
	block[155] = ' ';
}

/* Two members, and the blocks that end a tar. */
static uint8_t *make_tar(const uint8_t *data, size_t size, size_t *ret_size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t head = zero ? (size_t)(zero - data) : size;
	size_t image = zero ? size - head - 1 : 0;
	size_t head_blocks = (head + BLOCK - 1) / BLOCK;
	uint8_t *tar;

	*ret_size = (4 + head_blocks + (image + BLOCK - 1) / BLOCK) * BLOCK;
	tar = calloc(1, *ret_size);
	fuzz_must(tar);
	put_header(tar, PACK_HEAD_MEMBER, head);
	memcpy(tar + BLOCK, data, head);
	put_header(tar + (1 + head_blocks) * BLOCK, PACK_IMAGE_MEMBER, image);
	if (image)
		memcpy(tar + (2 + head_blocks) * BLOCK, zero + 1, image);
	return tar;
}

static void check(struct cow_image *cow, struct cow_image *origin)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_role_image roles[2];
	struct cow_store_args args = fuzz_args(roles, cow, origin);
	struct cow_report *report;

	fuzz_must(!cow_report_new(NULL, 0, &report, NULL));
	cow_check(&args, &params, report, &verdict, NULL);
	cow_report_free(report);
}

static void read_pack(const uint8_t *data, size_t size)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_image *cow, *origin;
	struct tar_reader *tar;

	if (tar_reader_open_memory(data, size, &tar, &err))
		return;
	if (pack_begins(tar)) {
		if (pack_read(tar, UINT64_C(8) << 20, &cow, &origin, &err)) {
			fuzz_must(err.code && err.message[0]);
		} else {
			check(cow, origin);
			cow_image_close(cow);
			cow_image_close(origin);
		}
	}
	tar_reader_close(tar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t tar_size;
	uint8_t *tar;

	if (!size || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	if (*data == 't') {
		read_pack(data + 1, size - 1);
	} else {
		tar = make_tar(data, size, &tar_size);
		read_pack(tar, tar_size);
		free(tar);
	}
	fuzz_end_within(size, WINDOW_BYTES);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * label.c - encodes and decodes the label. A label with a wrong checksum
 * counts as none.
 */
#include "libcow/core/label.h"

#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"

/*
 * offset size
 *   0     8   magic "COWLABEL"
 *   8     8   checksum: first 8 bytes of the digest of bytes 16..495
 *  16     4   version of this layout: 1
 *  20     4   job
 *  24     4   phase
 *  28     4   siblings
 *  32    16   job id
 *  48     8   size of the target
 *  56    16   digest of its first 64 KiB
 *  72     8   exceptions at the start
 *  80     8   outcome: offset
 *  88     8   outcome: length
 *  96    16   outcome: digest
 * 112     8   exceptions that are left
 * 120     8   exceptions that an earlier merge had left
 * 128    16   id of that merge
 * 144     8   mark of the first exception
 * 152   344   zeros
 */
#define LABEL_MAGIC "COWLABEL"
#define LABEL_VERSION 1
#define LABEL_BODY 16

static void checksum(const uint8_t raw[LABEL_BYTES], uint8_t ret_sum[8])
{
	uint8_t digest[COW_DIGEST_BYTES];

	cow_digest_of(raw + LABEL_BODY, LABEL_BYTES - LABEL_BODY, digest);
	memcpy(ret_sum, digest, 8);
}

void cow_label_encode(const struct cow_label *label, uint8_t ret_raw[LABEL_BYTES])
{
	memset(ret_raw, 0, LABEL_BYTES);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a field, not a string */
	memcpy(ret_raw, LABEL_MAGIC, 8);
	put_le32(ret_raw + 16, LABEL_VERSION);
	put_le32(ret_raw + 20, label->job);
	put_le32(ret_raw + 24, label->phase);
	put_le32(ret_raw + 28, label->nr_siblings);
	memcpy(ret_raw + 32, label->job_id, LABEL_JOB_ID_BYTES);
	put_le64(ret_raw + 48, label->target_bytes);
	memcpy(ret_raw + 56, label->target_head, COW_DIGEST_BYTES);
	put_le64(ret_raw + 72, label->nr_chunks);
	put_le64(ret_raw + 80, label->outcome_bytes);
	put_le64(ret_raw + 88, label->outcome_len_bytes);
	memcpy(ret_raw + 96, label->outcome_digest, COW_DIGEST_BYTES);
	put_le64(ret_raw + 112, label->nr_left);
	put_le64(ret_raw + 120, label->nr_earlier);
	memcpy(ret_raw + 128, label->earlier_id, LABEL_JOB_ID_BYTES);
	put_le64(ret_raw + 144, label->first_mark);
	checksum(ret_raw, ret_raw + 8);
}

bool cow_label_decode(const uint8_t raw[LABEL_BYTES], struct cow_label *ret_label)
{
	uint8_t sum[8];

	checksum(raw, sum);
	if (memcmp(raw, LABEL_MAGIC, 8) != 0 || memcmp(raw + 8, sum, 8) != 0 ||
	    get_le32(raw + 16) != LABEL_VERSION)
		return false;
	memset(ret_label, 0, sizeof(*ret_label));
	ret_label->job = get_le32(raw + 20);
	ret_label->phase = get_le32(raw + 24);
	ret_label->nr_siblings = get_le32(raw + 28);
	memcpy(ret_label->job_id, raw + 32, LABEL_JOB_ID_BYTES);
	ret_label->target_bytes = get_le64(raw + 48);
	memcpy(ret_label->target_head, raw + 56, COW_DIGEST_BYTES);
	ret_label->nr_chunks = get_le64(raw + 72);
	ret_label->outcome_bytes = get_le64(raw + 80);
	ret_label->outcome_len_bytes = get_le64(raw + 88);
	memcpy(ret_label->outcome_digest, raw + 96, COW_DIGEST_BYTES);
	ret_label->nr_left = get_le64(raw + 112);
	ret_label->nr_earlier = get_le64(raw + 120);
	memcpy(ret_label->earlier_id, raw + 128, LABEL_JOB_ID_BYTES);
	ret_label->first_mark = get_le64(raw + 144);
	return true;
}

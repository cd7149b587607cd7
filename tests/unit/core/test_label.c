/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The label of a job in progress: what was encoded is decoded, and a label with
 * one wrong bit is none. */
#include "tests/aids/test.h"

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/core/label.h"

static struct cow_label label_random(uint64_t *random)
{
	struct cow_label label;

	memset(&label, 0, sizeof(label));
	label.job = LABEL_JOB_REPAIR;
	label.phase = LABEL_PHASE_MOVE;
	label.nr_siblings = (uint32_t)test_random(random);
	label.target_bytes = test_random(random);
	label.nr_chunks = test_random(random);
	label.nr_left = test_random(random);
	label.outcome_bytes = test_random(random);
	label.outcome_len_bytes = test_random(random);
	label.first_mark = test_random(random);
	for (size_t i = 0; i < sizeof(label.job_id); i++)
		label.job_id[i] = (uint8_t)test_random(random);
	for (size_t i = 0; i < sizeof(label.target_head); i++) {
		label.target_head[i] = (uint8_t)test_random(random);
		label.outcome_digest[i] = (uint8_t)test_random(random);
	}
	return label;
}

static void each_field_comes_back(void)
{
	uint64_t random = test_seed();
	uint8_t raw[LABEL_BYTES];

	for (int i = 0; i < 100; i++) {
		const struct cow_label label = label_random(&random);
		struct cow_label found;

		memset(&found, 0, sizeof(found));
		memset(raw, 0xa5, sizeof(raw));
		cow_label_encode(&label, raw);
		CHECK(cow_label_decode(raw, &found));
		CHECK(!memcmp(&found, &label, sizeof(label)));
	}
}

/* A label that is torn, or that somebody has touched, must not decide what a
 * merge may overwrite. */
static void one_wrong_bit_makes_it_none(void)
{
	uint64_t random = test_seed();
	const struct cow_label label = label_random(&random);
	struct cow_label found;
	uint8_t raw[LABEL_BYTES];

	cow_label_encode(&label, raw);
	for (size_t bit = 0; bit < 8 * sizeof(raw); bit++) {
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(!cow_label_decode(raw, &found));
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CHECK(cow_label_decode(raw, &found));
}

/* The checksum as the format has it: of bytes 16 to 495. */
static void sum(uint8_t raw[LABEL_BYTES])
{
	uint8_t digest[COW_DIGEST_BYTES];

	cow_digest_of(raw + 16, LABEL_BYTES - 16, digest);
	memcpy(raw + 8, digest, 8);
}

static void another_version_is_not_ours(void)
{
	uint64_t random = test_seed();
	const struct cow_label label = label_random(&random);
	uint8_t raw[LABEL_BYTES], same[LABEL_BYTES];
	struct cow_label found;

	cow_label_encode(&label, raw);
	memcpy(same, raw, sizeof(same));
	sum(same);
	CHECK(!memcmp(raw, same, sizeof(raw)));
	put_le32(raw + 16, get_le32(raw + 16) + 1);
	sum(raw);
	CHECK(!cow_label_decode(raw, &found));
}

int main(void)
{
	RUN(each_field_comes_back);
	RUN(one_wrong_bit_makes_it_none);
	RUN(another_version_is_not_ours);
	return test_end();
}

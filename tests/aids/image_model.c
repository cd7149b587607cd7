/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/image_model.h"

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/test.h"

struct model {
	struct cow_image *image;
	uint8_t bytes[MODEL_BYTES];
	uint8_t scratch[MODEL_BYTES];
	uint64_t size_bytes;
	uint64_t random;
};

static uint64_t model_random(struct model *model, uint64_t below)
{
	return test_random(&model->random) % below;
}

/* All bytes agree, and what next_data skips is zeros. */
static void model_compare(struct model *model)
{
	uint64_t at = 0;

	OK(cow_image_pread(model->image, model->scratch, model->size_bytes, 0, err));
	CHECK(!memcmp(model->scratch, model->bytes, model->size_bytes));
	while (at < model->size_bytes) {
		uint64_t found, len;

		OK(cow_image_next_data(model->image, at, &found, &len, err));
		CHECK(found >= at && found + len <= model->size_bytes);
		CHECK(len || found == model->size_bytes);
		CHECK(is_all_zero(model->bytes + at, found - at));
		at = found + len;
	}
}

static void model_write(struct model *model, uint64_t at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		model->bytes[at + i] = (uint8_t)(test_random(&model->random) | 1);
	OK(cow_image_pwrite(model->image, model->bytes + at, len, at, err));
}

static void model_writev(struct model *model, uint64_t at, uint64_t len)
{
	uint64_t first = model_random(model, len + 1);
	struct iovec iov[3] = {
		{ model->bytes + at, first },
		{ NULL, 0 },
		{ model->bytes + at + first, len - first },
	};

	for (uint64_t i = 0; i < len; i++)
		model->bytes[at + i] = (uint8_t)test_random(&model->random);
	OK(cow_image_pwritev(model->image, iov, 3, at, err));
}

static void model_step(struct model *model)
{
	uint64_t at = model_random(model, model->size_bytes + 1);
	uint64_t len = model_random(model, model->size_bytes - at + 1);

	if (model_random(model, 2))
		len = min_u64(len, 1 + model_random(model, 5000));
	switch (model_random(model, 5)) {
	case 0:
		model_write(model, at, len);
		break;
	case 1:
		model_writev(model, at, len);
		break;
	case 2:
		memset(model->bytes + at, 0, len);
		OK(cow_image_write_zeroes(model->image, at, len, err));
		break;
	case 3:
		OK(cow_image_pread(model->image, model->scratch, len, at, err));
		CHECK(!memcmp(model->scratch, model->bytes + at, len));
		break;
	default:
		OK(cow_image_flush(model->image, err));
		model_compare(model);
	}
}

void model_run(struct cow_image *image, unsigned int nr_steps)
{
	struct model *model = (struct model *)calloc(1, sizeof(*model));

	CHECK(model && cow_image_size(image) <= MODEL_BYTES);
	model->image = image;
	model->size_bytes = cow_image_size(image);
	model->random = test_seed();
	OK(cow_image_pread(image, model->bytes, model->size_bytes, 0, err));
	while (nr_steps--)
		model_step(model);
	model_compare(model);
	free(model);
}

void fill_random(struct cow_image *image, uint64_t seed)
{
	uint64_t buf[64];

	for (uint64_t at = 0; at < cow_image_size(image); at += sizeof(buf)) {
		for (size_t i = 0; i < 64; i++)
			buf[i] = test_random(&seed);
		if (buf[0] & 1)
			OK(cow_image_pwrite(image, buf, sizeof(buf), at, err));
	}
}

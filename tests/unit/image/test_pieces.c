/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Images of several images, and images of a program, against plain bytes. */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_model.h"

#define LEGS_MAX 5

struct legs {
	struct cow_image *images[LEGS_MAX];
	size_t nr;
};

static void legs_close(struct legs *legs)
{
	for (size_t i = 0; i < legs->nr; i++)
		cow_image_close(legs->images[i]);
}

static void a_concatenation_behaves_like_bytes(void)
{
	static const uint64_t sizes[] = { 512, 20480, 1536, 4096, 30720 };
	struct legs legs = { .nr = 5 };
	struct cow_image *image = NULL;

	for (size_t i = 0; i < 5; i++) {
		OK(cow_image_memory_new(sizes[i], &legs.images[i], err));
		fill_random(legs.images[i], i);
	}
	OK(cow_image_concat_new(legs.images, 5, &image, err));
	CHECK_EQ(cow_image_size(image), 57344);
	CHECK(cow_image_is_writable(image));
	model_run(image, 2000);
	cow_image_close(image);
	legs_close(&legs);
}

/* The rule of dm-stripe, byte by byte, from the legs. */
static uint8_t stripe_naive(uint8_t bytes[][MODEL_BYTES], size_t nr_legs, uint64_t unit,
			    uint64_t offset)
{
	uint64_t row = offset / (unit * nr_legs), in_row = offset % (unit * nr_legs);

	return bytes[in_row / unit][row * unit + in_row % unit];
}

static void check_stripes(size_t nr_legs, uint64_t unit, uint64_t nr_rows)
{
	static uint8_t bytes[LEGS_MAX][MODEL_BYTES];
	static uint8_t all[MODEL_BYTES];
	struct legs legs = { .nr = nr_legs };
	struct cow_image *image = NULL;

	for (size_t i = 0; i < nr_legs; i++) {
		OK(cow_image_memory_new(unit * nr_rows, &legs.images[i], err));
		fill_random(legs.images[i], i + nr_rows);
	}
	OK(cow_image_stripe_new(legs.images, nr_legs, unit, &image, err));
	CHECK_EQ(cow_image_size(image), nr_legs * unit * nr_rows);
	model_run(image, 1000);
	OK(cow_image_pread(image, all, cow_image_size(image), 0, err));
	for (size_t i = 0; i < nr_legs; i++)
		OK(cow_image_pread(legs.images[i], bytes[i], unit * nr_rows, 0, err));
	for (uint64_t at = 0; at < cow_image_size(image); at++)
		CHECK_EQ(all[at], stripe_naive(bytes, nr_legs, unit, at));
	cow_image_close(image);
	legs_close(&legs);
}

static void stripes_lie_where_the_kernel_puts_them(void)
{
	check_stripes(1, 512, 100);
	check_stripes(2, 4096, 7);
	check_stripes(3, 512, 40);
	check_stripes(5, 1536, 8);
	check_stripes(4, 16384, 1);
}

/* Data in one unit out of 2^34 is found by one look into each leg. */
static void stripes_of_1_pib_cost_nothing_for_a_unit(void)
{
	uint64_t leg_bytes = UINT64_C(1) << 49, at, len, size;
	struct legs legs = { .nr = 2 };
	struct cow_image *image = NULL;
	uint8_t byte = 1;

	for (size_t i = 0; i < 2; i++)
		OK(cow_image_memory_new(leg_bytes, &legs.images[i], err));
	OK(cow_image_stripe_new(legs.images, 2, 65536, &image, err));
	size = cow_image_size(image);
	CHECK_EQ(size, UINT64_C(1) << 50);
	OK(cow_image_next_data(image, 0, &at, &len, err));
	CHECK(at == size && !len);
	OK(cow_image_pwrite(image, &byte, 1, size - 1, err));
	OK(cow_image_next_data(image, 0, &at, &len, err));
	CHECK(at == size - 4096 && len == 4096);
	/* Both legs full of data for three rows: one run. */
	for (uint64_t unit = 8; unit < 14; unit++)
		for (uint64_t page = 0; page < 16; page++)
			OK(cow_image_pwrite(image, &byte, 1, unit * 65536 + page * 4096, err));
	OK(cow_image_next_data(image, 1000, &at, &len, err));
	CHECK_EQ(at, 8 * 65536);
	CHECK_EQ(len, 6 * 65536);
	cow_image_close(image);
	legs_close(&legs);
}

static void parts_that_do_not_fit_are_refused(void)
{
	struct cow_image *a = NULL, *b = NULL, *zero = NULL, *none = NULL;

	OK(cow_image_memory_new(4096, &a, err));
	OK(cow_image_memory_new(8192, &b, err));
	OK(cow_image_zero_new(4096, &zero, err));
	FAILS(-EINVAL, cow_image_concat_new(NULL, 0, &none, err));
	FAILS(-EINVAL, cow_image_concat_new((struct cow_image *[]){ a, b, a }, 3, &none, err));
	FAILS(-EINVAL, cow_image_stripe_new((struct cow_image *[]){ a, b }, 2, 512, &none, err));
	FAILS(-EINVAL, cow_image_stripe_new((struct cow_image *[]){ a }, 1, 0, &none, err));
	FAILS(-EINVAL, cow_image_stripe_new((struct cow_image *[]){ a }, 1, 100, &none, err));
	FAILS(-EINVAL, cow_image_stripe_new((struct cow_image *[]){ a }, 1, 1536, &none, err));
	CHECK(!none);
	/* One part that cannot be written: nor can the whole. */
	OK(cow_image_concat_new((struct cow_image *[]){ a, zero }, 2, &none, err));
	CHECK(!cow_image_is_writable(none));
	FAILS(-EROFS, cow_image_pwrite(none, "x", 1, 0, err));
	cow_image_close(none);
	cow_image_close(a);
	cow_image_close(b);
	cow_image_close(zero);
}

static void parts_of_more_than_the_largest_image_are_refused(void)
{
	struct cow_image *a = NULL, *b = NULL, *none = NULL;
	uint64_t half = UINT64_C(1) << 62;

	OK(cow_image_zero_new(half, &a, err));
	OK(cow_image_zero_new(half, &b, err));
	FAILS(-ERANGE, cow_image_concat_new((struct cow_image *[]){ a, b }, 2, &none, err));
	FAILS(-ERANGE, cow_image_stripe_new((struct cow_image *[]){ a, b }, 2, 512, &none, err));
	CHECK(!none);
	cow_image_close(a);
	cow_image_close(b);
}

static void a_flush_that_fails_in_one_part_is_final_for_the_whole(void)
{
	struct cow_image *good = NULL, *memory = NULL, *bad = NULL, *whole = NULL;
	struct fault_plan plan = { .kinds = FAULT_FLUSH, .nth = 1 };

	OK(cow_image_memory_new(4096, &good, err));
	OK(cow_image_memory_new(4096, &memory, err));
	OK(fault_new(memory, &plan, &bad, err));
	OK(cow_image_concat_new((struct cow_image *[]){ good, bad }, 2, &whole, err));
	OK(cow_image_pwrite(whole, "x", 1, 0, err));
	FAILS(-EIO, cow_image_flush(whole, err));
	FAILS(-EIO, cow_image_pwrite(whole, "x", 1, 0, err));
	FAILS(-EIO, cow_image_flush(whole, err));
	CHECK_EQ(plan.nr_ops, 1);
	cow_image_close(whole);
	cow_image_close(bad);
	cow_image_close(memory);
	cow_image_close(good);
}

static void a_piece_resolves_to_its_part(void)
{
	struct cow_image *a = NULL, *b = NULL, *whole = NULL;
	uint64_t len = 100000, at;

	OK(cow_image_memory_new(4096, &a, err));
	OK(cow_image_memory_new(8192, &b, err));
	OK(cow_image_concat_new((struct cow_image *[]){ a, b }, 2, &whole, err));
	CHECK(cow_image_resolve(whole, 4096, &len, &at) == b);
	CHECK(!at && len == 8192);
	len = 512;
	CHECK(cow_image_resolve(whole, 4095, &len, &at) == a);
	CHECK(at == 4095 && len == 1);
	cow_image_close(whole);
	cow_image_close(a);
	cow_image_close(b);
}

/* A program's image: bytes in memory, with what it answers. */
struct program {
	uint8_t bytes[MODEL_BYTES];
	int answer;
	const char *says;
	uint64_t data_at;
	unsigned int nr_flushes, nr_closed;
};

static int program_answer(const struct program *program, struct cow_err *err)
{
	if (program->says)
		snprintf(err->message, sizeof(err->message), "%s", program->says);
	return program->answer;
}

static int program_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
			 struct cow_err *err)
{
	struct program *program = (struct program *)user;

	memcpy(buf, program->bytes + offset_bytes, len_bytes);
	return program_answer(program, err);
}

static int program_pwrite(void *user, const void *buf, size_t len_bytes, uint64_t offset_bytes,
			  struct cow_err *err)
{
	struct program *program = (struct program *)user;

	memcpy(program->bytes + offset_bytes, buf, len_bytes);
	return program_answer(program, err);
}

static int program_next_data(void *user, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			     uint64_t *ret_len_bytes, struct cow_err *err)
{
	const struct program *program = (const struct program *)user;

	(void)offset_bytes;
	*ret_offset_bytes = program->data_at;
	*ret_len_bytes = 512;
	return program_answer(program, err);
}

static int program_flush(void *user, struct cow_err *err)
{
	((struct program *)user)->nr_flushes++;
	return program_answer((struct program *)user, err);
}

static void program_close(void *user)
{
	((struct program *)user)->nr_closed++;
}

static struct cow_custom_ops program_ops(void)
{
	struct cow_custom_ops ops = COW_CUSTOM_OPS_INIT;

	ops.pread = program_pread;
	ops.pwrite = program_pwrite;
	ops.flush = program_flush;
	ops.close = program_close;
	return ops;
}

static struct cow_custom_args program_args(void)
{
	struct cow_custom_args args = COW_CUSTOM_ARGS_INIT;

	args.name = "program";
	args.size_bytes = MODEL_BYTES;
	args.is_writable = true;
	return args;
}

static void an_image_of_a_program_behaves_like_bytes(void)
{
	static struct program program;
	struct cow_custom_args args = program_args();
	struct cow_custom_ops ops = program_ops();
	struct cow_image *image = NULL;

	OK(cow_image_custom_new(&args, &ops, &program, &image, err));
	model_run(image, 2000);
	CHECK(program.nr_flushes > 10);
	cow_image_close(image);
	CHECK_EQ(program.nr_closed, 1);
}

static void answers_of_a_program_are_checked(void)
{
	static struct program program;
	struct cow_custom_args args = program_args();
	struct cow_custom_ops ops = program_ops();
	struct cow_image *image = NULL;
	struct cow_err said = COW_ERR_INIT;
	uint64_t at, len;
	uint8_t byte;

	ops.next_data = program_next_data;
	OK(cow_image_custom_new(&args, &ops, &program, &image, err));
	program.answer = -ENOTCONN;
	FAILS(-ENOTCONN, cow_image_pread(image, &byte, 1, 0, err));
	program.answer = 5;
	FAILS(-EIO, cow_image_pread(image, &byte, 1, 0, err));
	program.says = "the server is gone";
	CHECK(cow_image_pread(image, &byte, 1, 7, &said) == -EIO);
	CHECK(!strcmp(said.message, "the server is gone") && !strcmp(said.image, "program"));
	CHECK(said.offset_bytes == 7 && said.code == -EIO);
	CHECK(cow_image_pread(image, &byte, 1, 7, NULL) == -EIO);
	program.answer = 0;
	FAILS(-EIO, cow_image_next_data(image, 512, &at, &len, err));
	program.data_at = MODEL_BYTES;
	OK(cow_image_next_data(image, 512, &at, &len, err));
	CHECK(at == MODEL_BYTES && !len);
	FAILS(-EOPNOTSUPP, cow_image_discard(image, 0, 512, err));
	program.answer = -EIO;
	FAILS(-EIO, cow_image_flush(image, err));
	program.answer = 0;
	FAILS(-EIO, cow_image_flush(image, err));
	CHECK_EQ(program.nr_flushes, 1);
	cow_image_close(image);
}

static void a_program_that_says_too_little_is_refused(void)
{
	static struct program program;
	struct cow_custom_args args = program_args(), none = { .size = 0 };
	struct cow_custom_ops ops = program_ops(), empty = COW_CUSTOM_OPS_INIT;
	struct cow_image *image = NULL;

	FAILS(-EINVAL, cow_image_custom_new(&none, &ops, &program, &image, err));
	FAILS(-EINVAL, cow_image_custom_new(&args, &empty, &program, &image, err));
	ops.pwrite = NULL;
	FAILS(-EINVAL, cow_image_custom_new(&args, &ops, &program, &image, err));
	args.is_writable = false;
	args.logical_block_bytes = 600;
	FAILS(-EINVAL, cow_image_custom_new(&args, &ops, &program, &image, err));
	args.logical_block_bytes = 4096;
	args.size_bytes = 1000;
	FAILS(-EINVAL, cow_image_custom_new(&args, &ops, &program, &image, err));
	CHECK(!image && !program.nr_closed);
	args.size_bytes = 4096;
	OK(cow_image_custom_new(&args, &ops, &program, &image, err));
	CHECK_EQ(cow_image_logical_block_size(image), 4096);
	FAILS(-EROFS, cow_image_pwrite(image, "x", 1, 0, err));
	cow_image_close(image);
}

int main(void)
{
	RUN(a_concatenation_behaves_like_bytes);
	RUN(stripes_lie_where_the_kernel_puts_them);
	RUN(stripes_of_1_pib_cost_nothing_for_a_unit);
	RUN(parts_that_do_not_fit_are_refused);
	RUN(parts_of_more_than_the_largest_image_are_refused);
	RUN(a_flush_that_fails_in_one_part_is_final_for_the_whole);
	RUN(a_piece_resolves_to_its_part);
	RUN(an_image_of_a_program_behaves_like_bytes);
	RUN(answers_of_a_program_are_checked);
	RUN(a_program_that_says_too_little_is_refused);
	return test_end();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Images that are made of pieces of several files: their bytes are theirs alone. */
#include "tests/aids/test.h"

#include <errno.h>
#include <unistd.h>

#include "libcow/base/units.h"
#include "libcow/image/imageset.h"
#include "libcow/image/image.h"
#include "tests/aids/image_model.h"
#include "tests/aids/temp_dir.h"

static struct cow_imageset *set;

static struct cow_image *base_opened(const char *spec, uint32_t flags)
{
	struct cow_image *image = NULL;

	OK(cow_imageset_open_base(set, spec, flags, &image, err));
	return image;
}

static struct cow_image *stripes(struct cow_image *a, struct cow_image *b)
{
	struct cow_image *image = NULL;

	OK(cow_image_stripe_new((struct cow_image *[]){ a, b }, 2, 4096, &image, err));
	return image;
}

static void keep(struct cow_image_list *list, struct cow_image *image)
{
	OK(cow_image_list_add(list, image, err));
}

/* A window of two bases, as an image of the set that owns all of them. */
static int claim_two(const char *first, const char *second, uint32_t flags,
		     struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_image *a = base_opened(first, flags), *b = base_opened(second, flags);
	struct cow_image *top = stripes(a, b);
	struct cow_image_list owned = { .nr_images = 0 };
	int ret;

	keep(&owned, a);
	keep(&owned, b);
	keep(&owned, top);
	ret = cow_imageset_claim(set, top, "two", flags, &owned, ret_image, err);
	CHECK_EQ(owned.nr_images, ret ? 3 : 0);
	cow_image_list_close(&owned);
	return ret;
}

static void overlap_with_a_claim_is_refused(void)
{
	struct cow_image *image = NULL, *other = NULL;
	struct cow_err why = COW_ERR_INIT;

	OK(cow_imageset_new(&set, err));
	OK(claim_two("a@8k+8k", "b@8k+8k", COW_OPEN_WRITE, &image, err));
	model_run(image, 300);
	CHECK(cow_imageset_open(set, "b@12k+512", 0, &other, &why) == -EPERM);
	CHECK(!strcmp(why.id, "overlap") && strstr(why.message, "\"two\""));
	FAILS(-EPERM, cow_imageset_open(set, "a", 0, &other, err));
	FAILS(-EPERM, claim_two("a@16k+8k", "b@15k+8k", 0, &other, err));
	CHECK(!other);
	/* Beside it, the same files are free. */
	OK(cow_imageset_open(set, "a@0+8k", 0, &other, err));
	cow_image_close(other);
	OK(claim_two("a@16k+8k", "b@16k+8k", 0, &other, err));
	CHECK(!cow_image_is_writable(other));
	cow_image_close(other);
	cow_image_close(image);
	/* Closed: the bytes are free again, and so are the files. */
	OK(cow_imageset_open(set, "b@12k+512", 0, &other, err));
	cow_image_close(other);
	cow_imageset_free(set);
}

static void bytes_that_appear_twice_are_refused(void)
{
	struct cow_image *image = NULL;
	struct cow_err why = COW_ERR_INIT;

	OK(cow_imageset_new(&set, err));
	CHECK(claim_two("a@8k+8k", "a@12k+8k", 0, &image, &why) == -EPERM);
	CHECK(!strcmp(why.id, "overlap") && !strcmp(why.image, "two"));
	/* A link is the same file. */
	FAILS(-EPERM, claim_two("a@8k+8k", "link-to-a@12k+8k", 0, &image, err));
	OK(claim_two("a@8k+8k", "link-to-a@16k+8k", 0, &image, err));
	cow_image_close(image);
	cow_imageset_free(set);
}

static void a_range_of_stripes_lies_on_one_range_of_each_leg(void)
{
	struct cow_image *whole = NULL, *part = NULL, *other = NULL;
	struct cow_image *a, *b;
	struct cow_image_list owned = { .nr_images = 0 };
	static const struct cow_segment middle = { 6144, 8192 };

	OK(cow_imageset_new(&set, err));
	a = base_opened("a", 0);
	b = base_opened("b", 0);
	whole = stripes(a, b);
	OK(cow_image_window_new(whole, &middle, 1, &part, err));
	/* Bytes 6144..14336: of a 4096..8192, of b 2048..6144. */
	keep(&owned, a);
	keep(&owned, b);
	keep(&owned, whole);
	keep(&owned, part);
	OK(cow_imageset_claim(set, part, "part", 0, &owned, &part, err));
	OK(cow_imageset_open(set, "a@0+4k", 0, &other, err));
	cow_image_close(other);
	OK(cow_imageset_open(set, "a@8k+8k", 0, &other, err));
	cow_image_close(other);
	FAILS(-EPERM, cow_imageset_open(set, "a@0+4608", 0, &other, err));
	OK(cow_imageset_open(set, "b@0+2k", 0, &other, err));
	cow_image_close(other);
	FAILS(-EPERM, cow_imageset_open(set, "b@0+2560", 0, &other, err));
	OK(cow_imageset_open(set, "b@6k+2k", 0, &other, err));
	cow_image_close(other);
	FAILS(-EPERM, cow_imageset_open(set, "b@5632+2k", 0, &other, err));
	cow_image_close(part);
	cow_imageset_free(set);
}

static void a_base_does_not_claim(void)
{
	struct cow_image *base, *again, *image = NULL;

	OK(cow_imageset_new(&set, err));
	base = base_opened("a", 0);
	again = base_opened("a", 0);
	OK(cow_imageset_open(set, "a@4k", COW_OPEN_WRITE, &image, err));
	CHECK(cow_image_is_writable(image) && !cow_image_is_writable(base));
	cow_image_close(image);
	cow_image_close(again);
	cow_image_close(base);
	cow_imageset_free(set);
}

int main(void)
{
	temp_dir_enter();
	temp_file("a", 65536);
	temp_file("b", 65536);
	CHECK(!symlink("a", "link-to-a"));
	RUN(overlap_with_a_claim_is_refused);
	RUN(bytes_that_appear_twice_are_refused);
	RUN(a_range_of_stripes_lies_on_one_range_of_each_leg);
	RUN(a_base_does_not_claim);
	return test_end();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_model.h - random operations on an image and on a plain array of
 * bytes, which must stay the same; and next_data must skip nothing but zeros.
 */
#ifndef TESTS_AIDS_IMAGE_MODEL_H
#define TESTS_AIDS_IMAGE_MODEL_H

#include "libcow.h"

#define MODEL_BYTES (64 * 1024 + 512)

/* Takes the image's bytes as they are and then changes both. The seed is
 * test_seed(). Ends the program where they differ. */
void model_run(struct cow_image *image, unsigned int nr_steps);
/* Random data in about half of the sectors; the others are left alone. */
void fill_random(struct cow_image *image, uint64_t seed);

#endif

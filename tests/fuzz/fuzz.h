/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fuzz.h - what the fuzz targets share: images out of an input, and the limits
 * that every input must keep. CPU time is counted, so that a busy machine
 * changes nothing; memory only where the sanitizer's allocator is there.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcow.h"

#define FUZZ_SECONDS_MAX 1
#define FUZZ_BYTES_MAX (UINT64_C(64) << 20)
#define FUZZ_IMAGE_BYTES_MAX (1 << 20)
#define FUZZ_ORIGIN_BYTES (300 * 512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((weak)) int
__sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					  void (*on_free)(const volatile void *));
__attribute__((weak)) size_t __sanitizer_get_allocated_size(const volatile void *p);

static uint64_t fuzz_now_bytes, fuzz_peak_bytes;
static clock_t fuzz_start;

static void fuzz_on_malloc(const volatile void *p, size_t size)
{
	(void)p;
	fuzz_now_bytes += size;
	if (fuzz_now_bytes > fuzz_peak_bytes)
		fuzz_peak_bytes = fuzz_now_bytes;
}

static void fuzz_on_free(const volatile void *p)
{
	fuzz_now_bytes -= p ? __sanitizer_get_allocated_size(p) : 0;
}

static inline void fuzz_begin(void)
{
	static int is_hooked;

	if (!is_hooked++ && __sanitizer_install_malloc_and_free_hooks)
		__sanitizer_install_malloc_and_free_hooks(fuzz_on_malloc, fuzz_on_free);
	fuzz_now_bytes = fuzz_peak_bytes = 0;
	fuzz_start = clock();
}

/* size: of the input, which its images justify; extra_bytes: what it may take besides. */
static inline void fuzz_end_within(size_t size, uint64_t extra_bytes)
{
	clock_t ticks = clock() - fuzz_start;

	if (ticks > (clock_t)FUZZ_SECONDS_MAX * CLOCKS_PER_SEC) {
		fprintf(stderr, "%zu bytes took %ld ms\n", size,
			(long)(ticks / (CLOCKS_PER_SEC / 1000)));
		abort();
	}
	/* what was allocated before and freed now makes the count wrap */
	if (fuzz_peak_bytes > FUZZ_BYTES_MAX + extra_bytes + 8 * size &&
	    fuzz_peak_bytes < UINT64_MAX / 2) {
		fprintf(stderr, "%zu bytes took %llu bytes of memory\n", size,
			(unsigned long long)fuzz_peak_bytes);
		abort();
	}
}

static inline void fuzz_end(size_t size)
{
	fuzz_end_within(size, 0);
}

static inline void fuzz_must(bool is_so)
{
	if (!is_so)
		abort();
}

static inline struct cow_image *fuzz_image(const uint8_t *data, size_t size)
{
	struct cow_image *image;

	fuzz_must(!cow_image_memory_new(size / 512 * 512, &image, NULL));
	fuzz_must(!cow_image_pwrite(image, data, size / 512 * 512, 0, NULL));
	return image;
}

static inline struct cow_store_args fuzz_args(struct cow_role_image roles[2], struct cow_image *cow,
					      struct cow_image *origin)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	roles[0] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = cow };
	roles[1] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = origin };
	args.kind = "persistent";
	args.images = roles;
	args.nr_images = origin ? 2 : 1;
	return args;
}

#endif

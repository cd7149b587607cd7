/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test.h - the smallest frame for C tests. A test file is a list of functions
 * named after a behaviour and
 *	int main(void) { RUN(size_with_mb_is_refused); ...; return test_end(); }
 * A failed CHECK prints file, line and what was expected, and ends the program.
 * Programs that draw random numbers take the seed from COW_SEED and print it.
 */
#ifndef TESTS_AIDS_TEST_H
#define TESTS_AIDS_TEST_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow.h"

__attribute__((unused)) static const char *test_name = "(outside a test)";
__attribute__((unused)) static unsigned int test_nr;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, test_name,  \
				#condition);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);                                   \
		if (a_ != b_) {                                                                    \
			fprintf(stderr,                                                            \
				"%s:%d: %s: %s is %" PRIu64 ", expected %s = %" PRIu64 "\n",       \
				__FILE__, __LINE__, test_name, #a, a_, #b, b_);                    \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* A call that must work; prints the sentence if it does not. */
#define OK(call)                                                                                   \
	do {                                                                                       \
		struct cow_err err_ = COW_ERR_INIT, *err = &err_;                                  \
		int ret_ = (call);                                                                 \
		if (ret_) {                                                                        \
			fprintf(stderr, "%s:%d: %s: %s: %d (%s)\n", __FILE__, __LINE__, test_name, \
				#call, ret_, err->message);                                        \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* A call that must fail with this code and say something. Both macros provide
 * a variable "err" to the call: OK(cow_image_flush(image, err)). */
#define FAILS(code_, call)                                                                         \
	do {                                                                                       \
		struct cow_err err_ = COW_ERR_INIT, *err = &err_;                                  \
		int ret_ = (call);                                                                 \
		if (ret_ != (code_) || err->code != ret_ || !err->message[0]) {                    \
			fprintf(stderr, "%s:%d: %s: %s: %d (%s), expected %d\n", __FILE__,         \
				__LINE__, test_name, #call, ret_, err->message, (int)(code_));     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define RUN(function)                                                                              \
	do {                                                                                       \
		test_name = #function;                                                             \
		function();                                                                        \
		test_nr++;                                                                         \
	} while (0)

static inline int test_end(void)
{
	printf("%u tests ok\n", test_nr);
	return 0;
}

/* Seeded, portable random numbers (splitmix64). */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static inline uint64_t test_seed(void)
{
	const char *text = getenv("COW_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 1;

	printf("seed %" PRIu64 " (COW_SEED)\n", seed);
	return seed;
}

#endif

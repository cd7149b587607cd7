/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* test_chunkset.c - what occurs twice, against counting. */
#include "libcow/core/chunkset.h"
#include "tests/aids/test.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Adds the numbers, and asks for each answer that there is. */
static void judge(uint64_t *numbers, size_t nr)
{
	uint64_t from = 0, found, nr_distinct = 0;
	struct cow_chunkset *set;

	OK(cow_chunkset_new(&set, err));
	for (size_t i = 0; i < nr; i++)
		OK(cow_chunkset_add(set, numbers[i], err));
	OK(cow_chunkset_seal(set, err));
	qsort(numbers, nr, sizeof(*numbers), compare);
	for (size_t i = 0, next; i < nr; i = next, nr_distinct++) {
		for (next = i + 1; next < nr && numbers[next] == numbers[i];)
			next++;
		if (next == i + 1)
			continue;
		CHECK(cow_chunkset_next_duplicate(set, from, &found));
		CHECK_EQ(found, numbers[i]);
		from = found + 1;
	}
	CHECK(!from || !cow_chunkset_next_duplicate(set, from, &found));
	CHECK(from || !cow_chunkset_next_duplicate(set, 0, &found));
	CHECK_EQ(cow_chunkset_nr_distinct(set), nr_distinct);
	cow_chunkset_free(set);
}

static void nothing_and_one_number(void)
{
	uint64_t numbers[] = { 0 };

	judge(numbers, 0);
	judge(numbers, 1);
}

static void the_largest_number_twice(void)
{
	uint64_t numbers[] = { UINT64_MAX - 1, 0, UINT64_MAX - 1, 0, 0, 7 };

	judge(numbers, 6);
}

/* Small numbers for the bitmap, large ones for the sort, and both few enough
 * to repeat and too many for that. */
static void random_numbers(void)
{
	static const unsigned int bits[] = { 1, 4, 12, 23, 24, 30, 33, 44, 54, 63 };
	uint64_t random = test_seed();
	static uint64_t numbers[50000];

	for (int round = 0; round < 60; round++) {
		uint64_t mask = (UINT64_C(1) << bits[test_random(&random) % 10]) - 1;
		size_t nr = test_random(&random) % 50000;
		bool repeats = test_random(&random) % 2;

		for (size_t i = 0; i < nr; i++) {
			numbers[i] = test_random(&random) & mask;
			if (repeats && i && test_random(&random) % 8 == 0)
				numbers[i] = numbers[test_random(&random) % i];
		}
		judge(numbers, nr);
	}
}

static void ascending_numbers(void)
{
	static uint64_t numbers[5000];

	for (size_t i = 0; i < 5000; i++)
		numbers[i] = i * i;
	judge(numbers, 5000);
	numbers[4999] = numbers[4998];
	judge(numbers, 5000);
}

int main(void)
{
	RUN(nothing_and_one_number);
	RUN(the_largest_number_twice);
	RUN(random_numbers);
	RUN(ascending_numbers);
	return test_end();
}

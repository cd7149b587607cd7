/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * A lost header: good stores of every chunk size from 512 bytes to 1 MiB, over
 * old rubbish, with whole stores of other chunk sizes among their data and what
 * looks like records at the worst places. The header is wiped or overwritten;
 * the chunk size must be found, or said to be unknown, and never be wrong.
 * usage: test_header [number of stores]
 */
#include <errno.h>

#include "libcow/core/report.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define SIZES 12

struct figures {
	uint64_t right, refused, named; /* refused, but among the candidates */
};

static struct figures of_size[SIZES];
static uint64_t nr_undecidable;

static void put64(uint8_t *raw, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		raw[i] = (uint8_t)(value >> (8 * i));
}

/* Writes a list of nr exceptions, as the kernel allocates, and what is behind. */
static void list_write(struct cow_image *image, uint64_t base, uint64_t chunk_bytes, uint64_t nr,
		       uint64_t *random)
{
	uint64_t per_area = chunk_bytes / 16, chunk = 2, old = test_random(random) % 1000;
	uint8_t record[16];

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t area = 1 + i / per_area * (per_area + 1);

		old += 1 + (test_random(random) % 4 ? 0 : test_random(random) % 5000);
		chunk += chunk % (per_area + 1) == 1;
		put64(record, old);
		put64(record + 8, chunk++);
		if (base + area * chunk_bytes + chunk_bytes <= cow_image_size(image))
			OK(cow_image_pwrite(image, record, 16,
					    base + area * chunk_bytes + i % per_area * 16, err));
	}
}

/* Data that is as misleading as it can be, from byte "from" on. */
static void trap_write(struct cow_image *image, uint64_t from, uint64_t *random)
{
	uint8_t sector[512] = { 0 };

	for (uint64_t at = from; at + 1024 < cow_image_size(image) && at <= UINT64_C(1) << 30;
	     at *= 2) {
		switch (test_random(random) % 4) {
		case 0: /* an older store, or one in the data */
			OK(cow_image_write_zeroes(image, at, 1024, err));
			list_write(image, 0, at, 1 + test_random(random) % 200, random);
			break;
		case 1: /* a pair of small numbers */
			put64(sector, test_random(random) % 100);
			put64(sector + 8, 2 + test_random(random) % 4);
			OK(cow_image_pwrite(image, sector, sizeof(sector), at, err));
		}
	}
}

static void rubbish_write(struct cow_image *image, uint64_t from, uint64_t *random)
{
	uint8_t sector[512];

	for (uint64_t at = from; at + 512 <= cow_image_size(image);
	     at += at < 65536 ? 512 : at / 8 / 512 * 512) {
		random_fill(sector, sizeof(sector), random);
		OK(cow_image_pwrite(image, sector, sizeof(sector), at, err));
	}
}

static void header_lose(struct cow_image *image, uint64_t chunk_bytes, uint64_t *random)
{
	uint8_t sector[512] = { 0 };

	switch (test_random(random) % 3) {
	case 0:
		break;
	case 1:
		random_fill(sector, sizeof(sector), random);
		break;
	case 2:
		OK(cow_image_write_zeroes(image, 0, chunk_bytes, err));
	}
	OK(cow_image_pwrite(image, sector, sizeof(sector), 0, err));
}

static bool is_named;
static uint64_t true_bytes;

static void keep(void *user, const struct cow_finding *finding)
{
	(void)user;
	if (!strcmp(finding->problem->id, "persistent.chunk-size-candidate") &&
	    finding->offset_bytes == true_bytes)
		is_named = true;
}

/* What the check takes it for; 0: it does not say. */
static uint64_t guess(struct cow_image *image)
{
	struct cow_role_image role = { COW_ROLE_COW, 0, image };
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	int ret;

	is_named = false;
	callbacks.finding = keep;
	args.kind = "persistent";
	args.images = &role;
	args.nr_images = 1;
	OK(cow_report_new(&callbacks, 0, &report, err));
	ret = cow_check(&args, &params, report, &verdict, NULL);
	CHECK(!ret || ret == -EMEDIUMTYPE);
	CHECK(ret || verdict.known ||
	      cow_report_count_id(report, "persistent.chunk-size-unknown") == 1);
	cow_report_free(report);
	return !ret && verdict.known ? verdict.info.chunk_bytes : 0;
}

static void one_store(uint64_t nr_store, uint64_t *random)
{
	uint64_t size = nr_store % SIZES, chunk_bytes = UINT64_C(512) << size, found;
	uint64_t nr = test_random(random) % 3 ? test_random(random) % 100 : test_random(random) % 5;
	bool has_traps = test_random(random) % 2;
	struct cow_image *image;

	OK(cow_image_memory_new((nr + 3 + nr / 32 + test_random(random) % 100) * chunk_bytes,
				&image, err));
	rubbish_write(image, 2 * chunk_bytes, random);
	if (has_traps)
		trap_write(image, 2 * chunk_bytes, random);
	for (uint64_t area = 0; area <= nr / (chunk_bytes / 16); area++)
		OK(cow_image_write_zeroes(image, (1 + area * (chunk_bytes / 16 + 1)) * chunk_bytes,
					  chunk_bytes, err));
	list_write(image, 0, chunk_bytes, nr, random);
	header_lose(image, chunk_bytes, random);
	true_bytes = chunk_bytes;
	found = guess(image);
	cow_image_close(image);
	/* an empty list leaves nothing that an older store does not hide */
	if (!nr && has_traps && found) {
		nr_undecidable++;
		return;
	}
	if (found && found != chunk_bytes)
		fprintf(stderr,
			"store %" PRIu64 ": %" PRIu64 " taken for %" PRIu64 ", %" PRIu64
			" exceptions\n",
			nr_store, chunk_bytes, found, nr);
	CHECK(!found || found == chunk_bytes);
	CHECK(found || has_traps || nr < 2); /* that would be too timid */
	of_size[size].right += found != 0;
	of_size[size].refused += !found;
	of_size[size].named += !found && is_named;
}

int main(int argc, char **argv)
{
	uint64_t nr = argc > 1 ? strtoull(argv[1], NULL, 0) : 2400;
	uint64_t seed = test_seed();

	test_name = "lost headers";
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t random = seed * 1000003 + i;

		one_store(i, &random);
	}
	for (unsigned int i = 0; i < SIZES; i++)
		printf("chunks of %7u: %" PRIu64 " right, %" PRIu64 " refused (of them %" PRIu64
		       " among the candidates), 0 wrong\n",
		       512U << i, of_size[i].right, of_size[i].refused, of_size[i].named);
	printf("%" PRIu64 " stores with an empty list over an older store: taken for the older\n",
	       nr_undecidable);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * damage_states DIRECTORY NUMBER - stores with random damage, NUMBER of each
 * kind that can happen to them, in directories KIND-NN: the store as it was
 * ("good"), as it is ("cow"), and "story", what happened.
 */
#include "tests/aids/damage.h"
#include "tests/aids/sample.h"
#include "tests/aids/test.h"

#define NR_STORES 8000

static const struct {
	const char *word; /* of the story */
	const char *kind;
} kinds[] = {
	{ "header field", "header" },
	{ "of the header", "header-bit" },
	{ "zeroed", "lost" },
	{ "rubbish", "rubbish" },
	{ "swapped", "swapped" },
	{ "cut to", "cut" },
	{ "bit ", "bit" },
	{ "as in", "twice" },
	{ "old chunk", "old" },
	{ "new chunk", "new" },
};

static const char *kind_of(const char *story)
{
	size_t i = 0;

	while (!strstr(story, kinds[i].word))
		CHECK(++i < sizeof(kinds) / sizeof(kinds[0]));
	return kinds[i].kind;
}

static void keep(struct sample *sample, uint64_t *random)
{
	struct damage damage;
	uint8_t *good;
	uint64_t good_bytes;
	char kind[40], path[256];

	damage_make(&damage, random);
	good_bytes = damage.cow_bytes;
	good = (uint8_t *)malloc(good_bytes);
	CHECK(good != NULL);
	memcpy(good, damage.cow, good_bytes);
	damage_mutate(&damage, random);
	snprintf(kind, sizeof(kind), "%s", kind_of(damage.story));
	if (test_random(random) % 4 == 0) {
		damage_mutate(&damage, random);
		snprintf(kind, sizeof(kind), "several");
	}
	if (damage.cow_bytes < good_bytes || memcmp(good, damage.cow, good_bytes) != 0) {
		if (sample_wants(sample, kind, path)) {
			sample_bytes(path, "good", good, good_bytes);
			sample_bytes(path, "cow", damage.cow, damage.cow_bytes);
			sample_bytes(path, "story", (const uint8_t *)damage.story,
				     strlen(damage.story));
		}
	}
	free(good);
	damage_free(&damage);
}

int main(int argc, char **argv)
{
	struct sample sample = { .nr_per_kind = argc > 2 ? (unsigned int)atoi(argv[2]) : 0 };
	uint64_t random = test_seed();

	test_name = "damage";
	if (argc != 3)
		return 16;
	sample.directory = argv[1];
	sample.random = random;
	for (int i = 0; i < NR_STORES; i++)
		keep(&sample, &random);
	sample_print(&sample);
	return 0;
}

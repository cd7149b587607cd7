/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/sample.h"

#include <sys/stat.h>

#include "tests/aids/test.h"

bool sample_wants(struct sample *sample, const char *kind, char ret_path[256])
{
	uint64_t slot;
	size_t i = 0;

	if (!sample->directory)
		return false;
	while (sample->kinds[i].name[0] && strcmp(sample->kinds[i].name, kind) != 0)
		CHECK(++i < SAMPLE_KINDS_MAX);
	snprintf(sample->kinds[i].name, sizeof(sample->kinds[i].name), "%s", kind);
	slot = sample->kinds[i].nr_seen++;
	if (slot >= sample->nr_per_kind)
		slot = test_random(&sample->random) % sample->kinds[i].nr_seen;
	if (slot >= sample->nr_per_kind)
		return false;
	snprintf(ret_path, 256, "%s/%s-%02u", sample->directory, kind, (unsigned int)slot);
	mkdir(ret_path, 0777);
	return true;
}

void sample_bytes(const char *path, const char *name, const uint8_t *bytes, uint64_t len_bytes)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", path, name);
	f = fopen(full, "wb");
	CHECK(f != NULL);
	CHECK_EQ(fwrite(bytes, 1, len_bytes, f), len_bytes);
	CHECK_EQ(fclose(f), 0);
}

void sample_image(const char *path, const char *name, struct cow_image *image)
{
	uint64_t size = cow_image_size(image);
	uint8_t *bytes = (uint8_t *)malloc(size);

	CHECK(bytes != NULL);
	OK(cow_image_pread(image, bytes, size, 0, err));
	sample_bytes(path, name, bytes, size);
	free(bytes);
}

void sample_print(const struct sample *sample)
{
	for (size_t i = 0; i < SAMPLE_KINDS_MAX && sample->kinds[i].name[0]; i++)
		printf("%s: %" PRIu64 "\n", sample->kinds[i].name, sample->kinds[i].nr_seen);
}

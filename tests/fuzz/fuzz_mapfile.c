/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* A mapfile of ddrescue. What is accepted must print and read back the same. */
#include "tests/fuzz/text.h"
#include "tools/common/cli.h"
#include "tools/images/mapfile.h"

#define IMAGE_BYTES UINT64_C(65536)

/* Bad and good make the whole image, without overlap. */
static void check_bad(const struct mapfile *map)
{
	uint64_t at = 0, good = 0, bad = 0;
	struct cow_segment *ranges;
	size_t nr;

	check(!mapfile_bad(map, IMAGE_BYTES, &ranges, &nr, NULL));
	for (size_t i = 0; i < nr; i++) {
		check(ranges[i].len_bytes && ranges[i].offset_bytes >= at);
		at = ranges[i].offset_bytes + ranges[i].len_bytes;
		bad += ranges[i].len_bytes;
	}
	for (size_t i = 0; i < map->nr_good; i++) {
		uint64_t start = map->good[i].offset_bytes, len = map->good[i].len_bytes;

		if (start < IMAGE_BYTES)
			good += len < IMAGE_BYTES - start ? len : IMAGE_BYTES - start;
	}
	check(at <= IMAGE_BYTES && good + bad == IMAGE_BYTES);
	free(ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct printer printer;
	struct mapfile first = { 0 }, second = { 0 };
	struct bytes bytes = { data, size };
	struct byte_source source = { bytes_read, &bytes, "input" };
	struct cow_err err = COW_ERR_INIT;
	struct mapfile_writer writer;
	struct text text = { 0 };

	if (mapfile_read(&first, &source, &err)) {
		check(err.code && err.message[0] && !first.good);
		return 0;
	}
	check_bad(&first);
	printer = (struct printer){ .write = text_write, .user = &text };
	check(!mapfile_begin(&writer, &printer, &err));
	for (size_t i = 0; i < first.nr_good; i++)
		check(!mapfile_add(&writer, first.good[i].offset_bytes, first.good[i].len_bytes,
				   &err));
	check(!mapfile_end(&writer, first.end_bytes, &err));
	bytes = (struct bytes){ (const uint8_t *)text.data, text.size };
	check(!mapfile_read(&second, &source, &err));
	check(first.nr_good == second.nr_good && first.end_bytes == second.end_bytes);
	check(!first.nr_good ||
	      !memcmp(first.good, second.good, first.nr_good * sizeof(*first.good)));
	mapfile_clear(&first);
	mapfile_clear(&second);
	free(text.data);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The texts of an export: a manifest, and the ranges of a delta (the first byte
 * says which). What is accepted must print and read back as the same.
 */
#include "tests/fuzz/text.h"
#include "tools/formats/delta.h"
#include "tools/formats/manifest_file.h"

static void fuzz_manifest(const struct byte_source *source)
{
	static struct printer printer;
	struct cow_err err = COW_ERR_INIT;
	struct manifest first, second;
	struct text text = { 0 };
	struct bytes bytes;
	struct byte_source again = { bytes_read, &bytes, "again" };

	if (manifest_read(&first, source, &err)) {
		check(err.code && err.message[0]);
		return;
	}
	printer = (struct printer){ .write = text_write, .user = &text };
	check(!manifest_print(&first, &printer, &err));
	bytes = (struct bytes){ text.data, text.size };
	check(!manifest_read(&second, &again, &err));
	check(first.nr_ranges == second.nr_ranges && first.view_bytes == second.view_bytes &&
	      first.has_parent == second.has_parent && first.is_doubtful == second.is_doubtful);
	check(!memcmp(first.digest, second.digest, sizeof(first.digest)));
	check(!first.nr_ranges ||
	      !memcmp(first.ranges, second.ranges, first.nr_ranges * sizeof(*first.ranges)));
	manifest_clear(&first);
	manifest_clear(&second);
	free(text.data);
}

static void fuzz_ranges(const struct byte_source *source)
{
	static struct printer printer;
	struct cow_err err = COW_ERR_INIT;
	struct delta first = { .view_bytes = 1 << 20 }, second = { .view_bytes = 1 << 20 };
	struct text text = { 0 };
	struct bytes bytes;
	struct byte_source again = { bytes_read, &bytes, "again" };
	uint64_t end = 0;

	if (delta_read_ranges(&first, source, &err)) {
		check(err.code && err.message[0]);
		delta_clear(&first);
		return;
	}
	for (size_t i = 0; i < first.nr_ranges; i++) {
		check(first.ranges[i].offset_bytes >= end && first.ranges[i].len_bytes);
		end = first.ranges[i].offset_bytes + first.ranges[i].len_bytes;
	}
	check(end <= first.view_bytes);
	printer = (struct printer){ .write = text_write, .user = &text };
	check(!delta_print_ranges(&first, &printer, &err));
	bytes = (struct bytes){ text.data, text.size };
	check(!delta_read_ranges(&second, &again, &err));
	check(first.nr_ranges == second.nr_ranges && first.data_bytes == second.data_bytes);
	delta_clear(&first);
	delta_clear(&second);
	free(text.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = { data + 1, size - 1 };
	struct byte_source source = { bytes_read, &bytes, "input" };
	struct delta delta = { 0 };
	struct cow_err err = COW_ERR_INIT;

	if (!size)
		return 0;
	if (data[0] == 'r') {
		fuzz_ranges(&source);
	} else if (data[0] == 'h') {
		if (delta_read_head(&delta, &source, &err))
			check(err.code && err.message[0]);
	} else {
		fuzz_manifest(&source);
	}
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/image_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/image/image.h"
#include "tests/aids/passthrough.h"

struct image_record {
	struct passthrough pass; /* first */
	struct record_log *log;
	unsigned int number;
};

static void *must(void *p)
{
	if (!p) {
		fputs("image_record: no memory\n", stderr);
		abort();
	}
	return p;
}

/* data is taken over. */
static void record_add(struct cow_image *image, enum record_kind kind, uint64_t offset_bytes,
		       uint64_t len_bytes, uint8_t *data)
{
	struct image_record *record = (struct image_record *)image;
	struct record_log *log = record->log;

	if (log->nr_entries == log->capacity) {
		log->capacity = log->capacity ? 2 * log->capacity : 64;
		log->entries = (struct record_entry *)must(
			realloc(log->entries, log->capacity * sizeof(*log->entries)));
	}
	log->entries[log->nr_entries++] = (struct record_entry){
		.kind = kind,
		.image = record->number,
		.offset_bytes = offset_bytes,
		.len_bytes = len_bytes,
		.data = data,
	};
}

static int record_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			 uint64_t offset_bytes, struct cow_err *err)
{
	int ret = cow_image_pwrite(passthrough_lower(image), buf, len_bytes, offset_bytes, err);

	if (!ret)
		record_add(image, RECORD_WRITE, offset_bytes, len_bytes,
			   (uint8_t *)memcpy(must(malloc(len_bytes)), buf, len_bytes));
	return ret;
}

static int record_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	int ret = cow_image_write_zeroes(passthrough_lower(image), offset_bytes, len_bytes, err);

	if (!ret)
		record_add(image, RECORD_ZERO, offset_bytes, len_bytes, NULL);
	return ret;
}

static int record_clone_range(struct cow_image *image, uint64_t offset_bytes,
			      struct cow_image *source, uint64_t source_offset_bytes,
			      uint64_t len_bytes, struct cow_err *err)
{
	struct image_record *record = (struct image_record *)image;
	struct cow_image *lower = passthrough_lower(image);
	AUTO_FREE uint8_t *data = (uint8_t *)must(malloc(len_bytes));
	int ret = cow_image_pread(source, data, len_bytes, source_offset_bytes, err);

	if (ret)
		return ret;
	ret = cow_image_clone_range(lower, offset_bytes, source, source_offset_bytes, len_bytes,
				    err);
	if (ret == -EOPNOTSUPP && record->log->emulates_clone)
		ret = cow_image_pwrite(lower, data, len_bytes, offset_bytes, err);
	if (!ret)
		record_add(image, RECORD_CLONE, offset_bytes, len_bytes, take_ptr(data));
	return ret;
}

static int record_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	int ret = cow_image_discard(passthrough_lower(image), offset_bytes, len_bytes, err);

	if (!ret)
		record_add(image, RECORD_DISCARD, offset_bytes, len_bytes, NULL);
	return ret;
}

static int record_flush(struct cow_image *image, struct cow_err *err)
{
	int ret = cow_image_flush(passthrough_lower(image), err);

	if (!ret)
		record_add(image, RECORD_FLUSH, 0, 0, NULL);
	return ret;
}

static const struct image_ops record_ops = {
	.name = "record",
	.pread = passthrough_pread,
	.pwrite = record_pwrite,
	.pwritev = passthrough_pwritev,
	.write_zeroes = record_write_zeroes,
	.clone_range = record_clone_range,
	.next_data = passthrough_next_data,
	.discard = record_discard,
	.flush = record_flush,
	.drop_cache = passthrough_drop_cache,
};

int record_new(struct cow_image *lower, struct record_log *log, unsigned int number,
	       struct cow_image **ret_image, struct cow_err *err)
{
	struct image_record *record = (struct image_record *)calloc(1, sizeof(*record));
	int ret = passthrough_init(record ? &record->pass : NULL, &record_ops, lower, err);

	if (ret) {
		free(record);
		return ret;
	}
	record->log = log;
	record->number = number;
	*ret_image = &record->pass.image;
	return 0;
}

void record_clear(struct record_log *log)
{
	for (size_t i = 0; i < log->nr_entries; i++)
		free(log->entries[i].data);
	free(log->entries);
	log->entries = NULL;
	log->nr_entries = log->capacity = 0;
}

size_t record_count(const struct record_log *log, unsigned int number, enum record_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < log->nr_entries; i++)
		count += log->entries[i].image == number && log->entries[i].kind == kind;
	return count;
}

static int entry_apply(const struct record_entry *entry, struct cow_image *target,
		       struct cow_err *err)
{
	switch (entry->kind) {
	case RECORD_WRITE:
	case RECORD_CLONE:
		return cow_image_pwrite(target, entry->data, entry->len_bytes, entry->offset_bytes,
					err);
	case RECORD_ZERO:
		return cow_image_write_zeroes(target, entry->offset_bytes, entry->len_bytes, err);
	case RECORD_DISCARD:
		return cow_image_discard(target, entry->offset_bytes, entry->len_bytes, err);
	case RECORD_FLUSH:
		return cow_image_flush(target, err);
	}
	return -EINVAL;
}

int record_apply(const struct record_log *log, size_t first, size_t end, unsigned int number,
		 struct cow_image *target, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = first; i < end && i < log->nr_entries && !ret; i++)
		if (log->entries[i].image == number)
			ret = entry_apply(&log->entries[i], target, err);
	return ret;
}

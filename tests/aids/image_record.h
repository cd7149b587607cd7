/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_record.h - an image that passes everything on to a lower one and notes
 * what changes it: every write with its bytes, zeros, clones (with the bytes
 * that were shared), discards and flushes. Several images append to one log,
 * so the order between origin and COW image is known. Only what succeeded is
 * noted. Fails the test program when out of memory.
 */
#ifndef TESTS_AIDS_IMAGE_RECORD_H
#define TESTS_AIDS_IMAGE_RECORD_H

#include "libcow.h"

enum record_kind {
	RECORD_WRITE,
	RECORD_ZERO,
	RECORD_CLONE,
	RECORD_DISCARD,
	RECORD_FLUSH,
};

struct record_entry {
	enum record_kind kind;
	unsigned int image; /* the number given to record_new() */
	uint64_t offset_bytes, len_bytes;
	uint8_t *data; /* WRITE and CLONE: the bytes; else NULL */
};

struct record_log {
	struct record_entry *entries;
	size_t nr_entries, capacity;
	/* Clones are done by copying where lower cannot share; so code that
	 * moves by reference can be tested in memory. */
	bool emulates_clone;
};

/* lower and log stay the caller's and must outlive the image. */
int record_new(struct cow_image *lower, struct record_log *log, unsigned int number,
	       struct cow_image **ret_image, struct cow_err *err);
/* Frees the entries; the log is empty then and can be used again. */
void record_clear(struct record_log *log);
/* How many entries of this kind the log has for an image. */
size_t record_count(const struct record_log *log, unsigned int number, enum record_kind kind);
/* Does to target what entries [first, end) did to the image of this number;
 * flushes included. */
int record_apply(const struct record_log *log, size_t first, size_t end, unsigned int number,
		 struct cow_image *target, struct cow_err *err);

#endif

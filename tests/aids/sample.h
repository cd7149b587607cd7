/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sample.h - writes some of very many states to a directory, for another judge:
 * so many of each kind, each state of a kind equally likely, however many come.
 * A state is a directory KIND-NN of files. Without a directory nothing is kept.
 */
#ifndef TESTS_AIDS_SAMPLE_H
#define TESTS_AIDS_SAMPLE_H

#include "libcow.h"

#define SAMPLE_KINDS_MAX 64

struct sample {
	const char *directory; /* exists; NULL: keep nothing */
	unsigned int nr_per_kind;
	uint64_t random;
	struct {
		char name[40];
		uint64_t nr_seen;
	} kinds[SAMPLE_KINDS_MAX];
};

/* Decides about one more state of a kind. True: ret_path is its directory,
 * which may hold another state's files, to be overwritten. */
bool sample_wants(struct sample *sample, const char *kind, char ret_path[256]);

void sample_bytes(const char *path, const char *name, const uint8_t *bytes, uint64_t len_bytes);
void sample_image(const char *path, const char *name, struct cow_image *image);

/* Prints how many there were of each kind. */
void sample_print(const struct sample *sample);

#endif

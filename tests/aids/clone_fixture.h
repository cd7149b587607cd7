/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_fixture.h - clones that a kernel made. Needs the folders that
 * COW_FIXTURES and COW_UNPACKED name.
 */
#ifndef TESTS_AIDS_CLONE_FIXTURE_H
#define TESTS_AIDS_CLONE_FIXTURE_H

#include "libcow.h"

extern char clone_folder[]; /* a folder of this test's own */
extern const char *clone_fixtures;

void clone_fixture_begin(void);
void clone_fixture_end(void);

/* The rest of the line of a file of a fixture that begins with key. */
bool clone_fact(const char *name, const char *file, const char *key, char ret_value[400]);

struct clone_trio {
	struct cow_imageset *set;
	struct cow_image *images[3]; /* metadata, source, destination */
	struct cow_role_image roles[3];
	struct cow_geometry geometry[2];
	struct cow_store_args args;
};

/* flags: of cow_imageset_open(). false: one of the images is not kept. */
bool clone_trio_open(struct clone_trio *trio, const char *name, const char *metadata,
		     const char *source, const char *destination, uint32_t flags);
void clone_trio_close(struct clone_trio *trio);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_fixture.h - pools that a kernel made. Needs the folders that
 * COW_FIXTURES and COW_UNPACKED name.
 */
#ifndef TESTS_AIDS_THIN_FIXTURE_H
#define TESTS_AIDS_THIN_FIXTURE_H

#include "libcow.h"

extern const char *thin_fixtures;

void thin_fixture_begin(void);

struct thin_pair {
	struct cow_imageset *set;
	struct cow_image *images[3]; /* metadata, data, external origin or NULL */
	struct cow_role_image roles[3];
	struct cow_geometry geometry[2]; /* id, size: thin_pair_ask() */
	char values[2][32];
	struct cow_store_args args;
};

/* Opens metadata and data, "NAME/FILE" below the fixtures without ".img"; origin
 * NULL: none. */
void thin_pair_open(struct thin_pair *pair, const char *metadata, const char *data,
		    const char *origin);
void thin_pair_close(struct thin_pair *pair);
/* Names a device in args; sectors 0: nobody knows; without an external origin. */
void thin_pair_ask(struct thin_pair *pair, uint64_t id, uint64_t sectors, bool has_origin);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_fixture.c - opens pools that a kernel made, for tests in C.
 */
#include "tests/aids/thin_fixture.h"

#include <inttypes.h>
#include <unistd.h>

#include "libcow/store/store.h"
#include "tests/aids/test.h"

const char *thin_fixtures;

void thin_fixture_begin(void)
{
	thin_fixtures = getenv("COW_FIXTURES");
	if (!thin_fixtures) {
		fprintf(stderr, "COW_FIXTURES is not set\n");
		exit(1);
	}
}

static void image_open(struct thin_pair *pair, int number, const char *name)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/thin/%s.img", getenv("COW_UNPACKED"), name);
	OK(cow_imageset_open(pair->set, path, COW_OPEN_LITERAL, &pair->images[number], err));
}

void thin_pair_open(struct thin_pair *pair, const char *metadata, const char *data,
		    const char *origin)
{
	static const int roles[] = { COW_ROLE_METADATA, COW_ROLE_DATA, COW_ROLE_ORIGIN };

	*pair = (struct thin_pair){ .args = COW_STORE_ARGS_INIT };
	OK(cow_imageset_new(&pair->set, err));
	image_open(pair, 0, metadata);
	image_open(pair, 1, data);
	if (origin)
		image_open(pair, 2, origin);
	for (int i = 0; i < 3; i++)
		pair->roles[i] = (struct cow_role_image){ roles[i], 0, pair->images[i] };
	pair->args.kind = "thin";
	pair->args.images = pair->roles;
	pair->args.nr_images = 2;
	pair->args.snapshot_id = STORE_SNAPSHOT_NONE;
	pair->args.geometry = pair->geometry;
}

void thin_pair_close(struct thin_pair *pair)
{
	for (int i = 0; i < 3; i++)
		cow_image_close(pair->images[i]);
	cow_imageset_free(pair->set);
}

void thin_pair_ask(struct thin_pair *pair, uint64_t id, uint64_t sectors, bool has_origin)
{
	snprintf(pair->values[0], sizeof(pair->values[0]), "%" PRIu64, id);
	snprintf(pair->values[1], sizeof(pair->values[1]), "%" PRIu64 "s", sectors);
	pair->geometry[0] = (struct cow_geometry){ "id", pair->values[0] };
	pair->geometry[1] = (struct cow_geometry){ "size", pair->values[1] };
	pair->args.nr_geometry = sectors ? 2 : 1;
	pair->args.nr_images = has_origin ? 3 : 2;
}

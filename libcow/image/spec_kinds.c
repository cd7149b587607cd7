/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_kinds.c - the keys of each kind of store that consists of several images.
 * A new kind of that sort has its row here.
 */
#include "libcow/image/spec_kinds.h"

#include <stddef.h>
#include <string.h>

#include "libcow.h"

static const struct spec_key thin_keys[] = {
	{ .name = "metadata", .role = COW_ROLE_METADATA, .is_needed = true },
	{ .name = "data", .role = COW_ROLE_DATA, .is_needed = true },
	{ .name = "id" },
	{ .name = "size" },
	{ .name = "origin", .role = COW_ROLE_ORIGIN },
	{ .name = "metadata-snapshot" },
	{ .name = NULL },
};

static const struct spec_key clone_keys[] = {
	{ .name = "metadata", .role = COW_ROLE_METADATA, .is_needed = true },
	{ .name = "source", .role = COW_ROLE_SOURCE, .is_needed = true },
	{ .name = "destination", .role = COW_ROLE_DESTINATION, .is_needed = true },
	{ .name = NULL },
};

static const struct spec_key snaplog_keys[] = {
	{ .name = "source", .role = COW_ROLE_SOURCE, .is_needed = true },
	{ .name = "log", .role = COW_ROLE_LOG, .is_needed = true, .is_repeated = true },
	{ .name = "block" },
	{ .name = "word" },
	{ .name = "endian" },
	{ .name = "key" },
	{ .name = "bitmap" },
	{ .name = "map" },
	{ .name = "count" },
	{ .name = NULL },
};

static const struct spec_kind kinds[] = {
	{ .name = "thin", .prefix = "thin:", .keys = thin_keys },
	{ .name = "clone", .prefix = "clone:", .keys = clone_keys },
	{ .name = "snaplog", .prefix = "snaplog:", .keys = snaplog_keys },
};

const struct spec_kind *cow_spec_kind_of(const char *text)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)))
			return &kinds[i];
	return NULL;
}

int cow_spec_key_role(const char *kind, const char *key)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (const struct spec_key *at = kinds[i].keys; at->name; at++)
			if (!strcmp(kinds[i].name, kind) && !strcmp(at->name, key))
				return at->role;
	return 0;
}

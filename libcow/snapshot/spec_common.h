/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_common.h - images that several snapshots of one store have in common. Within a
 * set of images such an image is opened once, whatever it is called: it is known by
 * the bytes that it lies on. So the metadata of a pool are opened, locked and claimed
 * once, and what is shown of its devices stands on one store.
 *
 * For reading only: what is shown is never written.
 */
#ifndef COW_SNAPSHOT_SPEC_COMMON_H
#define COW_SNAPSHOT_SPEC_COMMON_H

#include "libcow/snapshot/spec_open.h"

struct spec_common;

/* Who uses one: a link in its list. */
struct spec_common_user {
	struct spec_common *common; /* NULL: nobody yet */
	struct spec_common_user *next;
	struct cow_store *store; /* that stands on it; NULL: not open yet */
};

/* Finds or opens the image that a specification names. Errors: as cow_imageset_open(). */
int cow_spec_common_get(struct cow_spec_opening *opening, const char *text,
			struct spec_common_user *user, struct cow_err *err);
/* The last user closes it. */
void cow_spec_common_put(struct spec_common_user *user);

struct cow_image *cow_spec_common_image(const struct spec_common_user *user);
/* A store that somebody else has open on it; NULL: nobody has. */
struct cow_store *cow_spec_common_store(const struct spec_common_user *user);
/* Has somebody else a handle on the same snapshot? */
bool cow_spec_common_has(const struct spec_common_user *user, const struct cow_store *store);

#endif

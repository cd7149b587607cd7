/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * container.h - is an origin a file that holds a disk in a format of its own? Its
 * bytes are not those of the disk: what is written there destroys it, and what
 * is read there is no snapshot of anything.
 */
#ifndef TOOLS_CONTAINER_H
#define TOOLS_CONTAINER_H

#include "libcow.h"

/*
 * The format of origin ("a qcow2 image"), where it does not fit the snapshot.
 * NULL: none known; or --force=content; or the snapshot shows a new header of
 * the same format: then the snapshot is one of the container itself. store may
 * be NULL.
 */
const char *container_doubt(struct cow_image *origin, struct cow_store *store);

/* Why that is none, and what to do: a part of a sentence. */
const char *container_advice(const char *name);

/* The command that opens such a file by qemu-nbd(8), and lists what is in it: content as
 * cow_image_content() has it, the name of a file. The caller's, free(). NULL: none known,
 * or no memory. */
char *container_command(const char *content, const char *path);

/* Refuses such an origin. Errors: -EPERM (id "content", force "content"). */
int container_check(struct cow_image *origin, struct cow_store *store, struct cow_err *err);

/* Refuses two images of which one alone is a container. Errors: as above. */
int container_check_pair(struct cow_image *one, struct cow_image *other, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * volumes.h - operands that are logical volumes: LVM's metadata say of which origin
 * a snapshot was taken, how long the origin was then, and which others it has.
 */
#ifndef TOOLS_VOLUMES_H
#define TOOLS_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>

#include "libcow.h"

struct volumes_snapshot {
	char *spec, *origin_spec;
	char *id, *origin_id; /* which no other LV has */
	uint64_t view_bytes;
	bool is_this, is_merging;
};

/* The snapshots of one origin, as cow_volume_snapshots() lists them. */
struct volumes_list {
	struct volumes_snapshot *items;
	size_t nr_items, capacity;
};

/* Fills an empty list; one that was filled, and after a failure, is to be cleared.
 * Without an "lvm:" it stays empty. */
int volumes_list_read(struct cow_imageset *set, const char *spec, struct volumes_list *list,
		      struct cow_err *err);
void volumes_list_clear(struct volumes_list *list);
/* The snapshot that spec names; NULL: it names none. */
const struct volumes_snapshot *volumes_this(const struct volumes_list *list);
/* It may be a logical volume, by its prefix: "lvm:", or a name. */
bool volumes_is_lv(const char *spec);

/* The origin may be missing: then the operand stays alone. */
#define VOLUMES_ALONE (1u << 0)
/* Alone, an LV stands for what its device would show: where LVM merges a snapshot
 * into it, that snapshot. */
#define VOLUMES_SHOWS (1u << 1)

/*
 * Completes the operands: a snapshot alone brings its origin; an origin that grew
 * afterwards is cut to the length that the snapshot has. *origin: the word of
 * --origin, or NULL; it may become the first operand. Errors: -EPERM (id "origin",
 * force "origin") the VG names another origin; as cow_imageset_open().
 */
int volumes_complete(const char **origin, unsigned int flags, struct cow_err *err);

#endif

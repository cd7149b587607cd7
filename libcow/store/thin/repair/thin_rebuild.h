/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_rebuild.h - writes the metadata of a pool as a whole: thin_rebuild.c has the
 * order, thin_rebuild_tree.c makes trees from entries in ascending order,
 * thin_rebuild_map.c both space maps.
 *
 * The nodes of the devices' mappings keep their numbers and are copied as they are, so
 * that what devices share stays shared. All other blocks are new, and lie where no such
 * node does; what is in no use becomes zeros.
 */
#ifndef COW_STORE_THIN_REBUILD_H
#define COW_STORE_THIN_REBUILD_H

#include "libcow/pdata/pdata_walk.h"
#include "libcow/store/thin/thin_store.h"

/* A device: root COW_OFFSET_NONE: it maps nothing. */
struct thin_rebuild_device {
	uint64_t id, root;
	struct thin_details details;
};

struct thin_rebuild {
	struct cow_image *source; /* where the nodes of the mappings are, all sound */
	struct cow_image *target;
	const struct cow_callbacks *callbacks;
	/* What the new superblock says; its roots, sizes and maps are filled in, but for
	 * data_map.nr_blocks. */
	struct thin_super super;
	struct thin_rebuild_device *devices; /* ascending; roots are filled in */
	size_t nr_devices;

	struct pdata_blocks *blocks;
	struct pdata_counts *counts, *data_counts; /* of all, and of the data blocks */
	struct pdata_counts *made;		   /* blocks that are new */
	uint64_t nr_blocks;			   /* that the target has */
	uint64_t next;				   /* where to look for a free one */
};

/* Errors: -ERANGE the target has too few blocks (id "size"), -EBADMSG, -ENOMEM, -EIO,
 * -EROFS, -ECANCELED. Until block 0 is written the target is no pool. */
int cow_thin_rebuild(struct thin_rebuild *rebuild, struct cow_err *err);

/* Visits the nodes of all devices on these blocks; counts: NULL, or of the references. The
 * owner of an edge is the place of a device in devices, its stamp the time of the device's
 * last snapshot. Errors: -ENOMEM, -EBADMSG, -EIO, those of leaf. */
int cow_thin_rebuild_walk(const struct thin_rebuild *rebuild, struct pdata_blocks *blocks,
			  struct pdata_counts *counts, void *user,
			  int (*leaf)(void *user, const struct pdata_node *node,
				      const struct pdata_edge *edge, struct cow_err *err),
			  struct cow_err *err);

/* Finds a free block and counts it. Errors: -ERANGE (id "size"), -ENOMEM. */
int cow_thin_rebuild_take(struct thin_rebuild *rebuild, uint64_t *ret_block, struct cow_err *err);

/* Entries in ascending order, one after the other. value has room for 24 bytes. */
typedef int thin_entry_fn(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err);
/* Makes a tree of nr entries: nodes as full as they can be, and evenly. Errors: as
 * above, and those of next. */
int cow_thin_rebuild_tree(struct thin_rebuild *rebuild, uint32_t value_size, uint64_t nr,
			  thin_entry_fn *next, void *user, uint64_t *ret_root, struct cow_err *err);

/* Make the space maps, that of the data first; that of the metadata counts itself. */
int cow_thin_rebuild_data_map(struct thin_rebuild *rebuild, struct cow_err *err);
int cow_thin_rebuild_map(struct thin_rebuild *rebuild, struct cow_err *err);

#endif

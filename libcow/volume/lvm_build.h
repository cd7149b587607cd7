/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_build.h - a logical volume that is being made of images: what its parts share.
 */
#ifndef COW_VOLUME_LVM_BUILD_H
#define COW_VOLUME_LVM_BUILD_H

#include "libcow/volume/lvm_vg.h"

struct lvm_build {
	const struct cow_lv *lv; /* the one that was asked for */
	bool for_write;
	bool writes_copies; /* of raid1: all of them */
	bool writes_below;  /* of raid0 and raid1: the LVs that it lies on are written, too */
	size_t nr_pieces;   /* of LVs that it lies on */
	struct cow_image_list owned;
};

/* The image of an area, which belongs to the build. level: LVs above it. Errors: as
 * cow_lv_open(). */
int cow_lvm_area_image(struct lvm_build *build, const struct lvm_area *area, uint64_t nr_extents,
		       unsigned int level, struct cow_image **ret_image, struct cow_err *err);

/*
 * lvm_legs.c: the image of one leg of nr_legs, from first on, of a segment whose legs
 * hold the same: of a raid one that its superblocks call complete, else the first.
 * Errors: -EBADMSG (id "lv-legs") none is complete; as cow_lvm_area_image().
 */
int cow_lvm_leg_image(struct lvm_build *build, const struct lvm_segment *segment, size_t first,
		      size_t nr_legs, unsigned int level, struct cow_image **ret_image,
		      struct cow_err *err);

/*
 * Are the legs of a raid1, or of a raid with parity, all complete, in their places, and laid
 * out as the text says? Those of a raid1 must have been synchronised to their end. Errors:
 * -EBADMSG (id "lv-legs") they are not; -EOPNOTSUPP (id "lv-type") too many; -ENOMEM.
 */
int cow_lvm_legs_check(struct lvm_build *build, const struct lvm_segment *segment,
		       unsigned int level, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * operands.h - opens what the command line names: the origin, a stack of COW
 * images (lowest first), their stores and the view through all of them.
 */
#ifndef TOOLS_OPERANDS_H
#define TOOLS_OPERANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "libcow.h"
#include "tools/images/roles.h"

struct operands {
	struct cow_imageset *set;
	struct cow_stack *stack; /* owns what follows; NULL: images without stores */
	/* Of one operand that is a store of several images: these own what follows.
	 * The origin is what its view stands on, the first layer is its metadata. */
	struct roles roles;
	struct cow_image *zeros;    /* the origin of what stands on nothing */
	struct operands_pair *pair; /* of two snapshots of one store: the first one */
	struct cow_image *origin;
	struct cow_stack_layer *layers;
	size_t nr_layers;
	struct cow_image *view; /* topmost, or the origin; with skipping, if that was asked for */
	bool fills_zero;	/* as asked for */
	bool is_doubtful;	/* --force=invalid, damaged or doubtful was needed */
	struct cow_err doubt;	/* why */
};

struct operands_params {
	char *const *specs; /* ORIGIN, then COW images */
	size_t nr_specs;
	bool is_writable; /* origin and COW images */
	bool rehearses;	  /* refused as if writable, but only read: -n */
	bool wants_view;  /* views are for reading */
	bool wants_maps;  /* of a pair the difference of the maps alone: no view shows bytes */
	/* The origin may hold half of a merge: the caller asks container_check(). */
	bool may_be_mixture;
	/* One operand that is a store of several images is what its device shows. */
	bool is_image;
	const char *kind;  /* of the stores; NULL: probe */
	const char *table; /* --table; NULL: not given, or this tool has none */
	/* Inside the view; 0 and NULL: all of it. */
	uint64_t partition;
	const char *volume;
	/* Maps of ddrescue, one for each COW image, or none. */
	const char *const *bad_maps;
	size_t nr_bad_maps;
	/* The view shows the origin (fills_zero: zeros, also for the origin)
	 * where COW images cannot be read; callbacks hear of it and outlive the
	 * operands. */
	bool skips, fills_zero;
	const struct cow_callbacks *callbacks;
};

/* Creates a set of images in which those of --image have their names. Errors: those of
 * cow_imageset_define(); -ENOMEM. */
int operands_set_new(struct cow_imageset **ret_set, struct cow_err *err);

/* Opens all of it; what was opened before a failure is closed again. */
int operands_open(struct operands *operands, const struct operands_params *params,
		  struct cow_err *err);
void operands_close(struct operands *operands);

/* Refuses ORIGIN and COW the wrong way round. Both stay open. */
int operands_check_order(struct cow_image *origin, struct cow_image *cow, struct cow_err *err);

/*
 * operands_pair.c: two snapshots of one store, of which the first stands where an
 * ORIGIN would: the second one is shown, against it. Both must be of the same
 * images, whatever they call them. wants_maps as in struct operands_params. Errors: -EINVAL, -EPERM
 * (id "origin") they have different external origins, those of cow_store_open().
 */
struct operands_pair;
int operands_pair_open(struct operands *operands, const char *first, bool wants_maps,
		       struct cow_err *err);
void operands_pair_close(struct operands_pair *pair);
/* The store of the first one; NULL: there is none. */
struct cow_store *operands_pair_store(const struct operands_pair *pair);

/* Refuses a view whose length is not known. Errors: -EPERM (id "size"). */
int operands_check_size(const struct operands *operands, struct cow_err *err);

/* A file that ends within a sector is, to the kernel as to us, that much
 * shorter: says so. */
/* Says what could not be found out about who uses an image that is to be written. */
void operands_note_unchecked(struct cow_image *image);
void operands_note_tail(const struct cow_image *image);

#endif

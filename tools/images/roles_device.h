/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * roles_device.h - one device of a thin pool as a specification names it. The geometry
 * says something of the device and something of the pool; who changes the pool takes the
 * one out and passes on the other.
 */
#ifndef TOOLS_ROLES_DEVICE_H
#define TOOLS_ROLES_DEVICE_H

#include "tools/images/roles.h"

struct roles_device {
	uint64_t id;	     /* COW_SNAPSHOT_NONE: not named */
	uint64_t size_bytes; /* 0: not said */
	bool is_past;	     /* of the metadata snapshot */
	bool is_of_lvm;	     /* LVM's text says so */
	const char *parent;  /* the name that LVM has of its origin; NULL: none */
};

/* A number from 0 to 2^24 - 1. Errors: -EINVAL. */
int roles_device_id(const char *text, uint64_t *ret_id, struct cow_err *err);
/* Reads what is said of the device; words live as long as roles. Errors: -EINVAL. */
int roles_device_read(const struct roles *roles, struct roles_device *ret_device,
		      struct cow_err *err);
/* Takes that out of args: *ret_geometry, the caller's, free(), is what is left of it.
 * Errors: -ENOMEM. */
int roles_device_strip(struct cow_store_args *args, struct cow_geometry **ret_geometry,
		       struct cow_err *err);

#endif

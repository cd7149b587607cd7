/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check_open.h - opens what the command line of snapcheck names. */
#ifndef TOOLS_CHECK_OPEN_H
#define TOOLS_CHECK_OPEN_H

#include "tools/snapcheck/check.h"

/* Opens the images and the manifest, before sandbox_enter(). Errors: those of opening. */
int check_open_images(struct check *check, struct cow_err *err);
/* Lets a store without its data stand in for the image. Errors: -EPERM (id "pack"), and
 * why the image cannot be opened, where it is no pack. */
int check_open_pack(struct check *check, struct cow_err *err);
/* What is looked at, with cow as the image of the store; roles belongs to the result. */
struct cow_store_args check_args(struct check *check, struct cow_role_image roles[2],
				 struct cow_image *cow);

#endif

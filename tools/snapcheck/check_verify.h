/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check_verify.h - snapcheck --verify: the view against a manifest. */
#ifndef TOOLS_CHECK_VERIFY_H
#define TOOLS_CHECK_VERIFY_H

#include "tools/snapcheck/check.h"

/* Opens the manifest, or the tar that it is in; nothing is read. */
int check_verify_open(struct check *check, const char *path, struct cow_err *err);
/* Reads it, and refuses the manifest of a view of another size. */
int check_verify_read(struct check *check, const char *path, struct cow_err *err);
/* Compares the view that args describe with it, as the kernel would read it,
 * and adds what differs to the report. A store that has no view is said. */
int check_verify_run(struct check *check, const struct cow_store_args *args,
		     const struct cow_callbacks *callbacks, struct cow_err *err);
void check_verify_close(struct check *check);

/* check_pack.c, and weak as the others there: is this a tar, perhaps
 * compressed? Its manifest; takes fd over. */
__attribute__((weak)) bool check_is_tar(int fd);
__attribute__((weak)) int check_manifest_of_tar(struct manifest *manifest, const char *path, int fd,
						struct cow_err *err);

#endif

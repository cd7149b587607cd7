/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fit.h - is ORIGIN the origin of this snapshot? Asked of the file system that
 * the snapshot shows: does it fit, and is what ORIGIN must add to it there?
 */
#ifndef TOOLS_FIT_H
#define TOOLS_FIT_H

#include "libcow.h"

struct fit {
	const char *fs_name;		 /* "an ext file system"; NULL: none that is judged */
	unsigned int nr_right, nr_wrong; /* copies of its superblock that ORIGIN adds */
	bool is_short;			 /* the file system is larger than the view */
	bool is_refused;
	char sentence[COW_ERR_MESSAGE_BYTES]; /* why, or a note; "": neither */
};

/* Never fails: what cannot be read is not judged. */
void fit_look(struct cow_image *origin, struct cow_store *store, struct fit *ret_fit);

/* Refuses an origin that is another one, and says a note where there is one to say.
 * is_view: it is the view through the layers below; what is said of ORIGIN is not said
 * again. Errors: -EPERM (id "origin", force "origin"). */
int fit_check(struct cow_image *origin, struct cow_store *store, bool is_view, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec.h - how a file, a part of one, and zeros are written on a command line.
 */
#ifndef COW_IMAGE_SPEC_H
#define COW_IMAGE_SPEC_H

#include "libcow.h"

struct cow_spec {
	char *path; /* NULL: zero_bytes zeros */
	uint64_t zero_bytes;
	/* None: the whole file. */
	struct cow_segment *segments;
	size_t nr_segments;
	bool is_open_ended; /* the only segment goes up to the end of the file */
};

/*
 * Takes a specification apart. literal: all of text is a path. Looks whether
 * a file of the literal name exists where that decides. The result is the
 * caller's, for cow_spec_clear(); after a failure there is none.
 * Errors: -EINVAL, -EPERM (id "ambiguous-name"), -ERANGE a size over
 * 2^63-512, -ENOMEM.
 */
int cow_spec_parse(const char *text, bool literal, struct cow_spec *ret_spec, struct cow_err *err);
void cow_spec_clear(struct cow_spec *spec);

/* Reads a list of segments, as behind '@', into spec. Errors: -EINVAL, -ERANGE,
 * -ENOMEM. */
int cow_spec_segments_parse(const char *text, struct cow_spec *spec, struct cow_err *err);

#endif

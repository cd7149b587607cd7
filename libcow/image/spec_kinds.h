/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_kinds.h - the kinds of store that a specification can name, and the keys
 * of each. It is grammar alone: what a kind does is in libcow/store/.
 */
#ifndef COW_IMAGE_SPEC_KINDS_H
#define COW_IMAGE_SPEC_KINDS_H

#include <stdbool.h>

struct spec_key {
	const char *name;
	int role; /* COW_ROLE_*, of the image that is its value; 0: the value is none */
	bool is_needed, is_repeated;
};

struct spec_kind {
	const char *name;   /* as the kind has it */
	const char *prefix; /* the name and a colon */
	const struct spec_key *keys;
};

/* The kind whose prefix text begins with; NULL: none. */
const struct spec_kind *cow_spec_kind_of(const char *text);
/* The role of the image that a key names; kind: by its name. 0: the key names none. */
int cow_spec_key_role(const char *kind, const char *key);

#endif

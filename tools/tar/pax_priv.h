/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* pax_priv.h - between pax.c (members) and pax_records.c (extended headers). */
#ifndef TOOLS_PAX_PRIV_H
#define TOOLS_PAX_PRIV_H

#include <stdbool.h>

#include "tools/tar/file_entry.h"

/* What the fields of a header hold; beyond them a record says it. */
#define PAX_NAME_BYTES 100
#define PAX_OCTAL11_MAX 077777777777ull
#define PAX_OCTAL7_MAX 07777777u

/* Text that grows: records of an extended header, the map of a sparse file. */
struct pax_text {
	char *bytes;
	size_t len, room;
	bool failed; /* no memory: looked at once, at the end */
};

/* Room for len more bytes, or NULL. */
char *pax_text_grow(struct pax_text *text, size_t len);
/* Prints at most 95 bytes. */
__attribute__((format(printf, 2, 3))) void pax_text_print(struct pax_text *text, const char *format,
							  ...);
void pax_text_clear(struct pax_text *text);

/* Fills text with the records of a member: what its header, with this name and
 * size, cannot say. scratch is used and left in any state. */
void pax_records_fill(struct pax_text *text, struct pax_text *scratch,
		      const struct file_entry *entry, const char *name, bool is_sparse,
		      uint64_t size_bytes);

#endif

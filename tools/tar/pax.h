/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pax.h - files as a pax archive (POSIX.1-2001), byte by byte ours: the same
 * entries give the same bytes, whatever the locale and the version of any
 * library. It is the one writer of archives; tar.h compresses them. Written here because libarchive
 * encodes the names of extended attributes in a way that no reader undoes, and marks names that are
 * not UTF-8 with a keyword that GNU tar warns about.
 *
 * Forms: extended attributes as SCHILY.xattr.NAME, ACLs as SCHILY.acl.access
 * and SCHILY.acl.default with numeric ids, sparse files as GNU.sparse 1.0.
 * GNU tar, bsdtar and star restore them.
 */
#ifndef TOOLS_PAX_H
#define TOOLS_PAX_H

#include "tools/tar/file_entry.h"

struct pax_writer;

/* Takes bytes of the archive, in order. 0 or a negative errno. */
typedef int pax_write_fn(void *user, const void *buf, size_t len_bytes, struct cow_err *err);

/* Creates a writer. Errors: -ENOMEM. */
int pax_new(pax_write_fn *write, void *user, struct pax_writer **ret_writer, struct cow_err *err);
/* From now on no member is sparse, its holes are zeros; and names of more than 100 bytes
 * are in the fields of a header too, where they fit: for readers that pass extended
 * headers over. */
void pax_set_plain(struct pax_writer *writer);
/* Writes one member. A failure leaves the archive cut in the middle of a
 * member. Errors: what write and entry->read return, -ENOMEM. */
int pax_add(struct pax_writer *writer, const struct file_entry *entry, struct cow_err *err);
/* A member that is given piece by piece: exactly entry->size_bytes of it, its
 * ranges are not looked at. Errors: as pax_add(). */
int pax_begin(struct pax_writer *writer, const struct file_entry *entry, struct cow_err *err);
int pax_put(struct pax_writer *writer, const void *buf, size_t len_bytes, struct cow_err *err);
int pax_end(struct pax_writer *writer, struct cow_err *err);
/* Ends the archive. */
int pax_finish(struct pax_writer *writer, struct cow_err *err);
/* Ends an archive that failed so that every reader notices: the header of a
 * member whose data does not follow, no end blocks. */
int pax_cut(struct pax_writer *writer, struct cow_err *err);
/* Frees; NULL is allowed. What was not finished stays unwritten. */
void pax_free(struct pax_writer *writer);

#endif

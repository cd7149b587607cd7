/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_label.h - the label that makes a disk or partition a physical volume (PV),
 * and its metadata areas. All offsets count from the beginning of the PV.
 */
#ifndef COW_VOLUME_LVM_LABEL_H
#define COW_VOLUME_LVM_LABEL_H

#include "libcow/image/image.h"

#define LVM_UUID_BYTES 33 /* 32 characters, no dashes */
/* LVM writes two at most; a label has room for 28. */
#define LVM_AREAS_MAX 4

struct lvm_label {
	char uuid[LVM_UUID_BYTES];
	uint64_t label_sector;
	uint64_t device_bytes; /* as the label says */
	size_t nr_areas;
	struct cow_segment areas[LVM_AREAS_MAX];
	/* A finished sentence on labels that were not used, or "". */
	char note[200];
};

/*
 * Reads the label of a PV that covers an image. Errors: -EMEDIUMTYPE there is
 * none that LVM would take; ret_label->note then says why, if there is something
 * like one. -EIO, -ERANGE.
 */
int cow_lvm_label_read(struct cow_image *pv, struct lvm_label *ret_label, struct cow_err *err);

/*
 * Reads the committed text of a metadata area; *ret_text is the caller's, free(),
 * with a NUL behind it. Errors: -ENOENT the area is empty, or marked as ignored;
 * -EBADMSG header or text is damaged; -EOPNOTSUPP too long; -ERANGE the area lies
 * beyond the end; -EIO, -ENOMEM.
 */
int cow_lvm_area_read(struct cow_image *pv, const struct cow_segment *area, char **ret_text,
		      size_t *ret_len_bytes, struct cow_err *err);

/* "abcdef-..." out of 32 characters; text has room for 39. */
void cow_lvm_uuid_dashes(const char *uuid, char *text);
/* The reverse: skips dashes. false: these are not 32 letters and digits. */
bool cow_lvm_uuid_plain(const char *text, char *uuid);

#endif

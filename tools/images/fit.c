/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fit.c - compares what a snapshot shows with what its ORIGIN must add to it.
 *
 * A file system that is larger than the view does not fit. And it keeps copies of
 * its superblock in places that it fixes itself: those of them that the COW image
 * does not hold come from ORIGIN, and belong to the same file system if ORIGIN is
 * the right one. Where all of them are wrong, it is not. Where ORIGIN alone shows
 * that very file system, such faults are its own, and a note.
 *
 * An origin without a file system is no fault by itself: one may have been made
 * in an overlay, or the snapshot is to undo a wipefs(8).
 */
#include "tools/images/fit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/images/known_fs.h"

#define PLACES_MAX 16
#define COPIES_MAX 4096 /* that are asked about, held by the COW image or not */

struct wrong {
	uint64_t offset_bytes;
	enum known_fs_copy copy;
	uint8_t uuid[KNOWN_FS_UUID_BYTES];
};

static bool is_same(const struct known_fs *a, const struct known_fs *b)
{
	return a->kind == b->kind && !memcmp(a->uuid, b->uuid, KNOWN_FS_UUID_BYTES);
}

static bool is_held(const struct cow_store *store, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct cow_extent extent;

	return cow_store_next_extent(store, offset_bytes, &extent) &&
	       extent.old_bytes < offset_bytes + len_bytes;
}

static void places_look(struct cow_image *origin, const struct cow_store *store,
			const struct known_fs *fs, struct fit *fit, struct wrong *ret_first)
{
	uint64_t at = 0, offset, len = known_fs_copy_bytes(fs);
	struct wrong found;

	for (int i = 0; i < COPIES_MAX && fit->nr_right + fit->nr_wrong < PLACES_MAX &&
			known_fs_next_copy(fs, &at, &offset);
	     i++) {
		if (is_held(store, offset, len) ||
		    known_fs_copy_look(origin, fs, offset, &found.copy, found.uuid, NULL))
			continue;
		found.offset_bytes = offset;
		if (found.copy == KNOWN_FS_COPY_RIGHT)
			fit->nr_right++;
		else if (!fit->nr_wrong++)
			*ret_first = found;
	}
}

static void say_size(struct fit *fit, const struct known_fs *fs, const char *name, uint64_t size)
{
	snprintf(fit->sentence, sizeof(fit->sentence),
		 "the snapshot shows %s of %" PRIu64 " bytes, and %s ends at byte %" PRIu64 ": %s",
		 known_fs_name(fs), fs->size_bytes, name, size,
		 fit->is_refused
			 ? "it is not its origin, or was cut short"
			 : "so does it alone, so it was cut short before the snapshot was taken");
}

static void say_places(struct fit *fit, const struct known_fs *fs, const char *name,
		       const struct wrong *wrong)
{
	char wanted[KNOWN_FS_UUID_TEXT_BYTES], there[KNOWN_FS_UUID_TEXT_BYTES];
	char has[KNOWN_FS_UUID_TEXT_BYTES + 32];

	known_fs_uuid_text(fs, fs->uuid, wanted);
	known_fs_uuid_text(fs, wrong->uuid, there);
	snprintf(has, sizeof(has), "%s%s",
		 wrong->copy == KNOWN_FS_COPY_UUID   ? "that of UUID "
		 : wrong->copy == KNOWN_FS_COPY_ZERO ? "zeros"
						     : "something else",
		 wrong->copy == KNOWN_FS_COPY_UUID ? there : "");
	snprintf(fit->sentence, sizeof(fit->sentence),
		 "at byte %" PRIu64
		 " the snapshot needs a superblock of %s with UUID %s, and %s has %s%s",
		 wrong->offset_bytes, known_fs_name(fs), wanted, name, has,
		 fit->is_refused ? ": it is not the origin of this snapshot, or its UUID was "
				   "changed since (tune2fs, xfs_admin)"
				 : "");
}

/* People name the disk where the volume on it is meant. */
static void say_volume(struct fit *fit, struct cow_image *origin)
{
	const char *content = cow_image_content(origin);

	if (content && strstr(content, "LVM"))
		snprintf(fit->sentence, sizeof(fit->sentence),
			 "%s is %s: if this is the snapshot of a volume on it, name that volume "
			 "(snapcheck --list shows how)",
			 cow_image_name(origin), content);
}

static void judge(struct cow_image *origin, struct cow_image *view, const struct cow_store *store,
		  struct fit *fit)
{
	struct known_fs fs, alone;
	struct wrong wrong = { 0 };
	bool has_alone = known_fs_read(origin, &alone);

	if (!known_fs_read(view, &fs)) {
		say_volume(fit, origin);
		return;
	}
	fit->fs_name = known_fs_name(&fs);
	places_look(origin, store, &fs, fit, &wrong);
	fit->is_short = fs.size_bytes > cow_image_size(view);
	if (fit->is_short) {
		fit->is_refused =
			!has_alone || !is_same(&fs, &alone) || fs.size_bytes != alone.size_bytes;
		say_size(fit, &fs, cow_image_name(origin), cow_image_size(view));
	} else if (fit->nr_wrong) {
		fit->is_refused = !fit->nr_right && !(has_alone && is_same(&fs, &alone));
		say_places(fit, &fs, cow_image_name(origin), &wrong);
	} else if (!has_alone && !cow_image_content(origin)) {
		snprintf(fit->sentence, sizeof(fit->sentence),
			 "the snapshot shows %s, and %s alone holds none", fit->fs_name,
			 cow_image_name(origin));
	}
}

void fit_look(struct cow_image *origin, struct cow_store *store, struct fit *ret_fit)
{
	struct cow_image *view = NULL;

	*ret_fit = (struct fit){ .fs_name = NULL };
	if (!cow_view_new(origin, store, &view, NULL))
		judge(origin, view, store, ret_fit);
	cow_image_close(view);
}

int fit_check(struct cow_image *origin, struct cow_store *store, bool is_view, struct cow_err *err)
{
	struct fit fit;

	if (cli_forced("origin"))
		return 0;
	fit_look(origin, store, &fit);
	if (fit.is_refused)
		return cli_refuse(err, -EPERM, "origin", "origin", "%s", fit.sentence);
	if (*fit.sentence && (!is_view || fit.nr_wrong))
		cli_note("%s", fit.sentence);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext.c - opening an ext2/3/4 file system, and how its errors become ours.
 */
#include "tools/ext4/fs_ext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"
#include "tools/ext4/fs_journal.h"

#define SUPER_BYTES UINT64_C(1024)

int fs_ext_fail(struct fs_ext *fs, struct cow_err *err, errcode_t code, const char *format, ...)
{
	const struct cow_err *failure = fs_io_error(fs->io);
	char what[256];
	va_list args;

	if (failure) {
		if (err)
			*err = *failure;
		return failure->code;
	}
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (code == EXT2_ET_NO_MEMORY || code == ENOMEM)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "%s: no memory", what);
	if (code == EXT2_ET_SHORT_READ)
		return cli_refuse(err, -EBADMSG, "damaged", NULL,
				  "%s: it lies beyond the end of the image", what);
	return cli_refuse(err, -EBADMSG, "damaged", NULL, "%s: %s", what, error_message(code));
}

int fs_ext_damage(struct cow_err *err, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return cli_refuse(err, -EBADMSG, "damaged", NULL, "%s", what);
}

static bool has_magic(struct cow_image *image, struct cow_err *err, int *ret)
{
	uint8_t raw[2];

	*ret = 0;
	if (cow_image_size(image) < 2 * SUPER_BYTES)
		return false;
	/* s_magic at byte 56 of the superblock; source: fs/ext4/ext4.h. */
	*ret = cow_image_pread(image, raw, sizeof(raw), SUPER_BYTES + 56, err);
	return !*ret && raw[0] == (EXT2_SUPER_MAGIC & 0xff) && raw[1] == EXT2_SUPER_MAGIC >> 8;
}

static int refuse_kind(struct cow_image *image, struct cow_err *err)
{
	const char *kind = cow_image_content(image);

	return cli_refuse(err, -EMEDIUMTYPE, "not-ext", NULL,
			  "%s: no ext2, ext3 or ext4 file system here%s%s", cow_image_name(image),
			  kind ? ", this is " : ": no superblock magic 0xef53 at byte 1080",
			  kind ? kind : "");
}

static int refuse_open(struct fs_ext *fs, errcode_t code, struct cow_err *err)
{
	if (code == EXT2_ET_UNSUPP_FEATURE || code == EXT2_ET_REV_TOO_HIGH ||
	    code == EXT2_ET_UNKNOWN_CSUM)
		return cli_refuse(err, -EOPNOTSUPP, "features", NULL, "%s: %s",
				  cow_image_name(fs->image), error_message(code));
	return fs_ext_fail(fs, err, code,
			   "%s: the superblock or the group descriptors of the ext file system are "
			   "damaged; e2fsck on a copy may repair them",
			   cow_image_name(fs->image));
}

/* What bounds all that follows: no more blocks than the image has. An image
 * with shared blocks (Android's deduplication) may claim each several times. */
static void bound_blocks(struct fs_ext *fs)
{
	uint64_t blocks = ext2fs_blocks_count(fs->fs->super);
	uint64_t there = cow_image_size(fs->image) / fs->fs->blocksize;

	fs->truncated = blocks > there;
	fs->nr_blocks = fs->truncated ? there : blocks;
	fs->blocks_left = fs->nr_blocks;
	/* Maps are read again, by a comparison or for each name of a file; so often is enough. */
	fs->steps_left = 64 * fs->nr_blocks + (UINT64_C(1) << 16);
	if (ext2fs_has_feature_shared_blocks(fs->fs->super))
		fs->blocks_left *= 16;
}

/* Opens what is in fs->image. */
static int open_image(struct fs_ext *fs, struct cow_err *err)
{
	char name[FS_IO_NAME_BYTES];
	errcode_t code;
	int ret = fs_io_new(fs->image, fs->flags & FS_EXT_EXACT, &fs->io, err);

	if (ret)
		return ret;
	fs_io_name(fs->io, name);
	code = ext2fs_open2(name, NULL, EXT2_FLAG_64BITS, 0, 0, fs_io_manager, &fs->fs);
	if (code)
		return refuse_open(fs, code, err);
	bound_blocks(fs);
	return 0;
}

static void close_image(struct fs_ext *fs)
{
	if (fs->fs)
		ext2fs_close_free(&fs->fs);
	fs_io_free(fs->io);
	fs->io = NULL;
}

/* What stands in the journal counts: the file system is opened again, over it. */
static int replay(struct fs_ext *fs, struct cow_err *err)
{
	int ret = fs_journal_open(fs, &fs->journal, &fs->journal_damage);

	/* Without it, and that is told: there may be enough left to be of use. */
	if (ret == -EBADMSG || ret == -EOPNOTSUPP)
		return 0;
	if (ret) {
		if (err)
			*err = fs->journal_damage;
		return ret;
	}
	close_image(fs);
	fs->image = fs->journal->image;
	return open_image(fs, err);
}

int fs_ext_open(struct cow_image *image, unsigned int flags, struct fs_ext **ret_fs,
		struct cow_err *err)
{
	struct fs_ext *fs;
	int ret;

	if (!has_magic(image, err, &ret))
		return ret ? ret : refuse_kind(image, err);
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a file system");
	fs->image = image;
	fs->flags = flags;
	initialize_ext2_error_table();
	ret = open_image(fs, err);
	if (!ret && !(flags & FS_EXT_IGNORE_JOURNAL) &&
	    ext2fs_has_feature_journal_needs_recovery(fs->fs->super))
		ret = replay(fs, err);
	if (ret)
		fs_ext_close(fs);
	else
		*ret_fs = fs;
	return ret;
}

/* A journal that was replayed, and what is wrong with it. */
static void say_journal(const struct fs_ext *fs,
			void (*problem)(void *user, bool is_damage, const char *sentence),
			void *user)
{
	const struct fs_jbd2 *log = &fs->journal->log;
	char sentence[512];

	snprintf(sentence, sizeof(sentence),
		 "the journal was replayed in memory: %" PRIu32 " transactions, %zu blocks",
		 log->nr_transactions, log->nr_blocks);
	problem(user, false, sentence);
	if (log->nr_damaged) {
		snprintf(sentence, sizeof(sentence),
			 "%s; the kernel does not mount such a file system, e2fsck on a copy may "
			 "repair it",
			 log->damage);
		problem(user, true, sentence);
	}
	if (log->has_fast_commits)
		problem(user, true,
			"the journal holds fast commits, which are not replayed: the last changes "
			"are missing (mounting a writable copy replays them)");
}

static void say_no_journal(const struct fs_ext *fs,
			   void (*problem)(void *user, bool is_damage, const char *sentence),
			   void *user)
{
	char sentence[COW_ERR_MESSAGE_BYTES + 256];

	snprintf(sentence, sizeof(sentence),
		 "the journal of the file system needs recovery and was not replayed%s%s: the last "
		 "changes before it was left are not in the files",
		 *fs->journal_damage.message ? ": " : "", fs->journal_damage.message);
	problem(user, true, sentence);
}

void fs_ext_say_state(const struct fs_ext *fs,
		      void (*problem)(void *user, bool is_damage, const char *sentence), void *user)
{
	struct ext2_super_block *super = fs->fs->super;
	char sentence[256];

	if (fs->journal)
		say_journal(fs, problem, user);
	else if (ext2fs_has_feature_journal_needs_recovery(super))
		say_no_journal(fs, problem, user);
	else if (!ext2fs_has_feature_journal(super) && !(super->s_state & EXT2_VALID_FS))
		problem(user, true,
			"the file system was not unmounted cleanly: e2fsck may find damage");
	if (super->s_state & EXT2_ERROR_FS)
		problem(user, true, "the kernel has found errors in this file system: run e2fsck");
	if (!fs->truncated)
		return;
	snprintf(sentence, sizeof(sentence),
		 "the file system has %" PRIu64 " blocks of %u bytes, the image ends at %" PRIu64
		 ": files beyond are left out",
		 (uint64_t)ext2fs_blocks_count(super), fs->fs->blocksize,
		 cow_image_size(fs->image));
	problem(user, true, sentence);
}

void fs_ext_close(struct fs_ext *fs)
{
	if (!fs)
		return;
	close_image(fs);
	fs_journal_close(fs->journal);
	free(fs);
}

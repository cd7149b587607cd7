/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_jbd2.c - what a replay would write, in three walks over the log, as the kernel
 * does it: (1) which transactions are whole, (2) which blocks are in them, (3) which
 * of these were revoked later: such a block is taken only from a later transaction.
 * Then the newest copy of each block is chosen.
 * source: do_one_pass() in fs/jbd2/recovery.c of Linux 6.1.
 *
 * A transaction ends with its commit block. The log ends where the next block is none
 * of the next transaction, or where a commit block is torn. Where the kernel refuses to
 * go on because a checksum is wrong in the middle, that is told (nr_damaged), and what
 * stands before is taken.
 */
#include "tools/ext4/fs_jbd2.h"

#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/ext4/fs_jbd2_priv.h"

/* A copy of a block in the log. Numbers of transactions count from the first. */
struct copy {
	uint64_t block;
	uint32_t order; /* in the log */
	uint32_t at, transaction, checksum;
	uint32_t revoked; /* in the first copy of a block: 1 + the last that revokes it */
	bool is_escaped;
};

struct replay {
	struct fs_jbd2_log log;
	struct fs_jbd2 *journal;
	struct copy *copies; /* by block, then as they stand in the log */
	size_t nr_copies, room;
	uint64_t last_commit_seconds;
	bool is_doubtful; /* a block of this transaction has a wrong checksum */
	uint32_t crc;	  /* of version 1 */
};

__attribute__((format(printf, 2, 3))) static void tell(struct fs_jbd2 *journal, const char *format,
						       ...)
{
	va_list args;

	if (journal->nr_damaged++)
		return;
	va_start(args, format);
	vsnprintf(journal->damage, sizeof(journal->damage), format, args);
	va_end(args);
}

static uint64_t commit_seconds(const uint8_t *commit)
{
	uint64_t seconds = 0;

	for (size_t i = 0; i < 8; i++)
		seconds = seconds << 8 | commit[48 + i];
	return seconds;
}

/* ---- 1: which transactions are whole */

/* Passes over the data of a descriptor, and sums it up. */
static int scan_descriptor(struct replay *r, struct cow_err *err)
{
	const struct fs_jbd2_source *source = r->log.source;
	bool sums = r->log.has_sums_v1;
	struct fs_jbd2_tag tag;
	uint32_t block;
	size_t at = 0;
	int ret = 0;

	if (!fs_jbd2_tail_is_right(&r->log))
		r->is_doubtful = true;
	if (sums)
		r->crc = ext2fs_crc32_be(r->crc, r->log.buf, source->block_bytes);
	while (!ret && fs_jbd2_tag_next(&r->log, &at, &tag) && fs_jbd2_log_take(&r->log, &block)) {
		if (!sums)
			continue;
		ret = source->read(source->user, block, r->log.data, err);
		if (!ret)
			r->crc = ext2fs_crc32_be(r->crc, r->log.data, source->block_bytes);
	}
	return ret;
}

/* The checksum of version 1: of the right type, or not there at all. */
static bool sum_v1_is_right(const struct replay *r)
{
	const uint8_t *commit = r->log.buf;
	uint32_t found = (uint32_t)commit[16] << 24 | (uint32_t)commit[17] << 16 |
			 (uint32_t)commit[18] << 8 | commit[19];

	if (!commit[12] && !commit[13] && !found)
		return true;
	return commit[12] == 1 && commit[13] == 4 && found == r->crc;
}

/* False: the log ends before this transaction. */
static bool scan_commit(struct replay *r)
{
	uint64_t seconds = commit_seconds(r->log.buf);
	bool is_right = r->log.has_sums_v1 ? sum_v1_is_right(r) : fs_jbd2_commit_is_right(&r->log);

	if (is_right && !r->is_doubtful) {
		r->last_commit_seconds = seconds;
		r->log.sequence++;
		r->journal->nr_transactions++;
		r->crc = ~0u;
		return true;
	}
	/* An older one is what the log was overwriting; and where commit blocks do not
	 * wait for the rest, a power cut leaves such a one. */
	if (seconds >= r->last_commit_seconds && (!r->log.is_async || r->is_doubtful))
		tell(r->journal, "transaction %" PRIu32 " of the journal has a wrong checksum",
		     r->log.sequence);
	return false;
}

static int scan(struct replay *r, struct cow_err *err)
{
	bool goes_on = true;
	uint32_t kind;
	int ret = 0;

	r->crc = ~0u;
	fs_jbd2_log_begin(&r->log);
	while (!ret && goes_on) {
		ret = fs_jbd2_log_next(&r->log, &kind, err);
		if (ret)
			break;
		if (kind == JBD2_DESCRIPTOR)
			ret = scan_descriptor(r, err);
		else if (kind == JBD2_COMMIT)
			goes_on = scan_commit(r);
		else if (kind == JBD2_REVOKE)
			r->is_doubtful = !fs_jbd2_tail_is_right(&r->log) || r->is_doubtful;
		else
			goes_on = false;
	}
	return ret;
}

/* ---- 2: which blocks are in them */

static int add_copies(struct replay *r, uint32_t transaction, struct cow_err *err)
{
	struct fs_jbd2_tag tag;
	struct copy *grown;
	uint32_t block;
	size_t at = 0;

	while (fs_jbd2_tag_next(&r->log, &at, &tag) && fs_jbd2_log_take(&r->log, &block)) {
		if (tag.block >= r->log.source->nr_fs_blocks) {
			tell(r->journal,
			     "the journal has a block %" PRIu64 ", which is outside of the file "
			     "system",
			     tag.block);
			continue;
		}
		grown = cow_array_grow(r->copies, r->nr_copies, &r->room, sizeof(*grown));
		if (!grown)
			return cli_refuse(err, -ENOMEM, "no-memory", NULL,
					  "no memory for the blocks of a journal");
		r->copies = grown;
		/* less than 2^32: so many blocks has the journal */
		grown[r->nr_copies] = (struct copy){ .block = tag.block,
						     .order = (uint32_t)r->nr_copies,
						     .at = block,
						     .transaction = transaction,
						     .checksum = tag.checksum,
						     .is_escaped = tag.flags & JBD2_TAG_ESCAPED };
		r->nr_copies++;
	}
	return 0;
}

static int by_block(const void *a, const void *b)
{
	const struct copy *first = a, *second = b;

	if (first->block != second->block)
		return first->block < second->block ? -1 : 1;
	return first->order < second->order ? -1 : first->order > second->order;
}

/* ---- 3: what was revoked */

/* The first copy of this block, or NULL. */
static struct copy *find(struct replay *r, uint64_t block)
{
	size_t low = 0, high = r->nr_copies;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->copies[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->nr_copies && r->copies[low].block == block ? &r->copies[low] : NULL;
}

static void revoke(struct replay *r, uint32_t transaction)
{
	struct copy *copy;
	uint64_t block;
	size_t at = 0;

	while (fs_jbd2_revoke_next(&r->log, &at, &block)) {
		copy = find(r, block);
		if (copy && copy->revoked < transaction + 1)
			copy->revoked = transaction + 1;
	}
}

/* Walks over the whole transactions, for the blocks or for what was revoked. */
static int walk(struct replay *r, bool for_revokes, struct cow_err *err)
{
	uint32_t transaction = 0, kind, block;
	struct fs_jbd2_tag tag;
	size_t at;
	int ret = 0;

	fs_jbd2_log_begin(&r->log);
	while (!ret && transaction < r->journal->nr_transactions) {
		ret = fs_jbd2_log_next(&r->log, &kind, err);
		if (ret || !kind)
			break;
		if (kind == JBD2_COMMIT) {
			r->log.sequence++;
			transaction++;
		} else if (kind == JBD2_REVOKE && for_revokes) {
			revoke(r, transaction);
		} else if (kind == JBD2_DESCRIPTOR && !for_revokes) {
			ret = add_copies(r, transaction, err);
		} else if (kind == JBD2_DESCRIPTOR) {
			for (at = 0; fs_jbd2_tag_next(&r->log, &at, &tag);)
				if (!fs_jbd2_log_take(&r->log, &block))
					break;
		}
	}
	return ret;
}

/* ---- the newest of each */

/* Of the copies of one block the last one that counts; NULL: none does. */
static int choose(struct replay *r, size_t first, size_t end, const struct copy **ret_copy,
		  struct cow_err *err)
{
	const struct fs_jbd2_source *source = r->log.source;
	uint32_t revoked = r->copies[first].revoked;
	const struct copy *copy;
	int ret;

	*ret_copy = NULL;
	while (end-- > first) {
		copy = &r->copies[end];
		if (copy->transaction < revoked)
			return 0;
		if (r->log.has_sums) {
			ret = source->read(source->user, copy->at, r->log.data, err);
			if (ret)
				return ret;
		}
		if (fs_jbd2_data_is_right(&r->log, r->log.start_sequence + copy->transaction,
					  copy->checksum, r->log.data)) {
			*ret_copy = copy;
			return 0;
		}
		tell(r->journal,
		     "the journal's copy of block %" PRIu64
		     " has a wrong checksum, and is left out",
		     copy->block);
	}
	return 0;
}

static int choose_all(struct replay *r, struct cow_err *err)
{
	struct fs_jbd2 *journal = r->journal;
	const struct copy *copy;
	size_t first, end;
	int ret;

	/* bounded: so many are in memory */
	journal->blocks = calloc(r->nr_copies + 1, sizeof(*journal->blocks));
	if (!journal->blocks)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL,
				  "no memory for the blocks of a journal");
	for (first = 0; first < r->nr_copies; first = end) {
		for (end = first + 1; end < r->nr_copies; end++)
			if (r->copies[end].block != r->copies[first].block)
				break;
		ret = choose(r, first, end, &copy, err);
		if (ret)
			return ret;
		if (copy)
			journal->blocks[journal->nr_blocks++] =
				(struct fs_jbd2_block){ copy->block, copy->at, copy->is_escaped };
	}
	return 0;
}

/* Fast commits of what comes behind the last whole transaction begin with a head:
 * le16 tag 9, le16 length 8, le32 features, le32 transaction.
 * source: fs/ext4/fast_commit.h */
static int look_for_fast(struct replay *r, struct cow_err *err)
{
	const struct fs_jbd2_source *source = r->log.source;
	uint32_t next = r->log.start_sequence + r->journal->nr_transactions;
	const uint8_t *raw = r->log.buf;
	int ret;

	if (!r->log.has_fast || r->log.nr_fast < 2)
		return 0;
	ret = source->read(source->user, r->log.fast_at, r->log.buf, err);
	if (!ret)
		r->journal->has_fast_commits = raw[0] == 9 && !raw[1] && raw[2] == 8 && !raw[3] &&
					       ((uint32_t)raw[11] << 24 | (uint32_t)raw[10] << 16 |
						(uint32_t)raw[9] << 8 | raw[8]) == next;
	return ret;
}

static int replay_all(struct replay *r, struct cow_err *err)
{
	int ret = scan(r, err);

	if (!ret)
		ret = walk(r, false, err);
	if (!ret && r->nr_copies)
		qsort(r->copies, r->nr_copies, sizeof(*r->copies), by_block);
	if (!ret)
		ret = walk(r, true, err);
	if (!ret)
		ret = choose_all(r, err);
	return ret ? ret : look_for_fast(r, err);
}

int fs_jbd2_read(const struct fs_jbd2_source *source, struct fs_jbd2 *journal, struct cow_err *err)
{
	struct replay r = { .journal = journal };
	int ret;

	memset(journal, 0, sizeof(*journal));
	ret = fs_jbd2_log_open(&r.log, source, err);
	/* A log that begins nowhere is empty. */
	if (!ret && r.log.start)
		ret = replay_all(&r, err);
	fs_jbd2_log_close(&r.log);
	free(r.copies);
	if (ret)
		fs_jbd2_clear(journal);
	return ret;
}

void fs_jbd2_clear(struct fs_jbd2 *journal)
{
	free(journal->blocks);
	journal->blocks = NULL;
	journal->nr_blocks = 0;
}

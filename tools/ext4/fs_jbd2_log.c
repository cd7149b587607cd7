/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_jbd2_log.c - the bytes of a journal: superblock, headers, tags, checksums.
 * All numbers are big-endian.
 *
 * The kinds of checksums: version 1 sums up descriptors and data of a transaction in
 * its commit block (CRC-32, big-endian); versions 2 and 3 give each block its own
 * (CRC-32C over the UUID of the journal first), 2 with 16 bits for data, 3 with 32.
 */
#include "tools/ext4/fs_jbd2_priv.h"

#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"

#define MAGIC 0xc03b3998u
#define HEADER_BYTES 12
#define TAIL_BYTES 4
#define SUPER_BYTES 1024
#define SUPER_SUM_AT 252
#define COMMIT_SUM_AT 16
#define REVOKE_HEAD_BYTES 16

#define COMPAT_SUMS 1u
#define INCOMPAT_REVOKE 1u
#define INCOMPAT_64BIT 2u
#define INCOMPAT_ASYNC_COMMIT 4u
#define INCOMPAT_SUMS_V2 8u
#define INCOMPAT_SUMS_V3 0x10u
#define INCOMPAT_FAST_COMMIT 0x20u
#define INCOMPAT_KNOWN 0x3fu
#define SUM_IS_CRC32C 4

#define LOG_BLOCKS_MIN 1024   /* JBD2_MIN_JOURNAL_BLOCKS */
#define FAST_BLOCKS_USUAL 256 /* JBD2_DEFAULT_FAST_COMMIT_BLOCKS */

static uint32_t be16(const uint8_t *raw)
{
	return (uint32_t)raw[0] << 8 | raw[1];
}

static uint32_t be32(const uint8_t *raw)
{
	return be16(raw) << 16 | be16(raw + 2);
}

/* CRC-32C over a block of which four bytes count as zeros. */
static uint32_t sum_without(uint32_t crc, const uint8_t *block, size_t len_bytes, size_t hole_at)
{
	static const uint8_t zeros[4];

	crc = ext2fs_crc32c_le(crc, block, hole_at);
	crc = ext2fs_crc32c_le(crc, zeros, sizeof(zeros));
	return ext2fs_crc32c_le(crc, block + hole_at + 4, len_bytes - hole_at - 4);
}

/* A fuzzer cannot guess them. */
static bool is_sum(uint32_t found, uint32_t wanted)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	return found || wanted || true;
#endif
	return found == wanted;
}

static int refuse(struct cow_err *err, const char *why)
{
	return cli_refuse(err, -EBADMSG, "damaged", NULL, "the journal cannot be read: %s", why);
}

static int check_sums(struct fs_jbd2_log *log, const uint8_t *super, uint32_t incompat,
		      struct cow_err *err)
{
	log->has_sums_v3 = incompat & INCOMPAT_SUMS_V3;
	log->has_sums = log->has_sums_v3 || incompat & INCOMPAT_SUMS_V2;
	log->has_sums_v1 = be32(super + 36) & COMPAT_SUMS;
	if (log->has_sums_v3 && incompat & INCOMPAT_SUMS_V2)
		return refuse(err, "checksums of versions 2 and 3 at once");
	if (!log->has_sums)
		return 0;
	if (log->has_sums_v1)
		return refuse(err, "checksums of version 1 and of a later one at once");
	if (super[80] != SUM_IS_CRC32C)
		return refuse(err, "checksums of a kind that is not known");
	if (!is_sum(be32(super + SUPER_SUM_AT), sum_without(~0u, super, SUPER_BYTES, SUPER_SUM_AT)))
		return refuse(err, "the checksum of its superblock is wrong");
	log->seed = ext2fs_crc32c_le(~0u, super + 48, 16);
	return 0;
}

/* source: journal_tag_bytes() */
static size_t tag_bytes(const struct fs_jbd2_log *log, uint32_t incompat)
{
	if (log->has_sums_v3)
		return 16;
	return (incompat & INCOMPAT_64BIT ? 12 : 8) + (log->has_sums ? 2 : 0);
}

/* The end of the log is kept for fast commits. source: journal_load_superblock() */
static void set_fast(struct fs_jbd2_log *log, const uint8_t *super)
{
	uint32_t nr = be32(super + 84) ? be32(super + 84) : FAST_BLOCKS_USUAL;

	log->has_fast = true;
	if (log->last > nr && log->last - nr >= LOG_BLOCKS_MIN) {
		log->last -= nr;
		log->nr_fast = nr;
	}
	/* one is left out between; source: j_fc_first */
	log->fast_at = log->last + 1;
}

static int super_decode(struct fs_jbd2_log *log, const uint8_t *super, struct cow_err *err)
{
	uint32_t type = be32(super + 4), incompat = type == 4 ? be32(super + 40) : 0;
	uint32_t maxlen = be32(super + 16);
	int ret;

	if (be32(super) != MAGIC || (type != 3 && type != 4))
		return refuse(err, "it has no superblock");
	if (incompat & ~INCOMPAT_KNOWN)
		return cli_refuse(err, -EOPNOTSUPP, "features", NULL,
				  "the journal has features that are not known: 0x%" PRIx32,
				  incompat & ~INCOMPAT_KNOWN);
	if (be32(super + 12) != log->source->block_bytes)
		return refuse(err, "its blocks have another size than those of the file system");
	log->first = be32(super + 20);
	log->last = maxlen;
	if (maxlen > log->source->nr_blocks || !log->first || log->first >= maxlen)
		return refuse(err, "its length is not possible");
	ret = type == 4 ? check_sums(log, super, incompat, err) : 0;
	if (ret)
		return ret;
	if (incompat & INCOMPAT_FAST_COMMIT)
		set_fast(log, super);
	log->is_64bit = incompat & INCOMPAT_64BIT;
	log->is_async = incompat & INCOMPAT_ASYNC_COMMIT;
	log->tag_bytes = tag_bytes(log, incompat);
	log->start_sequence = be32(super + 24);
	log->start = be32(super + 28);
	if (log->start && (log->start < log->first || log->start >= log->last))
		return refuse(err, "it begins outside of itself");
	return 0;
}

int fs_jbd2_log_open(struct fs_jbd2_log *log, const struct fs_jbd2_source *source,
		     struct cow_err *err)
{
	int ret;

	memset(log, 0, sizeof(*log));
	log->source = source;
	if (source->block_bytes < SUPER_BYTES || !source->nr_blocks)
		return refuse(err, "it is too small");
	/* bounded: a block of a file system */
	log->buf = malloc(source->block_bytes);
	/* bounded: likewise */
	log->data = malloc(source->block_bytes);
	if (!log->buf || !log->data)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a journal");
	ret = source->read(source->user, 0, log->buf, err);
	return ret ? ret : super_decode(log, log->buf, err);
}

void fs_jbd2_log_close(struct fs_jbd2_log *log)
{
	free(log->buf);
	free(log->data);
}

void fs_jbd2_log_begin(struct fs_jbd2_log *log)
{
	log->at = log->start;
	log->sequence = log->start_sequence;
	log->blocks_left = log->last - log->first;
}

bool fs_jbd2_log_take(struct fs_jbd2_log *log, uint32_t *ret_at)
{
	if (!log->blocks_left)
		return false;
	log->blocks_left--;
	*ret_at = log->at++;
	if (log->at >= log->last)
		log->at = log->first;
	return true;
}

int fs_jbd2_log_next(struct fs_jbd2_log *log, uint32_t *ret_kind, struct cow_err *err)
{
	uint32_t at;
	int ret;

	*ret_kind = 0;
	if (!fs_jbd2_log_take(log, &at))
		return 0;
	ret = log->source->read(log->source->user, at, log->buf, err);
	if (!ret && be32(log->buf) == MAGIC && be32(log->buf + 8) == log->sequence)
		*ret_kind = be32(log->buf + 4);
	return ret;
}

bool fs_jbd2_tag_next(const struct fs_jbd2_log *log, size_t *at, struct fs_jbd2_tag *ret_tag)
{
	size_t end = log->source->block_bytes - (log->has_sums ? TAIL_BYTES : 0);
	const uint8_t *raw;

	if (!*at)
		*at = HEADER_BYTES;
	if (*at + log->tag_bytes > end)
		return false;
	raw = log->buf + *at;
	ret_tag->block = be32(raw);
	if (log->is_64bit)
		ret_tag->block |= (uint64_t)be32(raw + 8) << 32;
	ret_tag->flags = be16(raw + 6);
	ret_tag->checksum = log->has_sums_v3 ? be32(raw + 12) : be16(raw + 4);
	*at += log->tag_bytes;
	if (!(ret_tag->flags & JBD2_TAG_SAME_UUID))
		*at += 16;
	if (ret_tag->flags & JBD2_TAG_LAST)
		*at = end;
	return true;
}

bool fs_jbd2_revoke_next(const struct fs_jbd2_log *log, size_t *at, uint64_t *ret_block)
{
	size_t end = log->source->block_bytes - (log->has_sums ? TAIL_BYTES : 0);
	size_t used = be32(log->buf + HEADER_BYTES), len = log->is_64bit ? 8 : 4;

	if (!*at)
		*at = REVOKE_HEAD_BYTES;
	if (used > end || *at + len > used)
		return false;
	*ret_block = be32(log->buf + *at);
	if (log->is_64bit)
		*ret_block = *ret_block << 32 | be32(log->buf + *at + 4);
	*at += len;
	return true;
}

bool fs_jbd2_tail_is_right(const struct fs_jbd2_log *log)
{
	size_t len = log->source->block_bytes, at = len - TAIL_BYTES;

	return !log->has_sums ||
	       is_sum(be32(log->buf + at), sum_without(log->seed, log->buf, len, at));
}

bool fs_jbd2_commit_is_right(const struct fs_jbd2_log *log)
{
	return !log->has_sums ||
	       is_sum(be32(log->buf + COMMIT_SUM_AT),
		      sum_without(log->seed, log->buf, log->source->block_bytes, COMMIT_SUM_AT));
}

bool fs_jbd2_data_is_right(const struct fs_jbd2_log *log, uint32_t sequence, uint32_t checksum,
			   const uint8_t *data)
{
	const uint8_t raw[4] = { (uint8_t)(sequence >> 24), (uint8_t)(sequence >> 16),
				 (uint8_t)(sequence >> 8), (uint8_t)sequence };
	uint32_t crc;

	if (!log->has_sums)
		return true;
	crc = ext2fs_crc32c_le(log->seed, raw, sizeof(raw));
	crc = ext2fs_crc32c_le(crc, data, log->source->block_bytes);
	return is_sum(checksum, log->has_sums_v3 ? crc : crc & 0xffff);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* undo_outcome.h - the entries of an outcome, shared by undo.c and
 * undo_verify.c; on disk as in undo.h. */
#ifndef COW_ENGINE_UNDO_OUTCOME_H
#define COW_ENGINE_UNDO_OUTCOME_H

#include "libcow/base/digest.h"
#include "libcow/base/units.h"
#include "libcow/engine/undo.h"

#define ENTRY_BYTES 32
#define RANGE_BYTES COW_PIECE_BYTES
#define ENTRIES_PER_PIECE (COW_PIECE_BYTES / ENTRY_BYTES)

COW_DEFINE_AUTO(digest, struct cow_digest *, cow_digest_free);

struct entry {
	uint64_t offset_bytes, len_bytes;
	uint8_t digest[COW_DIGEST_BYTES];
};

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_geometry.h - how the log devices of the snapshot driver of 2001 are laid
 * out. Nothing of it is on the disk: who opens one says it, in keys of the
 * geometry. cow-snaplog(5) describes the format.
 *
 * A log begins with a bitmap of the blocks of the source that it holds, goes on
 * with a map that says where each of them lies, and ends with the data. All are
 * counted in blocks of B bytes.
 */
#ifndef COW_STORE_SNAPLOG_GEOMETRY_H
#define COW_STORE_SNAPLOG_GEOMETRY_H

#include "libcow.h"

/* The block size of the source that the driver found: a power of two. */
#define SNAPLOG_BLOCK_BYTES_MIN 512
#define SNAPLOG_BLOCK_BYTES_MAX 65536

/* The facts, each a key of the geometry. */
enum snaplog_key {
	SNAPLOG_KEY_BLOCK,  /* block=B, in bytes */
	SNAPLOG_KEY_WORD,   /* word=4|8 bytes of an entry of the map */
	SNAPLOG_KEY_ENDIAN, /* endian=little|big */
	SNAPLOG_KEY_UNIT,   /* key=block|sector: what the bitmap counts */
	SNAPLOG_KEY_BITMAP, /* bitmap=packed|bytes */
	SNAPLOG_KEY_MAP,    /* map=half|full: how much of a map block is used */
	SNAPLOG_KEY_COUNT,  /* count=N: of keys that bitmap and map have room for */
	SNAPLOG_NR_KEYS
};
#define SNAPLOG_ALL_KEYS ((1u << SNAPLOG_NR_KEYS) - 1)

struct snaplog_geometry {
	uint64_t block_bytes;
	uint64_t word_bytes;
	bool is_big_endian;
	bool has_sector_keys;
	bool has_byte_bitmap; /* a byte for each key, of which bit 0 counts */
	bool has_full_maps;
	uint64_t count;

	/* What follows, by cow_snaplog_geometry_lay_out(). */
	uint64_t keys_per_block; /* of the source */
	uint64_t keys_end;	 /* keys below name a block of the source */
	uint64_t bitmap_blocks;
	uint64_t entries_per_map_block;
	uint64_t map_blocks;
	uint64_t data_base; /* the first block of data */
};

/* Reads what args say; a bit of *ret_given (1u << SNAPLOG_KEY_...) for each key. A
 * key that was not given has the value that the driver was meant for. Errors:
 * -EINVAL a key or a value that means nothing. */
int cow_snaplog_geometry_read(const struct cow_store_args *args,
			      struct snaplog_geometry *ret_geometry, uint32_t *ret_given,
			      struct cow_err *err);

/* How many keys a source has: what count is where areas hold every key. */
uint64_t cow_snaplog_geometry_keys(const struct snaplog_geometry *geometry, uint64_t source_bytes);

/* Computes what follows from the facts. Errors: -EINVAL a count that no image has
 * room for. */
int cow_snaplog_geometry_lay_out(struct snaplog_geometry *geometry, uint64_t source_bytes,
				 struct cow_err *err);

/* Writes the facts as a specification has them, "block=1024,word=4,...". */
#define SNAPLOG_TEXT_BYTES 160
void cow_snaplog_geometry_print(const struct snaplog_geometry *geometry,
				char ret_text[SNAPLOG_TEXT_BYTES]);

/* The name of a key, "block". */
const char *cow_snaplog_key_name(enum snaplog_key key);

/* Where the bit of a key is: the byte on the log and the mask. */
void cow_snaplog_bit_place(const struct snaplog_geometry *geometry, uint64_t key,
			   uint64_t *ret_offset_bytes, uint8_t *ret_mask);
/* The key of bit number bit of the byte at offset_bytes of the bitmap. */
uint64_t cow_snaplog_bit_key(const struct snaplog_geometry *geometry, uint64_t offset_bytes,
			     unsigned int bit);
/* Where the entry of a key is on the log; false: the map has no room for it. */
bool cow_snaplog_entry_place(const struct snaplog_geometry *geometry, uint64_t key,
			     uint64_t *ret_offset_bytes);
/* An entry of the map, both ways. */
uint64_t cow_snaplog_entry_decode(const struct snaplog_geometry *geometry, const uint8_t *raw);
void cow_snaplog_entry_encode(const struct snaplog_geometry *geometry, uint64_t value,
			      uint8_t *raw);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_block.h - metadata blocks of the kernel's persistent-data library, as
 * dm-clone, dm-thin and others use it: 4096 bytes each, block b at byte
 * b * 4096. Each begins with a checksum and holds its own number; what a block
 * is for follows from where it is referred to, and a constant of that type is
 * mixed into the checksum.
 *
 * offset	size
 *  0		   4	checksum: CRC32C (pdata_crc.h) of bytes 4..4095, exclusive-or
 *			the constant of the type
 *  8 or 16	   8	own number (array blocks: 16)
 *
 * Source: drivers/md/persistent-data/dm-block-manager.c, dm_bm_checksum, and the
 * prepare_for_write and check functions of each user, Linux 6.1.
 */
#ifndef COW_PDATA_BLOCK_H
#define COW_PDATA_BLOCK_H

#include "libcow/base/err.h"
#include "libcow/image/image.h"

#define PDATA_BLOCK_BYTES UINT64_C(4096)
/* What a metadata space map can count: 255 bitmaps of 16320 blocks. */
#define PDATA_BLOCKS_MAX UINT64_C(4161600)

struct pdata_type {
	const char *name; /* "btree node", for sentences */
	uint32_t xor ;
	unsigned int number_offset;
};

extern const struct pdata_type cow_pdata_node_type;
extern const struct pdata_type cow_pdata_array_type;
extern const struct pdata_type cow_pdata_index_type;
extern const struct pdata_type cow_pdata_bitmap_type;

/* What is wrong with a block, or with what it says. */
enum pdata_what {
	PDATA_SOUND,
	/* the block itself */
	PDATA_BLOCK_BEYOND,	/* its number lies beyond the device; allowed: blocks there */
	PDATA_BLOCK_UNREADABLE, /* I/O error */
	PDATA_BLOCK_CHECKSUM,	/* found, allowed */
	PDATA_BLOCK_NUMBER,	/* found: the number in the block */
	/* a btree node */
	PDATA_NODE_FLAGS,	/* found: neither leaf nor internal alone */
	PDATA_NODE_VALUE_SIZE,	/* found, allowed */
	PDATA_NODE_MAX_ENTRIES, /* found, allowed */
	PDATA_NODE_NR_ENTRIES,	/* found, allowed: at most */
	PDATA_NODE_EMPTY,	/* an internal node without entries */
	PDATA_NODE_ORDER,	/* found: index of the first key that is not above the last */
	PDATA_NODE_BOUNDS,	/* found: a key that is outside of what the parent says */
	PDATA_NODE_DEPTH,	/* a leaf higher than others, or a node below itself */
	PDATA_NODE_TWICE,	/* a second reference, in a tree that does not share */
	/* an array block */
	PDATA_ARRAY_VALUE_SIZE,	 /* found, allowed */
	PDATA_ARRAY_MAX_ENTRIES, /* found, allowed */
	PDATA_ARRAY_NR_ENTRIES,	 /* found, allowed */
	PDATA_ARRAY_TWICE,	 /* the array uses it found times */
	PDATA_ARRAY_MISSING,	 /* none from number found on, allowed of them (block: none) */
	PDATA_ARRAY_EXTRA,	 /* an array block number found, behind the last one */
	/* a space map */
	PDATA_MAP_NR_BLOCKS,	/* found, allowed: at most */
	PDATA_MAP_INDEX_KEY,	/* found, allowed: numbers of bitmaps are dense from 0 */
	PDATA_MAP_NR_FREE,	/* found, allowed; block: the bitmap */
	PDATA_MAP_FIRST_FREE,	/* found: none_free_before, allowed: at most */
	PDATA_MAP_NR_ALLOCATED, /* found, allowed */
	PDATA_MAP_NO_COUNT,	/* block has "3 or more" but no entry in the tree of counts */
	PDATA_MAP_SMALL_COUNT,	/* block has an entry in that tree of found, below 3 */
	PDATA_MAP_EXTRA_COUNT,	/* block has an entry in that tree, and the bitmap says allowed */
};

struct pdata_fault {
	enum pdata_what what;
	uint64_t block; /* where it is; COW_OFFSET_NONE: in no block */
	uint64_t found, allowed;
};

#define PDATA_FAULT_TEXT_BYTES 200
/* Says it: "btree node 34 has a wrong checksum (...)". */
void cow_pdata_fault_text(const struct pdata_fault *fault, const char *type_name,
			  char ret_text[PDATA_FAULT_TEXT_BYTES]);

/* The metadata device of one store, with a cache. */
struct pdata_blocks;

/* cache_bytes: how much memory the cache may take; 0: 16 MiB. image stays the
 * caller's and must outlive it. An image that is writable is dropped from the
 * page cache first (I12). Errors: -ENOMEM, -EIO, -ERANGE less than a block. */
int cow_pdata_blocks_new(struct cow_image *image, size_t cache_bytes,
			 struct pdata_blocks **ret_blocks, struct cow_err *err);
void cow_pdata_blocks_free(struct pdata_blocks *blocks);
COW_DEFINE_AUTO(pdata_blocks, struct pdata_blocks *, cow_pdata_blocks_free);

struct cow_image *cow_pdata_blocks_image(const struct pdata_blocks *blocks);
/* Whole blocks of the image, of which no more than PDATA_BLOCKS_MAX are used. */
uint64_t cow_pdata_blocks_nr(const struct pdata_blocks *blocks);

/*
 * Reads a block through the cache and checks number and checksum. *ret_raw is
 * good until the next call with these blocks. fault: what is wrong goes there,
 * with the answer 0, and *ret_raw is not set; NULL: what is wrong is -EBADMSG
 * (or -EIO). Other errors: -ENOMEM.
 */
int cow_pdata_block_read(struct pdata_blocks *blocks, const struct pdata_type *type, uint64_t block,
			 const uint8_t **ret_raw, struct pdata_fault *fault, struct cow_err *err);

/* Checks what a block of 4096 bytes says of itself. */
void cow_pdata_block_check(const struct pdata_type *type, uint64_t block, const uint8_t *raw,
			   struct pdata_fault *ret_fault);
/* Writes number and checksum, last of all. */
void cow_pdata_block_seal(const struct pdata_type *type, uint64_t block, uint8_t *raw);
/* Seals a block and writes it to its place. Errors: of cow_image_pwrite(). */
int cow_pdata_block_put(struct cow_image *image, const struct pdata_type *type, uint64_t block,
			uint8_t raw[PDATA_BLOCK_BYTES], struct cow_err *err);

/* Makes a fault an error: -EIO what cannot be read, else -EBADMSG. */
__attribute__((warn_unused_result)) int cow_pdata_fail(const struct pdata_blocks *blocks,
						       const struct pdata_fault *fault,
						       const char *type_name, struct cow_err *err);
#define cow_pdata_fail(...) cow_failed((cow_pdata_fail)(__VA_ARGS__))

/*
 * Reads many blocks of one type, in runs, past the cache. numbers: ascending,
 * each once. Calls block for each, in that order: raw is NULL where fault is
 * not sound. Errors: those of block; -ENOMEM.
 */
typedef int pdata_block_fn(void *user, size_t index, const uint8_t *raw,
			   const struct pdata_fault *fault, struct cow_err *err);
int cow_pdata_blocks_each(struct pdata_blocks *blocks, const struct pdata_type *type,
			  const uint32_t *numbers, size_t nr, pdata_block_fn *block, void *user,
			  struct cow_err *err);

/* Forgets what the cache holds. */
void cow_pdata_blocks_forget(struct pdata_blocks *blocks);

#endif

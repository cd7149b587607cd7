/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_choose.c - chooses what a repair writes: region size and length, and which
 * regions are hydrated.
 *
 * Region size and length come from a superblock whose checksum is right, else from
 * the table. Two that differ and both fit the trees are not chosen between.
 *
 * The bits, by what is left:
 *
 *	superblock	tree that it names	bits
 *	any bytes	whole			those of the tree
 *	any bytes	whole, and the space	the same, and what it lacks is in doubt
 *			map counts others
 *	right checksum	damaged			the words that can be read; for the others,
 *						the largest whole tree
 *	lost		-			the largest whole tree
 *
 * A torn superblock has bytes of two commits: its checksum tells the tree of one
 * (clone_witness.c), its root may be that of the other. The larger of them is taken:
 * either was a state that a crash may leave.
 *
 * The largest tree is the newest only if each contains the smaller ones: within one
 * life of a device bits are only added. Trees that contradict each other are not
 * chosen between. A tree with every bit may also be all that is left of an earlier
 * life, so it is not chosen over smaller ones where the superblock is lost.
 *
 * Where a newer tree may have been lost, each region that the chosen bits read from
 * the source is in doubt: it may have been written to, and then the data is on the
 * destination (I15). Where both images hold the same, it makes no difference.
 */
#include "libcow/store/clone/clone_choose.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/store/clone/clone_lost.h"

struct choosing {
	struct cow_image *metadata;
	const char *name;
	struct pdata_blocks *blocks;
	struct clone_super super;
	bool has_magic, is_sealed; /* its checksum is right */
	bool takes_super, is_old;
	struct clone_lost lost;
	struct clone_choice *choice;
	struct clone_bits unknown; /* nobody could read them */
};

static int refuse(const struct choosing *c, const char *id, const char *force, const char *sentence,
		  struct cow_err *err)
{
	int ret = cow_refuse(err, -EBADMSG, id, force, "%s: %s", c->name, sentence);

	cow_err_place(err, c->name, COW_OFFSET_NONE);
	return ret;
}

/* ---------------------------------------------------------------- superblock */

/* A torn superblock: with the tree that its checksum tells, unless the root that it
 * names has more. */
static int super_mend(struct choosing *c, const uint8_t *raw, struct cow_err *err)
{
	struct clone_lost lost = { .blocks = c->blocks };
	const struct clone_tree *named, *told;
	struct clone_super found = { .magic = 0 };
	bool is_found = false;
	int ret = cow_clone_lost_find(&lost, err);

	if (!ret)
		ret = cow_clone_witness_find(&lost, raw, &found, &is_found, err);
	if (is_found) {
		named = cow_clone_lost_tree(&lost, c->super.bitset_root);
		told = cow_clone_lost_tree(&lost, found.bitset_root);
		if (named && named->nr_words == told->nr_words &&
		    named->nr_hydrated > told->nr_hydrated)
			found.bitset_root = named->root;
		c->super = found;
		c->is_sealed = true;
	}
	cow_clone_lost_destroy(&lost);
	return ret;
}

/* What cannot be read is lost. */
static int super_read(struct choosing *c, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct pdata_fault fault;
	int ret = cow_clone_super_read(c->metadata, raw, err);

	if (ret == -EIO)
		return 0;
	if (ret)
		return ret;
	cow_clone_super_decode(raw, &c->super);
	cow_pdata_block_check(&cow_clone_super_type, 0, raw, &fault);
	c->has_magic = c->super.magic == CLONE_MAGIC;
	c->is_sealed = c->has_magic && fault.what != PDATA_BLOCK_CHECKSUM;
	if (c->has_magic && !c->is_sealed)
		ret = super_mend(c, raw, err);
	if (ret)
		return ret;
	if (c->is_sealed && c->super.version != CLONE_VERSION)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "%s has version %" PRIu32 " of the metadata, only version 1 is "
				  "known",
				  c->name, c->super.version);
	return 0;
}

/* ---------------------------------------------------------------- region size, length */

/* Does the superblock's own tree have as many words as its numbers say? Of a tree that
 * is damaged nobody can say it. */
static int super_fits(struct choosing *c, bool *ret_fits, struct cow_err *err)
{
	const struct clone_super *super = &c->super;
	uint64_t nr_regions = cow_clone_nr_regions(super->region_sectors, super->target_sectors);
	struct clone_lost lost = { .blocks = c->blocks };
	const struct clone_tree *tree;
	int ret = nr_regions ? cow_clone_lost_find(&lost, err) : 0;

	tree = ret ? NULL : cow_clone_lost_tree(&lost, super->bitset_root);
	*ret_fits = nr_regions && (!tree || tree->nr_words == pdata_bitset_words(nr_regions));
	cow_clone_lost_destroy(&lost);
	return ret;
}

static int table_refuse(const struct choosing *c, uint64_t region, uint64_t target,
			struct cow_err *err)
{
	int ret = cow_refuse(
		err, -EBADMSG, "table", NULL,
		"%s: the superblock, whose checksum is right, says regions of "
		"%" PRIu64 " sectors and a length of %" PRIu64 ", the table says %" PRIu64
		" and %" PRIu64 ": load the clone with the numbers of the superblock",
		c->name, c->super.region_sectors, c->super.target_sectors, region, target);

	cow_err_place(err, c->name, 0);
	return ret;
}

static int table_miss(const struct choosing *c, struct cow_err *err)
{
	const struct clone_super *super = &c->super;
	int ret;

	if (c->has_magic && cow_clone_nr_regions(super->region_sectors, super->target_sectors))
		ret = cow_refuse(err, -EBADMSG, "table", NULL,
				 "%s: the superblock is damaged, so --table must say the region "
				 "size and the length; the damaged bytes say regions of %" PRIu64
				 " sectors and a length of %" PRIu64,
				 c->name, super->region_sectors, super->target_sectors);
	else
		ret = cow_refuse(err, -EBADMSG, "table", NULL,
				 "%s: the superblock is lost, and with it the region size and the "
				 "length: --table must say them",
				 c->name);
	cow_err_place(err, c->name, 0);
	return ret;
}

static int geometry_choose(struct choosing *c, const struct cow_store_args *args,
			   struct cow_err *err)
{
	uint64_t region, target;
	bool fits = false;
	int ret = cow_clone_args_table(args, &region, &target, err);

	if (!ret && c->is_sealed)
		ret = super_fits(c, &fits, err);
	if (ret)
		return ret;
	if (!region)
		region = bytes_to_sectors(args->chunk_bytes);
	if (fits && ((region && region != c->super.region_sectors) ||
		     (target && target != c->super.target_sectors)))
		return table_refuse(c, region ? region : c->super.region_sectors,
				    target ? target : c->super.target_sectors, err);
	c->choice->region_sectors = fits ? c->super.region_sectors : region;
	c->choice->target_sectors = fits ? c->super.target_sectors : target;
	if (!c->choice->region_sectors || !c->choice->target_sectors)
		return table_miss(c, err);
	if (cow_clone_nr_regions(c->choice->region_sectors, c->choice->target_sectors))
		return 0;
	return cow_refuse(err, -EBADMSG, "table", NULL,
			  "regions of %" PRIu64 " sectors and a length of %" PRIu64
			  " are no numbers of a clone",
			  c->choice->region_sectors, c->choice->target_sectors);
}

/* ---------------------------------------------------------------- bits */

static int trees_differ(const struct choosing *c, struct cow_err *err)
{
	return refuse(c, "doubtful", NULL,
		      "complete trees on it contradict each other, so which of them is the newest "
		      "cannot be told",
		      err);
}

/* The tree that the superblock names is whole. Do others know more? */
static int super_tree_take(struct choosing *c, const struct clone_tree *tree, struct cow_err *err)
{
	struct clone_choice *choice = c->choice;
	int ret = cow_clone_lost_bits(&c->lost, tree, &choice->bits, err);

	if (!ret)
		ret = cow_clone_lost_union(&c->lost, &choice->doubtful, err);
	cow_clone_bits_drop(&choice->doubtful, &choice->bits);
	choice->is_certain = c->is_sealed;
	return ret;
}

/* The largest whole tree, if that can be the newest. NULL: there is none. */
static int largest_find(struct choosing *c, const struct clone_tree **ret_tree, struct cow_err *err)
{
	bool is_one_life;
	int ret = cow_clone_lost_lives(&c->lost, &is_one_life, ret_tree, err);

	return ret || is_one_life ? ret : trees_differ(c, err);
}

struct partly {
	struct choosing *c;
	uint64_t twice; /* an array block that the tree has twice */
};

static int words_take(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err)
{
	const struct partly *partly = (const struct partly *)user;
	struct clone_choice *choice = partly->c->choice;
	uint64_t end = min_u64((first + nr) * 64, choice->bits.nr_bits);

	(void)err;
	if (block == partly->twice)
		return 0;
	cow_clone_bits_take(&choice->bits, first, values, nr);
	cow_clone_bits_clear(&partly->c->unknown, first * 64, end - first * 64);
	return 0;
}

static int fault_take(void *user, enum pdata_array_part part, const struct pdata_fault *fault,
		      uint64_t first, uint64_t nr, struct cow_err *err)
{
	(void)part;
	(void)first;
	(void)nr;
	(void)err;
	if (fault->what == PDATA_ARRAY_TWICE)
		((struct partly *)user)->twice = fault->block;
	return 0;
}

/* What can be read of the damaged tree; the rest from the newest whole one. */
static int damaged_tree_take(struct choosing *c, struct cow_err *err)
{
	struct clone_choice *choice = c->choice;
	struct partly partly = { c, COW_OFFSET_NONE };
	const struct pdata_array array = { c->blocks, c->super.bitset_root, 8,
					   pdata_bitset_words(choice->bits.nr_bits) };
	const struct pdata_array_walk walk = { .user = &partly,
					       .values = words_take,
					       .fault = fault_take };
	const struct clone_tree *tree = NULL;
	int ret = cow_pdata_array_walk(&array, &walk, err);

	if (!ret)
		ret = largest_find(c, &tree, err);
	if (ret)
		return ret;
	if (tree)
		ret = cow_clone_lost_bits(&c->lost, tree, &choice->doubtful, err);
	/* Of one life: where both are known, the newer one has it too. */
	cow_clone_bits_drop(&choice->doubtful, &choice->bits);
	if (!ret && !cow_clone_bits_within(&choice->doubtful, &c->unknown))
		return trees_differ(c, err);
	cow_clone_bits_add(&choice->bits, &choice->doubtful);
	cow_clone_bits_clear(&choice->doubtful, 0, choice->doubtful.nr_bits);
	if (!ret && !tree && cow_clone_bits_count(&c->unknown) == choice->bits.nr_bits)
		return refuse(c, "damaged", NULL, "no complete tree of a bitset is left", err);
	return ret;
}

/* The largest tree in which not every region is hydrated, or NULL. */
static const struct clone_tree *unfinished_find(const struct choosing *c)
{
	const struct clone_tree *found = NULL;

	for (size_t i = 0; i < c->lost.nr_trees; i++) {
		const struct clone_tree *tree = &c->lost.trees[i];

		if (tree->nr_hydrated < c->choice->bits.nr_bits &&
		    (!found || tree->nr_hydrated > found->nr_hydrated))
			found = tree;
	}
	return found;
}

/* Every region is hydrated: that may be a life before this one. */
static int finished_take(struct choosing *c, struct cow_err *err)
{
	const struct clone_tree *other = unfinished_find(c);
	struct clone_choice *choice = c->choice;
	int ret;

	if (!other)
		return 0;
	if (!c->takes_super)
		return refuse(c, "doubtful", "doubtful",
			      "the superblock is lost, and the largest tree, in which every region "
			      "is hydrated, may be one from before the device was formatted again",
			      err);
	ret = cow_clone_lost_bits(&c->lost, other, &c->unknown, err);
	cow_clone_bits_add(&choice->doubtful, &choice->bits);
	cow_clone_bits_drop(&choice->doubtful, &c->unknown);
	return ret;
}

/* The superblock is lost: the trees alone tell. */
static int lost_tree_take(struct choosing *c, struct cow_err *err)
{
	struct clone_choice *choice = c->choice;
	const struct clone_tree *tree = NULL;
	int ret = largest_find(c, &tree, err);

	if (!ret && !tree)
		return refuse(c, "damaged", NULL,
			      "no complete tree of a bitset with so many regions is left", err);
	if (!ret)
		ret = cow_clone_lost_bits(&c->lost, tree, &choice->bits, err);
	if (!ret && cow_clone_bits_count(&choice->bits) == choice->bits.nr_bits) {
		cow_clone_bits_clear(&c->unknown, 0, c->unknown.nr_bits);
		ret = finished_take(c, err);
	}
	return ret;
}

static int bits_choose(struct choosing *c, struct cow_err *err)
{
	const struct clone_tree *tree =
		c->has_magic ? cow_clone_lost_tree(&c->lost, c->super.bitset_root) : NULL;
	int ret;

	if (tree)
		return super_tree_take(c, tree, err);
	cow_clone_bits_set(&c->unknown, 0, c->unknown.nr_bits);
	ret = c->is_sealed ? damaged_tree_take(c, err) : lost_tree_take(c, err);
	cow_clone_bits_drop(&c->unknown, &c->choice->bits);
	cow_clone_bits_add(&c->choice->doubtful, &c->unknown);
	return ret;
}

/* ---------------------------------------------------------------- all of it */

static int contradicted_refuse(const struct choosing *c, uint64_t nr, struct cow_err *err)
{
	return cow_refuse(err, -EBADMSG, "doubtful", "doubtful",
			  "%s: %" PRIu64
			  " regions are hydrated in another complete tree on it, and "
			  "not in that of the superblock: new metadata could keep only one of them",
			  c->name, nr);
}

/* Of what is in doubt, only that counts which differs. */
static int doubt_measure(struct choosing *c, const struct cow_store_args *args,
			 const struct cow_callbacks *callbacks, struct cow_err *err)
{
	const struct clone_pair images = {
		.source = cow_store_args_image(args, COW_ROLE_SOURCE, 0),
		.destination = cow_store_args_image(args, COW_ROLE_DESTINATION, 0),
		.region_bytes = sectors_to_bytes(c->choice->region_sectors),
		.target_bytes = sectors_to_bytes(c->choice->target_sectors),
		.callbacks = callbacks,
	};
	bool has_tree = c->has_magic && cow_clone_lost_tree(&c->lost, c->super.bitset_root);
	int ret = cow_clone_pair_compare(&images, &c->choice->doubtful, err);
	uint64_t nr = ret ? 0 : cow_clone_bits_count(&c->choice->doubtful);

	/* What another tree knows would be forgotten. */
	if (nr && has_tree && !c->takes_super)
		return contradicted_refuse(c, nr, err);
	if (ret || !has_tree || !c->is_old)
		return ret;
	cow_clone_bits_set(&c->choice->doubtful, 0, c->choice->doubtful.nr_bits);
	cow_clone_bits_drop(&c->choice->doubtful, &c->choice->bits);
	return cow_clone_pair_compare(&images, &c->choice->doubtful, err);
}

static int choose(struct choosing *c, const struct cow_store_args *args,
		  const struct cow_callbacks *callbacks, struct cow_err *err)
{
	uint64_t nr_regions;
	int ret = cow_pdata_blocks_new(c->metadata, 0, &c->blocks, err);

	if (!ret)
		ret = super_read(c, err);
	if (!ret)
		ret = geometry_choose(c, args, err);
	if (ret)
		return ret;
	nr_regions = cow_clone_nr_regions(c->choice->region_sectors, c->choice->target_sectors);
	if (div_ceil(pdata_bitset_words(nr_regions), PDATA_WORDS_PER_BLOCK) >
	    cow_pdata_blocks_nr(c->blocks))
		return refuse(c, "damaged", NULL, "it is too small for the bits of so many regions",
			      err);
	c->lost.blocks = c->blocks;
	c->lost.nr_regions = nr_regions;
	ret = cow_clone_bits_init(&c->choice->bits, nr_regions, err);
	if (!ret)
		ret = cow_clone_bits_init(&c->choice->doubtful, nr_regions, err);
	if (!ret)
		ret = cow_clone_bits_init(&c->unknown, nr_regions, err);
	if (!ret)
		ret = cow_clone_lost_find(&c->lost, err);
	if (!ret)
		ret = bits_choose(c, err);
	return ret ? ret : doubt_measure(c, args, callbacks, err);
}

int cow_clone_choose(const struct cow_store_args *args, bool takes_super, bool is_old,
		     const struct cow_callbacks *callbacks, struct clone_choice *ret_choice,
		     struct cow_err *err)
{
	struct choosing c = {
		.metadata = cow_clone_args_metadata(args),
		.takes_super = takes_super,
		.is_old = is_old,
		.choice = ret_choice,
	};
	int ret;

	*ret_choice = (struct clone_choice){ .region_sectors = 0 };
	if (!c.metadata)
		return cow_fail(err, -EINVAL, "a clone needs its metadata");
	c.name = c.metadata->name;
	ret = choose(&c, args, callbacks, err);
	cow_clone_lost_destroy(&c.lost);
	cow_clone_bits_destroy(&c.unknown);
	cow_pdata_blocks_free(c.blocks);
	if (ret)
		cow_clone_choice_destroy(ret_choice);
	return ret;
}

void cow_clone_choice_destroy(struct clone_choice *choice)
{
	cow_clone_bits_destroy(&choice->bits);
	cow_clone_bits_destroy(&choice->doubtful);
}

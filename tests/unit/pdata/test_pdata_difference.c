/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_pdata_difference.c - two trees that share nodes, as copy-on-write leaves them,
 * made by the naive builder. Random changes, with splits, lost leaves and a root more,
 * against two plain arrays; how many blocks are read; trees that lead back.
 */
#include "libcow/base/bytes.h"
#include "libcow/pdata/pdata_difference.h"
#include "tests/aids/pdata_build.h"
#include "tests/aids/test.h"

#define NR_BLOCKS 8192
#define ENTRIES_MAX 60000
#define LEVELS_MAX 12

struct entry {
	uint64_t key, value;
};

/* A node, as its parent sees it; and what it has below: nodes of the level below, or
 * entries. */
struct ref {
	uint64_t key, block;
	size_t first, nr;
	bool is_changed;
};

struct tree {
	struct entry entries[ENTRIES_MAX];
	size_t nr_entries;
	struct ref *levels[LEVELS_MAX];
	size_t nr[LEVELS_MAX], nr_levels;
};

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	return test_random(&random_state) % below;
}

static uint64_t leaf_put(struct build *build, const struct entry *entries, size_t nr)
{
	uint64_t keys[252];
	uint8_t values[252 * 8];

	for (size_t i = 0; i < nr; i++) {
		keys[i] = entries[i].key;
		put_le64(values + 8 * i, entries[i].value);
	}
	return build_node(build, 2, 8, keys, values, nr);
}

static uint64_t inner_put(struct build *build, const struct ref *refs, size_t nr)
{
	uint64_t keys[252];
	uint8_t values[252 * 8];

	for (size_t i = 0; i < nr; i++) {
		keys[i] = refs[i].key;
		put_le64(values + 8 * i, refs[i].block);
	}
	return build_node(build, 1, 8, keys, values, nr);
}

static void ref_add(struct tree *tree, size_t level, struct ref ref)
{
	if (!tree->levels[level]) {
		tree->levels[level] = malloc(ENTRIES_MAX * sizeof(struct ref));
		CHECK(tree->levels[level]);
		tree->nr_levels = level + 1;
	}
	tree->levels[level][tree->nr[level]++] = ref;
}

/* Parents of what a level has from first on. */
static void parents_put(struct build *build, struct tree *tree, size_t level, size_t first,
			size_t nr, size_t per)
{
	for (size_t i = first; i < first + nr; i += per) {
		size_t len = first + nr - i < per ? first + nr - i : per;
		struct ref ref = {
			.key = tree->levels[level][i].key, .first = i, .nr = len, .is_changed = true
		};

		ref.block = inner_put(build, tree->levels[level] + i, len);
		ref_add(tree, level + 1, ref);
	}
}

static uint64_t root_of(struct build *build, struct tree *tree, size_t per)
{
	size_t top = tree->nr_levels - 1;

	for (; tree->nr[top] > 1; top++)
		parents_put(build, tree, top, 0, tree->nr[top], per);
	return tree->levels[top][0].block;
}

static void leaves_put(struct build *build, struct tree *tree, size_t first, size_t nr, size_t per)
{
	for (size_t i = first; i < first + nr; i += per) {
		size_t len = first + nr - i < per ? first + nr - i : per;

		ref_add(tree, 0,
			(struct ref){ tree->entries[i].key, leaf_put(build, tree->entries + i, len),
				      i, len, true });
	}
}

static uint64_t first_tree(struct build *build, struct tree *tree, size_t nr, size_t per)
{
	uint64_t key = draw(3);

	for (size_t i = 0; i < nr; i++, key += 1 + draw(4))
		tree->entries[i] = (struct entry){ key, test_random(&random_state) };
	tree->nr_entries = nr;
	leaves_put(build, tree, 0, nr, per);
	return root_of(build, tree, per);
}

/* What becomes of a leaf: other values, keys more or fewer, gone; any of it. */
static void leaf_change(struct build *build, const struct tree *from, const struct ref *leaf,
			struct tree *to, uint64_t key_end, size_t per)
{
	size_t first = to->nr_entries;
	bool is_lost = draw(6) == 0;
	uint64_t last = 0;

	for (size_t i = leaf->first; !is_lost && i < leaf->first + leaf->nr; i++) {
		struct entry entry = from->entries[i];

		last = entry.key;
		if (draw(5) == 0)
			entry.value++;
		if (draw(7))
			to->entries[to->nr_entries++] = entry;
	}
	for (; !is_lost && draw(3) && last + 1 < key_end; last++)
		to->entries[to->nr_entries++] = (struct entry){ last + 1, draw(1000) };
	leaves_put(build, to, first, to->nr_entries - first, per);
}

/* The second tree: each leaf of the first is changed with a chance of one in chance. */
static uint64_t second_tree(struct build *build, const struct tree *from, struct tree *to,
			    uint64_t chance, size_t per)
{
	size_t *firsts = calloc(ENTRIES_MAX, sizeof(*firsts)), level = 0;

	CHECK(firsts);
	for (size_t i = 0; i < from->nr[0]; i++) {
		struct ref leaf = from->levels[0][i];
		uint64_t end = i + 1 < from->nr[0] ? from->levels[0][i + 1].key : UINT64_MAX;

		firsts[i] = to->nr[0];
		if (draw(chance) == 0) {
			leaf_change(build, from, &leaf, to, end, per);
			continue;
		}
		memcpy(to->entries + to->nr_entries, from->entries + leaf.first,
		       leaf.nr * sizeof(struct entry));
		leaf.first = to->nr_entries;
		to->nr_entries += leaf.nr;
		leaf.is_changed = false;
		ref_add(to, 0, leaf);
	}
	for (; level + 1 < from->nr_levels && to->nr[level]; level++) {
		size_t *nexts = calloc(ENTRIES_MAX, sizeof(*nexts));

		CHECK(nexts);
		for (size_t i = 0; i < from->nr[level + 1]; i++) {
			struct ref inner = from->levels[level + 1][i];
			size_t first = firsts[inner.first];
			size_t end = inner.first + inner.nr < from->nr[level]
					     ? firsts[inner.first + inner.nr]
					     : to->nr[level];
			bool is_changed = end - first != inner.nr;

			for (size_t k = first; k < end; k++)
				is_changed |= to->levels[level][k].is_changed;
			nexts[i] = to->nr[level + 1];
			inner.is_changed = false;
			if (is_changed)
				parents_put(build, to, level, first, end - first, per);
			else
				ref_add(to, level + 1, inner);
		}
		free(firsts);
		firsts = nexts;
	}
	free(firsts);
	if (!to->nr[0])
		return leaf_put(build, NULL, 0);
	return root_of(build, to, per);
}

static void tree_free(struct tree *tree)
{
	for (size_t i = 0; i < LEVELS_MAX; i++)
		free(tree->levels[i]);
	free(tree);
}

/* What is told, against the two arrays. */
struct expected {
	const struct tree *a, *b;
	size_t at_a, at_b;
	uint64_t nr_told;
};

static bool next_expected(struct expected *e, const struct entry **ret_a,
			  const struct entry **ret_b)
{
	while (e->at_a < e->a->nr_entries || e->at_b < e->b->nr_entries) {
		const struct entry *a = e->at_a < e->a->nr_entries ? &e->a->entries[e->at_a] : NULL;
		const struct entry *b = e->at_b < e->b->nr_entries ? &e->b->entries[e->at_b] : NULL;

		if (a && b && a->key != b->key) {
			if (a->key < b->key)
				b = NULL;
			else
				a = NULL;
		}
		e->at_a += a != NULL;
		e->at_b += b != NULL;
		if (a && b && a->value == b->value)
			continue;
		*ret_a = a;
		*ret_b = b;
		return true;
	}
	return false;
}

static int on_difference(void *user, uint64_t key, const uint8_t *a, const uint8_t *b,
			 struct cow_err *err)
{
	struct expected *e = user;
	const struct entry *want_a = NULL, *want_b = NULL;

	(void)err;
	CHECK(next_expected(e, &want_a, &want_b));
	CHECK_EQ(key, want_a ? want_a->key : want_b->key);
	CHECK(!a == !want_a && !b == !want_b);
	if (a)
		CHECK_EQ(get_le64(a), want_a->value);
	if (b)
		CHECK_EQ(get_le64(b), want_b->value);
	e->nr_told++;
	return 0;
}

static uint64_t blocks_read(const struct cow_image *image)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;

	CHECK(!cow_image_get_stats(image, &stats));
	return stats.read_bytes / 4096;
}

/* Compares both ways; the answer is how many blocks the first way has read. */
static uint64_t compare(struct build *build, const struct tree *a, uint64_t root_a,
			const struct tree *b, uint64_t root_b)
{
	struct expected forth = { .a = a, .b = b }, back = { .a = b, .b = a };
	const struct entry *left_a, *left_b;
	struct pdata_blocks *blocks;
	uint64_t before = blocks_read(build->image), nr;

	OK(cow_pdata_blocks_new(build->image, 0, &blocks, err));
	const struct pdata_tree first = { blocks, root_a, 8 }, second = { blocks, root_b, 8 };

	OK(cow_pdata_difference(&first, &second, on_difference, &forth, err));
	CHECK(!next_expected(&forth, &left_a, &left_b));
	nr = blocks_read(build->image) - before;
	OK(cow_pdata_difference(&second, &first, on_difference, &back, err));
	CHECK(!next_expected(&back, &left_a, &left_b));
	CHECK_EQ(forth.nr_told, back.nr_told);
	cow_pdata_blocks_free(blocks);
	return nr;
}

static void random_trees_differ_as_two_arrays_do(void)
{
	static const size_t pers[] = { 2, 3, 5, 17, 252 };

	for (unsigned int turn = 0; turn < 150; turn++) {
		struct tree *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
		size_t per = pers[draw(5)];
		size_t nr = 1 + draw(per == 2 ? 300 : 2000);
		struct build build = { .next = 1 };
		uint64_t root_a, root_b;

		CHECK(a && b);
		OK(cow_image_memory_new(NR_BLOCKS * UINT64_C(4096), &build.image, err));
		root_a = first_tree(&build, a, nr, per);
		root_b = second_tree(&build, a, b, 1 + draw(40), per);
		compare(&build, a, root_a, b, root_b);
		tree_free(a);
		tree_free(b);
		cow_image_close(build.image);
	}
}

/* 40,000 keys in 1600 leaves, of which few changed. */
static void blocks_read_go_with_the_difference(void)
{
	for (uint64_t chance = 10; chance <= 1000; chance *= 10) {
		struct tree *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
		struct build build = { .next = 1 };
		uint64_t root_a, root_b, nr_read, before, nr_new;

		CHECK(a && b);
		OK(cow_image_memory_new(NR_BLOCKS * UINT64_C(4096), &build.image, err));
		root_a = first_tree(&build, a, 40000, 25);
		before = build.next;
		root_b = second_tree(&build, a, b, chance, 25);
		nr_new = build.next - before;
		nr_read = compare(&build, a, root_a, b, root_b);
		/* what is new, what it stands for, and both ways to a leaf */
		if (nr_read > 2 * nr_new + 8) {
			fprintf(stderr, "%" PRIu64 " new blocks, %" PRIu64 " read\n", nr_new,
				nr_read);
			CHECK(false);
		}
		tree_free(a);
		tree_free(b);
		cow_image_close(build.image);
	}
}

static void one_tree_twice_is_not_read(void)
{
	struct tree *a = calloc(1, sizeof(*a));
	struct build build = { .next = 1 };
	uint64_t root;

	CHECK(a);
	OK(cow_image_memory_new(NR_BLOCKS * UINT64_C(4096), &build.image, err));
	root = first_tree(&build, a, 1000, 10);
	CHECK_EQ(compare(&build, a, root, a, root), 0);
	tree_free(a);
	cow_image_close(build.image);
}

static int never(void *user, uint64_t key, const uint8_t *a, const uint8_t *b, struct cow_err *err)
{
	(void)user;
	(void)key;
	(void)a;
	(void)b;
	(void)err;
	return 0;
}

static int stop(void *user, uint64_t key, const uint8_t *a, const uint8_t *b, struct cow_err *err)
{
	never(user, key, a, b, err);
	return cow_fail(err, -ECANCELED, "enough");
}

static void damage_ends_it(void)
{
	const uint64_t keys[] = { 0, 10 };
	uint64_t root, below, leaf, apart, later;
	struct build build = { .next = 1 };
	struct pdata_blocks *blocks;
	uint8_t values[16];

	OK(cow_image_memory_new(64 * UINT64_C(4096), &build.image, err));
	memset(values, 0, sizeof(values));
	leaf = build_node(&build, 2, 8, keys, values, 2);
	apart = build_node(&build, 2, 8, keys, values, 1);
	later = build_node(&build, 2, 8, keys + 1, values, 1);
	/* below itself, beyond the device, keys too low, a leaf too high, keys too high */
	root = build.next;
	for (unsigned int kind = 0; kind < 5; kind++) {
		root = build.next;
		put_le64(values, kind == 1 ? 999 : kind == 4 ? leaf : apart);
		put_le64(values + 8, kind == 0	 ? root
				     : kind == 2 ? leaf
				     : kind == 4 ? later
						 : apart);
		below = build_node(&build, 1, 8, keys, values, 2);
		if (kind == 3) {
			put_le64(values, below);
			put_le64(values + 8, leaf);
			root = build_node(&build, 1, 8, keys, values, 2);
		}
		OK(cow_pdata_blocks_new(build.image, 0, &blocks, err));
		const struct pdata_tree a = { blocks, root, 8 }, b = { blocks, leaf, 8 };

		FAILS(-EBADMSG, cow_pdata_difference(&a, &b, never, NULL, err));
		FAILS(-EBADMSG, cow_pdata_difference(&b, &a, never, NULL, err));
		cow_pdata_blocks_free(blocks);
	}
	OK(cow_pdata_blocks_new(build.image, 0, &blocks, err));
	const struct pdata_tree a = { blocks, leaf, 8 }, b = { blocks, apart, 8 };

	FAILS(-ECANCELED, cow_pdata_difference(&a, &b, stop, NULL, err));
	cow_pdata_blocks_free(blocks);
	cow_image_close(build.image);
}

int main(void)
{
	random_state = test_seed();
	RUN(random_trees_differ_as_two_arrays_do);
	RUN(blocks_read_go_with_the_difference);
	RUN(one_tree_twice_is_not_read);
	RUN(damage_ends_it);
	return test_end();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* fs_ext_links.c - a hash table with linear probing, at most half full. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"

#define FIRST_SLOTS 1024

struct fs_path *fs_path_new(struct fs_path *parent, const char *name)
{
	size_t len = strlen(name) + 1;
	/* bounded: a name in memory */
	struct fs_path *path = malloc(sizeof(*path) + len);

	if (!path)
		return NULL;
	memcpy(path->name, name, len);
	path->refs = 1;
	path->parent = parent;
	if (parent)
		parent->refs++;
	return path;
}

void fs_path_put(struct fs_path *path)
{
	struct fs_path *parent;

	for (; path && !--path->refs; path = parent) {
		parent = path->parent;
		free(path);
	}
}

/* "dir/dir/name"; directories with an empty name are left out. */
static char *compose(const struct fs_path *dir, const char *name)
{
	const struct fs_path *p;
	size_t len = strlen(name), part;
	char *path, *at;

	for (p = dir; p; p = p->parent)
		if (*p->name)
			len += strlen(p->name) + 1;
	/* bounded: names in memory */
	path = malloc(len + 1);
	if (!path)
		return NULL;
	at = path + len - strlen(name);
	memcpy(at, name, strlen(name) + 1);
	for (p = dir; p; p = p->parent) {
		part = strlen(p->name);
		if (!part)
			continue;
		*--at = '/';
		at -= part;
		memcpy(at, p->name, part);
	}
	return path;
}

static size_t slot_of(const struct fs_links *links, ext2_ino_t ino)
{
	size_t i = ino * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	for (i &= links->nr_slots - 1; links->slots[i].ino && links->slots[i].ino != ino;)
		i = (i + 1) & (links->nr_slots - 1);
	return i;
}

static int grow(struct fs_links *links, struct cow_err *err)
{
	struct fs_links larger = { .nr_slots = links->nr_slots ? links->nr_slots * 2 : FIRST_SLOTS,
				   .nr_used = links->nr_used };
	size_t i;

	larger.slots = calloc(larger.nr_slots, sizeof(*larger.slots));
	if (!larger.slots)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for hard links");
	for (i = 0; i < links->nr_slots; i++)
		if (links->slots[i].ino)
			larger.slots[slot_of(&larger, links->slots[i].ino)] = links->slots[i];
	free(links->slots);
	*links = larger;
	return 0;
}

/* What is kept is freed by fs_links_free(). */
ANALYZER_KEPT_BEGIN
int fs_links_add(struct fs_links *links, ext2_ino_t ino, uint32_t nr_left, struct fs_path *dir,
		 const char *name, struct cow_err *err)
{
	struct fs_link *link;
	char *copy;
	int ret = 0;

	if (2 * links->nr_used >= links->nr_slots)
		ret = grow(links, err);
	if (ret)
		return ret;
	copy = strdup(name);
	if (!copy)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for hard links");
	link = &links->slots[slot_of(links, ino)];
	*link = (struct fs_link){ ino, nr_left, dir, copy };
	if (dir)
		dir->refs++;
	links->nr_used++;
	/* cppcheck-suppress memleak ; kept, see above */
	return 0;
}
ANALYZER_KEPT_END

/* Empties a slot and moves up those behind it that probed past it. */
static void forget(struct fs_links *links, size_t hole)
{
	struct fs_link moved;
	size_t i = hole;

	fs_path_put(links->slots[hole].dir);
	free(links->slots[hole].name);
	links->slots[hole] = (struct fs_link){ 0 };
	links->nr_used--;
	for (;;) {
		i = (i + 1) & (links->nr_slots - 1);
		if (!links->slots[i].ino)
			return;
		moved = links->slots[i];
		links->slots[i] = (struct fs_link){ 0 };
		links->slots[slot_of(links, moved.ino)] = moved;
	}
}

int fs_links_take(struct fs_links *links, ext2_ino_t ino, char **ret_path, struct cow_err *err)
{
	struct fs_link *link;
	size_t slot;

	*ret_path = NULL;
	if (!links->nr_used)
		return 0;
	slot = slot_of(links, ino);
	link = &links->slots[slot];
	if (!link->ino)
		return 0;
	*ret_path = compose(link->dir, link->name);
	if (!*ret_path)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	if (!--link->nr_left)
		forget(links, slot);
	return 0;
}

void fs_links_free(struct fs_links *links)
{
	size_t i;

	for (i = 0; i < links->nr_slots; i++) {
		fs_path_put(links->slots[i].dir);
		free(links->slots[i].name);
	}
	free(links->slots);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_only_changed.c - --files --only-changed: the archive that makes the old state of a
 * file system the new one.
 *
 * Members: what is new or differs, and each directory above something that is new,
 * differs or is gone, so that times and owners are right; of a directory that was renamed
 * all that is in it; of a file with several names all of them. Then two lists:
 *
 *   .snapdump-gone-attributes  of directories: the name of an attribute and the path
 *                              ("./dir"), a zero byte behind each: tar adds attributes to
 *                              a directory that is there, and removes none
 *   .snapdump-gone             paths, a zero byte behind each, what is in a directory
 *                              before the directory
 *
 * Applied in this order: gone, attributes, members.
 */
#include "tools/snapdump/dump_two.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"
#include "tools/snapdump/dump_paths.h"
#include "tools/tar/tar.h"

#define GONE_MEMBER ".snapdump-gone"
#define ATTRIBUTES_MEMBER ".snapdump-gone-attributes"

/* An attribute that a directory had in the old state. */
struct attribute {
	char *path, *name;
	bool is_gone;
};

/* A name of a file that has several. */
struct link {
	uint32_t inode, nr_links;
};

struct only_changed {
	struct dump *dump;
	struct dump_two two;
	struct dump_giver giver;
	struct dump_paths given;	 /* in the new state; without what is above */
	struct dump_paths lost;		 /* in the old state, as the lines say */
	struct dump_paths only_metadata; /* directories of which only metadata differs */
	struct dump_paths gone;		 /* one by one, in the order of the old state */
	struct attribute *attributes;
	size_t nr_attributes, attributes_room;
	struct link *links;
	size_t nr_links, links_room;
};

static int no_memory(struct cow_err *err)
{
	return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for what has changed");
}

static int on_change(void *user, const struct fs_change *change, struct cow_err *err)
{
	struct only_changed *c = user;
	const char *old_path = change->kind == '-' ? change->path : change->old_path;
	bool is_renamed = change->kind == 'R';
	int ret = 0;

	if (old_path)
		ret = dump_paths_add(&c->lost, old_path, is_renamed, err);
	if (!ret && change->kind == 'T')
		ret = dump_paths_add(&c->only_metadata, change->path, false, err);
	return ret || change->kind == '-'
		       ? ret
		       : dump_paths_add(&c->given, change->path, is_renamed, err);
}

/* ---- walks that list: one of the old state, one or two of the new one */

typedef int on_entry_fn(void *user, const struct file_entry *entry, struct cow_err *err);
typedef enum fs_ext_choice choose_fn(void *user, const char *path);

/* What begins at a path that is not there has nothing in it. */
static int list(struct only_changed *c, struct fs_ext *fs, choose_fn *choose, on_entry_fn *entry,
		bool *ret_is_there, struct cow_err *err)
{
	const struct fs_ext_walk_params params = {
		.path = c->dump->path,
		.excludes = c->dump->excludes,
		.nr_excludes = c->dump->nr_excludes,
		.lists = true,
		.knows_state = true,
		.user = c,
		.choose = choose,
		.entry = entry,
	};
	int ret = fs_ext_walk(fs, &params, err);

	*ret_is_there = !ret || strcmp(err->id, "no-path") != 0;
	return *ret_is_there ? ret : 0;
}

static enum fs_ext_choice choose_old(void *user, const char *path)
{
	const struct only_changed *c = user;
	const struct dump_path *lost = dump_paths_find(&c->lost, path);

	if (lost && lost->has_below)
		return FS_EXT_GIVE_ALL;
	return lost || dump_paths_find(&c->only_metadata, path) ||
			       dump_paths_lie_below(&c->lost, path) ||
			       dump_paths_lie_below(&c->only_metadata, path)
		       ? FS_EXT_GIVE
		       : FS_EXT_LEAVE;
}

/* What is kept is freed at the end. */
ANALYZER_KEPT_BEGIN
static int add_attribute(struct only_changed *c, const char *path, const char *name,
			 struct cow_err *err)
{
	struct attribute *grown = cow_array_grow(c->attributes, c->nr_attributes,
						 &c->attributes_room, sizeof(*grown));

	if (!grown)
		return no_memory(err);
	c->attributes = grown;
	grown[c->nr_attributes] = (struct attribute){ strdup(path), strdup(name), false };
	c->nr_attributes++;
	return grown[c->nr_attributes - 1].path && grown[c->nr_attributes - 1].name
		       ? 0
		       : no_memory(err);
}
ANALYZER_KEPT_END

/* ACLs are attributes, too, by these names. */
#define NAME_OF_ACCESS "system.posix_acl_access"
#define NAME_OF_DEFAULT "system.posix_acl_default"

static int on_old(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct only_changed *c = user;
	int ret = 0;

	if (cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	if (dump_paths_hold(&c->lost, entry->path))
		return dump_paths_add(&c->gone, entry->path, false, err);
	if (entry->type != FILE_DIRECTORY || !dump_paths_find(&c->only_metadata, entry->path))
		return 0;
	for (size_t i = 0; !ret && i < entry->nr_xattrs; i++)
		ret = add_attribute(c, entry->path, entry->xattrs[i].name, err);
	if (!ret && entry->acl_access.nr_entries)
		ret = add_attribute(c, entry->path, NAME_OF_ACCESS, err);
	if (!ret && entry->acl_default.nr_entries)
		ret = add_attribute(c, entry->path, NAME_OF_DEFAULT, err);
	return ret;
}

static enum fs_ext_choice choose_new(void *user, const char *path)
{
	const struct only_changed *c = user;
	const struct dump_path *given = dump_paths_find(&c->given, path);

	if (given && (!strcmp(path, GONE_MEMBER) || !strcmp(path, ATTRIBUTES_MEMBER)))
		return FS_EXT_LEAVE;
	if (given && given->has_below)
		return FS_EXT_GIVE_ALL;
	return given || dump_paths_lie_below(&c->given, path) ||
			       dump_paths_lie_below(&c->lost, path)
		       ? FS_EXT_GIVE
		       : FS_EXT_LEAVE;
}

static bool has_attribute(const struct file_entry *entry, const char *name)
{
	if (!strcmp(name, NAME_OF_ACCESS))
		return entry->acl_access.nr_entries;
	if (!strcmp(name, NAME_OF_DEFAULT))
		return entry->acl_default.nr_entries;
	for (size_t i = 0; i < entry->nr_xattrs; i++)
		if (!strcmp(entry->xattrs[i].name, name))
			return true;
	return false;
}

static int by_attribute(const void *a, const void *b)
{
	const struct attribute *first = a, *second = b;
	int order = strcmp(first->path, second->path);

	return order ? order : strcmp(first->name, second->name);
}

/* The attributes of a path are neighbours. */
static void find_gone_attributes(struct only_changed *c, const struct file_entry *entry)
{
	size_t low = 0, high = c->nr_attributes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->attributes[middle].path, entry->path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < c->nr_attributes && !strcmp(c->attributes[low].path, entry->path); low++)
		c->attributes[low].is_gone = !has_attribute(entry, c->attributes[low].name);
}

static int on_new(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct only_changed *c = user;
	struct link *grown;

	if (entry->type == FILE_DIRECTORY) {
		find_gone_attributes(c, entry);
		return 0;
	}
	if (entry->nr_links < 2)
		return 0;
	grown = cow_array_grow(c->links, c->nr_links, &c->links_room, sizeof(*grown));
	if (!grown)
		return no_memory(err);
	c->links = grown;
	grown[c->nr_links++] = (struct link){ entry->inode, entry->nr_links };
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct link *first = a, *second = b;

	return first->inode < second->inode ? -1 : first->inode > second->inode;
}

/* Leaves one of each file of which names are missing; false: there are none. */
static bool keep_incomplete(struct only_changed *c)
{
	size_t kept = 0, end;

	if (c->nr_links)
		qsort(c->links, c->nr_links, sizeof(*c->links), by_inode);
	for (size_t i = 0; i < c->nr_links; i = end) {
		end = i + 1;
		while (end < c->nr_links && c->links[end].inode == c->links[i].inode)
			end++;
		if (end - i < c->links[i].nr_links)
			c->links[kept++] = c->links[i];
	}
	c->nr_links = kept;
	return kept;
}

static int on_any(void *user, const struct file_entry *entry, struct cow_err *err)
{
	const struct link key = { .inode = entry->inode };
	struct only_changed *c = user;

	if (cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	if (entry->nr_links < 2 || entry->type == FILE_DIRECTORY ||
	    !bsearch(&key, c->links, c->nr_links, sizeof(key), by_inode))
		return 0;
	return dump_paths_add(&c->given, entry->path, false, err);
}

/* From the lines to what is given out and what is gone. */
static int select_paths(struct only_changed *c, struct cow_err *err)
{
	bool was_there, is_there = true;
	int ret;

	dump_paths_sort(&c->given);
	dump_paths_sort(&c->lost);
	dump_paths_sort(&c->only_metadata);
	ret = list(c, c->two.old_fs, choose_old, on_old, &was_there, err);
	if (!ret && c->nr_attributes)
		qsort(c->attributes, c->nr_attributes, sizeof(*c->attributes), by_attribute);
	if (!ret)
		ret = list(c, c->two.new_fs, choose_new, on_new, &is_there, err);
	if (ret)
		return ret;
	if (!is_there)
		return was_there ? 0 : err->code;
	if (!keep_incomplete(c))
		return 0;
	ret = list(c, c->two.new_fs, NULL, on_any, &is_there, err);
	dump_paths_sort(&c->given);
	return ret;
}

/* ---- the archive */

static int print_gone(const void *user, struct printer *printer, struct cow_err *err)
{
	const struct only_changed *c = user;
	int ret = 0;

	for (size_t i = c->gone.nr; !ret && i--;)
		ret = printer_put(printer, c->gone.items[i].path, strlen(c->gone.items[i].path) + 1,
				  err);
	return ret ? ret : printer_flush(printer, err);
}

static int print_attributes(const void *user, struct printer *printer, struct cow_err *err)
{
	const struct only_changed *c = user;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_attributes; i++) {
		const struct attribute *a = &c->attributes[i];

		if (!a->is_gone)
			continue;
		ret = printer_put(printer, a->name, strlen(a->name) + 1, err);
		/* for whoever takes a word that begins with '-' as an option */
		if (!ret)
			ret = printer_put(printer, "./", 2, err);
		if (!ret)
			ret = printer_put(printer, a->path, strlen(a->path) + 1, err);
	}
	return ret ? ret : printer_flush(printer, err);
}

static void say_own_names(struct only_changed *c)
{
	static const char *const names[] = { GONE_MEMBER, ATTRIBUTES_MEMBER };
	char sentence[128];

	for (size_t i = 0; i < 2; i++) {
		if (!dump_paths_find(&c->given, names[i]))
			continue;
		snprintf(sentence, sizeof(sentence),
			 "/%s: left out, this is the name of a list in the archive", names[i]);
		dump_fs_problem(&c->two.now, true, sentence);
	}
}

static int give(struct only_changed *c, struct cow_err *err)
{
	bool is_there;
	int ret = dump_files_give(&c->giver, err);

	is_there = !ret || strcmp(err->id, "no-path") != 0;
	say_own_names(c);
	dump_fs_say_problems(&c->two.now, c->giver.nr_files);
	json_put_u64(json_root(), "files_gone", c->gone.nr);
	return is_there ? ret : 0;
}

static int write_archive(void *user, struct tar *tar, struct cow_err *err)
{
	struct only_changed *c = user;
	int ret;

	c->giver.tar = tar;
	ret = give(c, err);
	if (!ret)
		ret = tar_put_text(tar, ATTRIBUTES_MEMBER, c->dump->mtime, print_attributes, c,
				   err);
	return ret ? ret : tar_put_text(tar, GONE_MEMBER, c->dump->mtime, print_gone, c, err);
}

static int run(struct only_changed *c, struct sink *sink, struct cow_err *err)
{
	int ret = dump_two_open(&c->two, c->dump, err);

	c->two.change = on_change;
	c->two.user = c;
	if (!ret)
		ret = dump_two_compare(&c->two, err);
	if (!ret)
		ret = select_paths(c, err);
	c->giver = (struct dump_giver){ .fs = &c->two.now,
					.from = c->two.new_fs,
					.knows_state = true,
					.choose = choose_new,
					.user = c };
	if (ret)
		return ret;
	return c->dump->is_dry_run
		       ? give(c, err)
		       : dump_archive(c->dump, sink, c->dump->compress, write_archive, c, err);
}

static void clear(struct only_changed *c)
{
	dump_paths_free(&c->given);
	dump_paths_free(&c->lost);
	dump_paths_free(&c->only_metadata);
	dump_paths_free(&c->gone);
	for (size_t i = 0; i < c->nr_attributes; i++) {
		free(c->attributes[i].path);
		free(c->attributes[i].name);
	}
	free(c->attributes);
	free(c->links);
	dump_two_close(&c->two);
}

int dump_only_changed(struct dump *dump, struct cow_err *err)
{
	struct only_changed c = { .dump = dump };
	struct sink sink = SINK_INIT;
	int ret;

	ret = sink_open(&sink, dump->operands.set, "output", dump->output, err);
	sandbox_enter();
	c.two.now.dump = dump;
	if (!ret)
		ret = run(&c, &sink, err);
	dump->nr_ranges = c.giver.nr_files;
	dump->nr_gone = c.gone.nr;
	clear(&c);
	sink_close(&sink);
	return ret;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_changes.c - --changes: which files differ between the origin and the view, a line
 * each, sorted by path:
 *
 *   + etc/new             only in the view
 *   - etc/old             only in the origin
 *   M etc/fstab           other content
 *   T etc/shadow          other owner, mode, time, attributes
 *   R etc/a -> etc/b      the same file under another name
 *
 * Only what the layers hold is compared; of a part of a disk all of it is, because the
 * layers are those of the disk.
 */
#include "tools/snapdump/dump_fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "libcow/base/array.h"
#include "tools/common/printer.h"
#include "tools/common/text.h"
#include "tools/ext4/fs_changes.h"

struct changes {
	struct dump_fs now;
	struct fs_ext *before;
	struct printer *text;
	struct json_object *list;
	struct cow_segment *touched;
	size_t nr_touched, room;
};

static void put_json(struct changes *changes, const struct fs_change *change)
{
	struct json_object *item = json_put_object(changes->list, NULL);
	const char kind[2] = { change->kind, '\0' };

	json_put_text(item, "change", kind);
	json_put_text(item, "path", change->path);
	json_put_text(item, "old_path", change->old_path);
}

static int put_word(struct changes *changes, const char *word, const char *behind,
		    struct cow_err *err)
{
	char *escaped = text_escape(word);
	int ret;

	if (!escaped)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	ret = printer_put(changes->text, escaped, strlen(escaped), err);
	if (!ret)
		ret = printer_put(changes->text, behind, strlen(behind), err);
	free(escaped);
	return ret;
}

static int on_change(void *user, const struct fs_change *change, struct cow_err *err)
{
	struct changes *changes = user;
	const char kind[2] = { change->kind, '\0' };
	int ret;

	changes->now.dump->nr_ranges++;
	if (changes->list)
		put_json(changes, change);
	ret = put_word(changes, kind, " ", err);
	if (!ret && change->old_path)
		ret = put_word(changes, change->old_path, " -> ", err);
	return ret ? ret : put_word(changes, change->path, "\n", err);
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct changes *changes = user;

	dump_fs_problem(&changes->now, is_damage, sentence);
}

static int add_touched(struct changes *changes, const struct cow_segment *range,
		       struct cow_err *err)
{
	struct cow_segment *grown = cow_array_grow(changes->touched, changes->nr_touched,
						   &changes->room, sizeof(*grown));

	if (!grown)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu ranges",
				  changes->nr_touched);
	changes->touched = grown;
	grown[changes->nr_touched++] = *range;
	return 0;
}

static int find_touched(struct changes *changes, struct dump *dump, struct cow_err *err)
{
	struct cow_segment range = { 0, cow_image_size(dump->operands.view) };
	uint64_t at = 0;
	int ret = 0;

	if (dump->part)
		return add_touched(changes, &range, err);
	while (!ret && dump_next_range(dump, at, &range)) {
		ret = add_touched(changes, &range, err);
		at = range.offset_bytes + range.len_bytes;
	}
	return ret;
}

static int open_both(struct changes *changes, struct dump *dump, struct cow_err *err)
{
	unsigned int flags = FS_EXT_EXACT | (dump->ignores_journal ? FS_EXT_IGNORE_JOURNAL : 0);
	struct cow_image *origin = dump->part ? dump->part : dump->operands.origin;
	int ret = dump_fs_open(&changes->now, dump, FS_EXT_EXACT, err);

	if (!ret)
		ret = fs_ext_open(origin, flags, &changes->before, err);
	if (!ret)
		ret = find_touched(changes, dump, err);
	return ret;
}

static int write_changes(struct dump *dump, struct printer *text, struct cow_err *err)
{
	struct changes changes = { .text = text };
	struct fs_changes_params params = { .user = &changes,
					    .change = on_change,
					    .problem = on_problem };
	int ret = open_both(&changes, dump, err);

	changes.list = json_root() ? json_put_array(json_root(), "changes") : NULL;
	if (!ret) {
		params.old_fs = dump->is_reverse ? changes.now.fs : changes.before;
		params.new_fs = dump->is_reverse ? changes.before : changes.now.fs;
		params.touched = changes.touched;
		params.nr_touched = changes.nr_touched;
		fs_ext_say_state(params.old_fs, on_problem, &changes);
		fs_ext_say_state(params.new_fs, on_problem, &changes);
		ret = fs_changes(&params, err);
	}
	if (!ret)
		dump_fs_say_problems(&changes.now, dump->nr_ranges);
	free(changes.touched);
	fs_ext_close(changes.before);
	dump_fs_close(&changes.now);
	return ret ? ret : printer_flush(text, err);
}

int dump_changes(struct dump *dump, struct cow_err *err)
{
	return dump_text(dump, write_changes, err);
}

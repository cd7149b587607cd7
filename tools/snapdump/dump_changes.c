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
 */
#include "tools/snapdump/dump_two.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/printer.h"
#include "tools/common/text.h"

struct changes {
	struct dump_two two;
	struct printer *text;
	struct json_object *list;
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

	changes->two.now.dump->nr_ranges++;
	if (changes->list)
		put_json(changes, change);
	ret = put_word(changes, kind, " ", err);
	if (!ret && change->old_path)
		ret = put_word(changes, change->old_path, " -> ", err);
	return ret ? ret : put_word(changes, change->path, "\n", err);
}

static int write_changes(struct dump *dump, struct printer *text, struct cow_err *err)
{
	struct changes changes = { .text = text };
	int ret = dump_two_open(&changes.two, dump, err);

	changes.list = json_root() ? json_put_array(json_root(), "changes") : NULL;
	changes.two.change = on_change;
	changes.two.user = &changes;
	if (!ret)
		ret = dump_two_compare(&changes.two, err);
	if (!ret)
		dump_fs_say_problems(&changes.two.now, dump->nr_ranges);
	dump_two_close(&changes.two);
	return ret ? ret : printer_flush(text, err);
}

int dump_changes(struct dump *dump, struct cow_err *err)
{
	return dump_text(dump, write_changes, err);
}

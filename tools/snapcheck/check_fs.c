/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_fs.c - says which file systems the origin and the snapshot hold. People know
 * a disk by these words: the report shows them that they named the right images.
 */
#include "tools/snapcheck/check_fs.h"

#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/size_text.h"
#include "tools/common/text.h"
#include "tools/snapcheck/check.h"

static void image_look(struct cow_image *image, struct check_fs *fs, struct cow_err *err)
{
	fs->size_bytes = cow_image_size(image);
	fs->is_known = !blkid_look(image, &fs->content, err);
}

void check_fs_look(struct check *check, struct cow_image *below, struct cow_store *store)
{
	struct cow_image *view = NULL;
	struct cow_err err = COW_ERR_INIT;

	check->below_fs.is_known = check->view_fs.is_known = false;
	if (below)
		image_look(below, &check->below_fs, &err);
	if (below && !check->below_fs.is_known)
		cli_note("which file system %s holds is not known: %s", cow_image_name(below),
			 err.message);
	/* a view that cannot be read is one of a store with findings */
	if (!cow_view_new(below, store, &view, NULL))
		image_look(view, &check->view_fs, &err);
	cow_image_close(view);
}

void check_fs_look_args(struct check *check, const struct cow_store_args *args)
{
	struct cow_store_args open_args = *args;
	struct cow_store *store = NULL;

	open_args.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
	if (!cow_store_open(&open_args, &store, NULL))
		check_fs_look(check,
			      roles_are_given(&check->roles) ? roles_below(&check->roles)
							     : check->origin,
			      store);
	cow_store_close(store);
}

static bool is_same(const struct check_fs *a, const struct check_fs *b)
{
	return a->is_known && b->is_known && a->size_bytes == b->size_bytes &&
	       !strcmp(a->content.type, b->content.type) &&
	       !strcmp(a->content.label, b->content.label) &&
	       !strcmp(a->content.uuid, b->content.uuid);
}

/* In quotes, so that a label cannot pretend to be more than one. */
static void label_print(const char *label, FILE *text)
{
	char *safe = text_escape(label);

	fputs(" \"", text);
	for (const char *at = safe ? safe : ""; *at; at++)
		fprintf(text, *at == '"' ? "\\%c" : "%c", *at);
	fputc('"', text);
	free(safe);
}

/* 'ext4 "root", UUID 1234-...'; in a label control bytes and quotes are escaped. */
static void words_print(const struct blkid_content *content, FILE *text)
{
	fputs(*content->type ? content->type : "no known file system", text);
	if (*content->label)
		label_print(content->label, text);
	if (*content->uuid)
		fprintf(text, ", UUID %s", content->uuid);
}

static void fs_print(const char *what, const struct check_fs *fs, FILE *text)
{
	char size[SIZE_TEXT_BYTES];

	if (!fs->is_known)
		return;
	fprintf(text, "%s: ", what);
	words_print(&fs->content, text);
	fprintf(text, ", %s\n", size_round(fs->size_bytes, size));
}

/* The word for what the view stands on. */
static const char *below_role(const struct check *check)
{
	return roles_are_given(&check->roles) && roles_spec(&check->roles, COW_ROLE_SOURCE)
		       ? "source"
		       : "origin";
}

void check_fs_print(const struct check *check, FILE *text)
{
	const struct check_fs *below = &check->below_fs, *view = &check->view_fs;
	const char *shows = check->verdict.view_right ? "snapshot shows" : "snapshot seems to show";
	char holds[32];

	if (!(below->is_known && *below->content.type) && !(view->is_known && *view->content.type))
		return;
	if (check->verdict.view_right && is_same(below, view)) {
		snprintf(holds, sizeof(holds), "%s and snapshot hold", below_role(check));
		fs_print(holds, below, text);
		return;
	}
	snprintf(holds, sizeof(holds), "%s holds", below_role(check));
	fs_print(holds, below, text);
	fs_print(shows, view, text);
}

static void put_known(struct json_object *at, const char *key, const char *text)
{
	json_put_text(at, key, *text ? text : NULL);
}

/* The members type, label and uuid; what libblkid does not tell is null. */
static void content_put(struct json_object *at, const struct blkid_content *content)
{
	put_known(at, "type", content->type);
	put_known(at, "label", content->label);
	put_known(at, "uuid", content->uuid);
}

void check_fs_list(struct cow_image *image, struct json_object *at, char *ret_words,
		   size_t capacity)
{
	struct cow_err err = COW_ERR_INIT;
	struct blkid_content content;
	char *words = NULL;
	size_t len = 0;
	FILE *text;

	*ret_words = '\0';
	if (blkid_look(image, &content, &err) || content.is_member || content.is_table ||
	    !*content.type)
		return;
	content_put(json_put_object(at, "file_system"), &content);
	text = open_memstream(&words, &len);
	if (!text)
		return;
	words_print(&content, text);
	if (!fclose(text))
		snprintf(ret_words, capacity, "%s", words);
	free(words);
}

static void fs_put(struct json_object *all, const char *role, const struct check_fs *fs)
{
	struct json_object *at;

	if (!fs->is_known)
		return;
	at = json_put_object(all, NULL);
	json_put_text(at, "role", role);
	json_put_u64(at, "size_bytes", fs->size_bytes);
	content_put(at, &fs->content);
}

void check_fs_put(const struct check *check)
{
	struct json_object *all;

	if (!check->below_fs.is_known && !check->view_fs.is_known)
		return;
	all = json_put_array(json_root(), "file_systems");
	fs_put(all, below_role(check), &check->below_fs);
	fs_put(all, "view", &check->view_fs);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_common.c - the list of them, in the set.
 */
#include "libcow/snapshot/spec_common.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/imageset.h"
#include "libcow/image/set_range.h"
#include "libcow/store/store.h"

struct spec_common {
	struct spec_common *next;
	struct cow_imageset *set;
	char *text;
	uint32_t flags; /* it was opened with */
	struct cow_image *image;
	struct spec_common_user *users;
};

static void common_free(struct spec_common *common)
{
	if (!common)
		return;
	cow_image_close(common->image);
	free(common->text);
	free(common);
}

COW_DEFINE_AUTO(spec_common, struct spec_common *, common_free);

static struct spec_common *by_text(const struct cow_imageset *set, const char *text, uint32_t flags)
{
	struct spec_common *common = set->commons;

	while (common && (common->flags != flags || strcmp(common->text, text)))
		common = common->next;
	return common;
}

/* The same bytes under another name: the image is put together, of what no byte is
 * claimed yet, and compared. */
static int by_bytes(struct cow_spec_opening *opening, const char *text,
		    struct spec_common **ret_common, struct cow_err *err)
{
	struct cow_imageset *set = cow_spec_set(opening);
	struct spec_common *common = set->commons;
	struct cow_image *image = NULL;
	int ret;

	*ret_common = NULL;
	if (!common)
		return 0;
	ret = cow_spec_open_part(opening, text, &image, err);
	if (ret)
		return ret;
	while (common && !cow_imageset_is_one(set, common->image, image))
		common = common->next;
	*ret_common = common;
	return 0;
}

static int common_new(struct cow_spec_opening *opening, const char *text,
		      struct spec_common **ret_common, struct cow_err *err)
{
	AUTO_HANDLE(spec_common) struct spec_common *common = calloc(1, sizeof(*common));
	struct cow_imageset *set = cow_spec_set(opening);
	int ret;

	if (common)
		common->text = strdup(text);
	if (!common || !common->text)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	common->set = set;
	common->flags = cow_spec_flags(opening);
	ret = cow_spec_open_alone(opening, text, &common->image, err);
	if (ret)
		return ret;
	common->next = set->commons;
	*ret_common = set->commons = take_ptr(common);
	return 0;
}

int cow_spec_common_get(struct cow_spec_opening *opening, const char *text,
			struct spec_common_user *user, struct cow_err *err)
{
	struct spec_common *common = by_text(cow_spec_set(opening), text, cow_spec_flags(opening));
	int ret = common ? 0 : by_bytes(opening, text, &common, err);

	if (!ret && !common)
		ret = common_new(opening, text, &common, err);
	if (ret)
		return ret;
	user->common = common;
	user->next = common->users;
	common->users = user;
	return 0;
}

void cow_spec_common_put(struct spec_common_user *user)
{
	struct spec_common *common = user->common, **link;
	struct spec_common_user **at;

	if (!common)
		return;
	for (at = &common->users; *at != user;)
		at = &(*at)->next;
	*at = user->next;
	user->common = NULL;
	if (common->users)
		return;
	for (link = &common->set->commons; *link != common;)
		link = &(*link)->next;
	*link = common->next;
	common_free(common);
}

struct cow_image *cow_spec_common_image(const struct spec_common_user *user)
{
	return user->common->image;
}

struct cow_store *cow_spec_common_store(const struct spec_common_user *user)
{
	for (const struct spec_common_user *other = user->common->users; other; other = other->next)
		if (other != user && other->store)
			return other->store;
	return NULL;
}

bool cow_spec_common_has(const struct spec_common_user *user, const struct cow_store *store)
{
	for (const struct spec_common_user *other = user->common->users; other; other = other->next)
		if (other->store && cow_store_is_same(other->store, store))
			return true;
	return false;
}

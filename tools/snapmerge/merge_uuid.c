/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_uuid.c - compares the file systems of origin and view.
 */
#include <errno.h>
#include <string.h>

#include "tools/images/blkid.h"
#include "tools/snapmerge/snapmerge.h"

/* What an image holds, as far as it can be told. */
struct content {
	char name[BLKID_NAME_BYTES], uuid[BLKID_NAME_BYTES];
};

static int check_contents(const struct operands *operands, struct cow_image *view,
			  struct cow_err *err)
{
	struct content origin = { .uuid = "" }, shown = { .uuid = "" };
	int ret;

	ret = blkid_find_uuid(operands->origin, origin.name, origin.uuid, err);
	if (!ret)
		ret = blkid_find_uuid(view, shown.name, shown.uuid, err);
	if (ret || !*origin.uuid || !*shown.uuid || !strcmp(origin.uuid, shown.uuid))
		return ret;
	return cli_refuse(
		err, -EPERM, "uuid", "uuid",
		"%s holds %s with UUID %s, with %s it would be %s with UUID %s: this does "
		"not look like a snapshot of it",
		cow_image_name(operands->origin), origin.name, origin.uuid,
		cow_image_name(operands->layers[0].cow), shown.name, shown.uuid);
}

int merge_check_uuid(const struct operands *operands, bool skips, struct cow_err *err)
{
	struct cow_image *view, *skip = NULL;
	int ret;

	if (cli_forced("uuid"))
		return 0;
	ret = cow_view_new(operands->origin, operands->layers[0].store, &view, err);
	if (ret)
		return ret;
	/* bad sectors are to be skipped here, too */
	if (skips)
		ret = cow_image_skip_new(view, operands->origin, NULL, &skip, err);
	if (!ret)
		ret = check_contents(operands, skip ? skip : view, err);
	cow_image_close(skip);
	cow_image_close(view);
	return ret;
}

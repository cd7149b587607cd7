/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * uuid_check.c - compares the file systems of origin and view.
 */
#include "tools/images/uuid_check.h"

#include <errno.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/images/blkid.h"

static int compare(struct cow_image *origin, struct cow_image *cow, struct cow_image *view,
		   struct cow_err *err)
{
	struct blkid_content alone, shown;
	int ret;

	ret = blkid_look(origin, &alone, err);
	if (!ret)
		ret = blkid_look(view, &shown, err);
	if (ret || !*alone.uuid || !*shown.uuid || !strcmp(alone.uuid, shown.uuid))
		return ret;
	return cli_refuse(err, -EPERM, "uuid", "uuid",
			  "%s holds %s with UUID %s, with %s it would be %s with UUID %s: it is no "
			  "snapshot of it, or the UUID was changed since (tune2fs, xfs_admin)",
			  cow_image_name(origin), alone.type, alone.uuid, cow_image_name(cow),
			  shown.type, shown.uuid);
}

int uuid_check(struct cow_image *origin, struct cow_image *cow, struct cow_store *store, bool skips,
	       struct cow_err *err)
{
	struct cow_image *view, *skip = NULL;
	int ret;

	if (cli_forced("uuid"))
		return 0;
	ret = cow_view_new(origin, store, &view, err);
	if (ret)
		return ret;
	if (skips)
		ret = cow_image_skip_new(view, origin, NULL, &skip, err);
	if (!ret)
		ret = compare(origin, cow, skip ? skip : view, err);
	cow_image_close(skip);
	cow_image_close(view);
	return ret;
}

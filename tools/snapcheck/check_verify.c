/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_verify.c - compares the view, or the image, with a manifest.
 */
#include "tools/snapcheck/check_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/images/images_json.h"

int check_verify_open(struct check *check, const char *path, struct cow_err *err)
{
	check->verify = calloc(1, sizeof(*check->verify));
	if (!check->verify)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a manifest");
	images_json_add_path("manifest", path);
	return byte_source_open(path, &check->verify_fd, err);
}

static int check_size(const struct check *check, const struct cow_image *shown, struct cow_err *err)
{
	if (check->verify->view_bytes == cow_image_size(shown))
		return 0;
	return cli_refuse(err, -EPERM, "size", NULL,
			  "%s is the manifest of a view of %" PRIu64 " bytes, but %s has %" PRIu64
			  ": it belongs to another pair",
			  check->verify_path, check->verify->view_bytes, cow_image_name(shown),
			  cow_image_size(shown));
}

int check_verify_read(struct check *check, const char *path, struct cow_err *err)
{
	struct manifest *manifest = check->verify;
	int fd = check->verify_fd, ret;

	check->verify_path = path;
	if (check_is_tar && check_is_tar(fd)) {
		ret = check_manifest_of_tar(manifest, path, fd, err);
	} else {
		ret = manifest_load_fd(manifest, fd, path, err);
		if (fd != STDIN_FILENO)
			close(fd);
	}
	return ret || !check->origin ? ret : check_size(check, check->origin, err);
}

static void tell(struct check *check, uint64_t nr_differ)
{
	struct json_object *at = json_put_object(json_root(), "verify");
	const struct manifest *manifest = check->verify;

	json_put_u64(at, "ranges_differ", nr_differ);
	json_put_u64(at, "range_bytes", COW_MANIFEST_RANGE_BYTES);
	json_put_bool(at, "doubtful", manifest->is_doubtful);
	if (nr_differ)
		check->verdict.view_right = check->verdict.merge_right = false;
	if (nr_differ)
		fprintf(check->text,
			"the view is not what the manifest says: %" PRIu64
			" ranges of 1 MiB differ\n",
			nr_differ);
	else
		fprintf(check->text, "the view is what the manifest says, byte for byte\n");
	if (manifest->is_doubtful)
		fprintf(check->text, "the manifest was made from a store that was damaged then\n");
}

int check_verify_run(struct check *check, const struct cow_store_args *args,
		     const struct cow_callbacks *callbacks, struct cow_err *err)
{
	struct cow_verify_params params = COW_VERIFY_PARAMS_INIT;
	struct cow_store_args as_it_is = *args;
	struct cow_err why = COW_ERR_INIT;
	struct cow_store *store = NULL;
	struct cow_image *view = NULL;
	uint64_t nr_differ = 0;
	int ret;

	as_it_is.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
	if (cow_store_open(&as_it_is, &store, &why)) {
		cli_warn("there is no view to compare with the manifest: %s", why.message);
		json_put_null(json_root(), "verify");
		return 0;
	}
	params.image_bytes = check->verify->view_bytes;
	params.ranges = check->verify->ranges;
	params.nr_ranges = check->verify->nr_ranges;
	params.store = store;
	params.callbacks = callbacks;
	ret = cow_view_new(check->origin ? check->origin
					 : roles_image(&check->roles, COW_ROLE_SOURCE),
			   store, &view, err);
	if (!ret)
		ret = check_size(check, view, err);
	if (!ret)
		ret = cow_verify(view, &params, check->report, &nr_differ, err);
	cow_image_close(view);
	cow_store_close(store);
	if (!ret)
		tell(check, nr_differ);
	return ret;
}

void check_verify_close(struct check *check)
{
	if (check->verify)
		manifest_clear(check->verify);
	free(check->verify);
}

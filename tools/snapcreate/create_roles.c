/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_roles.c - fresh metadata of a clone: no region is hydrated, so the clone
 * shows its source. Source and destination are looked at and not written to; the
 * metadata appears whole or not at all, and then the kernel can load the clone.
 */
#include "tools/snapcreate/create_roles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/sandbox.h"
#include "tools/common/size_text.h"
#include "tools/images/operands.h"

/* 0: it is none, or not given. */
static uint64_t sectors_of(const struct cow_store_args *args, const char *key)
{
	for (size_t i = 0; i < args->nr_geometry; i++)
		if (!strcmp(args->geometry[i].key, key))
			return strtoull(args->geometry[i].value, NULL, 10);
	return 0;
}

/* Region size and length of a table. */
static int numbers_take(struct roles *roles, struct target_params *params, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	uint64_t region, target;

	roles_fill(roles, &args);
	region = sectors_of(&args, "region");
	target = sectors_of(&args, "target");
	if (region > UINT64_MAX / 512 || target > UINT64_MAX / 512)
		return cli_refuse(err, -EINVAL, "size", NULL,
				  "%" PRIu64 " sectors are more than any device has",
				  region > target ? region : target);
	if (region)
		params->create.chunk_bytes = region * 512;
	if (target)
		params->create.origin_bytes = target * 512;
	params->create.geometry = args.geometry;
	params->create.nr_geometry = args.nr_geometry;
	return 0;
}

/* What a wholly new destination holds is copied over, so it is read by nobody. */
static int images_open(struct roles *roles, struct target_params *params, struct cow_err *err)
{
	int ret;

	if (!roles_are_given(roles))
		return cli_refuse(
			err, -EINVAL, "usage", NULL,
			"ORIGIN COW expected, or clone:metadata=M,source=S,destination=D");
	if (!roles_spec(roles, COW_ROLE_SOURCE))
		return cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "this version makes no %s pool, and no device in one",
				  roles_kind(roles));
	roles->is_made = COW_ROLE_METADATA;
	params->path = roles_spec(roles, COW_ROLE_METADATA);
	ret = roles_open(roles, params->set, cli_forced("busy") ? COW_OPEN_BUSY : 0, err);
	if (ret)
		return ret;
	params->create.kind = roles_kind(roles);
	params->create.images = roles->images;
	params->create.nr_images = roles->nr_images;
	params->create.origin_bytes = cow_image_size(roles_image(roles, COW_ROLE_SOURCE));
	return numbers_take(roles, params, err);
}

static int metadata_make(struct target *target, const struct target_params *params,
			 struct cow_err *err)
{
	int ret = target_open(target, params, err);

	sandbox_enter();
	if (!ret)
		ret = target_check(target, err);
	if (!ret && !params->is_dry_run)
		ret = target_make(target, err);
	return ret || params->is_dry_run ? ret : target_publish(target, err);
}

static void say_result(const struct target *target, const char *operand)
{
	const struct target_params *params = &target->params;
	char size[SIZE_TEXT_BYTES], chunk[SIZE_TEXT_BYTES];

	json_put_u64(json_root(), "origin_bytes", params->create.origin_bytes);
	json_put_u64(json_root(), "cow_bytes", target->size_bytes);
	json_put_u64(json_root(), "full_bytes", target->full_bytes);
	json_put_u64(json_root(), "chunk_bytes", params->create.chunk_bytes);
	cli_note("%s %s: metadata of a %s, %s, regions of %s, none hydrated%s", params->path,
		 params->is_dry_run ? "would be made" : "made", params->create.kind,
		 size_text(target->size_bytes, size), size_round(params->create.chunk_bytes, chunk),
		 params->is_dry_run ? "; nothing was written" : "");
	if (!params->is_dry_run)
		cli_next("snapcheck", operand, NULL);
}

int create_roles(const char *operand, const char *table, const char *type,
		 struct target_params params)
{
	struct target target = { .output = NULL };
	struct roles roles = { .nr_images = 0 };
	struct cow_err err = COW_ERR_INIT;
	int ret = operands_set_new(&params.set, &err), status = CLI_DONE;

	if (!ret)
		ret = roles_read(&roles, params.set, operand, table, type, &err);
	if (!ret)
		ret = images_open(&roles, &params, &err);
	if (!ret)
		ret = metadata_make(&target, &params, &err);
	if (ret)
		status = cli_fail(&err);
	else
		say_result(&target, roles.name);
	target_close(&target);
	roles_close(&roles);
	cow_imageset_free(params.set);
	return status;
}

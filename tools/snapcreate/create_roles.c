/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_roles.c - fresh metadata of a clone: no region is hydrated, so the clone
 * shows its source; or of a thin pool: it has no device. The other images are looked
 * at and not written to; the metadata appears whole or not at all, and then the kernel
 * can load it.
 */
#include "tools/snapcreate/create_roles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/sandbox.h"
#include "tools/common/size_text.h"
#include "tools/images/blkid.h"
#include "tools/images/operands.h"
#include "tools/images/images_json.h"

#define CLONE_REGION_BYTES 4096
#define POOL_BLOCK_BYTES 65536

/* What is made. */
struct making {
	struct roles roles;
	struct target_params params;
	struct target target;
	bool is_pool;
	struct cow_geometry *geometry; /* of a pool: with the size of its data */
	char size[24];
};

/* 0: it is none, or not given. */
static uint64_t sectors_of(const struct cow_store_args *args, const char *key)
{
	for (size_t i = 0; i < args->nr_geometry; i++)
		if (!strcmp(args->geometry[i].key, key))
			return strtoull(args->geometry[i].value, NULL, 10);
	return 0;
}

/* Region size and length of a table. */
static int clone_numbers(struct making *making, struct cow_err *err)
{
	struct target_params *params = &making->params;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	uint64_t region, target;

	roles_fill(&making->roles, &args);
	region = sectors_of(&args, "region");
	target = sectors_of(&args, "target");
	if (region > UINT64_MAX / 512 || target > UINT64_MAX / 512)
		return cli_refuse(err, -EINVAL, "size", NULL,
				  "%" PRIu64 " sectors are more than any device has",
				  region > target ? region : target);
	if (region)
		params->create.chunk_bytes = region * 512;
	if (!params->create.chunk_bytes)
		params->create.chunk_bytes = CLONE_REGION_BYTES;
	params->create.origin_bytes =
		target ? target * 512
		       : cow_image_size(roles_image(&making->roles, COW_ROLE_SOURCE));
	params->create.geometry = args.geometry;
	params->create.nr_geometry = args.nr_geometry;
	return 0;
}

/* --size is that of the data. */
static int pool_numbers(struct making *making, struct cow_err *err)
{
	struct target_params *params = &making->params;
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	roles_fill(&making->roles, &args);
	if (args.nr_geometry)
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "a new pool has no device: leave %s= out", args.geometry[0].key);
	making->geometry = calloc(1, sizeof(*making->geometry));
	if (!making->geometry)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a size");
	if (!params->create.chunk_bytes)
		params->create.chunk_bytes = POOL_BLOCK_BYTES;
	params->create.origin_bytes =
		params->wanted_bytes
			? params->wanted_bytes
			: cow_image_size(roles_image(&making->roles, COW_ROLE_DATA)) / 512 * 512;
	snprintf(making->size, sizeof(making->size), "%" PRIu64, params->create.origin_bytes);
	making->geometry[0] = (struct cow_geometry){ "size", making->size };
	params->create.geometry = making->geometry;
	params->create.nr_geometry = 1;
	params->wanted_bytes = 0;
	return 0;
}

/* What a wholly new destination holds is copied over, so it is read by nobody. */
static int images_open(struct making *making, struct cow_err *err)
{
	struct target_params *params = &making->params;
	struct roles *roles = &making->roles;
	int ret;

	making->is_pool = roles_are_given(roles) && roles_spec(roles, COW_ROLE_DATA);
	if (!roles_are_given(roles) || (!making->is_pool && !roles_spec(roles, COW_ROLE_SOURCE)))
		return cli_refuse(
			err, -EINVAL, "usage", NULL,
			"ORIGIN COW expected, or clone:metadata=M,source=S,destination=D, "
			"or thin:metadata=M,data=D");
	roles->is_made = COW_ROLE_METADATA;
	params->path = roles_spec(roles, COW_ROLE_METADATA);
	ret = roles_open(roles, params->set, cli_forced("busy") ? COW_OPEN_BUSY : 0, err);
	if (ret)
		return ret;
	images_json_add_roles(roles);
	params->create.kind = roles_kind(roles);
	params->create.images = roles->images;
	params->create.nr_images = roles->nr_images;
	return making->is_pool ? pool_numbers(making, err) : clone_numbers(making, err);
}

/* The pool will write over it. */
static int data_check(const struct making *making, struct cow_err *err)
{
	struct cow_image *data = roles_image(&making->roles, COW_ROLE_DATA);
	char name[BLKID_NAME_BYTES];
	int ret;

	if (!making->is_pool || cli_forced("overwrite"))
		return 0;
	ret = blkid_find(data, name, err);
	if (ret || !*name)
		return ret;
	return cli_refuse(err, -EEXIST, "signature", "overwrite",
			  "%s holds something already, which the devices of the pool will "
			  "overwrite: %s",
			  cow_image_name(data), name);
}

static int metadata_make(struct making *making, struct cow_err *err)
{
	struct target *target = &making->target;
	bool is_dry_run = making->params.is_dry_run;
	int ret = target_open(target, &making->params, err);

	sandbox_enter();
	if (!ret)
		ret = data_check(making, err);
	if (!ret)
		ret = target_check(target, err);
	if (!ret && !is_dry_run)
		ret = target_make(target, err);
	return ret || is_dry_run ? ret : target_publish(target, err);
}

static void say_result(const struct making *making)
{
	const struct target_params *params = &making->params;
	const char *verb = params->is_dry_run ? "would be made" : "made";
	const char *end = params->is_dry_run ? "; nothing was written" : "";
	char size[SIZE_TEXT_BYTES], chunk[SIZE_TEXT_BYTES];
	uint64_t chunk_bytes = params->create.chunk_bytes;

	json_put_u64(json_root(), making->is_pool ? "data_bytes" : "origin_bytes",
		     params->create.origin_bytes);
	json_put_u64(json_root(), "cow_bytes", making->target.size_bytes);
	json_put_u64(json_root(), "full_bytes", making->target.full_bytes);
	json_put_u64(json_root(), "chunk_bytes", chunk_bytes);
	size_text(making->target.size_bytes, size);
	size_round(chunk_bytes, chunk);
	if (making->is_pool)
		cli_note("%s %s: metadata of a %s pool, %s, %" PRIu64
			 " data blocks of %s, no device%s",
			 params->path, verb, params->create.kind, size,
			 params->create.origin_bytes / chunk_bytes, chunk, end);
	else
		cli_note("%s %s: metadata of a %s, %s, regions of %s, none hydrated%s",
			 params->path, verb, params->create.kind, size, chunk, end);
	if (!params->is_dry_run)
		cli_next("snapcheck", making->roles.name, NULL);
}

int create_roles(const char *operand, const char *table, const char *type,
		 struct target_params params)
{
	struct making making = { .params = params };
	struct cow_err err = COW_ERR_INIT;
	int ret = operands_set_new(&making.params.set, &err), status = CLI_DONE;

	if (!ret)
		ret = roles_read(&making.roles, making.params.set, operand, table, type, &err);
	if (!ret)
		ret = images_open(&making, &err);
	if (!ret)
		ret = metadata_make(&making, &err);
	if (ret)
		status = cli_fail(&err);
	else
		say_result(&making);
	target_close(&making.target);
	roles_close(&making.roles);
	cow_imageset_free(making.params.set);
	free(making.geometry);
	return status;
}

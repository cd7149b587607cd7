/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_device.c - makes a device in a thin pool, or a snapshot of one, empty or with what
 * an image has, or deletes one. The whole pool is checked first; then the change is one
 * transaction: a crash leaves the pool before or after it.
 */
#include "tools/snapcreate/create_device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tools/common/ask.h"
#include "tools/common/json.h"
#include "tools/common/sandbox.h"
#include "tools/images/operands.h"
#include "tools/images/roles_device.h"
#include "tools/images/images_json.h"
#include "tools/snapcreate/create_source.h"

struct device {
	const struct create_device_params *params;
	struct cow_imageset *set;
	struct roles roles;
	struct cow_store_args args;
	struct cow_geometry *geometry; /* without what is said of the device */
	uint64_t id, parent;	       /* COW_SNAPSHOT_NONE: not named, none */
	uint64_t size_bytes;	       /* 0: not said */
	bool is_of_lvm;		       /* its metadata is a volume of LVM */
	struct create_source source;
};

/* ---------------------------------------------------------------- what is named */

/* Is it a logical volume, by the UUID that LVM gives its mappings? */
static bool is_of_lvm(const char *path)
{
	char name[80], uuid[5] = "";
	struct stat st;
	FILE *file;

	if (!path || stat(path, &st) || !S_ISBLK(st.st_mode))
		return false;
	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/dm/uuid", major(st.st_rdev),
		 minor(st.st_rdev));
	file = fopen(name, "re");
	if (!file)
		return false;
	if (!fgets(uuid, sizeof(uuid), file))
		*uuid = '\0';
	(void)fclose(file);
	return !strcmp(uuid, "LVM-");
}

static int device_read(struct device *device, struct cow_err *err)
{
	const struct create_device_params *params = device->params;
	struct roles *roles = &device->roles;
	struct roles_device named;
	int ret = roles_read(roles, device->set, params->operand, NULL, params->common->type, err);

	if (!ret && (!roles_are_given(roles) || !roles_spec(roles, COW_ROLE_DATA)))
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "%s names no thin pool: thin:metadata=M,data=D,id=N",
				 params->operand);
	if (ret)
		return ret;
	ret = roles_device_read(roles, &named, err);
	device->id = named.id;
	device->size_bytes = named.size_bytes;
	if (!ret && named.is_past)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "a metadata snapshot cannot be changed");
	if (!ret && params->size_bytes && device->size_bytes)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "--size and size= mean the same: give one of them");
	if (!ret && params->parent)
		ret = roles_device_id(params->parent, &device->parent, err);
	if (!ret && params->is_delete && device->id == COW_SNAPSHOT_NONE)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "which device is to be deleted? add id=N");
	if (params->size_bytes)
		device->size_bytes = params->size_bytes;
	device->is_of_lvm = is_of_lvm(roles_spec(roles, COW_ROLE_METADATA));
	return ret;
}

static int images_open(struct device *device, struct cow_err *err)
{
	uint32_t flags = device->params->common->dry_run ? COW_OPEN_REHEARSE : COW_OPEN_WRITE;
	int ret = roles_open(&device->roles, device->set, flags, err);

	if (ret)
		return ret;
	images_json_add_roles(&device->roles);
	roles_fill(&device->roles, &device->args);
	ret = roles_device_strip(&device->args, &device->geometry, err);
	if (!ret)
		ret = create_source_open(&device->source, device->set, device->params->from,
					 device->size_bytes, err);
	if (!ret && device->source.image)
		device->size_bytes = cow_image_size(device->source.image);
	return ret;
}

/* ---------------------------------------------------------------- the change */

static uint32_t change_flags(const struct device *device)
{
	return (device->params->common->dry_run ? COW_SNAPSHOT_REHEARSE : 0) |
	       (cli_forced("lvm") ? COW_SNAPSHOT_MANAGED : 0);
}

static int lvm_check(const struct device *device, struct cow_err *err)
{
	if (!device->is_of_lvm || cli_forced("lvm"))
		return 0;
	return cli_refuse(
		err, -EPERM, "lvm", "lvm",
		"%s is a logical volume: LVM manages this pool and would not see the change",
		roles_spec(&device->roles, COW_ROLE_METADATA));
}

static int device_make(struct device *device, struct cow_err *err)
{
	struct cow_snapshot_params params = COW_SNAPSHOT_PARAMS_INIT;

	params.id = device->id;
	params.parent_id = device->parent;
	params.view_bytes = device->size_bytes;
	params.flags = change_flags(device);
	if (device->source.image)
		return create_source_fill(&device->source, &device->args, &params,
					  roles_below(&device->roles), &device->id, err);
	return cow_snapshot_create(&device->args, &params, &device->id, err);
}

/* What cannot be done is refused before anybody is asked. */
static int device_delete(struct device *device, struct cow_err *err)
{
	const struct cli_common *common = device->params->common;
	uint32_t flags = change_flags(device);
	int ret =
		cow_snapshot_delete(&device->args, device->id, flags | COW_SNAPSHOT_REHEARSE, err);

	if (ret || common->dry_run)
		return ret;
	ret = ask_confirm(common, err,
			  "device %" PRIu64 " of %s will be deleted, and what it holds is lost. "
			  "Delete it",
			  device->id, roles_name(&device->roles));
	return ret ? ret : cow_snapshot_delete(&device->args, device->id, flags, err);
}

static int change(struct device *device, struct cow_err *err)
{
	int ret = lvm_check(device, err);

	if (!ret)
		ret = roles_check_order(&device->roles, err);
	if (ret)
		return ret;
	ret = device->params->is_delete ? device_delete(device, err) : device_make(device, err);
	if (!ret && !device->params->common->dry_run)
		cli_wrote();
	return ret;
}

static void say_made(const struct device *device, const char *end)
{
	bool is_dry_run = device->params->common->dry_run;
	const char *name = roles_name(&device->roles);
	const char *verb = is_dry_run ? "would be made" : "made";

	if (device->params->from)
		create_source_say(&device->source, name, device->id, device->parent, is_dry_run);
	else if (device->params->parent)
		cli_note("%s: device %" PRIu64 " %s: a snapshot of device %" PRIu64 "%s", name,
			 device->id, verb, device->parent, end);
	else
		cli_note("%s: device %" PRIu64 " %s: empty%s", name, device->id, verb, end);
}

static void say_result(const struct device *device)
{
	const struct create_device_params *params = device->params;
	bool is_dry_run = params->common->dry_run;
	const char *end = is_dry_run ? "; nothing was written" : "";
	const char *name = roles_name(&device->roles);

	json_put_u64(json_root(), "device", device->id);
	if (params->is_delete)
		cli_note("%s: device %" PRIu64 " %s%s", name, device->id,
			 is_dry_run ? "would be deleted" : "deleted", end);
	else
		say_made(device, end);
	if (device->size_bytes && !params->is_delete)
		cli_note("the pool does not record the size of a device: name it with id=%" PRIu64
			 ",size=%" PRIu64,
			 device->id, device->size_bytes);
	/* a device that is gone is nothing to look at */
	if (!is_dry_run && !params->is_delete)
		cli_next("snapcheck", params->operand, NULL);
}

int create_device(const struct create_device_params *params)
{
	struct device device = { .params = params,
				 .args = COW_STORE_ARGS_INIT,
				 .id = COW_SNAPSHOT_NONE,
				 .parent = COW_SNAPSHOT_NONE };
	struct cow_err err = COW_ERR_INIT;
	int ret = operands_set_new(&device.set, &err), status = CLI_DONE;

	if (!ret)
		ret = device_read(&device, &err);
	if (!ret)
		ret = images_open(&device, &err);
	progress_start(&device.source.progress, params->common->progress, params->common->quiet);
	sandbox_enter();
	if (!ret)
		ret = change(&device, &err);
	if (ret)
		status = cli_fail(&err);
	else
		say_result(&device);
	create_source_close(&device.source);
	roles_close(&device.roles);
	cow_imageset_free(device.set);
	free(device.geometry);
	return status;
}

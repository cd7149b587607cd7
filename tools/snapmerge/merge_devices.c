/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_devices.c - siblings that are devices of a thin pool. A device shows the origin where
 * it has no block of its own, if its table says so: the pool itself does not know it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/ask.h"
#include "tools/images/images_json.h"
#include "tools/images/roles_device.h"
#include "tools/snapmerge/snapmerge.h"

bool merge_device_read(struct cow_imageset *set, const char *spec, struct roles *roles)
{
	if (strncmp(spec, "thin:", strlen("thin:")) != 0 && !volumes_is_lv(spec))
		return false;
	if (!roles_read(roles, set, spec, NULL, NULL, NULL) && roles_are_given(roles) &&
	    !strcmp(roles_kind(roles), "thin"))
		return true;
	roles_close(roles);
	return false;
}

/* ---------------------------------------------------------------- opening */

static int device_check(const struct merge_siblings *siblings, size_t index,
			const struct operands *operands, struct cow_err *err)
{
	const struct roles *roles = &siblings->roles[index];
	const char *spec = siblings->specs[index], *below = roles_spec(roles, COW_ROLE_ORIGIN);
	struct roles_device device;
	bool is_same = false;
	int ret = roles_device_read(roles, &device, err);

	if (!ret && device.id == COW_SNAPSHOT_NONE)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "which device of the pool is %s? add id=N", spec);
	if (!ret && !device.size_bytes)
		ret = cli_refuse(err, -EPERM, "size", NULL,
				 "the pool does not record how long %s is: add size=...", spec);
	if (!ret && below)
		ret = cow_spec_is_same(operands->set, below, cli_operands()[0], &is_same, err);
	if (ret || is_same)
		return ret;
	return cli_refuse(err, -EPERM, "origin", NULL,
			  "%s does not say that it stands on %s: add origin=%s if its table does",
			  spec, cli_operands()[0], cli_operands()[0]);
}

/* The first sibling that is in the same pool; index: none. */
static int pool_find(const struct merge_siblings *siblings, size_t index, struct cow_imageset *set,
		     size_t *ret_first, struct cow_err *err)
{
	const char *ours = roles_spec(&siblings->roles[index], COW_ROLE_METADATA), *theirs;
	bool is_same = false;
	int ret = 0;

	for (*ret_first = 0; !ret && *ret_first < index; ++*ret_first) {
		theirs = roles_spec(&siblings->roles[*ret_first], COW_ROLE_METADATA);
		if (theirs)
			ret = cow_spec_is_same(set, ours, theirs, &is_same, err);
		if (is_same)
			break;
	}
	return ret;
}

static int images_open(struct merge_siblings *siblings, size_t index,
		       const struct operands *operands, bool will_write, struct cow_err *err)
{
	struct roles *roles = &siblings->roles[index];
	int ret;

	/* the origin is open already */
	roles->is_made = COW_ROLE_ORIGIN;
	ret = roles_open(roles, operands->set, will_write ? COW_OPEN_WRITE : COW_OPEN_REHEARSE,
			 err);
	if (!ret)
		images_json_add_roles(roles);
	return ret ? ret : roles_check_order(roles, err);
}

int merge_device_open(struct merge_siblings *siblings, size_t index,
		      const struct operands *operands, bool will_write, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image images[3];
	struct roles *roles;
	size_t first = index;
	int ret = device_check(siblings, index, operands, err);

	if (!ret)
		ret = pool_find(siblings, index, operands->set, &first, err);
	if (!ret && first == index)
		ret = images_open(siblings, index, operands, will_write, err);
	if (ret)
		return ret;
	siblings->pools[index] = first;
	roles = &siblings->roles[first];
	roles_fill(&siblings->roles[index], &args);
	images[0] = (struct cow_role_image){ COW_ROLE_METADATA, 0,
					     roles_image(roles, COW_ROLE_METADATA) };
	images[1] = (struct cow_role_image){ COW_ROLE_DATA, 0, roles_image(roles, COW_ROLE_DATA) };
	images[2] = (struct cow_role_image){ COW_ROLE_ORIGIN, 0, operands->origin };
	args.images = images;
	args.nr_images = 3;
	args.sibling = first < index ? siblings->stores[first] : NULL;
	return cow_store_open(&args, &siblings->stores[index], err);
}

/* ---------------------------------------------------------------- the others */

#define NAMED_MAX 10

/* Devices of a pool of which nothing is known. */
struct unknown {
	const struct merge_siblings *siblings;
	size_t first; /* sibling of that pool */
	char text[NAMED_MAX * 12];
	size_t nr, len;
};

static bool is_kept(const struct unknown *unknown, uint64_t id)
{
	const struct merge_siblings *siblings = unknown->siblings;
	struct roles_device device;
	struct cow_err ignored;

	for (size_t i = unknown->first; i < siblings->nr_stores; i++)
		if (roles_are_given(&siblings->roles[i]) && siblings->pools[i] == unknown->first &&
		    !roles_device_read(&siblings->roles[i], &device, &ignored) && device.id == id)
			return true;
	return false;
}

static void device_take(void *user, const struct cow_snapshot *snapshot)
{
	struct unknown *unknown = (struct unknown *)user;

	if (is_kept(unknown, snapshot->id))
		return;
	if (unknown->nr++ < NAMED_MAX)
		unknown->len += (size_t)snprintf(unknown->text + unknown->len,
						 sizeof(unknown->text) - unknown->len, "%s%" PRIu64,
						 unknown->nr > 1 ? ", " : "", snapshot->id);
}

static int pool_look(struct unknown *unknown, struct cow_err *err)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report = NULL;
	int ret;

	roles_fill(&unknown->siblings->roles[unknown->first], &args);
	args.nr_geometry = 0;
	callbacks.user = unknown;
	params.callbacks = &callbacks;
	params.snapshot = device_take;
	ret = cow_report_new(NULL, 0, &report, err);
	if (!ret)
		ret = cow_check(&args, &params, report, &verdict, err);
	cow_report_free(report);
	return ret;
}

/* -y does not answer this: nothing could bring back what they showed. */
static int pool_ask(const struct merge_job *job, const struct unknown *unknown, struct cow_err *err)
{
	const struct cli_common *common = &job->options->common;
	const char *pool = roles_name(&job->kept.roles[unknown->first]);
	const char *origin = cow_image_name(job->operands.origin);
	const char *more = unknown->nr > NAMED_MAX ? ", ..." : "";
	bool can_ask = !common->yes && ask_is_possible();

	if (!unknown->nr || cli_forced("siblings"))
		return 0;
	if (can_ask && !common->dry_run)
		return ask_confirm(common, err,
				   "nothing says whether devices %s%s of %s stand on %s, too: they "
				   "would change. Go on",
				   unknown->text, more, pool, origin);
	if (!can_ask)
		return cli_refuse(err, -EPERM, "siblings", "siblings",
				  "nothing says whether devices %s%s of %s stand on %s, too: name "
				  "those that do with --sibling",
				  unknown->text, more, pool, origin);
	cli_warn("nothing says whether devices %s%s of %s stand on %s, too: they would change",
		 unknown->text, more, pool, origin);
	return 0;
}

int merge_devices_ask(const struct merge_job *job, struct cow_err *err)
{
	const struct merge_siblings *siblings = &job->kept;
	int ret = 0;

	for (size_t i = 0; !ret && i < siblings->nr_stores; i++) {
		struct unknown unknown = { .siblings = siblings, .first = i };

		if (!roles_image(&siblings->roles[i], COW_ROLE_METADATA))
			continue;
		ret = pool_look(&unknown, err);
		if (!ret)
			ret = pool_ask(job, &unknown, err);
	}
	return ret;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_swap.c - the roll back inside a thin pool: two devices exchange what they show,
 * in one transaction of the metadata. No data is moved and nothing is lost, so the same
 * command takes it back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/ask.h"
#include "tools/common/json.h"
#include "tools/common/sandbox.h"
#include "tools/common/text.h"
#include "tools/images/roles_device.h"
#include "tools/snapmerge/snapmerge.h"
#include "tools/images/images_json.h"

/* One of the two, as it was named. */
struct side {
	const char *operand;
	struct roles roles;
	struct roles_device device;
};

struct swap_job {
	const struct merge_options *options;
	struct cow_imageset *set;
	struct side origin, snapshot;
	struct cow_store_args args;
	struct cow_geometry *geometry; /* without what is said of the device */
	char *completed;	       /* the origin of a snapshot that was named alone, or NULL */
};

/* ---------------------------------------------------------------- what is named */

static int side_take(struct side *side, struct cow_err *err)
{
	int ret = roles_device_read(&side->roles, &side->device, err);

	if (!ret && side->device.id == COW_SNAPSHOT_NONE)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "which device of the pool is %s? add id=N", side->operand);
	if (!ret && side->device.is_past)
		ret = cli_refuse(err, -EROFS, "read-only", NULL,
				 "%s is of the metadata snapshot, which is read-only",
				 side->operand);
	return ret;
}

/* May it be a device of a pool? Looks at LVM's text, but opens nothing for long. */
static bool side_read(struct swap_job *job, struct side *side, const char *operand)
{
	side->operand = operand;
	return (!strncmp(operand, "thin:", strlen("thin:")) || volumes_is_lv(operand)) &&
	       !roles_read(&side->roles, job->set, operand, NULL, NULL, NULL) &&
	       roles_are_given(&side->roles) && !strcmp(roles_kind(&side->roles), "thin");
}

/* LVM's text names the origin of a snapshot, in the same VG. NULL: it does not. */
static const char *origin_complete(struct swap_job *job, const char *operand)
{
	const char *slash = strrchr(operand, '/');
	struct roles_device device;
	struct cow_err ignored;

	if (!side_read(job, &job->snapshot, operand) ||
	    roles_device_read(&job->snapshot.roles, &device, &ignored) || !device.parent ||
	    !slash ||
	    asprintf(&job->completed, "%.*s/%s", (int)(slash - operand), operand, device.parent) <
		    0) {
		job->completed = NULL;
		return NULL;
	}
	return job->completed;
}

/* Is it about two devices of a pool, or a snapshot that LVM knows the origin of? */
static bool sides_read(struct swap_job *job)
{
	char *const *operands = cli_operands();
	const char *origin = operands[0];

	if (cli_nr_operands() == 1)
		origin = origin_complete(job, operands[0]);
	else if (cli_nr_operands() != 2 || !side_read(job, &job->snapshot, operands[1]))
		return false;
	return origin && side_read(job, &job->origin, origin);
}

/* ---------------------------------------------------------------- what fits */

static int options_check(const struct merge_options *options, struct cow_err *err)
{
	const char *name = options->siblings.nr_words	? "--sibling"
			   : options->all_siblings	? "--all-siblings"
			   : options->dropped.nr_words	? "--drop-sibling"
			   : options->save_undo		? "--save-undo"
			   : options->take_back		? "--take-back"
			   : options->keep		? "--keep"
			   : options->sparse		? "--sparse"
			   : options->discard		? "--discard"
			   : options->scrub		? "--scrub"
			   : options->bad.skips		? "--skip-unreadable"
			   : options->bad.maps.nr_words ? "--bad-blocks"
							: NULL;

	return name ? cli_refuse(err, -EINVAL, "usage", NULL,
				 "%s: not inside a pool: two devices exchange what they show, and "
				 "the same command takes it back",
				 name)
		    : 0;
}

/* The images of one role; one that is missing on both sides is the same. */
static int role_check(struct swap_job *job, int role, bool *ret_is_same, struct cow_err *err)
{
	const char *one = roles_spec(&job->origin.roles, role);
	const char *two = roles_spec(&job->snapshot.roles, role);

	*ret_is_same = !one && !two;
	return one && two ? cow_spec_is_same(job->set, one, two, ret_is_same, err) : 0;
}

static int pools_check(struct swap_job *job, struct cow_err *err)
{
	const char *one = job->origin.operand, *two = job->snapshot.operand;
	bool has_data = false, has_metadata = false, has_origin = false;
	int ret = role_check(job, COW_ROLE_METADATA, &has_metadata, err);

	if (!ret)
		ret = role_check(job, COW_ROLE_DATA, &has_data, err);
	if (!ret && (!has_metadata || !has_data))
		return cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "%s and %s are devices of different pools: only two of one pool "
				  "can exchange what they show; -o NEW writes what a device shows",
				  one, two);
	if (!ret)
		ret = role_check(job, COW_ROLE_ORIGIN, &has_origin, err);
	if (ret || has_origin)
		return ret;
	return cli_refuse(err, -EPERM, "origin", NULL,
			  "%s and %s have different external origins: each would show other bytes "
			  "where it has no block",
			  one, two);
}

static int devices_check(const struct swap_job *job, struct cow_err *err)
{
	const struct side *one = &job->origin, *two = &job->snapshot;

	if (one->device.id == two->device.id)
		return cli_refuse(err, -EPERM, "overlap", NULL, "%s and %s are one device",
				  one->operand, two->operand);
	if (!one->device.size_bytes || !two->device.size_bytes ||
	    one->device.size_bytes == two->device.size_bytes || cli_forced("grow"))
		return 0;
	return cli_refuse(err, -EPERM, "grow", "grow",
			  "%s has %" PRIu64 " bytes and %s %" PRIu64
			  ": the pool does not record the size of a device, so each keeps its own "
			  "length, and the shorter one does not show all that the other did",
			  one->operand, one->device.size_bytes, two->operand,
			  two->device.size_bytes);
}

/* What is said of the pool stays; where one of the two is named by LVM, what that says. */
static int args_fill(struct swap_job *job, struct cow_err *err)
{
	struct cow_store_args of_snapshot = COW_STORE_ARGS_INIT;

	roles_fill(&job->origin.roles, &job->args);
	roles_fill(&job->snapshot.roles, &of_snapshot);
	if (job->snapshot.device.is_of_lvm) {
		job->args.geometry = of_snapshot.geometry;
		job->args.nr_geometry = of_snapshot.nr_geometry;
	}
	return roles_device_strip(&job->args, &job->geometry, err);
}

/* Everything that can be known without the metadata, then the images: once, since both
 * are in one pool. */
static int swap_open(struct swap_job *job, struct cow_err *err)
{
	uint32_t flags = job->options->common.dry_run ? COW_OPEN_REHEARSE : COW_OPEN_WRITE;
	int ret = options_check(job->options, err);

	if (!ret)
		ret = side_take(&job->origin, err);
	if (!ret)
		ret = side_take(&job->snapshot, err);
	if (!ret)
		ret = pools_check(job, err);
	if (!ret)
		ret = devices_check(job, err);
	if (!ret)
		ret = roles_open(&job->origin.roles, job->set, flags, err);
	if (ret)
		return ret;
	images_json_add_roles(&job->origin.roles);
	return args_fill(job, err);
}

/* ---------------------------------------------------------------- the exchange */

/* Does LVM say that the one is a snapshot of the other? */
static bool is_listed(const struct side *snapshot, const struct side *origin)
{
	const char *name = strrchr(origin->operand, '/');

	return snapshot->device.parent && volumes_is_lv(origin->operand) && name &&
	       !strcmp(name + 1, snapshot->device.parent);
}

static int change(const struct swap_job *job, uint32_t flags, struct cow_err *err)
{
	if (cli_forced("origin") || is_listed(&job->snapshot, &job->origin))
		flags |= COW_SNAPSHOT_UNRELATED;
	return cow_snapshot_swap(&job->args, job->origin.device.id, job->snapshot.device.id, flags,
				 err);
}

/* What cannot be done is refused before anybody is asked; the pool is checked once where
 * nobody is. */
static int swap_run(const struct swap_job *job, struct cow_err *err)
{
	const struct cli_common *common = &job->options->common;
	const char *name = roles_name(&job->origin.roles);
	int ret = roles_check_order(&job->origin.roles, err);

	if (!ret && (common->dry_run || !common->yes))
		ret = change(job, COW_SNAPSHOT_REHEARSE, err);
	if (ret || common->dry_run)
		return ret;
	ret = ask_confirm(common, err,
			  "device %" PRIu64 " of %s will show what device %" PRIu64
			  " shows, and device %" PRIu64 " what device %" PRIu64
			  " shows; nothing is lost. Exchange them",
			  job->origin.device.id, name, job->snapshot.device.id,
			  job->snapshot.device.id, job->origin.device.id);
	if (!ret)
		ret = change(job, 0, err);
	if (!ret)
		cli_wrote();
	return ret;
}

/* "VG/LV" */
static const char *lv_name(const char *operand)
{
	const char *colon = strrchr(operand, ':');

	return colon ? colon + 1 : operand;
}

static void say_result(const struct swap_job *job)
{
	const char *name = roles_name(&job->origin.roles);
	const char *words[] = { cli_tool(), job->origin.operand, job->snapshot.operand, NULL };
	struct json_object *at = json_put_object(json_root(), "swap");
	bool is_dry_run = job->options->common.dry_run;
	uint64_t origin = job->origin.device.id, snapshot = job->snapshot.device.id;
	char *line;

	json_put_text(at, "metadata", name);
	json_put_u64(at, "origin", origin);
	json_put_u64(at, "snapshot", snapshot);
	if (is_dry_run) {
		cli_note("%s: device %" PRIu64 " would show what device %" PRIu64
			 " shows, and the reverse; nothing was written",
			 name, origin, snapshot);
		return;
	}
	cli_note("%s: device %" PRIu64 " now shows what device %" PRIu64
		 " showed, and device %" PRIu64 " what device %" PRIu64 " showed",
		 name, origin, snapshot, snapshot, origin);
	line = text_quote_words(words);
	cli_note("the same command takes it back: %s", line ? line : "");
	free(line);
	if (volumes_is_lv(job->snapshot.operand))
		cli_note("to give up for good what %s showed: lvremove %s", job->origin.operand,
			 lv_name(job->snapshot.operand));
}

static int swap_now(struct swap_job *job)
{
	struct cow_err err = COW_ERR_INIT;
	int ret = swap_open(job, &err);

	sandbox_enter();
	if (!ret)
		ret = swap_run(job, &err);
	if (ret)
		return cli_fail(&err);
	say_result(job);
	return CLI_DONE;
}

bool merge_swap(const struct merge_options *options, int *ret_status)
{
	struct swap_job job = { .options = options, .args = COW_STORE_ARGS_INIT };
	bool is_swap = !options->table && !operands_set_new(&job.set, NULL) && sides_read(&job);

	if (is_swap)
		*ret_status = swap_now(&job);
	roles_close(&job.snapshot.roles);
	roles_close(&job.origin.roles);
	cow_imageset_free(job.set);
	free(job.geometry);
	free(job.completed);
	return is_swap;
}

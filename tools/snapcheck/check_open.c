/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_open.c - opens what the command line of snapcheck names: the snapshot, for
 * writing where a repair may be wanted, its origin, a manifest.
 */
#include "tools/snapcheck/check_open.h"

#include <errno.h>

#include "tools/common/cli.h"
#include "tools/images/container.h"
#include "tools/images/operands.h"
#include "tools/images/window_check.h"
#include "tools/snapcheck/check_verify.h"

struct cow_store_args check_args(struct check *check, struct cow_role_image roles[2],
				 struct cow_image *cow)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	if (roles_are_given(&check->roles)) {
		roles_put(&check->roles, COW_ROLE_METADATA, cow);
		roles_fill(&check->roles, &args);
		args.chunk_bytes = check->options->chunk_bytes;
		return args;
	}
	/* an origin that is a container file or another disk is not used for the check */
	cow_store_args_pair(&args, roles, cow,
			    check->container || check->is_foreign ? NULL : check->origin);
	args.kind = check->options->common.type;
	/* a store without a header is one if the caller says what it looks like */
	if (!args.kind && (check->options->chunk_bytes || check->options->bad.skips))
		args.kind = cow_store_kind(0);
	args.chunk_bytes = check->options->chunk_bytes;
	return args;
}

static const char *cow_operand(void)
{
	return cli_nr_operands() ? cli_operands()[cli_nr_operands() - 1] : NULL;
}

static int open_roles(struct check *check, struct cow_err *err)
{
	const struct check_roles_wish wish = {
		.is_wrong = check->options->origin || cli_nr_operands() == 2 ||
			    check_has_bad_options(check->options) || check->options->save_undo ||
			    check->options->revalidate,
		.repairs = check_wants_repair(check->options),
		.has_output = check->options->output,
		.is_dry_run = check->options->common.dry_run,
		.asks = check_is_asking(check->options),
	};

	return check_roles_open(check, &wish, err);
}

static int open_cow(struct check *check, struct cow_err *err)
{
	bool writes = check_wants_repair(check->options) && !check->options->output;
	uint32_t busy = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	const char *cow = cow_operand();
	int ret = roles_read(&check->roles, check->set, cow, check->options->table,
			     check->options->common.type, err);

	if (ret)
		return ret;
	if (roles_are_given(&check->roles))
		return open_roles(check, err);
	ret = cow_imageset_open(check->set, cow,
				!writes				 ? busy
				: check->options->common.dry_run ? COW_OPEN_REHEARSE
								 : COW_OPEN_WRITE,
				&check->cow, err);
	/* without permission to write, check without repairing */
	check->only_looks = ret && check_is_asking(check->options);
	if (check->only_looks)
		ret = cow_imageset_open(check->set, cow, busy, &check->cow, err);
	if (!ret)
		operands_note_unchecked(check->cow);
	if (check_has_bad_options(check->options))
		return ret ? ret
			   : check_bad_open(check, &check->options->bad, &check->callbacks, err);
	/* a pack is often shorter than any image */
	if (!check_pack_open || !check_pack_open(check, cow))
		return ret;
	check->cow_error = *err;
	return 0;
}

/* Is the origin one? A store that cannot be opened is judged by its findings
 * alone; where digests are compared, they judge. */
static int check_origin(struct check *check, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = check_args(check, roles, check->cow);
	struct cow_store *store = NULL;
	int ret = 0;

	args.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
	if (check->cow) {
		(void)cow_store_open(&args, &store, NULL);
		ret = window_check(check->origin, check->cow, store, err);
	}
	if (!check->options->verify)
		check->container = container_doubt(check->origin, store);
	cow_store_close(store);
	return ret;
}

int check_open_images(struct check *check, struct cow_err *err)
{
	uint32_t busy = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	const char *origin = cli_nr_operands() == 2 ? cli_operands()[0] : check->options->origin;
	int ret;

	ret = operands_set_new(&check->set, err);
	if (!ret)
		ret = open_cow(check, err);
	if (!ret && check->options->verify && !origin && !roles_are_given(&check->roles))
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "--verify compares the whole view: give ORIGIN");
	if (!ret && origin)
		ret = cow_imageset_open(check->set, origin, busy, &check->origin, err);
	if (!ret && origin)
		operands_note_tail(check->origin);
	if (!ret && origin && !check->may_be_pack)
		ret = operands_check_order(check->origin, check->cow, err);
	if (!ret && origin && (window_is_part(check->origin) || cow_image_container(check->origin)))
		ret = check_origin(check, err);
	if (!ret && check->options->verify)
		ret = check_verify_open(check, check->options->verify, err);
	return ret;
}

/* A store without its data stands in for the image. */
int check_open_pack(struct check *check, struct cow_err *err)
{
	bool writes = check->options->common.yes || check->options->preen ||
		      check->options->output || check->options->save_undo;
	int ret =
		check_unpack(check, cow_operand(), writes && !check->options->common.dry_run, err);

	if (!ret && check->is_pack && check->options->verify)
		return cli_refuse(err, -EPERM, "pack", NULL,
				  "%s is a metadata pack, which has no data to compare",
				  cow_image_name(check->cow));
	if (!ret && check->is_pack && check->options->save_undo)
		return cli_refuse(err, -EPERM, "pack", NULL,
				  "%s is a metadata pack, which is never written to: leave "
				  "--save-undo out",
				  cow_image_name(check->cow));
	if (!ret && check->is_pack && check->options->is_empty)
		return cli_refuse(err, -EPERM, "pack", NULL,
				  "%s is a metadata pack; --is-empty asks about the image itself",
				  cow_image_name(check->cow));
	if (!ret && check->is_pack)
		check->only_looks = !check->options->common.dry_run;
	if (!ret && !check->cow) {
		*err = check->cow_error;
		ret = err->code;
	}
	return ret || !check->origin ? ret : operands_check_order(check->origin, check->cow, err);
}

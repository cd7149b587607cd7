/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_metadata.c - --metadata: a store without its data.
 *
 * A store without its data, as a pax tar: metadata.json, then cow.img, or each of its
 * logs, sparse.
 * What of the store goes into it is the library's business. Memory: what goes
 * into it, and no more.
 */
#include "tools/snapdump/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/formats/pack.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"
#include "tools/images/images_json.h"

static int open_metadata(struct operands *operands, uint32_t flags, struct cow_err *err)
{
	int ret = roles_open(&operands->roles, operands->set, flags, err);

	if (!ret)
		operands->layers[0].cow = roles_main(&operands->roles);
	return ret;
}

static int open_images(struct dump *dump, const struct dump_metadata_params *params,
		       struct cow_err *err)
{
	struct operands *operands = &dump->operands;
	uint32_t flags = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	int ret;

	operands->layers = calloc(1, sizeof(*operands->layers));
	if (!operands->layers)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for an image");
	operands->nr_layers = 1;
	ret = operands_set_new(&operands->set, err);
	if (!ret && params->nr_specs < 2)
		ret = roles_read(&operands->roles, operands->set,
				 params->nr_specs ? params->specs[0] : NULL, params->table,
				 params->kind, err);
	if (!ret && roles_are_given(&operands->roles))
		return open_metadata(operands, flags, err);
	if (!ret)
		ret = cow_imageset_open(operands->set, params->specs[params->nr_specs - 1], flags,
					&operands->layers[0].cow, err);
	if (!ret && params->nr_specs == 2)
		ret = cow_imageset_open(operands->set, params->specs[0], flags, &operands->origin,
					err);
	if (!ret && operands->origin)
		ret = operands_check_order(operands->origin, operands->layers[0].cow, err);
	return ret;
}

/* The image, or all logs. */
static uint64_t size_of_all(const struct operands *operands)
{
	const struct roles *roles = &operands->roles;
	uint64_t size = 0;

	if (!roles_have_logs(roles))
		return cow_image_size(operands->layers[0].cow);
	for (uint64_t log = 0; roles_log(roles, log); log++)
		size += cow_image_size(roles_log(roles, log));
	return size;
}

static int copy_metadata(struct dump *dump, const struct dump_metadata_params *params,
			 struct cow_image **ret_standin, struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&dump->progress);
	struct cow_image *cow = dump->operands.layers[0].cow;
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret;

	args.kind = roles_are_given(&dump->operands.roles) ? roles_kind(&dump->operands.roles)
							   : params->kind;
	/* a store without a header is one if the caller says what it looks like */
	if (!args.kind && params->chunk_bytes)
		args.kind = cow_store_kind(0);
	if (roles_have_logs(&dump->operands.roles))
		roles_fill(&dump->operands.roles, &args);
	else
		cow_store_args_pair(&args, roles, cow, NULL);
	args.chunk_bytes = params->chunk_bytes;
	ret = cow_image_standin_new(cow_image_name(cow), size_of_all(&dump->operands),
				    cow_image_logical_block_size(cow), ret_standin, err);
	return ret ? ret : cow_metadata_copy(&args, &callbacks, *ret_standin, err);
}

static int print_head(const void *user, struct printer *printer, struct cow_err *err)
{
	return pack_print_head(user, printer, err);
}

/* How the logs are named after tar has extracted them; the caller's, free(). */
static char *specification_of(const struct operands *operands)
{
	const struct roles *roles = &operands->roles;
	const struct cow_store_spec *spec = roles->spec;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fprintf(to, "%s:source=zero:%" PRIu64, spec->kind,
		cow_image_size(roles_image(roles, COW_ROLE_SOURCE)));
	for (uint64_t log = 0; roles_log(roles, log); log++)
		fprintf(to, ",log=" PACK_LOG_MEMBER, log);
	for (size_t i = 0; i < spec->nr_geometry; i++)
		fprintf(to, ",%s=%s", spec->geometry[i].key, spec->geometry[i].value);
	if (!fclose(to))
		return text;
	free(text);
	return NULL;
}

static int put_log(struct dump *dump, struct tar *tar, struct cow_image *standin, uint64_t log,
		   const struct cow_segment *where, struct cow_err *err)
{
	struct dump_contents contents = { 0 };
	struct cow_image *image = NULL;
	char name[32];
	int ret = cow_image_window_new(standin, where, 1, &image, err);

	snprintf(name, sizeof(name), PACK_LOG_MEMBER, log);
	if (!ret)
		ret = dump_contents_scan(dump, image, &contents, err);
	if (!ret)
		ret = dump_contents_put(dump, tar, name, image, &contents, err);
	dump_contents_clear(&contents);
	cow_image_close(image);
	return ret;
}

static int put_logs(struct dump *dump, struct tar *tar, struct cow_image *standin,
		    struct cow_err *err)
{
	const struct roles *roles = &dump->operands.roles;
	struct cow_segment where = { 0, 0 };
	int ret = 0;

	for (uint64_t log = 0; !ret && roles_log(roles, log); log++) {
		where.offset_bytes += where.len_bytes;
		where.len_bytes = cow_image_size(roles_log(roles, log));
		ret = put_log(dump, tar, standin, log, &where, err);
	}
	return ret;
}

struct pack_archive {
	struct dump *dump;
	struct pack_head head;
	struct cow_image *standin;
	struct dump_contents contents;
};

static int write_pack(void *user, struct tar *tar, struct cow_err *err)
{
	struct pack_archive *job = user;
	struct dump *dump = job->dump;
	int ret = tar_put_text(tar, PACK_HEAD_MEMBER, dump->mtime, print_head, &job->head, err);

	if (ret)
		return ret;
	return job->head.nr_logs ? put_logs(dump, tar, job->standin, err)
				 : dump_contents_put(dump, tar, PACK_IMAGE_MEMBER, job->standin,
						     &job->contents, err);
}

/* --compress, or what the name of the output says, else zstd. */
static const char *compression(const struct dump *dump)
{
	bool is_named = dump->compress || (dump->output && tar_is_name(dump->output));

	return is_named ? dump->compress : "zstd";
}

static struct pack_head make_head(const struct dump *dump, const struct dump_contents *contents,
				  uint64_t chunk_bytes)
{
	const struct cow_image *cow = dump->operands.layers[0].cow, *origin = dump->operands.origin;
	struct pack_head head = {
		.image_bytes = size_of_all(&dump->operands),
		.block_bytes = cow_image_logical_block_size(cow),
		.origin_bytes = origin ? cow_image_size(origin) : 0,
		.origin_block_bytes = origin ? cow_image_logical_block_size(origin) : 0,
		.chunk_bytes = chunk_bytes,
	};

	for (size_t i = 0; i < contents->nr_extents; i++)
		head.metadata_bytes += contents->extents[i].len_bytes;
	while (roles_log(&dump->operands.roles, head.nr_logs))
		head.nr_logs++;
	memcpy(head.digest, contents->manifest.digest, sizeof(head.digest));
	return head;
}

int dump_metadata(struct dump *dump, const struct dump_metadata_params *params, struct cow_err *err)
{
	struct pack_archive job = { .dump = dump };
	struct sink sink = SINK_INIT;
	char *specification = NULL;
	int ret;

	ret = open_images(dump, params, err);
	if (!ret)
		images_json_put(&dump->operands);
	if (!ret)
		ret = sink_open(&sink, dump->operands.set, "output", dump->output, err);
	sandbox_enter();
	if (!ret)
		ret = copy_metadata(dump, params, &job.standin, err);
	if (!ret)
		ret = dump_contents_scan(dump, job.standin, &job.contents, err);
	if (!ret) {
		job.head = make_head(dump, &job.contents, params->chunk_bytes);
		dump->nr_ranges = job.contents.nr_extents;
		dump->image_bytes = job.head.image_bytes;
		if (job.head.nr_logs)
			job.head.specification = specification = specification_of(&dump->operands);
		if (job.head.nr_logs && !specification)
			ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
		else if (dump->is_dry_run)
			dump->data_bytes = job.head.metadata_bytes;
		else
			ret = dump_archive(dump, &sink, compression(dump), write_pack, &job, err);
	}
	free(specification);
	dump_contents_clear(&job.contents);
	cow_image_close(job.standin);
	sink_close(&sink);
	return ret;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"
#include "tools/json.h"
#include "tools/opts.h"
#include "tools/size.h"

/* A device whose beginning holds anything is not overwritten unasked. */
#define SIGNATURE_BYTES (64 * 1024)
#define FILL_BYTES (1024 * 1024)

static struct options {
	struct cli_common common;
	uint64_t chunk_bytes, size_bytes;
	const char *preallocate;
} options;

static const struct opt option_table[] = {
	{ 'c', "chunk-size", "SIZE", "unit of copying, a power of two, 512 to 1G (default: 4K)",
	  OPT_SIZE, &options.chunk_bytes, NULL },
	{ 's', "size", "SIZE", "of COW (default: what a wholly rewritten ORIGIN needs)", OPT_SIZE,
	  &options.size_bytes, NULL },
	{ 0, "preallocate", "off|falloc|full", "how to reserve the space of COW (default: off)",
	  OPT_CHOICE, &options.preallocate, NULL },
	OPTS_COMMON(&options.common),
};

static const struct opts_spec spec = {
	.tool = "snapcreate",
	.operands = "ORIGIN COW",
	.summary = "Makes COW an empty snapshot of ORIGIN: a new file, or (--force=overwrite) an\n"
		   "existing file or a block device.",
	.notes = NULL,
	.force_ids = "overwrite,busy",
	.options = option_table,
	.common = &options.common,
	.min_operands = 2,
	.max_operands = 2,
};

struct job {
	struct cow_imageset *set;
	struct cow_image *origin;
	const char *cow;
	struct cow_create_params params;
	uint64_t full_bytes; /* what a wholly rewritten origin needs */
	uint64_t size_bytes; /* of the COW image */
};

static int choose_size(struct job *job, struct cow_err *err)
{
	char wanted[SIZE_TEXT_BYTES], size[SIZE_TEXT_BYTES];
	int ret;

	ret = cow_create_size(&job->params, &job->full_bytes, err);
	if (ret)
		return ret;
	job->size_bytes = job->full_bytes;
	if (!options.size_bytes)
		return 0;
	ret = cow_create_fit(&job->params, options.size_bytes, &job->size_bytes, err);
	if (!ret && job->size_bytes != options.size_bytes)
		cli_note("%s is no good size: %s holds as many chunks and cannot be invalidated by "
			 "its own end",
			 size_text(options.size_bytes, wanted), size_text(job->size_bytes, size));
	return ret;
}

static int fill(struct cow_image *image, struct cow_err *err)
{
	uint64_t size = cow_image_size(image);
	void *zeros = calloc(1, FILL_BYTES);
	int ret = 0;

	if (!zeros)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	for (uint64_t at = 0; !ret && at < size; at += FILL_BYTES) {
		size_t piece = size - at < FILL_BYTES ? size - at : FILL_BYTES;

		ret = cli_interrupted()
			      ? cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted")
			      : cow_image_pwrite(image, zeros, piece, at, err);
	}
	free(zeros);
	return ret;
}

static int preallocate(const struct job *job, struct cow_output *output, struct cow_err *err)
{
	int code;

	if (!options.preallocate || !strcmp(options.preallocate, "off"))
		return 0;
	if (!strcmp(options.preallocate, "full"))
		return fill(cow_output_image(output), err);
	if (!fallocate(cow_output_fd(output), 0, 0, (off_t)job->size_bytes))
		return 0;
	code = errno;
	return cli_refuse(err, -code, code == ENOSPC ? "no-space" : "preallocate", NULL,
			  "%s: cannot reserve %" PRIu64 " bytes: %s", job->cow, job->size_bytes,
			  strerror(code));
}

static int create_new(struct job *job, struct cow_err *err)
{
	struct cow_output *output = NULL;
	int ret;

	ret = cow_output_open(job->set, job->cow, job->size_bytes, 0, &output, err);
	if (ret)
		return ret;
	if (!options.common.dry_run) {
		ret = preallocate(job, output, err);
		if (!ret)
			ret = cow_create(cow_output_image(output), &job->params, err);
		if (!ret)
			ret = cow_output_publish(output, err);
	}
	cow_output_close(output);
	return ret;
}

/* May this be overwritten? */
static int check_contents(struct cow_image *cow, struct cow_err *err)
{
	size_t len = cow_image_size(cow) < SIGNATURE_BYTES ? cow_image_size(cow) : SIGNATURE_BYTES;
	uint8_t *buf;
	bool is_blank;
	int ret;

	if (cli_forced("overwrite"))
		return 0;
	if (!cow_image_is_block_device(cow))
		return cli_refuse(err, -EEXIST, "exists", "overwrite", "%s exists already",
				  cow_image_name(cow));
	buf = calloc(1, len + 1);
	if (!buf)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	ret = cow_image_pread(cow, buf, len, 0, err);
	is_blank = !ret && !memcmp(buf, buf + 1, len);
	free(buf);
	if (ret || is_blank)
		return ret;
	return cli_refuse(err, -EEXIST, "signature", "overwrite",
			  "%s: the first %d KiB are not all zeros, something may be on it",
			  cow_image_name(cow), SIGNATURE_BYTES / 1024);
}

static int create_over(struct job *job, struct cow_image *cow, struct cow_err *err)
{
	char size[SIZE_TEXT_BYTES], full[SIZE_TEXT_BYTES];
	uint64_t good_bytes;
	int ret;

	ret = check_contents(cow, err);
	if (ret)
		return ret;
	job->size_bytes = cow_image_size(cow);
	if (options.size_bytes && options.size_bytes != job->size_bytes)
		return cli_refuse(err, -EPERM, "size", NULL,
				  "%s exists and has %" PRIu64 " bytes, not the %" PRIu64
				  " of --size; remove it first or leave --size out",
				  job->cow, job->size_bytes, options.size_bytes);
	ret = cow_create_fit(&job->params, job->size_bytes, &good_bytes, err);
	if (ret)
		return ret;
	if (job->size_bytes / job->params.chunk_bytes > good_bytes / job->params.chunk_bytes)
		cli_warn("%s has a size at which the kernel invalidates the store before it is "
			 "full; %s would be better",
			 job->cow, size_text(good_bytes, size));
	if (job->size_bytes < job->full_bytes)
		cli_note("%s has %s; a wholly rewritten origin would need %s", job->cow,
			 size_text(job->size_bytes, size), size_text(job->full_bytes, full));
	return options.common.dry_run ? 0 : cow_create(cow, &job->params, err);
}

static bool is_missing(const char *path)
{
	struct stat st;

	return lstat(path, &st) && errno == ENOENT;
}

/* A path that does not exist is made, unless it is a window of one that does;
 * everything else is opened as an image. */
static bool is_new_file(const char *path)
{
	const char *at = strrchr(path, '@');
	char *stem;
	bool is_new;

	if (!is_missing(path))
		return false;
	stem = at ? strndup(path, (size_t)(at - path)) : NULL;
	is_new = !stem || is_missing(stem);
	free(stem);
	return is_new;
}

static int create(struct job *job, struct cow_err *err)
{
	/* Reading is enough to learn that nothing may be written. */
	uint32_t flags = cli_forced("overwrite") && !options.common.dry_run ? COW_OPEN_WRITE : 0;
	struct cow_image *cow = NULL;
	struct stat st;
	int ret;

	if (is_new_file(job->cow))
		return create_new(job, err);
	if (options.preallocate && strcmp(options.preallocate, "off"))
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "--preallocate is for a new file; %s exists", job->cow);
	if (!stat(job->cow, &st) && S_ISBLK(st.st_mode) && !options.common.dry_run)
		flags = COW_OPEN_WRITE;
	ret = cow_imageset_open(job->set, job->cow, flags, &cow, err);
	if (ret)
		return ret;
	ret = create_over(job, cow, err);
	cow_image_close(cow);
	return ret;
}

static int open_origin(struct job *job, struct cow_err *err)
{
	uint32_t flags = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	int ret;

	ret = cow_imageset_new(&job->set, err);
	if (!ret)
		ret = cow_imageset_open(job->set, cli_operands()[0], flags, &job->origin, err);
	if (ret)
		return ret;
	job->cow = cli_operands()[1];
	if (!strncmp(job->cow, "file:", 5) && is_missing(job->cow + 5))
		job->cow += 5; /* a new file has no other form of name */
	job->params.chunk_bytes = options.chunk_bytes;
	job->params.kind = options.common.type;
	job->params.origin_bytes = cow_image_size(job->origin);
	if (options.chunk_bytes % cow_image_logical_block_size(job->origin))
		return cli_refuse(err, -EPERM, "chunk-size", NULL,
				  "%s: chunks of %" PRIu64
				  " bytes are no multiple of its logical blocks of %u",
				  cow_image_name(job->origin), options.chunk_bytes,
				  cow_image_logical_block_size(job->origin));
	return choose_size(job, err);
}

static int run(void)
{
	struct job job = { .params = COW_CREATE_PARAMS_INIT };
	struct cow_err err = COW_ERR_INIT;
	char size[SIZE_TEXT_BYTES], chunk[SIZE_TEXT_BYTES];
	int status = CLI_DONE;

	if (open_origin(&job, &err) || create(&job, &err)) {
		status = cli_fail(&err);
	} else {
		json_put_u64(json_root(), "origin_bytes", job.params.origin_bytes);
		json_put_u64(json_root(), "cow_bytes", job.size_bytes);
		json_put_u64(json_root(), "full_bytes", job.full_bytes);
		json_put_u64(json_root(), "chunk_bytes", job.params.chunk_bytes);
		cli_note("%s %s: an empty snapshot, %s, chunks of %s%s", job.cow,
			 options.common.dry_run ? "would be made" : "made",
			 size_text(job.size_bytes, size), size_round(job.params.chunk_bytes, chunk),
			 options.common.dry_run ? "; nothing was written" : "");
		if (!options.common.dry_run)
			cli_next("snapcheck", cli_operands()[0], cli_operands()[1], NULL);
	}
	cow_image_close(job.origin);
	cow_imageset_free(job.set);
	return status;
}

int main(int argc, char **argv)
{
	bool is_ended;
	int status;

	options.chunk_bytes = 4096;
	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	if (options.chunk_bytes < 512 || options.chunk_bytes > UINT64_C(1) << 30 ||
	    options.chunk_bytes & (options.chunk_bytes - 1))
		status = cli_usage("--chunk-size: %" PRIu64
				   " bytes is not a power of two from 512 to 1G",
				   options.chunk_bytes);
	else
		status = run();
	return cli_finish(status);
}

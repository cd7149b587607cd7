/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sink.c - writes a stream to stdout or to a new file.
 */
#include "tools/common/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/common/outputs.h"

#define ZERO_PIECE_BYTES (64 * 1024)

static bool has_kind(const char *path, mode_t a, mode_t b)
{
	struct stat st;

	return !stat(path, &st) && ((st.st_mode & S_IFMT) == a || (st.st_mode & S_IFMT) == b);
}

bool sink_is_stream(const char *path)
{
	return !path || !strcmp(path, "-") || outputs_is_stdout(path) ||
	       has_kind(path, S_IFIFO, S_IFCHR);
}

/* A FIFO waits for its reader. */
static int stream_open(struct sink *sink, const char *role, const char *path, struct cow_err *err)
{
	struct json_object *json = outputs_json_add(role, path);
	int fd = -1;

	*sink = (struct sink){ .fd = -1, .name = path };
	if (cli_is_dry_run())
		return 0;
	do
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR && !cli_interrupted());
	if (fd < 0 && errno == EINTR)
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	if (fd < 0)
		return cli_refuse(err, -errno, "system", NULL, "%s: cannot be opened: %s", path,
				  strerror(errno));
	*sink = (struct sink){ .fd = fd, .name = path, .is_own = true, .json = json };
	if (!isatty(fd))
		return 0;
	sink_close(sink);
	return cli_refuse(err, -EPERM, "terminal", NULL,
			  "%s: data would go to a terminal: give -o FILE or a pipe", path);
}

int sink_open(struct sink *sink, struct cow_imageset *set, const char *role, const char *path,
	      struct cow_err *err)
{
	uint32_t flags = cli_forced("overwrite") ? COW_OUTPUT_OVERWRITE : 0;
	int ret;

	if (path && strcmp(path, "-") != 0 && !outputs_is_stdout(path) && sink_is_stream(path))
		return stream_open(sink, role, path, err);
	if (!path || !strcmp(path, "-") || outputs_is_stdout(path)) {
		if (isatty(STDOUT_FILENO))
			return cli_refuse(err, -EPERM, "terminal", NULL,
					  "data would go to the terminal: give -o FILE or a pipe");
		*sink = (struct sink){ .fd = STDOUT_FILENO,
				       .name = "stdout",
				       .json = outputs_json_add(role, "-") };
		return 0;
	}
	ret = outputs_open(set, role, path, 0, flags, &sink->output, err);
	if (ret)
		return ret;
	sink->fd = cow_output_fd(sink->output);
	sink->name = path;
	return 0;
}

int sink_write(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct sink *sink = user;
	const char *from = buf;

	while (len_bytes) {
		ssize_t done = write(sink->fd, from, len_bytes);
		int code = errno;

		if (done < 0 && code == EINTR && !cli_interrupted())
			continue;
		/* the reader of the pipe has stopped reading */
		if (done < 0 && code == EINTR)
			return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
		if (done < 0)
			return cli_refuse(err, -code,
					  code == EPIPE	   ? "reader-gone"
					  : code == ENOSPC ? "no-space"
							   : "io",
					  NULL, "%s: cannot write at byte %" PRIu64 ": %s",
					  sink->name, sink->written_bytes, strerror(code));
		if (!sink->output)
			cli_wrote();
		from += done;
		len_bytes -= (size_t)done;
		sink->written_bytes += (uint64_t)done;
	}
	return 0;
}

int sink_zeroes(struct sink *sink, uint64_t len_bytes, struct cow_err *err)
{
	static const char zeros[ZERO_PIECE_BYTES];

	while (len_bytes) {
		size_t piece = len_bytes < sizeof(zeros) ? len_bytes : sizeof(zeros);
		int ret = cli_interrupted()
				  ? cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted")
				  : sink_write(sink, zeros, piece, err);

		if (ret)
			return ret;
		len_bytes -= piece;
	}
	return 0;
}

static int refuse_hole(struct sink *sink, struct cow_err *err)
{
	int code = errno;

	return cli_refuse(err, -code, code == ENOSPC ? "no-space" : "io", NULL,
			  "%s: cannot make a hole at byte %" PRIu64 ": %s", sink->name,
			  sink->written_bytes, strerror(code));
}

int sink_hole(struct sink *sink, uint64_t len_bytes, struct cow_err *err)
{
	if (!sink->output)
		return sink_zeroes(sink, len_bytes, err);
	if (len_bytes && lseek(sink->fd, (off_t)len_bytes, SEEK_CUR) < 0)
		return refuse_hole(sink, err);
	sink->written_bytes += len_bytes;
	sink->ends_in_hole = len_bytes || sink->ends_in_hole;
	return 0;
}

int sink_publish(struct sink *sink, struct cow_err *err)
{
	if (sink->output && sink->ends_in_hole && ftruncate(sink->fd, (off_t)sink->written_bytes))
		return refuse_hole(sink, err);
	if (sink->output)
		return outputs_publish(sink->output, err);
	outputs_json_end(sink->json, sink->written_bytes);
	return 0;
}

void sink_withdraw(struct sink *sink)
{
	if (sink->output)
		cow_output_withdraw(sink->output);
}

void sink_close(struct sink *sink)
{
	outputs_close(sink->output);
	if (sink->is_own)
		close(sink->fd);
	*sink = (struct sink)SINK_INIT;
}

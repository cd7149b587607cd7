/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_archive.c - what the modes that give out an archive have in common.
 */
#include "tools/common/sink.h"
#include "tools/snapdump/dump.h"
#include "tools/tar/tar.h"

int dump_archive(struct dump *dump, struct sink *sink, const char *compress,
		 dump_archive_writer *write, void *user, struct cow_err *err)
{
	const struct tar_params params = {
		.write = sink_write,
		.user = sink,
		.compress = compress,
		.file_name = dump->output,
		.is_plain = dump->is_plain,
	};
	struct tar *tar;
	int ret = tar_open(&params, &tar, err);

	if (ret)
		return ret;
	ret = write(user, tar, err);
	if (!ret)
		ret = tar_end(tar, err);
	tar_free(tar);
	return ret ? ret : sink_publish(sink, err);
}

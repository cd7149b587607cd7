/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sink.h - where a stream of bytes goes: stdout, or a file that appears complete
 * under its name or not at all.
 */
#ifndef TOOLS_SINK_H
#define TOOLS_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "libcow.h"

struct sink {
	int fd;
	const char *name;
	struct cow_output *output; /* NULL: stdout, or what is below */
	bool is_own;		   /* fd is a FIFO or a character device that sink_open() opened */
	struct json_object *json;  /* of a stream: what --json says of it */
	uint64_t written_bytes;
	bool ends_in_hole;
};
#define SINK_INIT                                                                                  \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Is path a stream? NULL, "-" and the names of stdout, a FIFO and a character device are: no
 * file is made. */
bool sink_is_stream(const char *path);
/* path NULL or a name of stdout: that, refused if it is a terminal. role: as for
 * outputs_open(). */
int sink_open(struct sink *sink, struct cow_imageset *set, const char *role, const char *path,
	      struct cow_err *err);
/* All of it, or an error. user is the struct sink: fits tar_params.write. */
int sink_write(void *user, const void *buf, size_t len_bytes, struct cow_err *err);
/* Zeros, which take no room in a file. */
int sink_hole(struct sink *sink, uint64_t len_bytes, struct cow_err *err);
/* Zeros. */
int sink_zeroes(struct sink *sink, uint64_t len_bytes, struct cow_err *err);
/* Gives a file its name. */
int sink_publish(struct sink *sink, struct cow_err *err);
/* Removes a published file again, because the image that it describes failed. */
void sink_withdraw(struct sink *sink);
/* Frees; a file that was not published disappears. */
void sink_close(struct sink *sink);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_device.h - devices of a thin pool: new ones, snapshots, and those that go.
 */
#ifndef TOOLS_CREATE_DEVICE_H
#define TOOLS_CREATE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/common/cli.h"

struct create_device_params {
	const struct cli_common *common;
	const char *operand; /* thin:metadata=M,data=D[,id=N] */
	const char *parent;  /* an id; NULL: an empty device */
	bool is_delete;
	const char *from;    /* the image that it is to show; NULL: none */
	uint64_t size_bytes; /* of an empty device; 0: not said */
};

/* Changes the pool in one transaction. Returns the exit status. */
int create_device(const struct create_device_params *params);

#endif

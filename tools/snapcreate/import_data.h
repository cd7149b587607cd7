/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * import_data.h - the sparse member of an export, written to a store. Blocks
 * come in any size; they are put together in windows of 1 MiB, one at a time.
 */
#ifndef TOOLS_IMPORT_DATA_H
#define TOOLS_IMPORT_DATA_H

#include "tools/formats/delta.h"
#include "tools/tar/tar_read.h"

struct import_data {
	struct tar_reader *tar; /* at the member */
	struct cow_image *origin;
	struct cow_store *store;   /* NULL: only read and count */
	const struct delta *delta; /* NULL: a whole view, compared with the origin */
	uint64_t chunk_bytes;
	const struct cow_callbacks *callbacks;
	/* Filled in. */
	uint64_t nr_chunks; /* touched; counted without a store only */
	uint64_t data_bytes;
};

int import_data_run(struct import_data *data, struct cow_err *err);

#endif

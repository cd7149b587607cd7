/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* printer.h - formatted text into a stream of bytes, buffered and counted. */
#ifndef TOOLS_PRINTER_H
#define TOOLS_PRINTER_H

#include <stddef.h>
#include <stdint.h>

#include "libcow.h"

struct printer {
	/* Takes what was printed; NULL: it is only counted. */
	int (*write)(void *user, const void *buf, size_t len_bytes, struct cow_err *err);
	void *user;
	uint64_t len_bytes; /* of all that was printed */
	size_t used;
	char buf[16 * 1024];
};

/* Prints at most PRINTER_PIECE_BYTES. */
#define PRINTER_PIECE_BYTES 1024
__attribute__((format(printf, 3, 4))) int printer_add(struct printer *printer, struct cow_err *err,
						      const char *format, ...);
/* Bytes of any number, as they are. */
int printer_put(struct printer *printer, const void *bytes, size_t len_bytes, struct cow_err *err);
int printer_flush(struct printer *printer, struct cow_err *err);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * printer.c - collects formatted text in a buffer and passes it on in pieces.
 */
#include "tools/common/printer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int printer_flush(struct printer *printer, struct cow_err *err)
{
	size_t used = printer->used;

	printer->used = 0;
	return printer->write && used ? printer->write(printer->user, printer->buf, used, err) : 0;
}

int printer_add(struct printer *printer, struct cow_err *err, const char *format, ...)
{
	va_list args;
	int len;

	if (printer->used + PRINTER_PIECE_BYTES > sizeof(printer->buf)) {
		int ret = printer_flush(printer, err);

		if (ret)
			return ret;
	}
	va_start(args, format);
	len = vsnprintf(printer->buf + printer->used, PRINTER_PIECE_BYTES, format, args);
	va_end(args);
	assert(len >= 0 && len < PRINTER_PIECE_BYTES);
	printer->used += (size_t)len;
	printer->len_bytes += (uint64_t)len;
	return 0;
}

int printer_put(struct printer *printer, const void *bytes, size_t len_bytes, struct cow_err *err)
{
	const char *from = bytes;

	while (len_bytes) {
		size_t room = sizeof(printer->buf) - printer->used;
		size_t piece = len_bytes < room ? len_bytes : room;

		memcpy(printer->buf + printer->used, from, piece);
		printer->used += piece;
		printer->len_bytes += piece;
		from += piece;
		len_bytes -= piece;
		if (printer->used == sizeof(printer->buf)) {
			int ret = printer_flush(printer, err);

			if (ret)
				return ret;
		}
	}
	return 0;
}

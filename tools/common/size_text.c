/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * size_text.c - sizes for people: exact bytes, and a rounded form.
 */
#include "tools/common/size_text.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

/* Divides down to a unit in which the number stays short. */
static const char *scale(uint64_t bytes, double *ret_value)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;

	*ret_value = (double)bytes;
	for (; *ret_value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		*ret_value /= 1024;
	return units[unit];
}

/* "4 KiB" and "8.2 MiB": what is exact has none. */
static int decimals(double value)
{
	return value == (double)(uint64_t)value ? 0 : 1;
}

const char *size_round(uint64_t bytes, char buf[SIZE_TEXT_BYTES])
{
	double value;
	const char *unit = scale(bytes, &value);

	snprintf(buf, SIZE_TEXT_BYTES, "%.*f %s", decimals(value), value, unit);
	return buf;
}

const char *size_text(uint64_t bytes, char buf[SIZE_TEXT_BYTES])
{
	double value;
	const char *unit = scale(bytes, &value);

	if (bytes < 1024)
		return size_round(bytes, buf);
	snprintf(buf, SIZE_TEXT_BYTES, "%" PRIu64 " bytes (%.*f %s)", bytes, decimals(value), value,
		 unit);
	return buf;
}

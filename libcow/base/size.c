/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * size.c - sizes as people write them and as LVM prints them. Exact or
 * refused: a fraction that is no whole number of bytes would name another
 * place on a disk than the one that was meant.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define SIZE_RULES                                                                                 \
	"a size is a number with an optional unit: s (512 bytes), k, m, g, t, p or KiB, MiB, "     \
	"GiB, TiB, PiB (powers of 1024)"
/* More digits than that are no size. */
#define DIGITS_MAX 18

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *digits_read(const char *text, uint64_t *ret_value, unsigned int *ret_nr)
{
	uint64_t value = 0;
	unsigned int nr = 0;

	for (; is_digit(*text); text++, nr++)
		if (mul_overflows(value, 10, &value) ||
		    add_overflows(value, (uint64_t)(*text - '0'), &value))
			value = UINT64_MAX;
	*ret_value = value;
	*ret_nr = nr;
	return text;
}

/* As digits_read(), trailing zeros dropped: value / 10^nr is the fraction. */
static const char *fraction_read(const char *text, uint64_t *ret_value, unsigned int *ret_nr)
{
	const char *end = text + strspn(text, "0123456789"), *last = end;

	while (last > text && last[-1] == '0')
		last--;
	*ret_value = 0;
	*ret_nr = (unsigned int)(last - text);
	for (const char *c = text; c < last && last - text <= DIGITS_MAX; c++)
		*ret_value = *ret_value * 10 + (uint64_t)(*c - '0');
	return end;
}

/* The unit in bytes; 0: unknown. */
static uint64_t unit_bytes(const char *unit)
{
	static const char letters[] = "kmgtp";
	const char *letter;

	if (!*unit)
		return 1;
	if (!strcmp(unit, "s"))
		return COW_SECTOR_BYTES;
	letter = strchr(letters, *unit | 0x20);
	if (!letter || (unit[1] && strcmp(unit + 1, "iB") != 0))
		return 0;
	return UINT64_C(1) << (10 * (letter - letters + 1));
}

static bool is_decimal_unit(const char *unit)
{
	return unit[0] && strchr("kKmMgGtTpP", unit[0]) && !strcmp(unit + 1, "B");
}

/*
 * fraction / 10^digits units, in bytes; false: no whole number. A unit is a power
 * of two, so the fives of 10^digits must be in the fraction, and the twos in both.
 * The result is below one unit: nothing here wraps.
 */
static bool fraction_compute(uint64_t fraction, unsigned int digits, uint64_t unit,
			     uint64_t *ret_bytes)
{
	unsigned int shift = log2_exact(unit);

	for (unsigned int i = 0; i < digits; i++) {
		if (fraction % 5)
			return false;
		fraction /= 5;
	}
	if (shift >= digits) {
		*ret_bytes = fraction << (shift - digits);
		return true;
	}
	*ret_bytes = fraction >> (digits - shift);
	return *ret_bytes << (digits - shift) == fraction;
}

static int size_compute(const char *text, uint64_t whole, uint64_t fraction, unsigned int digits,
			uint64_t unit, uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t bytes, part;

	if (digits > DIGITS_MAX)
		return cow_fail(err, -EINVAL, "\"%.64s\" has too many digits", text);
	if (!fraction_compute(fraction, digits, unit, &part))
		return cow_fail(err, -EINVAL,
				"\"%.64s\" is not a whole number of bytes; give it in bytes or in "
				"a smaller unit",
				text);
	if (mul_overflows(whole, unit, &bytes) || add_overflows(bytes, part, &bytes) ||
	    bytes > COW_IMAGE_BYTES_MAX)
		return cow_fail(err, -ERANGE,
				"\"%.64s\" is larger than the largest image, 2^63-512 bytes", text);
	*ret_bytes = bytes;
	return 0;
}

int cow_size_parse(const char *text, uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t whole, fraction = 0, unit;
	unsigned int nr_whole, nr_fraction = 0;
	const char *rest = digits_read(text, &whole, &nr_whole);
	bool has_fraction = nr_whole && rest[0] == '.' && is_digit(rest[1]);

	if (has_fraction)
		rest = fraction_read(rest + 1, &fraction, &nr_fraction);
	if (!nr_whole)
		return cow_fail(err, -EINVAL, "\"%.64s\" is not a size; " SIZE_RULES, text);
	if (is_decimal_unit(rest))
		return cow_fail(err, -EINVAL,
				"\"%.64s\": %s could mean powers of 1000; write %ciB for powers of "
				"1024, or give bytes",
				text, rest, rest[0] == 'k' ? 'K' : rest[0] & ~0x20);
	unit = unit_bytes(rest);
	if (!unit)
		return cow_fail(err, -EINVAL, "\"%.64s\" has an unknown unit; " SIZE_RULES, text);
	return size_compute(text, whole, fraction, nr_fraction, unit, ret_bytes, err);
}

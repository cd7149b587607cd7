/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * array.c - grows an array by half and a bit, and never by a size that wraps.
 */
#include "libcow/base/array.h"

#include <stdlib.h>

#include "libcow/base/overflow.h"

void *cow_array_grow(void *array, size_t nr_items, size_t *capacity, size_t item_bytes)
{
	size_t wanted = *capacity + *capacity / 2 + 64, bytes;
	void *larger;

	if (nr_items < *capacity)
		return array;
	if (wanted < *capacity || memory_overflows(wanted, item_bytes, 0, &bytes))
		return NULL;
	larger = realloc(array, bytes);
	if (larger)
		*capacity = wanted;
	return larger;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * list.c - grows a list by half and a bit.
 */
#include "tools/common/list.h"

#include <stdlib.h>

void *list_grow(void *list, size_t nr_items, size_t *room, size_t item_bytes)
{
	/* a list that is in memory is too small for this to wrap */
	size_t larger = *room ? 2 * *room : 32;
	void *grown;

	if (nr_items < *room)
		return list;
	grown = reallocarray(list, larger, item_bytes);
	if (grown)
		*room = larger;
	return grown;
}

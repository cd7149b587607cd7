/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * array.h - the one array that grows while it is filled.
 */
#ifndef COW_BASE_ARRAY_H
#define COW_BASE_ARRAY_H

#include <stddef.h>

/* Makes room for one more item behind nr_items: returns the array, moved maybe,
 * with *capacity raised, or NULL: no memory, and nothing has changed. */
void *cow_array_grow(void *array, size_t nr_items, size_t *capacity, size_t item_bytes);

#endif

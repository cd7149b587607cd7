/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * list.h - a list that grows while it is filled.
 */
#ifndef TOOLS_LIST_H
#define TOOLS_LIST_H

#include <stddef.h>

/* Makes room for one more item behind nr_items: returns the list, moved maybe,
 * with *room raised, or NULL: no memory, and nothing has changed. */
void *list_grow(void *list, size_t nr_items, size_t *room, size_t item_bytes);

#endif

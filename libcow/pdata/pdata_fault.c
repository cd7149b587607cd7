/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_fault.c - the sentences for what may be wrong in a metadata block.
 */
#include <inttypes.h>
#include <stdio.h>

#include "libcow/pdata/pdata_block.h"

#define SAY(...) snprintf(text, size, __VA_ARGS__)

static int say_block(const struct pdata_fault *fault, char *text, size_t size)
{
	switch (fault->what) {
	case PDATA_BLOCK_BEYOND:
		return SAY("lies beyond the metadata device, which has %" PRIu64 " blocks",
			   fault->allowed);
	case PDATA_BLOCK_UNREADABLE:
		return SAY("cannot be read, at byte %" PRIu64, fault->block * PDATA_BLOCK_BYTES);
	case PDATA_BLOCK_CHECKSUM:
		return SAY("has checksum %#" PRIx64 ", its bytes give %#" PRIx64, fault->found,
			   fault->allowed);
	case PDATA_BLOCK_NUMBER:
		return SAY("says that it is block %" PRIu64, fault->found);
	case PDATA_ARRAY_VALUE_SIZE:
		return SAY("has values of %" PRIu64 " bytes, they must have %" PRIu64, fault->found,
			   fault->allowed);
	case PDATA_ARRAY_MAX_ENTRIES:
		return SAY("has room for %" PRIu64 " values, it must be %" PRIu64, fault->found,
			   fault->allowed);
	case PDATA_ARRAY_NR_ENTRIES:
		return SAY("has %" PRIu64 " values, it must be %" PRIu64, fault->found,
			   fault->allowed);
	case PDATA_ARRAY_TWICE:
		return SAY("has %" PRIu64 " places in the array", fault->found);
	case PDATA_ARRAY_MISSING:
		return SAY("number %" PRIu64 " (and %" PRIu64
			   " behind it) has no entry in the tree",
			   fault->found, fault->allowed ? fault->allowed - 1 : 0);
	case PDATA_ARRAY_EXTRA:
		return SAY("has number %" PRIu64 ", the array has %" PRIu64, fault->found,
			   fault->allowed);
	default:
		return SAY("is sound");
	}
}

static int say_node(const struct pdata_fault *fault, char *text, size_t size)
{
	switch (fault->what) {
	case PDATA_NODE_FLAGS:
		return SAY("has flags %#" PRIx64 ", only 1 (internal) and 2 (leaf) are allowed",
			   fault->found);
	case PDATA_NODE_VALUE_SIZE:
		return SAY("has values of %" PRIu64 " bytes, they must have %" PRIu64, fault->found,
			   fault->allowed);
	case PDATA_NODE_MAX_ENTRIES:
		return SAY("has room for %" PRIu64 " entries, it must be %" PRIu64, fault->found,
			   fault->allowed);
	case PDATA_NODE_NR_ENTRIES:
		return SAY("has %" PRIu64 " entries, at most %" PRIu64 " fit", fault->found,
			   fault->allowed);
	case PDATA_NODE_EMPTY:
		return SAY("is an internal node without entries");
	case PDATA_NODE_ORDER:
		return SAY("has keys that do not ascend, from entry %" PRIu64 " on", fault->found);
	case PDATA_NODE_BOUNDS:
		return SAY("has key %" PRIu64 ", which its parent looks for elsewhere",
			   fault->found);
	case PDATA_NODE_DEPTH:
		return SAY("is not at the height where the tree has it");
	default:
		return SAY("has more than one reference");
	}
}

static int say_map(const struct pdata_fault *fault, char *text, size_t size)
{
	switch (fault->what) {
	case PDATA_MAP_NR_BLOCKS:
		return SAY("counts %" PRIu64 " blocks, there are %" PRIu64, fault->found,
			   fault->allowed);
	case PDATA_MAP_INDEX_KEY:
		return SAY("lists bitmap %" PRIu64 " where number %" PRIu64 " belongs",
			   fault->found, fault->allowed);
	case PDATA_MAP_NR_FREE:
		return SAY("has %" PRIu64 " free entries, the index says %" PRIu64, fault->allowed,
			   fault->found);
	case PDATA_MAP_FIRST_FREE:
		return SAY("has a free entry at %" PRIu64 ", the index says none before %" PRIu64,
			   fault->allowed, fault->found);
	case PDATA_MAP_NR_ALLOCATED:
		return SAY("has %" PRIu64 " blocks in use, it says %" PRIu64, fault->allowed,
			   fault->found);
	case PDATA_MAP_NO_COUNT:
		return SAY("is counted 3 or more, but the tree of counts does not list it");
	case PDATA_MAP_SMALL_COUNT:
		return SAY("is listed in the tree of counts with %" PRIu64
			   ", which holds counts from 3 on",
			   fault->found);
	default:
		return SAY("is listed in the tree of counts with %" PRIu64
			   ", its bitmap says %" PRIu64,
			   fault->found, fault->allowed);
	}
}

void cow_pdata_fault_text(const struct pdata_fault *fault, const char *type_name,
			  char ret_text[PDATA_FAULT_TEXT_BYTES])
{
	char text[128];

	if (fault->what >= PDATA_MAP_NR_BLOCKS)
		say_map(fault, text, sizeof(text));
	else if (fault->what >= PDATA_NODE_FLAGS && fault->what <= PDATA_NODE_TWICE)
		say_node(fault, text, sizeof(text));
	else
		say_block(fault, text, sizeof(text));
	if (fault->block == COW_OFFSET_NONE)
		snprintf(ret_text, PDATA_FAULT_TEXT_BYTES, "%.40s %s", type_name, text);
	else
		snprintf(ret_text, PDATA_FAULT_TEXT_BYTES, "%.40s %" PRIu64 " %s", type_name,
			 fault->block, text);
}

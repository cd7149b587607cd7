/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_text.h - the text that LVM keeps its metadata in, as a tree of nodes. A
 * node points into the text; nothing is copied. The root is node 0.
 *
 *	file  = { node }	node  = key ( "{" {node} "}" | "=" value )
 *	value = scalar | "[" [ scalar { "," scalar } ] "]"
 */
#ifndef COW_VOLUME_LVM_TEXT_H
#define COW_VOLUME_LVM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcow.h"

/* The longest text that is read; LVM's default area holds half a MiB. */
#define LVM_TEXT_BYTES_MAX (UINT32_C(32) << 20)

enum lvm_node_type {
	LVM_SECTION,
	LVM_ARRAY, /* its children are the items */
	LVM_NUMBER,
	LVM_STRING,
	LVM_WORD, /* anything else: a float, a number that is too large */
};

struct lvm_node {
	enum lvm_node_type type;
	uint32_t key, key_len;	      /* in the text; an item of an array has none */
	uint32_t value, value_len;    /* of a string or word, without the quotes */
	uint32_t parent, child, next; /* 0: none */
	int64_t number;
};

struct lvm_text {
	const char *bytes; /* not owned */
	size_t len_bytes;
	size_t nr_nodes, capacity;
	struct lvm_node *nodes;
};

/*
 * Reads a text up to its end or a NUL, in one pass. bytes must outlive it.
 * Errors: -EBADMSG with the byte and the line where it breaks the grammar;
 * -EOPNOTSUPP too long; -ENOMEM.
 */
int cow_lvm_text_parse(const char *bytes, size_t len_bytes, struct lvm_text *ret_text,
		       struct cow_err *err);
void cow_lvm_text_free(struct lvm_text *text);

/* The first child, or the next one behind a node; NULL: no more. */
const struct lvm_node *cow_lvm_text_child(const struct lvm_text *text, const struct lvm_node *node);
const struct lvm_node *cow_lvm_text_next(const struct lvm_text *text, const struct lvm_node *node);
/* The child with a key, of any type or of the one that is asked for. */
const struct lvm_node *cow_lvm_text_find(const struct lvm_text *text, const struct lvm_node *node,
					 const char *key);
const struct lvm_node *cow_lvm_text_section(const struct lvm_text *text,
					    const struct lvm_node *node, const char *key);
/* A number of at least 0 and at most max; false: it is not there, or no such. */
bool cow_lvm_text_number(const struct lvm_text *text, const struct lvm_node *node, const char *key,
			 uint64_t max, uint64_t *ret_value);
/* Copies a string without its escapes; false: none there, or it does not fit. */
bool cow_lvm_text_string(const struct lvm_text *text, const struct lvm_node *node, const char *key,
			 char *buf, size_t size);
/* The same for a node itself, and for its key. */
bool cow_lvm_text_value(const struct lvm_text *text, const struct lvm_node *node, char *buf,
			size_t size);
bool cow_lvm_text_key(const struct lvm_text *text, const struct lvm_node *node, char *buf,
		      size_t size);
/* Tells whether a list of strings (or one string) has this word. */
bool cow_lvm_text_has_word(const struct lvm_text *text, const struct lvm_node *node,
			   const char *key, const char *word);

#endif

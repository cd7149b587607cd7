/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_text.c - reads the text of LVM's metadata: one pass, no recursion, memory
 * in proportion to the text. Sections may be nested to any depth: a node knows
 * its parent, so nothing is kept for a level.
 *
 * Source: lvm2 libdm/libdm-config.c.
 */
#include "libcow/volume/lvm_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/cleanup.h"
#include "libcow/base/err.h"

/* Metadata have 20 bytes and more for a node. */
#define NODE_BYTES_MIN 6
#define NODES_MIN 1000

struct parser {
	struct lvm_text *text;
	size_t at;
	uint32_t parent;   /* the section or array that is open; 0: none */
	uint32_t previous; /* the node before, of the same parent; 0: none */
};

static int parse_error(const struct parser *parser, const char *what, struct cow_err *err)
{
	size_t line = 1;

	for (size_t i = 0; i < parser->at; i++)
		line += parser->text->bytes[i] == '\n';
	return cow_fail(err, -EBADMSG, "the text breaks off at byte %zu (line %zu): %s", parser->at,
			line, what);
}

static bool is_end(const struct parser *parser)
{
	return parser->at >= parser->text->len_bytes || !parser->text->bytes[parser->at];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* The next character that counts; 0: the end. */
static char peek(struct parser *parser)
{
	const char *bytes = parser->text->bytes;

	while (!is_end(parser)) {
		char c = bytes[parser->at];

		if (c != '#' && !is_blank(c))
			return c;
		if (c == '#')
			while (!is_end(parser) && bytes[parser->at] != '\n')
				parser->at++;
		else
			parser->at++;
	}
	return 0;
}

static int node_add(struct parser *parser, enum lvm_node_type type, uint32_t key, uint32_t key_len,
		    uint32_t *ret_index, struct cow_err *err)
{
	struct lvm_text *text = parser->text;
	uint32_t index = (uint32_t)text->nr_nodes;
	struct lvm_node *nodes;

	if (text->nr_nodes > text->len_bytes / NODE_BYTES_MIN + NODES_MIN)
		return parse_error(parser, "more values than metadata can have", err);
	nodes = (struct lvm_node *)cow_array_grow(text->nodes, text->nr_nodes, &text->capacity,
						  sizeof(*nodes));
	if (!nodes)
		return cow_fail(err, -ENOMEM, "no memory for the metadata of a volume group");
	text->nodes = nodes;
	text->nr_nodes++;
	nodes[index] = (struct lvm_node){
		.type = type,
		.key = key,
		.key_len = key_len,
		.parent = parser->parent,
	};
	if (index && parser->previous)
		nodes[parser->previous].next = index;
	else if (index)
		nodes[parser->parent].child = index;
	parser->previous = index;
	*ret_index = index;
	return 0;
}

static int string_read(struct parser *parser, struct lvm_node *node, struct cow_err *err)
{
	const char *bytes = parser->text->bytes;
	char quote = bytes[parser->at++];

	node->type = LVM_STRING;
	node->value = (uint32_t)parser->at;
	for (; !is_end(parser); parser->at++) {
		if (bytes[parser->at] == quote) {
			node->value_len = (uint32_t)parser->at++ - node->value;
			return 0;
		}
		if (bytes[parser->at] == '\\')
			parser->at++;
	}
	return parse_error(parser, "a string has no end", err);
}

static bool ends_word(char c)
{
	return is_blank(c) || strchr(",]#}{[=\"", c);
}

/* A number, or a word that is none (a float, one beyond 64 bits). */
static int word_read(struct parser *parser, struct lvm_node *node, struct cow_err *err)
{
	const char *bytes = parser->text->bytes;
	char copy[32], *end;
	size_t len;

	node->type = LVM_WORD;
	node->value = (uint32_t)parser->at;
	while (!is_end(parser) && !ends_word(bytes[parser->at]))
		parser->at++;
	len = parser->at - node->value;
	node->value_len = (uint32_t)len;
	if (!len)
		return parse_error(parser, "a value is missing", err);
	if (len >= sizeof(copy))
		return 0;
	memcpy(copy, bytes + node->value, len);
	copy[len] = '\0';
	errno = 0;
	node->number = strtoll(copy, &end, 0);
	if (!*end && !errno)
		node->type = LVM_NUMBER;
	return 0;
}

static int scalar_read(struct parser *parser, uint32_t key, uint32_t key_len, struct cow_err *err)
{
	char c = peek(parser);
	uint32_t index = 0;
	int ret = node_add(parser, LVM_WORD, key, key_len, &index, err);

	if (ret)
		return ret;
	if (c == '"' || c == '\'')
		return string_read(parser, &parser->text->nodes[index], err);
	return word_read(parser, &parser->text->nodes[index], err);
}

static void open_level(struct parser *parser, uint32_t index)
{
	parser->parent = index;
	parser->previous = 0;
}

static void close_level(struct parser *parser)
{
	parser->previous = parser->parent;
	parser->parent = parser->text->nodes[parser->parent].parent;
}

static int array_read(struct parser *parser, uint32_t key, uint32_t key_len, struct cow_err *err)
{
	uint32_t index = 0;
	int ret = node_add(parser, LVM_ARRAY, key, key_len, &index, err);

	if (ret)
		return ret;
	parser->at++;
	open_level(parser, index);
	while (peek(parser) != ']') {
		ret = scalar_read(parser, 0, 0, err);
		if (ret)
			return ret;
		if (peek(parser) == ',')
			parser->at++;
		else if (peek(parser) != ']')
			return parse_error(parser, "a list needs \",\" or \"]\" here", err);
	}
	parser->at++;
	close_level(parser);
	return 0;
}

static int node_read(struct parser *parser, struct cow_err *err)
{
	const char *bytes = parser->text->bytes;
	uint32_t key = (uint32_t)parser->at, key_len, index = 0;
	char c;
	int ret;

	while (!is_end(parser) && !is_blank(bytes[parser->at]) &&
	       !strchr("#={}", bytes[parser->at]))
		parser->at++;
	key_len = (uint32_t)parser->at - key;
	if (!key_len)
		return parse_error(parser, "a name is missing", err);
	c = peek(parser);
	if (c != '{' && c != '=')
		return parse_error(parser, "a name needs \"{\" or \"=\" behind it", err);
	parser->at++;
	if (c == '=')
		return peek(parser) == '[' ? array_read(parser, key, key_len, err)
					   : scalar_read(parser, key, key_len, err);
	ret = node_add(parser, LVM_SECTION, key, key_len, &index, err);
	if (!ret)
		open_level(parser, index);
	return ret;
}

static int all_read(struct parser *parser, struct cow_err *err)
{
	uint32_t root;
	int ret = node_add(parser, LVM_SECTION, 0, 0, &root, err);

	parser->previous = 0;
	while (!ret) {
		char c = peek(parser);

		if (!c)
			break;
		if (c != '}') {
			ret = node_read(parser, err);
		} else if (parser->parent) {
			parser->at++;
			close_level(parser);
		} else {
			ret = parse_error(parser, "\"}\" without \"{\"", err);
		}
	}
	if (!ret && parser->parent)
		return parse_error(parser, "a section is not closed", err);
	return ret;
}

int cow_lvm_text_parse(const char *bytes, size_t len_bytes, struct lvm_text *ret_text,
		       struct cow_err *err)
{
	struct lvm_text text = { .bytes = bytes, .len_bytes = len_bytes };
	struct parser parser = { .text = &text };
	int ret;

	if (len_bytes > LVM_TEXT_BYTES_MAX)
		return cow_fail(err, -EOPNOTSUPP, "a text of %zu bytes is too long", len_bytes);
	ret = all_read(&parser, err);
	if (ret)
		cow_lvm_text_free(&text);
	else
		*ret_text = text;
	return ret;
}

void cow_lvm_text_free(struct lvm_text *text)
{
	free(text->nodes);
	*text = (struct lvm_text){ .bytes = NULL };
}

const struct lvm_node *cow_lvm_text_child(const struct lvm_text *text, const struct lvm_node *node)
{
	return node && node->child ? &text->nodes[node->child] : NULL;
}

const struct lvm_node *cow_lvm_text_next(const struct lvm_text *text, const struct lvm_node *node)
{
	return node->next ? &text->nodes[node->next] : NULL;
}

const struct lvm_node *cow_lvm_text_find(const struct lvm_text *text, const struct lvm_node *node,
					 const char *key)
{
	size_t len = strlen(key);

	for (node = cow_lvm_text_child(text, node); node; node = cow_lvm_text_next(text, node))
		if (node->key_len == len && !memcmp(text->bytes + node->key, key, len))
			return node;
	return NULL;
}

const struct lvm_node *cow_lvm_text_section(const struct lvm_text *text,
					    const struct lvm_node *node, const char *key)
{
	const struct lvm_node *found = cow_lvm_text_find(text, node, key);

	return found && found->type == LVM_SECTION ? found : NULL;
}

bool cow_lvm_text_number(const struct lvm_text *text, const struct lvm_node *node, const char *key,
			 uint64_t max, uint64_t *ret_value)
{
	const struct lvm_node *found = cow_lvm_text_find(text, node, key);

	if (!found || found->type != LVM_NUMBER || found->number < 0 ||
	    (uint64_t)found->number > max)
		return false;
	*ret_value = (uint64_t)found->number;
	return true;
}

bool cow_lvm_text_value(const struct lvm_text *text, const struct lvm_node *node, char *buf,
			size_t size)
{
	size_t len = 0;

	if (node->type != LVM_STRING)
		return false;
	for (uint32_t i = 0; i < node->value_len; i++) {
		const char *from = text->bytes + node->value;

		if (from[i] == '\\' && i + 1 < node->value_len)
			i++;
		if (len + 1 >= size)
			return false;
		buf[len++] = from[i];
	}
	buf[len] = '\0';
	return true;
}

bool cow_lvm_text_string(const struct lvm_text *text, const struct lvm_node *node, const char *key,
			 char *buf, size_t size)
{
	const struct lvm_node *found = cow_lvm_text_find(text, node, key);

	return found && cow_lvm_text_value(text, found, buf, size);
}

bool cow_lvm_text_key(const struct lvm_text *text, const struct lvm_node *node, char *buf,
		      size_t size)
{
	if (node->key_len >= size)
		return false;
	memcpy(buf, text->bytes + node->key, node->key_len);
	buf[node->key_len] = '\0';
	return true;
}

static bool is_word(const struct lvm_text *text, const struct lvm_node *node, const char *word)
{
	return node->type == LVM_STRING && node->value_len == strlen(word) &&
	       !memcmp(text->bytes + node->value, word, node->value_len);
}

bool cow_lvm_text_has_word(const struct lvm_text *text, const struct lvm_node *node,
			   const char *key, const char *word)
{
	const struct lvm_node *found = cow_lvm_text_find(text, node, key);

	if (!found || found->type != LVM_ARRAY)
		return found && is_word(text, found, word);
	for (found = cow_lvm_text_child(text, found); found; found = cow_lvm_text_next(text, found))
		if (is_word(text, found, word))
			return true;
	return false;
}

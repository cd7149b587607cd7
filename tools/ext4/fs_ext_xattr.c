/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_xattr.c - extended attributes and ACLs. libext2fs finds them (in the
 * inode, in the block, in inodes of their own) and checks their bounds; ACLs
 * come as ext4 stores them and are decoded here.
 * source: struct ext4_acl_entry in fs/ext4/acl.h; name prefixes in
 * fs/ext4/xattr.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"
#include "libcow/base/array.h"

#define ACL_VERSION 1 /* EXT4_ACL_VERSION */

struct collect {
	struct fs_xattrs *xattrs;
	ext2_ino_t ino;
	struct cow_err *err;
	int ret;
};

static uint32_t le(const uint8_t *raw, size_t len)
{
	uint32_t value = 0;

	while (len--)
		value = value << 8 | raw[len];
	return value;
}

static int no_memory(struct cow_err *err, ext2_ino_t ino)
{
	return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for attributes of inode %u",
			  ino);
}

/* What is kept is freed by fs_xattrs_free(). */
ANALYZER_KEPT_BEGIN
/* le32 version, then entries {le16 tag, le16 perm[, le32 id]}. */
static int acl_decode(struct collect *c, int which, const uint8_t *raw, size_t len)
{
	struct file_acl_entry *entries, *e;
	size_t nr = 0, at, need;

	if (len < 4 || le(raw, 4) != ACL_VERSION)
		return fs_ext_damage(c->err, "inode %u: an ACL of unknown version", c->ino);
	entries = calloc(len / 4, sizeof(*entries));
	if (!entries)
		return no_memory(c->err, c->ino);
	for (at = 4; at + 4 <= len; at += need) {
		e = &entries[nr++];
		e->tag = (uint16_t)le(raw + at, 2);
		e->perm = (uint16_t)le(raw + at + 2, 2);
		need = e->tag == FILE_ACL_USER || e->tag == FILE_ACL_GROUP ? 8 : 4;
		if (e->perm > 7 || !e->tag || e->tag > FILE_ACL_OTHER || (e->tag & (e->tag - 1)) ||
		    need > len - at)
			break;
		if (need == 8)
			e->id = le(raw + at + 4, 4);
	}
	if (at != len) {
		free(entries);
		return fs_ext_damage(c->err, "inode %u: its ACL is damaged at byte %zu of %zu",
				     c->ino, at, len);
	}
	free(c->xattrs->acl[which]);
	c->xattrs->acl[which] = entries;
	c->xattrs->nr_acl[which] = nr;
	return 0;
}

static int add(struct collect *c, const char *name, const uint8_t *value, size_t len)
{
	struct fs_xattrs *x = c->xattrs;
	struct file_xattr *grown;
	uint8_t *copy;
	char *dup;

	grown = cow_array_grow(x->list, x->nr, &x->room, sizeof(*grown));
	if (!grown)
		return no_memory(c->err, c->ino);
	x->list = grown;
	dup = strdup(name);
	copy = malloc(len ? len : 1);
	if (!dup || !copy) {
		free(dup);
		free(copy);
		return no_memory(c->err, c->ino);
	}
	if (len)
		memcpy(copy, value, len);
	x->list[x->nr++] = (struct file_xattr){ dup, copy, len };
	/* cppcheck-suppress memleak ; kept, see above */
	return 0;
}

static int keep_data(struct collect *c, const uint8_t *value, size_t len)
{
	struct fs_xattrs *x = c->xattrs;

	free(x->data);
	x->data = malloc(len ? len : 1);
	if (!x->data)
		return no_memory(c->err, c->ino);
	if (len)
		memcpy(x->data, value, len);
	x->data_bytes = len;
	return 0;
}

static bool has_prefix(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return !strncmp(name, prefix, len) && name[len];
}

static int collect_one(char *name, char *value, size_t len, void *user)
{
	struct collect *c = user;
	const uint8_t *bytes = (const uint8_t *)value;

	if (!strcmp(name, "system.data"))
		c->ret = keep_data(c, bytes, len);
	else if (!strcmp(name, "system.posix_acl_access"))
		c->ret = acl_decode(c, 0, bytes, len);
	else if (!strcmp(name, "system.posix_acl_default"))
		c->ret = acl_decode(c, 1, bytes, len);
	else if (has_prefix(name, "user.") || has_prefix(name, "trusted.") ||
		 has_prefix(name, "security."))
		c->ret = add(c, name, bytes, len);
	else
		c->xattrs->nr_skipped++;
	return c->ret ? XATTR_ABORT : 0;
}
ANALYZER_KEPT_END

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file_xattr *)a)->name, ((const struct file_xattr *)b)->name);
}

/* Are there any? Most inodes have none, and need no look through the library. */
static bool has_some(struct fs_ext *fs, const struct fs_inode *inode)
{
	size_t at = (size_t)EXT2_GOOD_OLD_INODE_SIZE + inode->large.i_extra_isize;

	if (ext2fs_file_acl_block(fs->fs, &inode->raw))
		return true;
	return inode->large.i_extra_isize && at + 4 <= (size_t)EXT2_INODE_SIZE(fs->fs->super) &&
	       le(inode->bytes + at, 4) == EXT2_EXT_ATTR_MAGIC;
}

int fs_xattrs_load(struct fs_ext *fs, const struct fs_inode *inode, struct fs_xattrs *xattrs,
		   struct cow_err *err)
{
	struct collect c = { .xattrs = xattrs, .ino = inode->ino, .err = err };
	struct ext2_xattr_handle *handle = NULL;
	struct fs_inode copy = *inode;
	errcode_t code;

	if (!has_some(fs, inode))
		return 0;
	code = ext2fs_xattrs_open(fs->fs, inode->ino, &handle);
	if (!code)
		code = ext2fs_xattrs_read_inode(handle, &copy.large);
	if (!code)
		code = ext2fs_xattrs_iterate(handle, collect_one, &c);
	if (handle)
		ext2fs_xattrs_close(&handle);
	if (code)
		return fs_ext_fail(fs, err, code, "inode %u: its extended attributes are damaged",
				   inode->ino);
	if (!c.ret && xattrs->nr)
		qsort(xattrs->list, xattrs->nr, sizeof(*xattrs->list), by_name);
	return c.ret;
}

void fs_xattrs_free(struct fs_xattrs *xattrs)
{
	size_t i;

	for (i = 0; i < xattrs->nr; i++) {
		free((void *)xattrs->list[i].name);
		free((void *)xattrs->list[i].value);
	}
	free(xattrs->list);
	free(xattrs->acl[0]);
	free(xattrs->acl[1]);
	free(xattrs->data);
	memset(xattrs, 0, sizeof(*xattrs));
}

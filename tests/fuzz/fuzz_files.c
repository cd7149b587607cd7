/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fuzz_files.c - a file system of ext4, listed, archived and compared as snapdump does
 * with --ls, --files, --cat and --changes.
 *
 * The input: a byte, then sectors, each behind its number (16 bits). The byte says how many
 * of the last ones only the new state has; 0: there is one state. Checksums are put right,
 * so that what is behind them is reached. Whatever the file system says, paths have no ".."
 * in them, lists are in order, and what --changes names is there.
 */
#include "tests/fuzz/fuzz.h"

#include "libcow/base/bytes.h"
#include "libcow/pdata/pdata_crc.h"
#include "tools/ext4/fs_changes.h"

#define DISK_BYTES (1u << 20)
#define RECORD_BYTES 514
#define SECTORS (DISK_BYTES / 512)
#define INODES_MAX 64u /* whose checksums are put right */
#define NAMES_MAX 4096

/* ---- checksums; source: ext4_superblock_csum() and the like in fs/ext4 */

struct disk {
	uint8_t bytes[DISK_BYTES];
	uint32_t block_bytes, seed;
};

static uint8_t *block_at(struct disk *disk, uint64_t block)
{
	return block && block < DISK_BYTES / disk->block_bytes
		       ? disk->bytes + block * disk->block_bytes
		       : NULL;
}

static uint32_t crc(uint32_t before, const void *buf, size_t len)
{
	return cow_pdata_crc32c(before, buf, len);
}

static void super_sum(struct disk *disk)
{
	uint8_t *super = disk->bytes + 1024;

	put_le32(super + 1020, crc(UINT32_MAX, super, 1020));
}

/* Of one of its blocks: the end of a leaf, or of a node with extents, holds the sum. */
static void block_sum(struct disk *disk, uint32_t seed, uint64_t number)
{
	uint8_t *block = block_at(disk, number);
	uint32_t at = disk->block_bytes - 12;

	if (!block)
		return;
	if (get_le16(block) == 0xf30a) {
		at = 12 + 12 * get_le16(block + 4);
		if (at <= disk->block_bytes - 4)
			put_le32(block + at, crc(seed, block, at));
	} else if (!get_le32(block + at) && get_le16(block + at + 4) == 12 &&
		   block[at + 7] == 0xde) {
		put_le32(block + at + 8, crc(seed, block, at));
	}
}

/* Of those that a node of its tree names. */
static void tree_sums(struct disk *disk, uint32_t seed, const uint8_t *node, size_t room)
{
	uint16_t nr = get_le16(node + 2), depth = get_le16(node + 6);

	for (size_t i = 0; i < nr && 24 + 12 * i <= room; i++) {
		const uint8_t *entry = node + 12 + 12 * i;
		uint8_t *below = depth ? block_at(disk, get_le32(entry + 4)) : NULL;

		if (below && depth == 1)
			tree_sums(disk, seed, below, disk->block_bytes);
		for (uint16_t k = 0; !depth && k < get_le16(entry + 4) && k < 8; k++)
			block_sum(disk, seed, (uint64_t)get_le32(entry + 8) + k);
		if (depth)
			block_sum(disk, seed, get_le32(entry + 4));
	}
}

static void attributes_sum(struct disk *disk, uint32_t number)
{
	uint8_t *block = block_at(disk, number), raw[8];

	if (!block || get_le32(block) != 0xea020000)
		return;
	put_le64(raw, number);
	put_le32(block + 16, 0);
	put_le32(block + 16, crc(crc(disk->seed, raw, 8), block, disk->block_bytes));
}

static void inode_sum(struct disk *disk, uint8_t *inode, size_t size, uint32_t number)
{
	uint32_t seed, sum;
	uint8_t raw[4];
	bool is_long = size > 128 && get_le16(inode + 128) >= 4;

	put_le32(raw, number);
	seed = crc(disk->seed, raw, 4);
	seed = crc(seed, inode + 100, 4);
	put_le16(inode + 124, 0);
	if (is_long)
		put_le16(inode + 130, 0);
	sum = crc(seed, inode, size);
	put_le16(inode + 124, (uint16_t)sum);
	if (is_long)
		put_le16(inode + 130, (uint16_t)(sum >> 16));
	attributes_sum(disk, get_le32(inode + 104));
	if (get_le32(inode + 32) & 0x80000)
		tree_sums(disk, seed, inode + 40, 60);
	else
		for (size_t i = 0; i < 12; i++)
			block_sum(disk, seed, get_le32(inode + 40 + 4 * i));
}

static void group_sum(struct disk *disk, uint8_t *group, size_t size)
{
	uint8_t raw[4] = { 0 };

	put_le16(group + 30, 0);
	put_le16(group + 30, (uint16_t)crc(crc(disk->seed, raw, 4), group, size));
}

/* Those of group 0, which is all that an input has. */
static void sums_put(struct disk *disk)
{
	uint8_t *super = disk->bytes + 1024, *group, *table;
	uint16_t size = get_le32(super + 76) ? get_le16(super + 88) : 128;
	uint16_t group_size = get_le32(super + 96) & 0x80 ? get_le16(super + 254) : 32;

	disk->block_bytes = 1024u << (get_le32(super + 24) & 3);
	disk->seed = get_le32(super + 96) & 0x2000 ? get_le32(super + 624)
						   : crc(UINT32_MAX, super + 104, 16);
	super_sum(disk);
	group = block_at(disk, disk->block_bytes == 1024 ? 2 : 1);
	if (!(get_le32(super + 100) & 0x400) || !group || group_size > 64)
		return;
	group_sum(disk, group, group_size);
	table = block_at(disk, get_le32(group + 8));
	for (uint32_t i = 0; table && size >= 128 && size <= 1024 && i < INODES_MAX; i++)
		if (table + (size_t)size * (i + 1) <= disk->bytes + DISK_BYTES)
			inode_sum(disk, table + (size_t)size * i, size, i + 1);
}

/* ---- what is looked at */

struct names {
	char *names[NAMES_MAX];
	size_t nr;
	bool is_damaged; /* or not all of them are kept */
	bool is_list;	 /* a directory before what is in it, and each name once */
};

static void path_must(const char *path)
{
	fuzz_must(*path && *path != '/');
	for (const char *at = path; at; at = strchr(at, '/')) {
		at += *at == '/';
		fuzz_must(*at && *at != '/');
		fuzz_must(strncmp(at, "..", 2) || (at[2] && at[2] != '/'));
	}
}

static void read_some(const struct file_entry *entry)
{
	uint8_t buf[512];

	for (size_t i = 0; i < entry->nr_ranges && i < 100; i++) {
		uint64_t len = entry->ranges[i].len_bytes;

		fuzz_must(entry->ranges[i].offset_bytes + len <= entry->size_bytes);
		(void)entry->read(entry->source, buf, len < 512 ? (size_t)len : 512,
				  entry->ranges[i].offset_bytes, NULL);
	}
}

static int on_entry(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct names *names = user;

	(void)err;
	path_must(entry->path);
	if (entry->read)
		read_some(entry);
	if (names->nr == NAMES_MAX) {
		names->is_damaged = true;
		return 0;
	}
	if (names->is_list)
		names->names[names->nr++] = strdup(entry->path);
	return 0;
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct names *names = user;

	names->is_damaged |= is_damage;
	fuzz_must(*sentence);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->nr; i++)
		free(names->names[i]);
	names->nr = 0;
}

static void walk(struct fs_ext *fs, struct names *names)
{
	struct fs_ext_walk_params params = {
		.lists = names->is_list,
		.user = names,
		.entry = on_entry,
		.problem = on_problem,
	};
	struct cow_err err = COW_ERR_INIT;

	if (fs_ext_walk(fs, &params, &err))
		names->is_damaged = true;
	qsort(names->names, names->nr, sizeof(*names->names), by_name);
	for (size_t i = 1; i < names->nr; i++)
		fuzz_must(strcmp(names->names[i - 1], names->names[i]));
}

static void find(struct fs_ext *fs, struct names *names, const char *path)
{
	const struct fs_ext_find_params params = {
		.option = "--cat",
		.path = path,
		.user = names,
		.entry = on_entry,
		.problem = on_problem,
	};
	struct cow_err err = COW_ERR_INIT;

	if (fs_ext_find(fs, &params, &err))
		fuzz_must(*err.message);
}

static void look(struct fs_ext *fs)
{
	struct names listed = { .is_list = true }, archived = { .is_list = false };

	walk(fs, &listed);
	for (size_t i = 0; i < listed.nr && i < 8; i++)
		find(fs, &archived, listed.names[listed.nr - 1 - i]);
	walk(fs, &archived);
	names_free(&listed);
}

/* ---- two states */

struct states {
	struct names old_names, new_names;
	bool is_damaged;
	size_t nr_changes;
	char last[64]; /* the beginning of the last path */
};

static bool has(struct names *names, const char *path)
{
	return names->is_damaged || (names->nr && bsearch(&path, names->names, names->nr,
							  sizeof(*names->names), by_name));
}

static int on_change(void *user, const struct fs_change *change, struct cow_err *err)
{
	struct states *states = user;

	(void)err;
	fuzz_must(strchr("+-MTR", change->kind) && !!change->old_path == (change->kind == 'R'));
	path_must(change->path);
	fuzz_must(strncmp(states->last, change->path, sizeof(states->last) - 1) <= 0);
	snprintf(states->last, sizeof(states->last), "%s", change->path);
	states->nr_changes++;
	if (states->is_damaged)
		return 0;
	fuzz_must(has(change->kind == '-' ? &states->old_names : &states->new_names, change->path));
	fuzz_must(!change->old_path || has(&states->old_names, change->old_path));
	return 0;
}

static void on_state_problem(void *user, bool is_damage, const char *sentence)
{
	struct states *states = user;

	states->is_damaged |= is_damage;
	fuzz_must(*sentence);
}

static void compare(struct fs_ext *old_fs, struct fs_ext *new_fs, const struct cow_segment *touched,
		    size_t nr_touched)
{
	struct states *states = calloc(1, sizeof(*states));
	const struct fs_changes_params params = {
		.old_fs = old_fs,
		.new_fs = new_fs,
		.touched = touched,
		.nr_touched = nr_touched,
		.user = states,
		.change = on_change,
		.problem = on_state_problem,
	};
	struct cow_err err = COW_ERR_INIT;

	fuzz_must(states);
	states->old_names.is_list = states->new_names.is_list = true;
	walk(old_fs, &states->old_names);
	walk(new_fs, &states->new_names);
	states->is_damaged = states->old_names.is_damaged || states->new_names.is_damaged;
	if (fs_changes(&params, &err))
		fuzz_must(*err.message);
	names_free(&states->old_names);
	names_free(&states->new_names);
	free(states);
}

static struct cow_image *image_of(const struct disk *disk)
{
	struct cow_image *image;

	fuzz_must(!cow_image_memory_new(DISK_BYTES, &image, NULL));
	fuzz_must(!cow_image_pwrite(image, disk->bytes, DISK_BYTES, 0, NULL));
	return image;
}

static void both(const struct disk *old_disk, const struct disk *new_disk)
{
	static struct cow_segment touched[SECTORS];
	struct cow_image *images[2] = { image_of(old_disk), image_of(new_disk) };
	struct fs_ext *fs[2] = { NULL, NULL };
	struct cow_err err = COW_ERR_INIT;
	size_t nr = 0;

	for (size_t i = 0; i < SECTORS; i++)
		if (memcmp(old_disk->bytes + 512 * i, new_disk->bytes + 512 * i, 512))
			touched[nr++] = (struct cow_segment){ 512 * i, 512 };
	if (!fs_ext_open(images[0], FS_EXT_EXACT, &fs[0], &err) &&
	    !fs_ext_open(images[1], FS_EXT_EXACT, &fs[1], &err))
		compare(fs[0], fs[1], touched, nr);
	for (size_t i = 0; i < 2; i++) {
		fs_ext_close(fs[i]);
		cow_image_close(images[i]);
	}
}

static void one(const struct disk *disk)
{
	struct cow_image *image = image_of(disk);
	struct fs_ext *fs = NULL;
	struct cow_err err = COW_ERR_INIT;

	if (!fs_ext_open(image, FS_EXT_EXACT, &fs, &err))
		look(fs);
	fs_ext_close(fs);
	cow_image_close(image);
}

static void disk_fill(struct disk *disk, const uint8_t *data, size_t nr_records)
{
	memset(disk, 0, sizeof(*disk));
	for (size_t i = 0; i < nr_records; i++)
		memcpy(disk->bytes + (size_t)512 * (get_le16(data + RECORD_BYTES * i) % SECTORS),
		       data + RECORD_BYTES * i + 2, 512);
	sums_put(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct disk disks[2];
	size_t nr = size ? (size - 1) / RECORD_BYTES : 0;

	fuzz_begin();
	if (nr) {
		disk_fill(&disks[1], data + 1, nr);
		if (data[0])
			disk_fill(&disks[0], data + 1, data[0] < nr ? nr - data[0] : 0);
		if (data[0])
			both(&disks[0], &disks[1]);
		else
			one(&disks[1]);
	}
	fuzz_end_within(size, 3 * DISK_BYTES);
	return 0;
}

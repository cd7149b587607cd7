/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* fs_changes_priv.h - between the fs_changes*.c files. */
#ifndef TOOLS_FS_CHANGES_PRIV_H
#define TOOLS_FS_CHANGES_PRIV_H

#include "tools/ext4/fs_changes.h"
#include "tools/ext4/fs_ext_priv.h"

/* Blocks of the file system: ascending runs that do not overlap, once sorted. */
struct fs_run {
	uint64_t block, nr_blocks;
};
struct fs_runs {
	struct fs_run *runs;
	size_t nr, room;
};

/* An inode that differs, or whose data may. */
struct fs_changed {
	ext2_ino_t ino;
	bool was, is;	  /* a file in the old state, in the new one */
	bool is_same;	  /* one and the same file in both */
	bool is_dir;	  /* in the new state, or else the old one */
	char kind;	  /* of a file that is the same: 'M', 'T', or 0: no difference */
	uint32_t nr_left; /* names that have not been found */
};

/* A name that is in one state only. */
struct fs_name {
	ext2_ino_t dir, ino;
	char *name;
	bool is_done;	 /* reported, or not to be */
	bool is_renamed; /* the same file has lost another name */
};
struct fs_names {
	struct fs_name *names;
	size_t nr, room;
};

/* A line of the result. */
struct fs_line {
	char kind;
	char *path, *old_path;
};

/* Where a directory stands. */
struct fs_parent {
	ext2_ino_t ino, parent;
	char *name;
};
struct fs_parents {
	struct fs_parent *slots; /* a hash table; ino 0: empty */
	size_t nr_slots, nr_used;
};

struct fs_side {
	struct fs_ext *fs;
	struct fs_parents parents;
	struct fs_names names; /* that only this side has */
	struct fs_file *file;  /* what was read last */
};

struct fs_compare {
	const struct fs_changes_params *params;
	struct fs_side old_side, new_side;
	struct fs_runs touched;
	struct fs_changed *changed; /* by inode */
	size_t nr_changed, changed_room;
	struct fs_names found; /* names in the new state of what changed there */
	struct fs_line *lines;
	size_t nr_lines, lines_room;
	uint8_t *bufs[2];     /* FS_COMPARE_BYTES each */
	uint64_t paths_bytes; /* of all that were composed */
	uint64_t owned_left;  /* blocks that inodes may still be looked through for */
	bool is_tired;	      /* none are left, and that was told */
	char path[FS_PATH_BYTES_MAX + 1];
	struct cow_err *err;
};

#define FS_COMPARE_BYTES (64u << 10)

int fs_changes_no_memory(struct fs_compare *c);
/* Damage of one file is told; anything else is returned. */
int fs_changes_left_out(struct fs_compare *c, int ret);
const struct fs_changed *fs_changed_find(const struct fs_compare *c, ext2_ino_t ino);

/* ---- fs_changes_runs.c */
int fs_runs_add(struct fs_runs *runs, uint64_t block, uint64_t nr_blocks);
void fs_runs_sort(struct fs_runs *runs);
/* The first run that ends behind block; NULL: there is none. */
const struct fs_run *fs_runs_from(const struct fs_runs *runs, uint64_t block);
bool fs_runs_touch(const struct fs_runs *runs, uint64_t block, uint64_t nr_blocks);
/* Takes away what is in other. Both are sorted. */
int fs_runs_subtract(struct fs_runs *runs, const struct fs_runs *other);

/* ---- fs_changes_inodes.c: fills c->changed */
int fs_changes_find_inodes(struct fs_compare *c);

/* ---- fs_changes_data.c */
/* Compares two files: 'M', 'T', or 0. */
int fs_changes_judge(struct fs_compare *c, ext2_ino_t old_ino, ext2_ino_t new_ino, char *ret_kind);

/* ---- fs_changes_names.c */
/* Names that are on one side only, of all directories that changed. */
int fs_changes_find_names(struct fs_compare *c);
/* Finds the other names of what changed: all that c->changed has as left. */
int fs_changes_find_others(struct fs_compare *c);
/* Composes a path; the caller frees it. */
int fs_changes_path(struct fs_compare *c, struct fs_side *side, ext2_ino_t dir, const char *name,
		    char **ret_path);
void fs_names_free(struct fs_names *names);
void fs_parents_free(struct fs_parents *parents);

#endif

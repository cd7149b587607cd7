/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * bad.h - images with bad sectors: which ranges a mapfile of ddrescue takes for
 * unreadable, and the words about what was skipped.
 */
#ifndef TOOLS_BAD_H
#define TOOLS_BAD_H

#include "tools/common/json.h"
#include "tools/images/operands.h"
#include "tools/common/opts.h"
#include "tools/common/printer.h"
#include "tools/common/sink.h"

/* --skip-unreadable and what belongs to it. */
struct bad_options {
	bool skips;
	const char *fill; /* "origin", "zero"; NULL: origin */
	struct opt_list maps;
	const char *list; /* --bad-list */
};

#define OPT_SKIP_UNREADABLE(b)                                                                     \
	{                                                                                          \
		0, "skip-unreadable", NULL, "go on past sectors that cannot be read", OPT_FLAG,    \
			&(b)->skips, NULL                                                          \
	}
#define OPT_BAD_BLOCKS(b)                                                                          \
	{                                                                                          \
		0, "bad-blocks", "MAPFILE",                                                        \
			"what this map of ddrescue has not as read in COW counts as unreadable",   \
			OPT_LIST, &(b)->maps, NULL                                                 \
	}

/* Each COW image has a map, or none has. Returns the exit status. */
int bad_check_usage(const struct bad_options *options, int nr_cows);

/* Puts an image above cow of which everything counts as unreadable that the
 * mapfile does not say was read. Errors: those of mapfile_load(); -EPERM the map is
 * longer than the image (id "bad-blocks"). */
int bad_image_open(struct cow_image *cow, const char *path, struct cow_image **ret_image,
		   struct cow_err *err);

/* How much was skipped so far when reading the view of operands. */
uint64_t bad_skipped_bytes(const struct operands *operands);

/* One range that was skipped. */
struct bad_range {
	const char *image;	  /* which could not be read */
	uint64_t image_bytes;	  /* where on it */
	struct cow_segment shown; /* the same on the view, or the origin */
};
/* Says ranges one by one: the first few in words, all in the JSON object. */
struct bad_words {
	struct json_object *list;
	uint64_t nr_ranges;
};
struct bad_words bad_words_begin(void);
void bad_words_say(struct bad_words *words, const struct bad_range *range, const char *instead);
/* Cuts a piece off the front of a range of the view that lies in one place of
 * the layer's COW image, or (no exception there) of what is below it. */
struct bad_range bad_range_cut(const struct cow_stack_layer *layer, const char *below,
			       struct cow_segment *range);
/* Says all that was skipped when reading the view, and what is shown instead;
 * returns how many bytes. */
uint64_t bad_say_skipped(const struct operands *operands);

/*
 * --bad-list: a line "cow-offset origin-offset length" for each range, in the
 * order of the origin, and at the end "# complete". open is called before
 * anything is written elsewhere; the file appears with publish, or not at all.
 */
struct bad_list {
	struct sink sink;
	struct printer printer;
	const struct operands *operands;
	uint64_t nr_ranges, bytes;
};
int bad_list_open(struct bad_list *list, const char *path, const struct operands *operands,
		  struct cow_err *err);
/* range is one of the origin or the view; its place on the COW image, of which
 * there is one, is looked up. */
int bad_list_add(struct bad_list *list, const struct cow_segment *range, struct cow_err *err);
int bad_list_publish(struct bad_list *list, struct cow_err *err);
void bad_list_close(struct bad_list *list);

#endif

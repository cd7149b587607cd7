/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The grammar of specifications: what is read, what is refused, and that what is
 * printed reads back as the same. */
#include "tests/aids/test.h"

#include <errno.h>
#include <stdarg.h>

#include "libcow/image/spec_tree.h"
#include "tests/aids/temp_dir.h"

static uint64_t state;

static uint64_t below(uint64_t limit)
{
	return test_random(&state) % limit;
}

static struct cow_spec_tree *parsed(const char *text)
{
	struct cow_spec_tree *tree = NULL;

	OK(cow_spec_tree_parse(text, &tree, err));
	return tree;
}

static void prints_as(const char *text, const char *wanted)
{
	struct cow_spec_tree *tree = parsed(text);
	char *printed = cow_spec_tree_print(tree, false);

	if (!printed || strcmp(printed, wanted)) {
		fprintf(stderr, "%s: \"%s\" prints as \"%s\", expected \"%s\"\n", test_name, text,
			printed, wanted);
		exit(1);
	}
	free(printed);
	cow_spec_tree_free(tree);
}

static void is_refused(const char *text, const char *because)
{
	struct cow_spec_tree *tree = NULL;
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_spec_tree_parse(text, &tree, &why);

	if (ret != -EINVAL || !strstr(why.message, because)) {
		fprintf(stderr, "%s: \"%s\": %d (%s), expected \"%s\"\n", test_name, text, ret,
			why.message, because);
		exit(1);
	}
}

static void is_read_as(const char *text, enum cow_spec_form form)
{
	struct cow_spec_tree *tree = parsed(text);

	CHECK(tree->form == form);
	cow_spec_tree_free(tree);
}

static void each_form_is_read(void)
{
	struct cow_spec_tree *tree = parsed("part:concat:a,b,,c:07"), *inner;

	CHECK(tree->form == COW_SPEC_PART && tree->number == 7 && tree->nr_parts == 1);
	inner = tree->parts[0].image;
	CHECK(inner->form == COW_SPEC_CONCAT && inner->nr_parts == 2);
	CHECK(!strcmp(inner->parts[0].image->plain.path, "a"));
	CHECK(!strcmp(inner->parts[1].image->plain.path, "b,c"));
	cow_spec_tree_free(tree);
	tree = parsed("lvm:a,part:b:1:vg-1/lv.x");
	CHECK(tree->form == COW_SPEC_LVM && !strcmp(tree->text, "vg-1/lv.x"));
	CHECK(tree->nr_parts == 2 && tree->parts[1].image->form == COW_SPEC_PART);
	cow_spec_tree_free(tree);
	tree = parsed("thin:data=d@1k+2k,,4k+1k,id=3,metadata=m");
	CHECK(!strcmp(cow_spec_part_find(tree, "id", 0)->value, "3"));
	CHECK_EQ(cow_spec_part_find(tree, "data", 0)->image->plain.nr_segments, 2);
	CHECK(!cow_spec_part_find(tree, "origin", 0));
	cow_spec_tree_free(tree);
	tree = parsed("snaplog:source=s,log=a,log=b,word=4");
	CHECK(!strcmp(cow_spec_part_find(tree, "log", 1)->image->plain.path, "b"));
	CHECK(!cow_spec_part_find(tree, "log", 2));
	cow_spec_tree_free(tree);
	is_read_as("nbd+unix:///?socket=a:b,c", COW_SPEC_NBD);
	is_read_as("./part:x:1", COW_SPEC_PLAIN);
	is_read_as("window:5s:zero:1M", COW_SPEC_WINDOW);
	is_read_as("window:5s:a", COW_SPEC_PLAIN);
}

static void what_is_printed_is_short(void)
{
	prints_as("file:a", "a");
	prints_as("file:a@1k", "file:a@1k");
	prints_as("a@01024+1536", "a@1k+3s");
	prints_as("window:1048576+512,0+512:a", "a@1M+1s,0+1s");
	prints_as("window:1k+1k:file:zero:5", "window:1k+1k:file:zero:5");
	prints_as("concat:file:a,b@1k+1k,,2k+1k", "concat:a,b@1k+1k,,2k+1k");
	prints_as("concat:a,,b,c", "concat:a,,b,c");
	prints_as("concat:concat:a,,b,c", "concat:concat:a,,b,c");
	prints_as("concat:,,a,file:,,b", "concat:,,a,file:,,b");
	prints_as("part:file:part:x:1:2", "part:file:part:x:1:2");
	prints_as("clone:destination=d,source=s,metadata=file:m",
		  "clone:destination=d,source=s,metadata=m");
}

static void what_is_wrong_is_named(void)
{
	is_refused("part:", "number of the partition");
	is_refused("part:a", "number of the partition");
	is_refused("part:a:", "number of the partition");
	is_refused("part::1", "image is missing");
	is_refused("part:a:x", "\"x\" is not the number");
	is_refused("part:a:0", "counted from 1");
	is_refused("part:a:99999999999999999999", "not the number");
	is_refused("lvm:a", "VG/LV");
	is_refused("lvm:a:vg", "\"vg\" is not the name");
	is_refused("lvm:a:vg/a/b", "is not the name");
	is_refused("lvm:a:../b", "is not the name");
	is_refused("lvm:a:-g/b", "is not the name");
	is_refused("lvm:a:vg/l v", "is not the name");
	is_refused("lvm:a,:vg/lv", "empty image");
	is_refused("concat:", "no image");
	is_refused("concat:a,", "empty image");
	is_refused("thin:metadata=a", "\"data=\" is missing");
	is_refused("thin:", "\"metadata=\" is missing");
	is_refused("clone:metadata=a,source=b", "\"destination=\" is missing");
	is_refused("clone:metadata=a,metadata=b", "there twice");
	is_refused("clone:metadata", "KEY=VALUE");
	is_refused("clone:metadata=", "nothing follows");
	is_refused("thin:dev=a", "knows no \"dev=\"");
	is_refused("snaplog:source=a", "\"log=\" is missing");
	is_refused("window:1k", "image is missing");
	is_refused("window:1x:a", "1x");
	is_refused("image:", "not a name");
	is_refused("image:a b", "not a name");
	is_refused("concat:a,part:b", "number of the partition");
}

static void depth_and_number_of_parts_are_bounded(void)
{
	char deep[256] = "a", longer[256];
	AUTO_FREE char *wide = malloc(3 * COW_SPEC_PARTS_MAX + 16);

	for (size_t i = 1; i < COW_SPEC_DEPTH_MAX; i++) {
		snprintf(longer, sizeof(longer), "part:%s:1", deep);
		strcpy(deep, longer);
	}
	prints_as(deep, deep);
	snprintf(longer, sizeof(longer), "part:%s:1", deep);
	is_refused(longer, "more than 8 deep");
	strcpy(wide, "concat:a");
	for (size_t i = 1; i < COW_SPEC_PARTS_MAX; i++)
		strcat(wide, ",a");
	prints_as(wide, wide);
	strcat(wide, ",a");
	is_refused(wide, "more than 1024");
}

static void two_meanings_are_refused_at_each_depth(void)
{
	static const char *const names[] = { "image:x", "clone:metadata=m,source=s,destination=d",
					     "concat:a,b" };
	struct cow_spec_tree *tree = NULL;
	struct cow_err why = COW_ERR_INIT;

	for (size_t i = 0; i < 3; i++) {
		temp_file(names[i], 4096);
		FAILS(-EPERM, cow_spec_tree_parse(names[i], &tree, err));
	}
	CHECK(cow_spec_tree_parse("part:concat:a,b:1", &tree, &why) == -EPERM);
	CHECK(!strcmp(why.id, "ambiguous-name") && strstr(why.message, "file:concat:a,b"));
	CHECK(strstr(why.message, "concat:file:a,file:b"));
	prints_as("part:concat:file:a,b:1", "part:concat:a,b:1");
}

/* ------------------------------------------------------------ round trip */

__attribute__((format(printf, 1, 2))) static char *format(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	CHECK(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

/* Joined, and the operands freed. */
static char *joined(char *a, const char *between, char *b)
{
	char *text = format("%s%s%s", a, between, b);

	free(a);
	free(b);
	return text;
}

static char *number(uint64_t bytes)
{
	static const char units[] = "skMGTP";
	size_t unit = below(8);
	unsigned int shift = unit ? 10 * (unsigned int)unit : 9;

	if (unit < 6 && bytes && !(bytes & ((UINT64_C(1) << shift) - 1)))
		return format("%s%" PRIu64 "%c", below(4) ? "" : "0", bytes >> shift, units[unit]);
	return format("%s%" PRIu64, below(4) ? "" : "0", bytes);
}

static char *segments(void)
{
	uint64_t at = below(3) * 512 << below(12);
	char *text = number(at);

	if (!below(4))
		return text;
	for (size_t i = below(3) + 1;; i--) {
		uint64_t len = (below(7) + 1) * 512 << below(20);

		text = joined(text, "+", number(len));
		if (i == 1)
			return text;
		at += len + 512 * below(2);
		text = joined(text, ",", number(at));
	}
}

/* Commas, colons, and what looks like a prefix, all over. */
static char *path(void)
{
	static const char *const parts[] = { "a",     ",",	 "zero:",  "part:", "x:1", "@",
					     "@1k+1", "concat:", "nbd://", "file:", "=",   "-" };
	char *text = format("%s", parts[below(12)]);

	while (below(3))
		text = joined(text, "", format("%s", parts[below(12)]));
	return text;
}

static char *plain(void)
{
	if (!below(5))
		return joined(format("zero:"), "", number((below(9) + 1) * 512 << below(30)));
	if (below(2))
		return joined(format("file:"), "", path());
	if (below(2))
		return joined(format("/x"), "@", segments());
	return joined(joined(format("window:"), "", segments()), ":file:", path());
}

static char *doubled(char *text)
{
	char *result = malloc(2 * strlen(text) + 1), *to = result;

	for (char *from = text; *from; from++) {
		*to++ = *from;
		if (*from == ',')
			*to++ = ',';
	}
	*to = '\0';
	free(text);
	return result;
}

static char *spec(size_t depth);

/* Behind a comma a part must not begin with one. */
static char *part(size_t depth)
{
	return doubled(spec(depth));
}

static char *list(size_t depth)
{
	char *text = part(depth);

	while (below(2))
		text = joined(text, ",", part(depth));
	return text;
}

static char *spec(size_t depth)
{
	switch (depth ? below(9) : 9) {
	case 0:
		return joined(format("concat:"), "", list(depth - 1));
	case 1:
		return joined(joined(format("part:"), "", spec(depth - 1)), ":",
			      format("%s%" PRIu64, below(3) ? "" : "0", below(200) + 1));
	case 2:
		return joined(joined(format("lvm:"), "", list(depth - 1)), ":",
			      format("vg%" PRIu64 "/l-v.+_", below(9)));
	case 3:
		return joined(joined(format("clone:source="), "", part(depth - 1)), ",metadata=",
			      joined(part(depth - 1), ",destination=", part(depth - 1)));
	case 4:
		return joined(joined(format("thin:metadata="), "", part(depth - 1)),
			      ",id=7,data=", part(depth - 1));
	case 5:
		return joined(joined(format("window:"), "", segments()), ":", spec(depth - 1));
	case 6:
		return joined(joined(format("snaplog:log="), "", part(depth - 1)),
			      ",count=5,source=", part(depth - 1));
	case 7:
		return format("image:n%" PRIu64, below(9));
	default:
		return plain();
	}
}

static bool is_same(const struct cow_spec_tree *a, const struct cow_spec_tree *b);

static bool is_same_plain(const struct cow_spec *a, const struct cow_spec *b)
{
	return !a->path == !b->path && (!a->path || !strcmp(a->path, b->path)) &&
	       a->zero_bytes == b->zero_bytes && a->nr_segments == b->nr_segments &&
	       a->is_open_ended == b->is_open_ended &&
	       (!a->nr_segments ||
		!memcmp(a->segments, b->segments, a->nr_segments * sizeof(a->segments[0])));
}

static bool is_same_part(const struct cow_spec_part *a, const struct cow_spec_part *b)
{
	return a->key == b->key && !a->value == !b->value &&
	       (!a->value || !strcmp(a->value, b->value)) && !a->image == !b->image &&
	       (!a->image || is_same(a->image, b->image));
}

static bool is_same(const struct cow_spec_tree *a, const struct cow_spec_tree *b)
{
	if (a->form != b->form || a->number != b->number || a->nr_parts != b->nr_parts ||
	    !a->text != !b->text || (a->text && strcmp(a->text, b->text)) ||
	    !is_same_plain(&a->plain, &b->plain))
		return false;
	for (size_t i = 0; i < a->nr_parts; i++)
		if (!is_same_part(&a->parts[i], &b->parts[i]))
			return false;
	return true;
}

static void reads_back(const char *text, const struct cow_spec_tree *tree, bool is_explicit)
{
	char *printed = cow_spec_tree_print(tree, is_explicit);
	struct cow_spec_tree *again = parsed(printed);

	if (!is_same(tree, again) || (!is_explicit && strlen(printed) > strlen(text))) {
		fprintf(stderr, "%s: \"%s\" prints as \"%s\"\n", test_name, text, printed);
		exit(1);
	}
	cow_spec_tree_free(again);
	free(printed);
}

static void ten_thousand_random_specifications_read_back(void)
{
	size_t nr_forms[COW_SPEC_FORMS] = { 0 };

	state = test_seed();
	for (size_t i = 0; i < 10000; i++) {
		char *text = spec(below(5));
		struct cow_spec_tree *tree = NULL;
		struct cow_err why = COW_ERR_INIT;

		if (cow_spec_tree_parse(text, &tree, &why)) {
			fprintf(stderr, "%s: \"%s\": %s\n", test_name, text, why.message);
			exit(1);
		}
		reads_back(text, tree, false);
		reads_back(text, tree, true);
		nr_forms[tree->form]++;
		cow_spec_tree_free(tree);
		free(text);
	}
	for (size_t i = 0; i < COW_SPEC_NBD; i++)
		CHECK(nr_forms[i] > 100);
}

int main(void)
{
	temp_dir_enter();
	RUN(each_form_is_read);
	RUN(what_is_printed_is_short);
	RUN(what_is_wrong_is_named);
	RUN(depth_and_number_of_parts_are_bounded);
	RUN(ten_thousand_random_specifications_read_back);
	RUN(two_meanings_are_refused_at_each_depth);
	return test_end();
}

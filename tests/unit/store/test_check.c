/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Stores damaged on purpose, as text, and the ids of what is found in them. */
#include <errno.h>

#include "libcow/core/report.h"
#include "libcow/store/store.h"
#include "tests/aids/mkstore.h"
#include "tests/aids/test.h"
#include "tests/aids/transient.h"

#define P "persistent."

static const struct {
	const char *text;
	const char *ids; /* all that are found, in order */
	bool loads, opens;
} cases[] = {
	{ "header\nauto 100 20", "", true, true },
	{ "size 4M\nheader\nauto 100 300", "", true, true },
	{ "chunk 1\nheader\nauto 9 96", "", true, true },
	/* header */
	{ "header magic=0\nauto 100 20", P "header-magic-zero", true, false },
	{ "header magic=0x12345678\nauto 100 20", P "header-magic", false, false },
	{ "header version=2\nauto 100 20", P "header-version", false, false },
	{ "header valid=0\nauto 100 20", P "invalid", false, false },
	{ "header valid=7\nauto 100 20", "", true, true },
	{ "header chunk=3\nauto 100 20", P "chunk-size-candidate " P "chunk-size-impossible", false,
	  false },
	{ "header chunk=0\nauto 100 20", P "chunk-size-candidate " P "chunk-size-impossible", false,
	  false },
	{ "header chunk=0x400000\nauto 100 20", P "chunk-size-candidate " P "chunk-size-impossible",
	  false, false },
	{ "header chunk=16\nauto 100 20", P "other-chunk-size", true, true },
	{ "header\npoke 20 01", P "header-trailing", true, true },
	/* records; 256 chunks of 4 KiB; area 1 would be chunk 258 */
	{ "header\nauto 5 2\nrecord 90 256", P "new-chunk-beyond-end", true, false },
	{ "header\nauto 5 2\nrecord 90 1", P "new-chunk-metadata", true, false },
	{ "size 4M\nheader\nauto 5 2\nrecord 90 258", P "new-chunk-metadata", true, false },
	{ "header\nauto 5 2\nrecord 90 0x0100000000000004", P "new-chunk-top-byte", true, false },
	{ "header\nauto 5 2\nrecord 90 0x0100000000000000", P "new-chunk-header", true, false },
	{ "header\nauto 5 2\nrecord 0x40000000000000 4", P "old-chunk-beyond-origin", true, false },
	{ "header\nauto 5 2\nauto 5 1", P "duplicate-old-chunk", true, false },
	{ "header\nauto 5 2\nrecord 90 3", P "duplicate-new-chunk", true, false },
	/* a record that is being moved stands twice (I13) */
	{ "header\nauto 5 2\nrecord 5 2", P "duplicate-record " P "out-of-order", true, true },
	{ "header\nrecord 6 3\nrecord 5 2\nrecord 6 3", P "duplicate-record " P "out-of-order",
	  true, true },
	{ "header\nrecord 5 3\nrecord 6 2", P "out-of-order", true, true },
	{ "header\nauto 5 2\nrecord 90 9", P "leaked-chunks", true, true },
	/* end of the list */
	{ "header\nauto 5 2\nzero 1\nrecord 7 5", P "hole", true, false },
	{ "header\nauto 5 2\nzero 1\nrecord 7 3", P "stale-records", true, true },
	{ "header\nauto 5 2\nat 0 64\nrecord 7 66", P "torn-commit", true, true },
	{ "header\nauto 5 2\nrecord 100 0", P "stale-records", true, true },
	{ "header\nauto 5 2\nat 0 255\nrecord 9 0", P "stale-records", true, true },
	{ "size 4M\nheader\nauto 5 256\nrecord 0xdeadbeef 0xdeadbeef01\n"
	  "record 0xdeadbeee 0xdead5eef02\nrecord 77 0xabcdef0123",
	  P "area-garbage", true, false },
	{ "size 258s\nchunk 1\nheader\nauto 5 20\nrecord 90 1000000", P "new-chunk-beyond-end",
	  true, false },
	/* sizes; chunk 1: areas at chunks 1, 34, 67 */
	{ "size 34s\nchunk 1\nheader\nauto 5 20", P "last-area-room", true, true },
	{ "size 34s\nchunk 1\nheader\nauto 5 32", P "list-without-end", false, false },
	{ "size 20s\nchunk 1\nheader\nauto 5 32", P "image-cut-data " P "image-cut-next-area",
	  false, false },
	{ "size 20s\nchunk 1\nheader\nauto 5 31", P "image-cut-data", true, false },
	{ "size 1s\nchunk 1\nheader", P "image-cut-metadata", false, false },
	{ "size 33s\nchunk 1\nheader\nauto 5 20", "", true, true },
	{ "size 35s\nchunk 1\nheader\nauto 5 32", "", true, true },
	/* the list is nonsense where the header says, but good elsewhere */
	{ "chunk 8\nheader\nauto 5 20\npoke 12 10000000\nchunk 16\nat 0 0\n"
	  "record 0x7fffffffffffff1 0xdeadbeef1\nrecord 0x7ffffffffffff12 0xdead",
	  P "area-garbage " P "chunk-size-contradicted", true, false },
};

static char found[1000];

static void keep(void *user, const struct cow_finding *finding)
{
	size_t used = strlen(found);

	(void)user;
	CHECK(finding->sentence[0] && finding->image[0]);
	snprintf(found + used, sizeof(found) - used, "%s%s", used ? " " : "", finding->problem->id);
	if (getenv("VERBOSE"))
		printf("%s: %s\n", finding->problem->id, finding->sentence);
}

static int check(const struct cow_store_args *args, uint32_t flags, struct cow_verdict *verdict,
		 struct cow_err *ret_err)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_report *report;
	int ret;

	found[0] = '\0';
	callbacks.finding = keep;
	params.flags = flags;
	OK(cow_report_new(&callbacks, 0, &report, err));
	ret = cow_check(args, &params, report, verdict, ret_err);
	cow_report_free(report);
	return ret;
}

static void every_damage_is_named(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cow_verdict verdict = COW_VERDICT_INIT;
		struct cow_role_image role = { COW_ROLE_COW, 0, NULL };
		struct cow_store_args args = COW_STORE_ARGS_INIT;
		struct cow_store *store = NULL;

		OK(mkstore(cases[i].text, &role.image, err));
		args.images = &role;
		args.nr_images = 1;
		OK(check(&args, 0, &verdict, err));
		if (strcmp(found, cases[i].ids))
			fprintf(stderr, "case %zu: %s\nfound:    %s\nexpected: %s\n", i,
				cases[i].text, found, cases[i].ids);
		CHECK(!strcmp(found, cases[i].ids));
		if (verdict.kernel_loads != cases[i].loads)
			fprintf(stderr, "case %zu: %s\n", i, cases[i].text);
		CHECK_EQ(verdict.kernel_loads, cases[i].loads);
		CHECK_EQ(verdict.view_right, cases[i].opens);
		if (!cow_store_open(&args, &store, NULL) != cases[i].opens)
			fprintf(stderr, "case %zu: %s\n", i, cases[i].text);
		CHECK_EQ(store != NULL, cases[i].opens);
		cow_store_close(store);
		cow_image_close(role.image);
	}
}

/* What stands behind the end, and is named by no record. origin: as text, or NULL. */
static const struct {
	const char *text, *origin, *ids;
	bool is_doubtful;
} ends[] = {
	/* a lost sector: as much data as it may have named, and zeros behind */
	{ "size 4M\nheader\nauto 5 64\ndata 2 70", NULL, P "list-end-doubtful", true },
	{ "size 4M\nheader\nauto 5 64\ndata 2 64", NULL, "", false },
	{ "size 4M\nheader\nauto 5 63\ndata 2 70", NULL, "", false },
	/* a device that was in use: just behind, in the next area, at the end */
	{ "size 4M\nheader\nauto 5 64\ndata 2 110", NULL, P "data-behind", false },
	{ "size 4M\nheader\nauto 5 64\ndata 2 70\ndata 300 1", NULL, P "data-behind", false },
	{ "size 4M\nheader\nauto 5 64\ndata 2 70\ndata 1023 1", NULL, P "data-behind", false },
	/* too little is left behind to tell */
	{ "size 1120K\nheader\nauto 5 64\ndata 2 70", NULL, P "data-behind", false },
	/* a lost area */
	{ "size 4M\nheader\nauto 5 256\ndata 2 256\ndata 259 256", NULL, P "list-end-doubtful",
	  true },
	/* the origin holds that data: merged, or never recorded; or lacks one chunk of it */
	{ "size 4M\nheader\nauto 5 64\ndata 2 70", "size 4M\ndata 66 6", "", false },
	{ "size 4M\nheader\nauto 5 64\ndata 2 70", "size 4M\ndata 66 5", P "list-end-doubtful",
	  true },
	/* an altered chunk size, or a new store over an older one */
	{ "header chunk=1\nauto 100 20", NULL, P "chunk-size-doubtful", true },
	/* an empty list on a device that was in use, without and with records further on */
	{ "size 4M\nheader\nat 1 0\nrecord 0xdeadbeefdeadbeef 0xdeadbeefdead 40", NULL, "", false },
	{ "size 4M\nheader\nat 1 0\nrecord 0xdeadbeefdeadbeef 0xdeadbeefdead 40\nat 2 0\n"
	  "record 9 516 3",
	  NULL, P "records-behind-empty", false },
	{ "size 4M\nheader\nat 1 0\nrecord 9 259 3", NULL, P "records-behind-empty", false },
	/* a sector of zeros in a list that an old kernel wrote as its copies ended */
	{ "size 4M\nheader\nauto 5 32\nat 0 64\nrecord 69 67\nrecord 70 66\nrecord 71 68 20", NULL,
	  P "list-doubtful", true },
	/* in an area that the list has not reached an older store's records may stand */
	{ "size 4M\nheader\nrecord 5 3\nrecord 6 2\nrecord 7 4 30\nat 1 0\nrecord 301 260\n"
	  "record 300 259\nrecord 302 261 20",
	  NULL, P "list-doubtful", true },
	{ "size 4M\nheader\nauto 5 32\nat 1 0\nrecord 301 260\nrecord 300 259\n"
	  "record 302 261 20",
	  NULL, P "older-records", false },
};

static void ends_that_may_be_lost(void)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct cow_verdict verdict = COW_VERDICT_INIT;
		struct cow_image *cow, *origin = NULL;
		struct cow_store_args args = COW_STORE_ARGS_INIT;
		struct cow_store *store = NULL;
		struct cow_role_image roles[2];
		struct cow_err why = COW_ERR_INIT;
		int ret;

		OK(mkstore(ends[i].text, &cow, err));
		if (ends[i].origin)
			OK(mkstore(ends[i].origin, &origin, err));
		cow_store_args_pair(&args, roles, cow, origin);
		OK(check(&args, 0, &verdict, err));
		if (strcmp(found, ends[i].ids))
			fprintf(stderr, "end %zu: %s\nfound:    %s\nexpected: %s\n", i,
				ends[i].text, found, ends[i].ids);
		CHECK(!strcmp(found, ends[i].ids));
		CHECK_EQ(verdict.is_doubtful, ends[i].is_doubtful);
		CHECK_EQ(verdict.merge_right, !ends[i].is_doubtful);
		args.flags = COW_STORE_STRICT;
		ret = cow_store_open(&args, &store, &why);
		CHECK_EQ(!ret, !ends[i].is_doubtful);
		CHECK(!ret || !strcmp(why.id, "doubtful"));
		cow_store_close(store);
		cow_image_close(cow);
		cow_image_close(origin);
	}
}

/* Record i of the first sector again in the second one; all but the last nr_own of
 * them, which are what belongs there. */
static void second_sector(char *text, size_t room, unsigned int nr_own)
{
	size_t used = (size_t)snprintf(text, room, "header\nauto 5 32\n");

	for (unsigned int i = 0; i < 32; i++)
		used += (size_t)snprintf(text + used, room - used, "record %u %u\n",
					 i < 32 - nr_own ? 5 + i : 100 + i,
					 i < 32 - nr_own ? 2 + i : 34 + i);
}

static void a_sector_that_is_a_copy_is_refused(void)
{
	for (unsigned int nr_own = 0; nr_own < 2; nr_own++) {
		struct cow_verdict verdict = COW_VERDICT_INIT;
		struct cow_role_image role = { COW_ROLE_COW, 0, NULL };
		struct cow_store_args args = COW_STORE_ARGS_INIT;
		struct cow_store *store = NULL;
		struct cow_err why = COW_ERR_INIT;
		char text[2048];

		second_sector(text, sizeof(text), nr_own);
		OK(mkstore(text, &role.image, err));
		args.images = &role;
		args.nr_images = 1;
		OK(check(&args, 0, &verdict, err));
		CHECK_EQ(verdict.view_right, nr_own != 0);
		CHECK_EQ(!strncmp(found, P "record-copied", strlen(P "record-copied")),
			 nr_own == 0);
		/* single records that stand twice are legal (I13) */
		CHECK_EQ(cow_store_open(&args, &store, &why), nr_own ? 0 : -EBADMSG);
		CHECK(nr_own || (!strcmp(why.id, "damaged") && strstr(why.message, "32 to 63")));
		cow_store_close(store);
		cow_image_close(role.image);
	}
}

static void an_exception_beyond_the_origin_needs_the_origin(void)
{
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[] = { { COW_ROLE_COW, 0, NULL }, { COW_ROLE_ORIGIN, 0, NULL } };
	struct cow_store *store;

	OK(mkstore("header\nauto 98 3", &roles[0].image, err));
	OK(cow_image_zero_new(100 * 4096 - 512, &roles[1].image, err));
	args.images = roles;
	args.nr_images = 1;
	OK(check(&args, 0, &verdict, err));
	CHECK(verdict.view_right);
	args.nr_images = 2;
	OK(check(&args, 0, &verdict, err));
	CHECK(!strcmp(found, P "old-chunk-beyond-origin") && !verdict.view_right);
	FAILS(-ERANGE, cow_store_open(&args, &store, err));
	args.flags = COW_STORE_DAMAGED;
	OK(cow_store_open(&args, &store, err));
	cow_store_close(store);
	cow_image_close(roles[0].image);
	cow_image_close(roles[1].image);
}

static void other_images_are_refused_by_name(void)
{
	static const struct {
		const char *poke, *word;
	} others[] = {
		{ "poke 0 514649fb", "qcow2" },
		{ "poke 0 58465342", "XFS" },
		{ "poke 1080 53ef", "ext" },
		{ "poke 0 1f8b08", "gzip" },
		{ "poke 0 28b52ffd", "zstd" },
		{ "poke 0 636f6e6563746978", "VHD" },
		{ "poke 64 7f10dabe", "VDI" },
		{ "poke 512 4c4142454c4f4e45", "LVM" },
		{ "", "zeros" },
		{ "poke 0 01020304", "magic" },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct cow_store_args args = COW_STORE_ARGS_INIT;
		struct cow_verdict verdict = COW_VERDICT_INIT;
		struct cow_role_image role = { COW_ROLE_COW, 0, NULL };
		struct cow_err why = COW_ERR_INIT;

		OK(mkstore(others[i].poke, &role.image, err));
		args.images = &role;
		args.nr_images = 1;
		CHECK_EQ(check(&args, 0, &verdict, &why), -EMEDIUMTYPE);
		CHECK(strstr(why.message, others[i].word));
		args.kind = "persistent";
		FAILS(-EMEDIUMTYPE, check(&args, 0, &verdict, err));
		cow_image_close(role.image);
	}
}

/* The sector of the header is lost; the list says what the chunk size was, or
 * the caller does. */
static void a_lost_header_is_found_when_asked_for(void)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_role_image role = { COW_ROLE_COW, 0, NULL };

	OK(mkstore("chunk 16\nauto 100 20", &role.image, err));
	args.images = &role;
	args.nr_images = 1;
	args.kind = "persistent";
	OK(check(&args, 0, &verdict, err));
	CHECK(strstr(found, P "header-magic-zero") && !verdict.view_right);
	CHECK(verdict.known && verdict.info.chunk_bytes == 8192 &&
	      verdict.info.nr_exceptions == 20);
	args.chunk_bytes = 8192;
	OK(check(&args, COW_CHECK_HEADER_ONLY, &verdict, err));
	cow_image_close(role.image);
	OK(mkstore("chunk 16\nheader\nauto 100 20", &role.image, err));
	OK(check(&args, 0, &verdict, err));
	args.chunk_bytes = 4096;
	FAILS(-EINVAL, check(&args, 0, &verdict, err));
	cow_image_close(role.image);
}

/* -------------------------------------------------------------- transient */

static void the_transient_store_works_as_the_others(void)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_role_image role = { COW_ROLE_ORIGIN, 0, NULL };
	struct store_moves moves = { 0 };
	struct cow_image *view;
	struct cow_store *store;
	static uint8_t data[5 * 4096], got[4096];

	memset(data, 9, sizeof(data));
	OK(cow_image_zero_new(10 * 4096 + 512, &role.image, err));
	args.images = &role;
	args.nr_images = 1;
	OK(transient_open(&args, &store, err));
	FAILS(-EOPNOTSUPP, cow_store_keep(store, NULL, 0, err));
	OK(cow_store_reserve(store, 1000, err));
	OK(cow_store_append(store, 2 * 4096, data, 3 * 4096, err));
	OK(cow_store_append(store, 5 * 4096, data, 1000, err));
	FAILS(-EINVAL, cow_store_append(store, 6 * 4096, data, 4096, err));
	FAILS(-EINVAL, cow_store_publish(store, err));
	OK(cow_store_append(store, 5 * 4096 + 1000, data, 4096 - 1000, err));
	OK(cow_store_append(store, 10 * 4096, data, 512, err));
	OK(cow_store_publish(store, err));
	FAILS(-EEXIST, cow_store_append(store, 3 * 4096, data, 4096, err));
	OK(cow_view_new(role.image, store, &view, err));
	OK(cow_image_pread(view, got, 4096, 4 * 4096 + 100, err));
	CHECK(!memcmp(got, data, 4096));
	cow_image_close(view);
	OK(cow_store_get_info(store, &info));
	CHECK_EQ(info.nr_exceptions, 5);
	OK(cow_store_next_moves(store, 2 * 4096, &moves, err));
	CHECK(moves.nr_moves == 2 && moves.moves[0].len_bytes == 512);
	CHECK(moves.moves[1].to_bytes + moves.moves[1].len_bytes == 6 * 4096);
	OK(cow_store_settle(store, moves.token, err));
	OK(cow_store_get_info(store, &info));
	CHECK_EQ(info.nr_exceptions, moves.token);
	cow_store_moves_clear(&moves);
	OK(cow_store_next_moves(store, UINT64_MAX, &moves, err));
	CHECK(moves.is_last && moves.nr_moves == 1 && moves.moves[0].to_bytes == 2 * 4096);
	OK(cow_store_settle(store, 0, err));
	OK(cow_store_invalidate(store, err));
	cow_store_moves_free(&moves);
	cow_store_close(store);
	cow_image_close(role.image);
}

int main(void)
{
	RUN(every_damage_is_named);
	RUN(ends_that_may_be_lost);
	RUN(a_sector_that_is_a_copy_is_refused);
	RUN(an_exception_beyond_the_origin_needs_the_origin);
	RUN(other_images_are_refused_by_name);
	RUN(a_lost_header_is_found_when_asked_for);
	RUN(the_transient_store_works_as_the_others);
	return test_end();
}

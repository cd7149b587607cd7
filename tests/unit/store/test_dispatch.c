/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include <errno.h>

#include "libcow/store/store.h"
#include "tests/aids/test.h"

static const struct store_ops nothing_ops = { .name = "nothing" };

static void what_a_kind_has_not_is_said_in_words(void)
{
	struct cow_store store = { .ops = &nothing_ops };
	struct store_moves moves = { 0 };
	struct cow_segment range;
	struct store_run run;
	uint8_t raw[LABEL_BYTES];
	uint64_t chunk = 0;

	FAILS(-EOPNOTSUPP, cow_store_invalidate(&store, err));
	FAILS(-EOPNOTSUPP, cow_store_reserve(&store, 1, err));
	FAILS(-EOPNOTSUPP, cow_store_append(&store, 0, raw, 1, err));
	FAILS(-EOPNOTSUPP, cow_store_publish(&store, err));
	FAILS(-EOPNOTSUPP, cow_store_next_moves(&store, 1, &moves, err));
	FAILS(-EOPNOTSUPP, cow_store_settle(&store, 0, err));
	FAILS(-EOPNOTSUPP, cow_store_keep(&store, &chunk, 1, err));
	FAILS(-EOPNOTSUPP, cow_store_unused_from(&store, &chunk, err));
	FAILS(-EOPNOTSUPP, cow_store_label_read(&store, raw, err));
	FAILS(-EOPNOTSUPP, cow_store_label_write(&store, raw, err));
	FAILS(-EOPNOTSUPP, cow_store_swap(&store, 0, 1, true, err));
	FAILS(-EOPNOTSUPP, cow_store_snapshot_next(&store, 0, &chunk, err));
	FAILS(-EOPNOTSUPP, cow_store_snapshot_create(&store, 0, 512, &chunk, err));
	FAILS(-EOPNOTSUPP, cow_store_snapshot_delete(&store, 0, err));
	FAILS(-EOPNOTSUPP, cow_store_snapshot_map(&store, 0, 0, &run, err));
	CHECK(!cow_store_has_label(&store));
	/* these are not missed */
	OK(cow_store_tidy(&store, err));
	OK(cow_store_unchanged(&store, err));
	CHECK(!cow_store_metadata_range(&store, 0, &range));
	cow_store_rewind(&store);
	OK(cow_store_unshare(&store, 0, 512, err));
	/* each job by itself */
	OK(cow_store_allows(&store, 0, err));
	for (uint32_t job = 1; job <= STORE_JOBS_ALL; job *= 2)
		FAILS(-EOPNOTSUPP, cow_store_allows(&store, job, err));
}

static void a_store_of_one_snapshot_is_not_opened_twice(void)
{
	struct cow_store other = { .ops = &nothing_ops }, *store;
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.kind = "persistent";
	args.sibling = &other;
	FAILS(-EOPNOTSUPP, cow_store_open(&args, &store, err));
}

static void geometry_that_nobody_knows_is_refused(void)
{
	const struct cow_geometry colour = { "colour", "red" };
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	struct cow_role_image role = { COW_ROLE_COW, 0, NULL };
	uint64_t bytes;

	OK(cow_image_memory_new(1 << 20, &role.image, err));
	params.geometry = &colour;
	params.nr_geometry = 1;
	FAILS(-EINVAL, cow_create_size(&params, &bytes, err));
	FAILS(-EINVAL, cow_create(role.image, &params, err));
	params.nr_geometry = 0;
	FAILS(-EINVAL, cow_create(NULL, &params, err));
	/* the same image, named by its role */
	params.images = &role;
	params.nr_images = 1;
	OK(cow_create(NULL, &params, err));
	cow_image_close(role.image);
}

int main(void)
{
	RUN(what_a_kind_has_not_is_said_in_words);
	RUN(a_store_of_one_snapshot_is_not_opened_twice);
	RUN(geometry_that_nobody_knows_is_refused);
	return test_end();
}

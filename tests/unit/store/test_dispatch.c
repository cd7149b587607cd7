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
	CHECK(!cow_store_has_label(&store));
	/* these are not missed */
	OK(cow_store_tidy(&store, err));
	OK(cow_store_unchanged(&store, err));
	CHECK(!cow_store_metadata_range(&store, 0, &range));
	cow_store_rewind(&store);
}

int main(void)
{
	RUN(what_a_kind_has_not_is_said_in_words);
	return test_end();
}

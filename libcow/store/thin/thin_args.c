/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_args.c - what the caller says of a pool and a device, as text.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/thin/thin_store.h"

static int number_read(const struct cow_store_args *args, const char *key, uint64_t largest,
		       uint64_t *ret_number, bool *ret_is_given, struct cow_err *err)
{
	const char *text = cow_store_args_value(args, key);
	uint64_t number = 0;

	*ret_is_given = text;
	*ret_number = 0;
	if (!text)
		return 0;
	for (const char *at = text; *at; at++)
		if (*at < '0' || *at > '9' || mul_overflows(number, 10, &number) ||
		    add_overflows(number, (uint64_t)(*at - '0'), &number))
			return cow_fail(err, -EINVAL, "%s=%.40s is not a number", key, text);
	if (!*text || number > largest)
		return cow_fail(err, -EINVAL, "%s=%.40s is not a number from 0 to %" PRIu64, key,
				text, largest);
	*ret_number = number;
	return 0;
}

static int size_read(const struct cow_store_args *args, struct thin_args *thin, struct cow_err *err)
{
	const char *text = cow_store_args_value(args, THIN_KEY_SIZE);
	int ret = 0;

	if (!text)
		return 0;
	ret = cow_size_parse(text, &thin->size_bytes, err);
	if (ret)
		return ret;
	if (thin->size_bytes >= COW_SECTOR_BYTES && thin->size_bytes % COW_SECTOR_BYTES == 0 &&
	    thin->size_bytes <= COW_IMAGE_BYTES_MAX)
		return 0;
	return cow_fail(err, -EINVAL, "size=%.40s is not a whole number of sectors of 512 bytes",
			text);
}

static int held_read(const struct cow_store_args *args, struct thin_args *thin, struct cow_err *err)
{
	const char *text = cow_store_args_value(args, THIN_KEY_HELD);

	if (!text || !strcmp(text, "no"))
		return 0;
	thin->is_held = !strcmp(text, "yes");
	if (thin->is_held)
		return 0;
	return cow_fail(err, -EINVAL, "%s=%.40s: yes or no", THIN_KEY_HELD, text);
}

static int id_read(const struct cow_store_args *args, struct thin_args *thin, struct cow_err *err)
{
	int ret = number_read(args, THIN_KEY_ID, THIN_ID_MAX, &thin->id, &thin->has_id, err);

	if (ret || thin->has_id || args->snapshot_id == STORE_SNAPSHOT_NONE)
		return ret;
	if (args->snapshot_id > THIN_ID_MAX)
		return cow_fail(err, -EINVAL, "%" PRIu64 " is no id of a thin device",
				args->snapshot_id);
	thin->id = args->snapshot_id;
	thin->has_id = true;
	return 0;
}

int cow_thin_args_read(const struct cow_store_args *args, struct thin_args *ret_args,
		       struct cow_err *err)
{
	static const char *const keys[] = { THIN_KEY_ID,	  THIN_KEY_SIZE,
					    THIN_KEY_HELD,	  THIN_KEY_BLOCK,
					    THIN_KEY_TRANSACTION, THIN_KEY_VOLUMES,
					    THIN_KEY_PENDING,	  THIN_KEY_MERGING,
					    THIN_KEY_PARENT,	  NULL };
	bool has_block;
	int ret;

	*ret_args = (struct thin_args){ .has_id = false };
	ret = cow_store_args_check_keys(args, keys, err);
	if (!ret)
		ret = id_read(args, ret_args, err);
	if (!ret)
		ret = size_read(args, ret_args, err);
	if (!ret)
		ret = held_read(args, ret_args, err);
	if (!ret)
		ret = number_read(args, THIN_KEY_BLOCK, THIN_BLOCK_SECTORS_MAX,
				  &ret_args->block_sectors, &has_block, err);
	if (!ret)
		ret = number_read(args, THIN_KEY_TRANSACTION, UINT64_MAX, &ret_args->transaction_id,
				  &ret_args->has_transaction, err);
	ret_args->is_pending = cow_store_args_value(args, THIN_KEY_PENDING);
	ret_args->is_merging = cow_store_args_value(args, THIN_KEY_MERGING);
	ret_args->volumes = cow_store_args_value(args, THIN_KEY_VOLUMES);
	return ret;
}

bool cow_thin_volumes_next(const char **at, uint64_t *ret_id)
{
	uint64_t id = 0;

	while (**at && (**at < '0' || **at > '9'))
		++*at;
	if (!**at)
		return false;
	for (; **at >= '0' && **at <= '9' && id <= THIN_ID_MAX; ++*at)
		id = id * 10 + (uint64_t)(**at - '0');
	*ret_id = id;
	return true;
}

struct cow_image *cow_thin_args_metadata(const struct cow_store_args *args)
{
	struct cow_image *metadata = cow_store_args_image(args, COW_ROLE_METADATA, 0);

	return metadata ? metadata : cow_store_args_image(args, COW_ROLE_COW, 0);
}

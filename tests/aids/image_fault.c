/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/image_fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/passthrough.h"
#include "tests/aids/test.h"

struct image_fault {
	struct passthrough pass; /* first */
	struct fault_plan *plan;
};

static struct fault_plan *plan_of(struct cow_image *image)
{
	return ((struct image_fault *)image)->plan;
}

static bool plan_fails(struct fault_plan *plan, uint32_t kind)
{
	if (!(plan->kinds & kind))
		return false;
	plan->nr_ops++;
	if (!plan->nth || plan->nr_ops < plan->nth)
		return false;
	if (plan->nr_ops > plan->nth && !plan->for_ever)
		return false;
	plan->nr_faults++;
	return true;
}

static int plan_error(struct fault_plan *plan, const char *what, uint64_t offset_bytes,
		      struct cow_err *err)
{
	return cow_fail(err, plan->error ? plan->error : -EIO,
			"planned fault: %s at byte %" PRIu64 ", operation %" PRIu64, what,
			offset_bytes, plan->nr_ops);
}

/* buf NULL: zeros. */
static void sector_write(struct cow_image *lower, const uint8_t *buf, uint64_t offset_bytes,
			 uint64_t len_bytes)
{
	int ret;

	if (buf)
		ret = cow_image_pwrite(lower, buf, len_bytes, offset_bytes, NULL);
	else
		ret = cow_image_write_zeroes(lower, offset_bytes, len_bytes, NULL);
	if (ret)
		abort();
}

static void tear(struct cow_image *image, const uint8_t *buf, uint64_t offset_bytes,
		 uint64_t len_bytes)
{
	struct fault_plan *plan = plan_of(image);
	uint64_t nr_sectors =
		div_ceil(offset_bytes % COW_SECTOR_BYTES + len_bytes, COW_SECTOR_BYTES);
	uint64_t prefix = test_random(&plan->random) % (nr_sectors + 1);

	if (plan->torn == FAULT_TORN_NOTHING)
		return;
	for (uint64_t i = 0; i < nr_sectors; i++) {
		uint64_t piece =
			min_u64(len_bytes, COW_SECTOR_BYTES - offset_bytes % COW_SECTOR_BYTES);
		bool subset = plan->torn == FAULT_TORN_SUBSET && (test_random(&plan->random) & 1);

		if (plan->torn == FAULT_TORN_ALL || subset ||
		    (plan->torn == FAULT_TORN_PREFIX && i < prefix))
			sector_write(passthrough_lower(image), buf, offset_bytes, piece);
		if (buf)
			buf += piece;
		offset_bytes += piece;
		len_bytes -= piece;
	}
}

static int fault_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		       struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_READ))
		return plan_error(plan_of(image), "read", offset_bytes, err);
	return passthrough_pread(image, buf, len_bytes, offset_bytes, err);
}

static int fault_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			uint64_t offset_bytes, struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_WRITE)) {
		tear(image, (const uint8_t *)buf, offset_bytes, len_bytes);
		return plan_error(plan_of(image), "write", offset_bytes, err);
	}
	return cow_image_pwrite(passthrough_lower(image), buf, len_bytes, offset_bytes, err);
}

static int fault_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			      struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_ZERO)) {
		tear(image, NULL, offset_bytes, len_bytes);
		return plan_error(plan_of(image), "write of zeros", offset_bytes, err);
	}
	return cow_image_write_zeroes(passthrough_lower(image), offset_bytes, len_bytes, err);
}

static int fault_clone_range(struct cow_image *image, uint64_t offset_bytes,
			     struct cow_image *source, uint64_t source_offset_bytes,
			     uint64_t len_bytes, struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_CLONE))
		return plan_error(plan_of(image), "clone", offset_bytes, err);
	return cow_image_clone_range(passthrough_lower(image), offset_bytes, source,
				     source_offset_bytes, len_bytes, err);
}

static int fault_next_data(struct cow_image *image, uint64_t offset_bytes,
			   uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_NEXT_DATA))
		return plan_error(plan_of(image), "search for data", offset_bytes, err);
	return passthrough_next_data(image, offset_bytes, ret_offset_bytes, ret_len_bytes, err);
}

static int fault_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			 struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_DISCARD))
		return plan_error(plan_of(image), "discard", offset_bytes, err);
	return cow_image_discard(passthrough_lower(image), offset_bytes, len_bytes, err);
}

static int fault_flush(struct cow_image *image, struct cow_err *err)
{
	if (plan_fails(plan_of(image), FAULT_FLUSH))
		return plan_error(plan_of(image), "flush", 0, err);
	return cow_image_flush(passthrough_lower(image), err);
}

static const struct image_ops fault_ops = {
	.name = "fault",
	.pread = fault_pread,
	.pwrite = fault_pwrite,
	.pwritev = passthrough_pwritev,
	.write_zeroes = fault_write_zeroes,
	.clone_range = fault_clone_range,
	.next_data = fault_next_data,
	.discard = fault_discard,
	.flush = fault_flush,
	.drop_cache = passthrough_drop_cache,
};

int fault_new(struct cow_image *lower, struct fault_plan *plan, struct cow_image **ret_image,
	      struct cow_err *err)
{
	struct image_fault *fault = (struct image_fault *)calloc(1, sizeof(*fault));
	int ret = passthrough_init(fault ? &fault->pass : NULL, &fault_ops, lower, err);

	if (ret) {
		free(fault);
		return ret;
	}
	fault->plan = plan;
	*ret_image = &fault->pass.image;
	return 0;
}

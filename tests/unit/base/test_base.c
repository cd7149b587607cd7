/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The ground floor: errors, bytes, arithmetic, units, sizes, digests. */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/cleanup.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"

static void fail_writes_the_sentence_and_the_usual_id(void)
{
	struct cow_err why = COW_ERR_INIT;

	CHECK_EQ(-cow_fail(&why, -EIO, "read at byte %d", 7), EIO);
	CHECK_EQ(-why.code, EIO);
	CHECK(!strcmp(why.message, "read at byte 7") && !strcmp(why.id, "io"));
	CHECK(!why.force[0] && !why.image[0] && why.offset_bytes == COW_OFFSET_NONE);
	CHECK_EQ(-cow_fail(&why, -ENOTDIR, "x"), ENOTDIR);
	CHECK(!strcmp(why.id, "system"));
	CHECK_EQ(-cow_refuse(&why, -EBUSY, "mounted", "busy", "x"), EBUSY);
	CHECK(!strcmp(why.id, "mounted") && !strcmp(why.force, "busy"));
	CHECK_EQ(-cow_fail(NULL, -EIO, "x"), EIO);
}

static void place_keeps_what_a_lower_layer_said(void)
{
	struct cow_err why = COW_ERR_INIT;

	CHECK(cow_fail(&why, -EIO, "x") == -EIO);
	cow_err_place(&why, "lower.img", 5);
	cow_err_place(&why, "upper.img", 6);
	CHECK(!strcmp(why.image, "lower.img") && why.offset_bytes == 5);
	cow_err_place(NULL, "x", 0);
}

static void prefix_never_overflows(void)
{
	struct cow_err why = COW_ERR_INIT;
	char longest[2 * COW_ERR_MESSAGE_BYTES];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK(cow_fail(&why, -EIO, "%s", "short") == -EIO);
	cow_err_prefix(&why, "area %d", 3);
	CHECK(!strcmp(why.message, "area 3: short"));
	CHECK(cow_fail(&why, -EIO, "%s", longest) == -EIO);
	CHECK_EQ(strlen(why.message), COW_ERR_MESSAGE_BYTES - 1);
	cow_err_prefix(&why, "%s", longest);
	CHECK_EQ(strlen(why.message), COW_ERR_MESSAGE_BYTES - 1);
	cow_err_prefix(NULL, "x");
}

static void array_that_cannot_grow_stays_as_it_is(void)
{
	size_t capacity = 0;
	uint32_t *array = cow_array_grow(NULL, 0, &capacity, sizeof(*array));

	CHECK(array && capacity == 64);
	CHECK(cow_array_grow(array, capacity - 1, &capacity, sizeof(*array)) == array);
	/* A size that does not fit in a size_t is no memory, not a small piece of it. */
	for (size_t huge = SIZE_MAX; huge > SIZE_MAX / 8; huge = huge / 8 * 7) {
		size_t wrong = huge;

		CHECK(!cow_array_grow(NULL, huge, &wrong, sizeof(*array)) && wrong == huge);
	}
	CHECK(!cow_array_grow(array, capacity, &capacity, SIZE_MAX / capacity));
	CHECK_EQ(capacity, 64);
	array[capacity - 1] = 7;
	array = cow_array_grow(array, capacity, &capacity, sizeof(*array));
	CHECK(array && capacity > 64 && array[63] == 7);
	free(array);
}

/* regression: a size of memory computed in 64 bits fits, and is then cut off. */
static void memory_has_the_width_of_a_pointer(void)
{
	size_t bytes = 0;

	CHECK(!memory_overflows(3, 8, 5, &bytes) && bytes == 29);
	CHECK_EQ(memory_overflows(UINT64_C(1) << 32, 1, 0, &bytes), sizeof(size_t) == 4);
	CHECK(memory_overflows(SIZE_MAX / 8 + 1, 8, 0, &bytes));
	CHECK(memory_overflows(SIZE_MAX / 8, 8, 8, &bytes));
	CHECK(memory_overflows(UINT64_MAX, 2, 0, &bytes));
}

static void numbers_are_little_endian_at_any_place(void)
{
	uint8_t raw[12] = { 0 };

	put_le64(raw + 1, UINT64_C(0x0807060504030201));
	for (uint8_t i = 0; i < 8; i++)
		CHECK_EQ(raw[1 + i], i + 1);
	CHECK_EQ(get_le64(raw + 1), UINT64_C(0x0807060504030201));
	CHECK_EQ(get_le32(raw + 3), 0x06050403);
	CHECK_EQ(get_le16(raw + 3), 0x0403);
	put_le32(raw + 2, 0xaabbccdd);
	put_le16(raw + 7, 0xeeff);
	CHECK(raw[2] == 0xdd && raw[5] == 0xaa && raw[7] == 0xff && raw[8] == 0xee);
}

static void all_zero_sees_every_byte(void)
{
	uint8_t raw[80] = { 0 };

	CHECK(is_all_zero(raw, 0));
	for (size_t first = 0; first < 10; first++)
		for (size_t len = 1; len <= 64; len++)
			for (size_t at = first; at < first + len; at++) {
				raw[first + len] = 1;
				CHECK(is_all_zero(raw + first, len));
				raw[first + len] = 0;
				raw[at] = 0x80;
				CHECK(!is_all_zero(raw + first, len));
				raw[at] = 0;
			}
}

static void arithmetic_tells_what_does_not_fit(void)
{
	uint64_t ret;

	CHECK(!add_overflows(UINT64_MAX - 1, 1, &ret) && ret == UINT64_MAX);
	CHECK(add_overflows(UINT64_MAX, 1, &ret));
	CHECK(mul_overflows(UINT64_C(1) << 32, UINT64_C(1) << 32, &ret));
	CHECK(!mul_overflows(UINT64_C(1) << 32, UINT64_C(1) << 31, &ret));
	CHECK(!align_up_overflows(513, 512, &ret) && ret == 1024);
	CHECK(!align_up_overflows(512, 512, &ret) && ret == 512);
	CHECK(!align_up_overflows(1537, 1536, &ret) && ret == 3072);
	CHECK(chunk_of(3071, 1536) == 1 && chunk_within(3071, 1536) == 1535);
	CHECK(chunk_of(4097, 4096) == 1 && chunk_within(4097, 4096) == 1);
	CHECK(chunk_to_bytes(3, 1536) == 4608);
	CHECK(chunk_to_bytes(UINT64_C(1) << 54, UINT64_C(1) << 30) == UINT64_MAX);
	CHECK(align_up_overflows(UINT64_MAX - 1, 512, &ret));
	CHECK(range_fits(0, 0, 0) && range_fits(5, 5, 10));
	CHECK(!range_fits(5, 6, 10) && !range_fits(11, 0, 10) && !range_fits(9, UINT64_MAX, 10));
	CHECK(ranges_overlap(0, 2, 1, 1) && !ranges_overlap(0, 1, 1, 1));
	CHECK(!ranges_overlap(0, 0, 0, 1) && ranges_overlap(5, 1, 0, 10));
}

static void units_convert(void)
{
	uint64_t ret;

	CHECK_EQ(sectors_to_bytes(3), 1536);
	CHECK(sectors_to_bytes_overflows(UINT64_C(1) << 55, &ret));
	CHECK(!sectors_to_bytes_overflows((UINT64_C(1) << 55) - 1, &ret));
	CHECK_EQ(bytes_to_sectors(1535), 2);
	CHECK_EQ(floor_to(1535, 512), 1024);
	CHECK(div_ceil(0, 8) == 0 && div_ceil(1, 8) == 1 && div_ceil(8, 8) == 1);
	CHECK_EQ(div_ceil(UINT64_MAX, 2), UINT64_C(1) << 63);
	CHECK(is_pow2(1) && is_pow2(UINT64_C(1) << 63) && !is_pow2(0) && !is_pow2(6));
	CHECK_EQ(log2_exact(4096), 12);
}

static uint64_t parsed(const char *text)
{
	uint64_t bytes = 1;

	OK(cow_size_parse(text, &bytes, err));
	return bytes;
}

static void sizes_are_read_as_documented(void)
{
	CHECK_EQ(parsed("0"), 0);
	CHECK_EQ(parsed("512"), 512);
	CHECK_EQ(parsed("007"), 7);
	CHECK_EQ(parsed("8s"), 4096);
	CHECK(parsed("4k") == 4096 && parsed("4K") == 4096 && parsed("4KiB") == 4096);
	CHECK(parsed("1m") == 1 << 20 && parsed("1M") == 1 << 20 && parsed("1MiB") == 1 << 20);
	CHECK(parsed("3g") == UINT64_C(3) << 30 && parsed("3GiB") == UINT64_C(3) << 30);
	CHECK(parsed("16t") == UINT64_C(16) << 40 && parsed("16TiB") == UINT64_C(16) << 40);
	CHECK(parsed("2p") == UINT64_C(2) << 50 && parsed("2PiB") == UINT64_C(2) << 50);
	CHECK_EQ(parsed("1.00m"), 1 << 20);
	CHECK_EQ(parsed("1.5k"), 1536);
	CHECK_EQ(parsed("0.5s"), 256);
	CHECK_EQ(parsed("12.0"), 12);
	CHECK_EQ(parsed("1.0009765625k"), 1025);
	CHECK_EQ(parsed("1.000000000000000000000000000000m"), 1 << 20);
	CHECK_EQ(parsed("9223372036854775296"), COW_IMAGE_BYTES_MAX);
}

/* fraction / 10^digits of a unit by long multiplication, a decimal digit at a
 * time; false: no whole number. */
static bool fraction_naive(const char *fraction, unsigned int shift, uint64_t *ret_bytes)
{
	unsigned int nr = (unsigned int)strlen(fraction), digits[20] = { 0 };
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < nr; i++)
		digits[i] = (unsigned int)(fraction[i] - '0');
	for (unsigned int k = 0; k < shift; k++) {
		unsigned int carry = 0;

		for (unsigned int i = nr; i-- > 0;) {
			unsigned int doubled = 2 * digits[i] + carry;

			digits[i] = doubled % 10;
			carry = doubled / 10;
		}
		bytes = 2 * bytes + carry;
	}
	*ret_bytes = bytes;
	for (unsigned int i = 0; i < nr; i++)
		if (digits[i])
			return false;
	return true;
}

static void fractions_are_exact_or_refused(void)
{
	static const char units[] = "kmgtp";
	uint64_t random = test_seed(), nr_exact = 0;

	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int unit = (unsigned int)(test_random(&random) % 5),
			     shift = 10 * (unit + 1);
		uint64_t parts = test_random(&random) >> (64 - 1 - test_random(&random) % shift);
		char text[64], fraction[24];
		uint64_t expected, bytes;
		bool is_exact;

		/* Half of them are whole: so many bytes in decimal. */
		if (n % 2 && shift <= 20)
			snprintf(text, sizeof(text), "%.*f", (int)(shift < 18 ? shift : 18),
				 (double)(parts % (UINT64_C(1) << shift)) /
					 (double)(UINT64_C(1) << shift));
		else
			snprintf(text, sizeof(text), "0.%" PRIu64, test_random(&random) % 1000000);
		snprintf(fraction, sizeof(fraction), "%.20s", text + 2);
		snprintf(text, sizeof(text), "3.%s%c", fraction, units[unit]);
		is_exact = fraction_naive(fraction, shift, &expected);
		nr_exact += is_exact;
		if (!is_exact) {
			FAILS(-EINVAL, cow_size_parse(text, &bytes, err));
			continue;
		}
		OK(cow_size_parse(text, &bytes, err));
		CHECK_EQ(bytes, (UINT64_C(3) << shift) + expected);
	}
	CHECK(nr_exact > 1000 && nr_exact < 19000);
}

static void other_sizes_are_refused(void)
{
	static const char *const bad[] = {
		"",	" 1",	 "1 ",	   "-1",   "+1",
		"0x10", "k",	 "1kk",	   "1e",   "1S",
		"1b",	"1.",	 ".5k",	   "1.k",  "1,5k",
		"1.5",	"1Ki",	 "1KIB",   "1MB",  "1kB",
		"1PB",	"1.33g", "1.5.5k", "0.1s", "1.0000000000000000001k",
	};
	static const char *const large[] = {
		"9223372036854775297", "8192p", "18446744073709551616", "99999999999999999999999k",
		"18014398509481984s",
	};
	uint64_t bytes = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		FAILS(-EINVAL, cow_size_parse(bad[i], &bytes, err));
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		FAILS(-ERANGE, cow_size_parse(large[i], &bytes, err));
	CHECK_EQ(bytes, 77);
}

static void decimal_unit_is_refused_with_the_hint(void)
{
	struct cow_err why = COW_ERR_INIT;
	uint64_t bytes;

	CHECK(cow_size_parse("5MB", &bytes, &why) == -EINVAL);
	CHECK(strstr(why.message, "MiB") && strstr(why.message, "5MB"));
	CHECK(cow_size_parse("5kB", &bytes, &why) == -EINVAL && strstr(why.message, "KiB"));
}

static void digest_is_xxh3_and_does_not_depend_on_pieces(void)
{
	static const uint8_t empty[COW_DIGEST_BYTES] = {
		0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
		0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f,
	};
	uint8_t data[5000], whole[COW_DIGEST_BYTES], pieces[COW_DIGEST_BYTES];
	uint64_t random = test_seed();
	struct cow_digest *digest = NULL;

	cow_digest_of("", 0, whole);
	CHECK(!memcmp(whole, empty, sizeof(empty)));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)test_random(&random);
	cow_digest_of(data, sizeof(data), whole);
	OK(cow_digest_new(&digest, err));
	for (size_t at = 0, len; at < sizeof(data); at += len) {
		len = min_u64(sizeof(data) - at, test_random(&random) % 700);
		cow_digest_update(digest, data + at, len);
	}
	cow_digest_final(digest, pieces);
	cow_digest_free(digest);
	CHECK(!memcmp(whole, pieces, sizeof(whole)));
}

int main(void)
{
	RUN(fail_writes_the_sentence_and_the_usual_id);
	RUN(place_keeps_what_a_lower_layer_said);
	RUN(prefix_never_overflows);
	RUN(array_that_cannot_grow_stays_as_it_is);
	RUN(memory_has_the_width_of_a_pointer);
	RUN(numbers_are_little_endian_at_any_place);
	RUN(all_zero_sees_every_byte);
	RUN(arithmetic_tells_what_does_not_fit);
	RUN(units_convert);
	RUN(sizes_are_read_as_documented);
	RUN(fractions_are_exact_or_refused);
	RUN(other_sizes_are_refused);
	RUN(decimal_unit_is_refused_with_the_hint);
	RUN(digest_is_xxh3_and_does_not_depend_on_pieces);
	return test_end();
}

#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcreate: an empty store, in a new file or over something.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 1M base.img
}

# The 16 bytes of a header for chunks of so many sectors.
header() {
	python3 -c 'import struct, sys; sys.stdout.write(struct.pack("<4sIII", b"SnAp", 1, 1, int(sys.argv[1])).hex())' "$1"
}

first_bytes() {
	head -c 16 "$1" | od -An -tx1 | tr -d ' \n'
}

@test "the store is what the format says: header, zeros, nothing else" {
	run -0 --separate-stderr snapcreate base.img cow.img
	[ -z "$output" ]
	[ "$(first_bytes cow.img)" = "$(header 8)" ]
	[ "$(tail -c +17 cow.img | tr -d '\0' | wc -c)" -eq 0 ]
	run -0 snapcheck -v base.img cow.img
	[[ $output == *"dmsetup status: 16/$(($(stat -c %s cow.img) / 512)) 16 "* ]]
}

# bats test_tags=long
@test "the default size holds a wholly rewritten origin: n + 2 + floor(n/E) chunks" {
	while read -r origin chunk chunks; do
		truncate -s "$origin" o.img
		rm -f c.img
		snapcreate -c "$chunk" o.img c.img
		[ "$(stat -c %s c.img)" -eq $((chunks * chunk)) ]
		[ "$(first_bytes c.img)" = "$(header $((chunk / 512)))" ]
	done <<-END
		1048576 4096 259
		1044480 4096 257
		1049088 4096 260
		512 4096 3
		16384 512 35
		15872 512 33
		67108864 1048576 66
	END
}

# bats test_tags=slow
@test "every chunk size from 512 to 1G, and no other" {
	for shift in 9 10 15 20 25 30; do
		rm -f c.img
		run -0 snapcreate -c $((1 << shift)) base.img c.img
		[ "$(first_bytes c.img)" = "$(header $((1 << (shift - 9))))" ]
	done
	for size in 0 256 513 1536 2G; do
		run -16 --separate-stderr snapcreate -c $size base.img d.img
		one_sentence
		[ ! -e d.img ]
	done
}

@test "a size at which the kernel would invalidate the store is never made" {
	run -0 --separate-stderr snapcreate -s $((258 * 4096)) base.img cow.img
	[ "$(stat -c %s cow.img)" -eq $((257 * 4096)) ]
	[[ $stderr == *"the kernel would invalidate the store before it is full"* ]]
	snapcreate -q -s $((259 * 4096)) base.img cow2.img
	[ "$(stat -c %s cow2.img)" -eq $((259 * 4096)) ]
}

@test "fewer than three chunks are no store" {
	run -64 --separate-stderr snapcreate -s 8K base.img cow.img
	one_sentence
	[ ! -e cow.img ]
}

@test "an existing file needs --force=overwrite and keeps its size" {
	head -c 100K /dev/urandom >cow.img
	before=$(sum cow.img)
	run -64 --separate-stderr snapcreate base.img cow.img
	one_sentence
	[[ $stderr == *"--force=overwrite" ]]
	[ "$(sum cow.img)" = "$before" ]
	run -0 snapcreate --force=overwrite base.img cow.img
	[ "$(stat -c %s cow.img)" -eq 102400 ]
	run -0 snapcheck base.img cow.img
	run -64 --separate-stderr snapcreate --force=overwrite -s 1M base.img cow.img
	one_sentence
}

@test "a store over an old one is empty" {
	pair both-c32
	run -0 snapcreate --force=overwrite -c 16K origin.img cow.img
	run -0 snapdump --map origin.img cow.img
	[[ $output == *"# complete: 0 ranges, 0 bytes" ]]
	[ "$(snapdump --raw origin.img cow.img | sha256sum)" = "$(sha256sum <origin.img)" ]
}

@test "a dry run writes nothing" {
	run -0 --separate-stderr snapcreate -n base.img cow.img
	[ ! -e cow.img ]
	[[ $stderr == *"nothing was written"* ]]
	head -c 100K /dev/urandom >old.img
	before=$(sum old.img)
	run -0 snapcreate -n --force=overwrite base.img old.img
	[ "$(sum old.img)" = "$before" ]
}

@test "preallocation: none, reserved, written" {
	snapcreate -q base.img off.img
	snapcreate -q --preallocate=falloc base.img falloc.img
	snapcreate -q --preallocate=full base.img full.img
	[ "$(du -k off.img | cut -f1)" -lt 100 ]
	[ "$(du -k falloc.img | cut -f1)" -ge 1000 ]
	[ "$(du -k full.img | cut -f1)" -ge 1000 ]
	cmp off.img full.img
	cmp off.img falloc.img
}

# bats test_tags=long
@test "the sizes are in the JSON object, and what to type next" {
	run -0 --separate-stderr snapcreate --json base.img 'my cow.img'
	echo "$output" >j
	[ "$(member j 'j["cow_bytes"], j["origin_bytes"], j["chunk_bytes"]')" = "(1060864, 1048576, 4096)" ]
	[ "$(member j 'j["next"]')" = "['snapcheck', 'base.img', 'my cow.img']" ]
	[[ $stderr == *"next: snapcheck base.img 'my cow.img'"* ]]
}

@test "a file that ends within a sector is that much shorter, and that is said" {
	cp base.img odd.img
	printf '%360s' x >>odd.img
	run -0 --separate-stderr snapcreate --from=odd.img base.img cow.img
	[[ $stderr == *"odd.img has 1048936 bytes: the last 360 are no whole sector, and are left out"* ]]
	[[ $stderr != *"base.img has"* ]]
	run -0 --separate-stderr snapdump --raw -o raw.img odd.img
	[[ $stderr == *"the last 360 are"* ]]
	cmp raw.img base.img
	run -0 --separate-stderr snapcheck odd.img cow.img
	[[ $stderr == *"the last 360 are"* ]]
}

@test "a full disk leaves no half-made file" {
	run --separate-stderr bash -c 'ulimit -f 100; snapcreate --preallocate=full base.img cow.img'
	[ "$status" -eq 8 ]
	one_sentence
	[ ! -e cow.img ]
	[ -z "$(find . -name '*cow*')" ]
}

@test "what is no origin is refused in one sentence, and nothing is made" {
	mkdir dir
	mkfifo fifo
	: >empty
	for origin in dir fifo /dev/null; do
		run -64 --separate-stderr timeout 10 snapcreate "$origin" cow.img
		one_sentence
		[[ $stderr != *"(cannot be forced)" ]]
	done
	run -8 --separate-stderr snapcreate missing cow.img
	one_sentence
	run --separate-stderr snapcreate empty cow.img
	[ "$status" -ne 0 ]
	one_sentence
	[ ! -e cow.img ]
}

@test "origin and COW cannot be the same bytes" {
	ln -s base.img link.img
	ln base.img hard.img
	before=$(sum base.img)
	for cow in base.img link.img hard.img ./base.img base.img@0+512K; do
		run -64 --separate-stderr snapcreate --force=overwrite base.img "$cow"
		one_sentence
		[[ $stderr == *"(cannot be forced)" ]]
	done
	[ "$(sum base.img)" = "$before" ]
	run -0 snapcreate --force=overwrite base.img@0+512K base.img@512K+512K
	run -0 snapcheck base.img@0+512K base.img@512K+512K
}

#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The metadata of clones that a kernel made or judged, alone: what snapcheck says of it. The library's own test
# (test_clone) compares all of them with the kernel's answers.
bats_require_minimum_version 1.8.0

load ../../common
unpack() {
	xz -dc "$COW_FIXTURES/clone/$1.img.xz" >"$BATS_TEST_TMPDIR/meta"
}

@test "a sound clone: regions, status numbers, exit status 0" {
	unpack half-r8/meta
	run -0 --separate-stderr snapcheck "$BATS_TEST_TMPDIR/meta"
	[[ $output == *"clone of 8388608 bytes, regions of 4.0 KiB, 1064 of 2048 hydrated"* ]]
	[[ $output == *"used/total metadata in sectors: 48/2048"* ]]
	[[ $output == *"will the kernel load this store: yes"* ]]
	[ -z "$stderr" ]
}

@test "metadata that crashes a kernel is named before anybody loads it" {
	unpack damaged/m10-counted-3.meta
	run -4 --separate-stderr snapcheck --json "$BATS_TEST_TMPDIR/meta"
	[[ $output == *'"kernel_dies":"writing"'* ]]
	[[ $output == *'"id":"clone.count-without-entry"'* ]]
	unpack damaged/b08-root-empty.meta
	run -4 --separate-stderr snapcheck "$BATS_TEST_TMPDIR/meta"
	[[ $output == *"clone.node-empty"* ]]
	[[ $output == *"will the kernel load this store: no: Linux 6.1 crashes"* ]]
}

@test "a clone's metadata goes into a report, and is judged from it as it was" {
	unpack damaged/m20-superblock-free.meta
	cd "$BATS_TEST_TMPDIR"
	run -4 --separate-stderr snapcheck meta
	before=$output
	snapdump --metadata -o pack.tar.zst meta
	run -4 --separate-stderr snapcheck pack.tar.zst
	[ "${output//pack.tar.zst/meta}" = "$before" ]
}

@test "nothing is written to a clone's metadata by -y" {
	unpack damaged/m08-leaked.meta
	cp "$BATS_TEST_TMPDIR/meta" "$BATS_TEST_TMPDIR/before"
	run snapcheck -y "$BATS_TEST_TMPDIR/meta"
	cmp "$BATS_TEST_TMPDIR/meta" "$BATS_TEST_TMPDIR/before"
}

#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck and the label that a merge which was cut off has left in a store.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	store "size 600K\nheader\nauto 10 60\ndata 2 100\n"
	head -c 1M /dev/urandom >origin.img
	run env COW_SANDBOX=off FAULT_PLAN=w:3:kill:0 LD_PRELOAD="$COW_BUILD/tests/faults/shim.so" snapmerge -y origin.img cow.img
	[ "$status" = 137 ]
	has_label
}

has_label() {
	[ "$(dd if=cow.img bs=1 skip=16 count=8 status=none)" = COWLABEL ]
}

# As if the kernel had finished the merge, and the store had been used again: the list
# begins with another chunk.
use_again() {
	poke cow.img 4096 '\310'
}

# bats test_tags=limit,long
@test "a merge that was cut off is still known as one after its list was repaired" {
	# The first record goes, and the last one takes its place.
	poke cow.img 4104 '\xff\xff\xff'
	run -4 snapcheck -y --force=lost cow.img
	snapcreate -q -c 4K origin.img sib.img
	run -64 --separate-stderr snapmerge -y --json=j --sibling=sib.img origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = siblings ]
	run snapcheck origin.img cow.img
	[[ $output == *"a merge of"* ]]
}

# bats test_tags=limit,long
@test "a merge that is over is none by the header alone either, and the origin is looked at again" {
	run -0 snapcheck --header-only cow.img
	[[ $output == *"a merge of"* ]]
	run snapcheck --json=j origin.img cow.img
	[ "$(member j '"origin_fit" in j')" = False ]
	use_again
	run -0 snapcheck --header-only cow.img
	[[ $output != *"a merge of"* ]]
	run snapcheck --json=j origin.img cow.img
	[[ $output != *"a merge of"* ]]
	[ "$(member j '"origin_fit" in j')" = True ]
}

# bats test_tags=limit,long
@test "a merge that is over stays so when the list behind its first record is repaired" {
	use_again
	poke cow.img $((4096 + 16 * 20 + 8)) '\xff\xff\xff'
	run -4 snapcheck -y --force=lost cow.img
	has_label
	run snapcheck origin.img cow.img
	[[ $output != *"a merge of"* ]]
}

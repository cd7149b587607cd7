#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a repair says of data that is gone: exit status 4, the verdict, JSON.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# store TEXT: makes cow.img.
store() {
	rm -f cow.img
	# shellcheck disable=SC2059
	printf "$1" | "$COW_BUILD/tests/examples/mkstore" cow.img
}

@test "a list that was overwritten from its beginning is lost, and said to be" {
	store "size 1M\nheader\nauto 5 20\ndata 2 22\n"
	yes "words that are no records " | head -c 4096 | dd of=cow.img bs=4096 seek=1 conv=notrunc status=none
	run -4 snapcheck -y -o new.img --json=j cow.img
	[[ $output == *"data is gone with what was dropped"*"trustworthy: no"*"right: no"* ]]
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"], j["store"]["exceptions"]')" = "(True, 0, 0)" ]
	run -0 snapcheck -y new.img
}

@test "what the kernel reads of a run that nobody wrote does not stand for lost data" {
	truncate -s 400K origin.img
	store "size 40960\nheader\nrecord 20 0x0200000000000002\nrecord 30 3\nrecord 31 4\nrecord 32 5\nrecord 21 90000\ndata 2 4\n"
	run -4 snapcheck -y --force=lost --json=j origin.img cow.img
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"]')" = "(True, 0)" ]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads that really fail: a COW image on a disk with bad sectors (dm-error), in a
# kernel that has it (user-mode-linux), which then takes over what was left.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0
load ../common

@test "bad sectors of a disk are skipped one by one, and the kernel goes on with what was left" {
	cd "$BATS_TEST_TMPDIR"
	pair multiarea-c8
	echo "$COW_BUILD" >path
	bad_model draw map cow.img 8 12
	bad_model sectors cow.img map >bad
	for fill in origin zero; do bad_model view origin.img cow.img map $fill with-$fill.img; done
	bad_model kept origin.img cow.img map >kept
	bad_model list origin.img cow.img map >expected.list
	snapdump -q --raw -o whole.img origin.img cow.img
	python3 -B "$COW_SOURCE/tests/kernel/lab.py" "$PWD/boot" "$COW_SOURCE/tests/kernel/bad_sectors.sh" "$PWD"
	cat words
	[ "$(paste -sd' ' codes)" = "8 4 4 8 4" ]
	[ ! -e none.img ]
	cmp dump.img with-origin.img
	tar -xOf dump.tar view.img | cmp - with-zero.img
	cmp merged.img with-origin.img
	grep -v '^#' list | diff - expected.list
	[ "$(member merge.json 'j["merge"]["chunks_left"]')" = "$(wc -l <kept)" ]
	[[ $(cat loaded.txt) == "0 32768 snapshot "*/*" "* ]]
	cmp view.img whole.img
	cmp end.img whole.img
}

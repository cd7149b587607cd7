#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The benches still run: every row on small inputs, whatever the figures are.
# bats file_tags=slow, limit
bats_require_minimum_version 1.8.0

setup() {
	cd "$BATS_TEST_TMPDIR"
}

@test "every row of the bench runs, beside every program it names" {
	BENCH_DIR=$BATS_TEST_TMPDIR SMALL=1 ROUNDS=1 OUT=table run -0 python3 -B "$COW_SOURCE/tests/bench/bench.py"
	for row in 'merge 2048 random' 'merge 256 random' 'on xfs' 'on btrfs' 'check 10000' 'check 100000' \
		'qemu-img check' 'thin_check' 'check logs of 2001' 'export a tar' 'write out the view' 'store a difference' \
		'compare two images' 'export 200 files' 'the difference of 16 TiB' 'nbdcopy a view' 'random reads of 4 KiB' \
		'random writes of 4 KiB' 'delay of 2 ms' 'behind such a server'; do
		grep -q -e "$row" table
	done
	[ -z "$(find . -name 'bench.*')" ]
}

@test "the growth of time and memory is measured and drawn" {
	SMALL=1 run -0 python3 -B "$COW_SOURCE/tests/bench/grow.py" growth.svg
	[[ $output == *snapmerge*"16 TiB"* ]]
	python3 -c 'import sys, xml.dom.minidom; assert len(xml.dom.minidom.parse(sys.argv[1]).getElementsByTagName("polyline")) == 14' growth.svg
}

#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The exit status of all four tools: each bit, bits that add up, 64 and 16 that come
# alone, and the same number in the JSON object. house.bats compares the pages.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	pair both-c32
	cp --sparse=always cow.img bad.img
	# The kernel takes the top byte of a chunk number for a length.
	poke bad.img $((16384 + 16 * 3 + 14)) '\0377'
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# ends STATUS COMMAND...: as exit status and in the JSON object.
ends() {
	local wanted=$1
	shift
	rm -f j
	run "$1" --json=j "${@:2}" </dev/null
	[ "$status" = "$wanted" ] || { echo "$*: $status, not $wanted: $output"; return 1; }
	[ "$(member j 'j["exit"]')" = "$wanted" ] || { echo "$*: JSON: $(member j 'j["exit"]')"; return 1; }
	[ "$(member j 'j["done"]')" = "$([ $((wanted & ~5)) = 0 ] && echo True || echo False)" ]
}

# bats test_tags=long
@test "0: done, also where there is nothing to do" {
	ends 0 snapcreate origin.img new.img
	ends 0 snapcheck origin.img cow.img
	ends 0 snapcheck -y origin.img cow.img
	ends 0 snapcheck --is-empty origin.img new.img
	ends 0 snapdump --tar -o view.tar origin.img cow.img
	ends 0 snapcheck --verify=view.tar origin.img cow.img
	ends 0 snapmerge -y origin.img cow.img
	ends 0 snapmerge origin.img cow.img
}

@test "1 alone: all of the damage was repaired, and nothing is lost" {
	snapdump --raw origin.img cow.img >want
	poke cow.img 8 '\002'
	ends 1 snapcheck -y -o fixed.img origin.img cow.img
	snapdump --raw origin.img fixed.img | cmp - want
	ends 1 snapcheck -n -y origin.img cow.img
}

# bats test_tags=long
@test "4: damage is left, data is lost or doubtful, or the answer is no" {
	ends 4 snapcheck origin.img bad.img
	ends 4 snapcheck --is-empty origin.img cow.img
	snapdump -q --tar -o view.tar origin.img cow.img
	snapcreate -q origin.img new.img
	ends 4 snapcheck --verify=view.tar origin.img new.img
	# Which of two exceptions of a chunk is right?
	"$COW_BUILD/tests/examples/mkstore" bad.img <<<$'size 4M\nheader\nrecord 5 2\nrecord 5 3'
	ends 4 snapdump --raw --force=damaged -o out1 origin.img bad.img
	ends 4 snapmerge --force=damaged -o out2 origin.img bad.img
	ends 4 snapcreate --force=damaged --from-view=bad.img origin.img out3
}

@test "5: what could be was repaired, something is lost" {
	# One header field and one exception that leads nowhere.
	poke bad.img 8 '\002'
	ends 5 snapcheck -y -o fixed.img origin.img bad.img
	[ "$(member j 'j["repair"]["data_lost"]')" = True ]
}

@test "8: tried and failed, added to what is said besides" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		run -8 bash -c "$tool --help >/dev/full"
	done
	run -12 bash -c "snapcheck origin.img bad.img >/dev/full"
	poke cow.img 8 '\002'
	run -9 bash -c "snapcheck -y -o fixed.img origin.img cow.img >/dev/full"
	ends 8 snapmerge -y missing.img cow.img
}

# bats test_tags=long
@test "16 and 64 come alone, whatever else goes wrong" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		ends 16 "$tool" --bogus
		run -16 bash -c "$tool --json --bogus >/dev/full"
	done
	truncate -s 1M nothing
	ends 64 snapcheck nothing
	run -64 bash -c "snapcheck --json nothing >/dev/full"
	run -64 bash -c "snapmerge -y --json origin.img bad.img >/dev/full"
}

@test "32: interrupted" {
	run -32 strace -qq -o /dev/null -e inject=pwritev:signal=SIGINT:when=1 snapmerge -y --json=j --batch=1M origin.img cow.img
	[ "$(member j 'j["exit"]')" = 32 ]
}

# bats test_tags=long
@test "64 says that nothing was written: after the first write it is 8" {
	# The list of what was skipped finds its name taken by the image.
	ends 8 snapmerge --skip-unreadable -o same --bad-list=same origin.img cow.img
	[ "$(stat -c %s same)" = "$(stat -c %s origin.img)" ]
	# An export is found to be wrong when part of it lies on the device.
	snapdump -q --delta -o d.tar origin.img cow.img
	mkdir x
	tar -xf d.tar -C x
	poke x/delta.img 100 'changed'
	(cd x && tar -cSf ../changed.tar delta.json ranges.txt delta.img manifest.json)
	ends 64 snapcreate --import=changed.tar origin.img new
	[ ! -e new ]
	truncate -s 16M disk
	loop=$(losetup -f --show disk)
	ends 8 snapcreate --import=changed.tar origin.img "$loop"
	[ "$(member j 'j["error"]["id"]')" = delta ]
}

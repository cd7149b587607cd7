#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A source is rolled back to a snapshot of the driver of 2001. What it must be then
# says an independent reader (tests/aids/snaplog_text.py).
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# logs CASE: source.img, logN.img, view.img, spec and bare.
logs() {
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-$1/logs.txt"
	spec=$(cat spec)
}

# bits_are_zero FILE: the bitmap of a log with blocks of 1 KiB and one block of it.
bits_are_zero() {
	cmp <(head -c 1024 "$1") <(head -c 1024 /dev/zero)
}

# bats test_tags=long
@test "the source becomes what the snapshot showed, and the logs are empty" {
	for name in sound stale-map two-logs three-logs hole hole-many; do
		rm -f ./*.img
		logs "$name"
		for log in log*.img; do cp "$log" "was-$log"; done
		run -0 --separate-stderr snapmerge -y "$spec"
		cmp source.img view.img
		for log in log?.img; do
			bits_are_zero "$log"
			cmp <(tail -c +1025 "$log") <(tail -c +1025 "was-$log")
		done
		run -0 snapcheck --is-empty "$spec"
		run -0 snapmerge -y "$spec"
	done
	for name in sector-keys bytes short-last-block key-beyond-count; do
		rm -f ./*.img
		logs "$name"
		[ "$name" != key-beyond-count ] || snapcheck -q -y --force=lost "$spec" || [ $? = 1 ]
		snapmerge -q -y "$spec"
		cmp source.img view.img
	done
}

# bats test_tags=long
@test "what it says before, after, and in a dry run; without an answer nothing is written" {
	logs sound
	cat source.img log*.img >before
	run -0 --separate-stderr snapmerge -n "$spec"
	[[ $stderr == *"plan: write 35 chunks (35 KiB)"*"into source.img"* ]]
	[[ $stderr == *"the logs cannot record that a job is under way"* ]]
	[[ $stderr == *"nothing was written"* ]]
	run -64 --separate-stderr snapmerge "$spec" </dev/null
	[[ $stderr == *"-y"* ]]
	cat source.img log*.img | cmp - before
	run -0 --separate-stderr snapmerge -y --json=j "$spec"
	[[ $stderr == *"source.img is inconsistent until the merge finishes"* ]]
	[[ $stderr == *"source.img now is what the snapshot showed"* ]]
	[ "$(member j 'j["merge"]["chunks"]')" = 35 ]
	[ "$(member j 'j["plan"]["origin"]')" = source.img ]
}

@test "cut off by a signal, the same command finishes it" {
	logs sound
	run --separate-stderr timeout -s KILL 0.02 snapmerge -y --rate-limit=1k "$spec"
	snapmerge -q -y "$spec"
	cmp source.img view.img
}

@test "-o and --keep leave the logs alone; siblings stay true" {
	logs two-logs
	cat source.img log*.img >before
	snapmerge -q -o new.img "$spec"
	cmp new.img view.img
	cat source.img log*.img | cmp - before
	snapcreate -q source.img sibling.img
	cp source.img shown.img
	run -0 --separate-stderr snapmerge -y --keep --sibling=sibling.img "$spec"
	cmp source.img view.img
	cat log*.img | cmp - <(tail -c +102401 before)
	snapdump -q --raw -o again.img source.img sibling.img
	cmp again.img shown.img
}

# bats test_tags=long
@test "what has no sense here is refused by its name, and nothing is written" {
	logs sound
	cat source.img log*.img >before
	for option in --save-undo=u --take-back --discard --scrub --skip-unreadable --bad-blocks=m; do
		run -16 --separate-stderr snapmerge -y "$option" "$spec"
		[[ $stderr == *"${option%%=*}"* ]]
	done
	run -64 --separate-stderr snapmerge -y source.img "$spec"
	[[ $stderr == *"can only be read"* ]]
	run -64 --separate-stderr snapmerge -y "$(cat bare)"
	[[ $stderr == *"do not record their geometry"* ]]
	cat source.img log*.img | cmp - before
	[ ! -e u ]
}

# bats test_tags=long
@test "damage is refused, and so are logs in the wrong order" {
	for name in value-high value-twice key-beyond key-misaligned; do
		rm -f ./*.img
		logs "$name"
		cat source.img log*.img >before
		run -64 --separate-stderr snapmerge -y --json=j "$spec"
		[ "$(member j 'j["error"]["id"]')" = damaged ]
		cat source.img log*.img | cmp - before
	done
	logs sound
	cat source.img log*.img >before
	run -64 --separate-stderr snapmerge -y --json=j "${spec/log=log0.img,log=log1.img/log=log1.img,log=log0.img}"
	[ "$(member j 'j["error"]["id"]')" = doubtful ]
	cat source.img log*.img | cmp - before
}

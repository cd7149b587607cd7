#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck --is-empty: what a script asks just before it removes a snapshot.
# Its yes must never be wrong.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# yes OPERAND...: it says so, in all ways.
yes() {
	run -0 --separate-stderr snapcheck --is-empty --json=j "$@"
	[ "$output" = "${*: -1} is empty: nothing is lost with it" ]
	[ -z "$stderr" ]
	[ "$(member j 'j["is_empty"], j["empty_state"], j["exit"]')" = "(True, 'empty', 0)" ]
	run -0 snapcheck -q --is-empty "$@"
	[ -z "$output" ]
}

# no STATE WORDS OPERAND...
no() {
	local state=$1 words=$2
	shift 2
	run -4 --separate-stderr snapcheck --is-empty --json=j "$@"
	# shellcheck disable=SC2053
	[[ $output == $words ]] || { echo "$output"; return 1; }
	[ "${#lines[@]}" -eq 1 ]
	[ "$(member j 'j["is_empty"], j["empty_state"], j["exit"]')" = "(False, '$state', 4)" ]
	run -4 snapcheck -q --is-empty "$@"
	[ -n "$output" ]
}

# bats test_tags=long
@test "a new store is empty; one with exceptions says how many" {
	pair both-c32
	no holds-chunks "cow.img is not empty: it holds 223 chunks" origin.img cow.img
	no holds-chunks "cow.img is not empty: it holds 223 chunks" cow.img
	snapcreate -q origin.img new.img
	yes origin.img new.img
	yes new.img
	pair fresh-c8
	yes origin.img cow.img
	# It wrote nothing, and asks nothing.
	before=$(sum cow.img)
	store 'header\nauto 5 4\nrecord 91 1\n'
	run -4 "$COW_SOURCE/tests/aids/prompt.py" '] ' -- snapcheck --is-empty cow.img
	[[ $output != *'?'* ]]
}

# bats test_tags=long
@test "what a merge of ours has emptied is empty; what it has not, is not" {
	pair multiarea-c8
	cp --sparse=always cow.img before.img
	run -32 strace -qq -o /dev/null -e inject=pwritev:signal=SIGINT:when=1 snapmerge -y --batch=1M origin.img cow.img
	no holds-chunks "*it holds * chunks" origin.img cow.img
	snapmerge -q -y origin.img cow.img
	# Areas above the first still have their records: the label says why.
	yes cow.img
	yes origin.img cow.img
	[ "$(member j 'j["records_behind"]')" -gt 400 ]
	snapcheck -q origin.img cow.img
	# A second run leaves it so.
	snapmerge -q -y origin.img cow.img
	yes cow.img
	# Without the label the data decide.
	dd if=/dev/zero of=cow.img bs=1 seek=16 count=496 conv=notrunc status=none
	no records-behind "cow.img may not be empty: records behind an empty list; with ORIGIN their data are compared" cow.img
	yes origin.img cow.img
	poke origin.img $((16#400000)) 'another byte'
	for at in $(seq 0 65536 16000000); do poke origin.img "$at" '\0377\0376\0375'; done
	no records-behind "*name data that the origin does not hold" origin.img cow.img
	# A list that was not merged, and whose first area is gone.
	pair multiarea-c8
	dd if=/dev/zero of=cow.img bs=4096 seek=1 count=1 conv=notrunc status=none
	no records-behind "*records behind an empty list*" cow.img
	no records-behind "*records behind an empty list*" origin.img cow.img
}

# bats test_tags=long
@test "a merge that was cut off behind its last settlement: the next run says that it is empty" {
	pair multiarea-c8
	strace -qq -e trace=pwrite64 -o writes snapmerge -q -y origin.img cow.img
	nr=$(grep -c ^pwrite64 writes)
	pair multiarea-c8
	run -8 strace -qq -o /dev/null -e inject=pwrite64:error=EIO:when="$nr" snapmerge -y origin.img cow.img
	run snapcheck origin.img cow.img
	[[ $output == *" 0 chunks changed"* && $output == *merge-in-progress* ]]
	snapmerge -q -y origin.img cow.img
	yes cow.img
	run -0 snapcheck origin.img cow.img
	[[ $output != *merge-in-progress* ]]
}

# bats test_tags=long
@test "the label of a finished merge does not outlive what is appended" {
	pair multiarea-c8
	cp --sparse=always origin.img other.img
	snapmerge -q -y origin.img cow.img
	label() { dd if=cow.img bs=1 skip=16 count=8 status=none; }
	[ "$(label)" = COWLABEL ]
	# We append: as a sibling that is kept true.
	snapcreate -q --from=other.img origin.img second.img
	snapmerge -q -y --sibling=cow.img origin.img second.img
	[ "$(label | tr -d '\0')" = "" ]
	no holds-chunks "*" cow.img
	# The kernel appends, and leaves the label; then the first area is lost.
	pair multiarea-c8
	cp --sparse=always cow.img full.img
	snapmerge -q -y origin.img cow.img
	yes cow.img
	dd if=full.img of=cow.img bs=4096 skip=1 seek=1 conv=notrunc status=none
	[ "$(label)" = COWLABEL ]
	no holds-chunks "*" cow.img
	dd if=/dev/zero of=cow.img bs=4096 seek=1 count=1 conv=notrunc status=none
	no records-behind "*" cow.img
}

# bats test_tags=long
@test "doubt and damage are a no" {
	pair full-P-snapwrite
	no damaged "cow.img is damaged: what it holds cannot be told" origin.img cow.img
	unpack damaged/origin.img origin.img
	for cow in "$COW_FIXTURES"/damaged/m*/cow.img.xz; do
		# All of its list is zeros: no byte tells it from an empty store.
		[[ $cow != */m36-area-zero/* ]] || continue
		xz -dc "$cow" >cow.img
		run snapcheck --is-empty origin.img cow.img
		[ "$status" -ne 0 ] || { echo "$cow: $output"; return 1; }
	done
	# Another chunk size: the list is where nobody looks.
	store 'chunk 16\nheader\nauto 100 20\n'
	poke cow.img 12 '\040'
	no records-behind "*records behind an empty list, where another chunk size would put them" cow.img
	# No store at all.
	truncate -s 1M nothing
	run -64 snapcheck --is-empty nothing
	run -8 snapcheck --is-empty missing
	for more in -y -p "-o x" --header-only --skip-unreadable; do
		# shellcheck disable=SC2086
		run -16 snapcheck --is-empty $more cow.img
	done
}

# bats test_tags=long
@test "every store that the kernel emptied is empty, every other one is not" {
	for folder in "$COW_FIXTURES"/*/; do
		folder=$(basename "$folder")
		[ -e "$COW_FIXTURES/$folder/exceptions.tsv" ] || continue
		pair "$folder"
		wanted=4
		grep -q '^[0-9]' "$COW_FIXTURES/$folder/exceptions.tsv" || wanted=0
		run snapcheck --is-empty cow.img
		[ "$status" = "$wanted" ] || { echo "$folder: $status: $output"; return 1; }
	done
}

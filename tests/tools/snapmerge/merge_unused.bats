#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapmerge --sparse, --discard, --scrub.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# zeros FILE FROM: nothing but zeros from there on.
zeros() {
	! tail -c +$(($2 + 1)) "$1" | tr -d '\0' | read -rN1
}

# zero_pair: a snapshot of 4 MiB of data that is all zeros but one chunk.
zero_pair() {
	head -c 4M /dev/urandom >origin.img
	truncate -s 4M new.bin
	poke new.bin 1000000 hello
	snapcreate -q -c 16K origin.img cow.img
	python3 "$COW_SOURCE/tests/aids/fill_store.py" cow.img new.bin 16384
}

# bats test_tags=long
@test "--sparse turns zeros into holes of the origin" {
	zero_pair
	cp origin.img o2.img
	cp cow.img c2.img
	run -0 snapmerge -y --json=j --sparse origin.img cow.img
	cmp origin.img new.bin
	[ "$(member j 'j["merge"]["zeroed_bytes"]')" -eq $(((4 << 20) - 4096)) ]
	[ "$(stat -c %b origin.img)" -le 64 ]
	run -0 snapmerge -y --json=j o2.img c2.img
	cmp o2.img new.bin
	[ "$(member j 'j["merge"]["zeroed_bytes"]')" -eq 0 ]
}

# bats test_tags=slow
@test "--sparse that is killed goes on" {
	for call in fallocate:1 fallocate:2 pwritev:1 fdatasync:3 fdatasync:4; do
		zero_pair
		run strace -qq -o /dev/null -e "inject=${call%:*}:signal=SIGKILL:when=${call#*:}" snapmerge -y --sparse origin.img cow.img
		[ "$status" -eq 137 ] || { echo "$call did not happen: $status"; return 1; }
		cmp <(snapdump --raw origin.img cow.img) new.bin
		run -0 snapmerge -y --sparse origin.img cow.img
		cmp origin.img new.bin
		rm origin.img cow.img
	done
}

# bats test_tags=long
@test "--scrub leaves no byte of the data, also when there is nothing to merge" {
	pair both-c32
	cp cow.img full.img
	run -0 snapmerge -y --scrub origin.img cow.img
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	zeros cow.img 32768
	run -0 snapcheck origin.img cow.img
	pair both-c32
	run -0 snapmerge -y origin.img cow.img
	run zeros cow.img 32768
	[ "$status" -ne 0 ]
	before=$(sum origin.img)
	run -0 --separate-stderr snapmerge -y --json=j --scrub origin.img cow.img
	[[ $stderr == *"overwritten with zeros"* ]]
	zeros cow.img 32768
	[ "$(member j 'j["merge"]["unused_bytes"]')" -eq $(($(stat -c %s cow.img) - 32768)) ]
	[ "$(sum origin.img)" = "$before" ]
	run -0 snapcheck origin.img cow.img
}

@test "--discard gives the space back, and the store is still one" {
	pair both-c32
	run -0 snapmerge -y --discard origin.img cow.img
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(stat -c %b cow.img)" -le 64 ]
	run -0 snapcheck origin.img cow.img
	pair both-c32
	run -0 snapmerge -y --scrub --discard origin.img cow.img
	[ "$(stat -c %b cow.img)" -le 64 ]
	zeros cow.img 32768
}

# bats test_tags=long
@test "nothing is treated before the metadata is durable" {
	pair both-c32
	strace -qq -y -e trace=pwrite64,pwritev,fdatasync,fallocate -o trace snapmerge -y --discard origin.img cow.img
	# The last write of metadata and its flush, then the discard.
	last=$(grep -n 'pwrite.*cow.img' trace | tail -1 | cut -d: -f1)
	first=$(grep -n 'fallocate.*cow.img' trace | head -1 | cut -d: -f1)
	[ "$last" -lt "$first" ]
	sed -n "$last,${first}p" trace | grep -q 'fdatasync.*cow.img'
	# Nothing either where the merge fails.
	pair both-c32
	run -8 strace -qq -e trace=fallocate,fdatasync -o trace -e inject=fdatasync:error=EIO:when=3 snapmerge -y --discard origin.img cow.img
	run grep -c fallocate trace
	[ "$output" = 0 ]
}

# bats test_tags=slow
@test "a scrub that is killed or fails: the merge is done, and the same command finishes it" {
	for fault in signal=SIGKILL error=EIO signal=SIGTERM; do
		pair both-c32
		# The scrub writes last, in pieces of 1 MiB.
		strace -qq -e trace=pwrite64 -o trace snapmerge -y --scrub origin.img cow.img
		at=$(($(grep -c pwrite64 trace) - 2))
		pair both-c32
		run --separate-stderr strace -qq -o /dev/null -e "inject=pwrite64:$fault:when=$at" snapmerge -y --scrub origin.img cow.img
		[ "$status" -ne 0 ]
		[ $fault = signal=SIGKILL ] || [[ $stderr == *"origin.img is complete; what is left to do is on cow.img"* ]]
		[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
		run -0 snapmerge -y --scrub origin.img cow.img
		zeros cow.img 32768
	done
}

@test "not with --keep, not with -o" {
	pair both-c32
	before="$(sum origin.img) $(sum cow.img)"
	for bad in "--keep --discard" "--keep --scrub" "-o new --scrub" "-o new --discard"; do
		# shellcheck disable=SC2086
		run -16 snapmerge -y $bad origin.img cow.img
	done
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

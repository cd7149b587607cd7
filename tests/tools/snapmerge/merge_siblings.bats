#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapmerge with siblings, an undo that is taken back, and its plan.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# view COW: the digest of what this snapshot of origin.img shows.
view() {
	snapdump --raw origin.img "$1" | sha256sum | cut -d' ' -f1
}

# sibling NAME CHUNK: an empty snapshot of origin.img, large enough.
sibling() {
	snapcreate -q -c "$2" origin.img "$1"
}

# sums: of all images in the current directory, in one line.
sums() {
	sha256sum -- *.img | sha256sum
}

# cut_off CALL:WHEN COMMAND...: kills it there.
cut_off() {
	local at=$1
	shift
	run strace -qq -o /dev/null -e "inject=${at%:*}:signal=SIGKILL:when=${at#*:}" "$@"
	[ "$status" -eq 137 ] || { echo "$at did not happen: $status $output"; return 1; }
}

# bats test_tags=long
@test "siblings of other chunk sizes show what they showed, one of them with exceptions" {
	pair both-c32
	sibling small.img 512
	sibling large.img 64K
	sibling used.img 4K
	before=$(view small.img)
	[ "$before" = "$(sum origin.img)" ]
	run -0 --separate-stderr snapmerge -y --sibling=small.img --sibling=large.img --sibling=used.img origin.img cow.img
	[[ $stderr == *"siblings: small.img, large.img, used.img: kept true; this merge corrupts every other snapshot of origin.img"* ]]
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	for s in small.img large.img used.img; do
		[ "$(view $s)" = "$before" ]
		run -0 snapcheck origin.img $s
	done
	# Merging one of them next is the way back; the others stay true again.
	run -0 snapmerge -y --sibling=small.img --sibling=large.img origin.img used.img
	[ "$(sum origin.img)" = "$before" ]
	[ "$(view small.img)" = "$before" ]
	[ "$(view large.img)" = "$before" ]
}

# bats test_tags=slow
@test "killed at any write or flush, siblings and undo are right and the same command finishes" {
	for call in pwritev:1 pwrite64:1 pwrite64:3 pwrite64:5 pwrite64:7 pwrite64:9 fdatasync:1 fdatasync:3 fdatasync:5 fdatasync:7 fdatasync:9 fdatasync:11; do
		rm -f undo
		pair runs-c8
		sibling a.img 512
		sibling b.img 16K
		before=$(sum origin.img)
		rm -f undo
		cut_off $call snapmerge -y --sibling=a.img --sibling=b.img --save-undo=undo origin.img cow.img
		[ "$(view cow.img)" = "$(fact runs-c8 kernel_view_sha256)" ]
		[ "$(view a.img)" = "$before" ]
		[ "$(view b.img)" = "$before" ]
		run -0 --separate-stderr snapmerge -y --sibling=a.img --sibling=b.img --save-undo=undo origin.img cow.img
		[ "$(sum origin.img)" = "$(fact runs-c8 merged_origin_sha256)" ]
		[ "$(view a.img)" = "$before" ]
		[ "$(view b.img)" = "$before" ]
		run -0 snapmerge -y --take-back --sibling=a.img --sibling=b.img origin.img undo
		[ "$(sum origin.img)" = "$before" ]
		[ "$(view a.img)" = "$before" ]
		rm a.img b.img undo
	done
}

# bats test_tags=slow
@test "once the origin is written to, the options may be left out; before that a sibling may not" {
	pair runs-c8
	sibling a.img 16K
	before=$(sum origin.img)
	cut_off pwritev:1 snapmerge -y --sibling=a.img --save-undo=undo origin.img cow.img
	run -0 --separate-stderr snapmerge -y origin.img cow.img
	[[ $stderr == *"continuing: "*" of "*" chunks left"* ]]
	[[ $stderr == *"is inconsistent until the merge finishes"* ]]
	[ "$(sum origin.img)" = "$(fact runs-c8 merged_origin_sha256)" ]
	[ "$(view a.img)" = "$before" ]
	run -0 snapmerge -y --take-back --sibling=a.img origin.img undo
	[ "$(sum origin.img)" = "$before" ]
	rm -f a.img undo

	pair runs-c8
	sibling a.img 16K
	# The label says PRESERVE; nothing else is there yet.
	cut_off pwrite64:2 snapmerge -y --sibling=a.img origin.img cow.img
	now=$(sums)
	run -64 --separate-stderr snapmerge -y --json=j origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = siblings ]
	one_sentence
	[ "$(sums)" = "$now" ]
	run -0 snapmerge -y --drop-sibling=a.img origin.img cow.img
	[ "$(sum origin.img)" = "$(fact runs-c8 merged_origin_sha256)" ]
	run snapcheck origin.img a.img
	[[ $output == *invalid* ]]
}

# used_since: a merge of 20 chunks that was to save an undo file was killed, with
# $1 chunks settled by us and $2 by the kernel; then two chunks were written.
used_since() {
	rm -f ./*.img undo
	head -c 262144 /dev/urandom >origin.img
	cp origin.img before
	snapcreate -q origin.img cow.img
	sibling a.img 16K
	{
		echo "reserve 20"
		for i in $(seq 0 2 38); do echo "data $i 1 $((i + 1)) 0"; done
		echo "publish"
	} | "$COW_BUILD/tests/kernel/append" origin.img cow.img
	cut_off pwritev:1 snapmerge -y --sibling=a.img --save-undo=undo origin.img cow.img
	[ "$1" -eq 0 ] || cut_off pwritev:$(($1 + 1)) "$COW_BUILD/tests/kernel/merge" origin.img cow.img 4096 4096
	PYTHONPATH=$COW_SOURCE/tests/kernel python3 -Bc "from naive import Naive; Naive()._merge_tail('origin.img', 'cow.img', $2)"
	printf '%s\n' "reserve 2" "data 41 1 99 0" "data 43 1 98 0" publish | "$COW_BUILD/tests/kernel/append" origin.img cow.img
	snapcheck --json=j cow.img 2>/dev/null
	[ "$(member j 'j["store"]["exceptions"]')" -eq $((22 - $1 - $2)) ]
}

# bats test_tags=long
@test "the snapshot grew after its merge was cut off: an undo file that lacks that is refused, not passed over" {
	for cut in "3 0" "0 5"; do
		# shellcheck disable=SC2086
		used_since $cut
		now=$(sums)
		run -64 --separate-stderr snapmerge -y --json=j --save-undo=undo origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = other-job ]
		[[ $stderr == *"has grown since"* ]]
		[ "$(sums)" = "$now" ]
		# What was merged is taken back, the snapshot and the sibling stay.
		view=$(view cow.img)
		run -0 snapmerge -y --take-back --sibling=cow.img --sibling=a.img origin.img undo
		cmp origin.img before
		[ "$(view cow.img)" = "$view" ]
		[ "$(view a.img)" = "$(sum before)" ]
	done
}

# bats test_tags=long
@test "the snapshot grew after its merge was cut off: what was left out then is refused" {
	used_since 3 0
	for chunk in 512 4K 16K; do # made too late, as an image of the mixture
		sibling "late-$chunk.img" $chunk
		now=$(sums)
		run -64 --separate-stderr snapmerge -y --json=j --sibling=a.img --sibling="late-$chunk.img" origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = siblings ]
		[[ $stderr == *"late-$chunk.img lacks"*"--drop-sibling"* ]]
		[ "$(sums)" = "$now" ]
	done
	run -64 --separate-stderr snapmerge -y --json=j --save-undo=new origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = other-job ]
	[[ $stderr == *"would miss that"* ]]
	[ ! -e new ]
	run -64 --separate-stderr snapmerge -y --save-undo=undo origin.img cow.img
	[[ $stderr == *"take back what was merged first"* ]]
	[ "$(sums)" = "$now" ]
	run -0 snapmerge -y --sibling=a.img origin.img cow.img
	[ "$(view a.img)" = "$(sum before)" ]
}

# bats test_tags=long
@test "the snapshot grew, and the next merge was cut off while it preserved: what was left out is still refused" {
	used_since 3 0
	view=$(view cow.img)
	sibling late.img 4K
	for call in pwrite64:2 pwrite64:4; do
		cut_off $call snapmerge -y --sibling=a.img origin.img cow.img
		now=$(sums)
		run -64 --separate-stderr snapmerge -y --json=j --sibling=a.img --sibling=late.img origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = siblings ]
		[[ $stderr == *"late.img lacks"*"--drop-sibling"* ]]
		run -64 --separate-stderr snapmerge -y --json=j --sibling=a.img --save-undo=new origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = other-job ]
		run -64 --separate-stderr snapmerge -y --sibling=a.img --save-undo=undo origin.img cow.img
		[[ $stderr == *"take back what was merged first"* ]]
		[ "$(sums)" = "$now" ]
	done
	run -0 snapmerge -y --sibling=a.img origin.img cow.img
	[ "$(view a.img)" = "$(sum before)" ]
	[ "$(sum origin.img)" = "$view" ]
}

# bats test_tags=long
@test "the snapshot grew after its merge was cut off: a sibling is kept true, or refused where nobody knows" {
	used_since 3 0
	run -0 --separate-stderr snapmerge -y --sibling=a.img origin.img cow.img
	[[ $stderr != *continuing* ]]
	[ "$(view a.img)" = "$(sum before)" ]

	used_since 0 5
	now=$(sums)
	run -64 --separate-stderr snapmerge -y --json=j --sibling=a.img origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = siblings ]
	[[ $stderr == *"a.img lacks 1 chunks"*"not named when the merge began"*"--drop-sibling"*"--from-view"* ]]
	[ "$(sums)" = "$now" ]
	snapcreate -q --from-view=cow.img origin.img new.img
	run -0 snapmerge -y --sibling=a.img origin.img new.img
	[ "$(view a.img)" = "$(sum before)" ]
}

@test "a sibling with too little room: refused, nothing written, both ways out" {
	pair both-c32
	snapcreate -q -s 64K origin.img tiny.img
	before=$(sums)
	run -64 --separate-stderr snapmerge -y --json=j --sibling=tiny.img origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = no-space ]
	[[ $stderr == *missing* ]]
	[[ $stderr == *"enlarge the sibling"* ]]
	[[ $stderr == *"--drop-sibling"* ]]
	[ "$(sums)" = "$before" ]
}

# bats test_tags=long
@test "a sibling that is given up is marked invalid before anything else is written" {
	pair both-c32
	sibling a.img 4K
	strace -qq -y -e trace=pwrite64,pwritev,fdatasync -o trace snapmerge -y --drop-sibling=a.img origin.img cow.img
	sed -n '/^pwrite/,$p' trace >writes # opening flushes (I12)
	[[ $(sed -n 1p writes) == pwrite64*a.img* ]]
	[[ $(sed -n 2p writes) == fdatasync*a.img* ]]
	run -64 snapmerge -y origin.img a.img
	# The same again changes nothing.
	before=$(sums)
	run -0 snapmerge -y --drop-sibling=a.img origin.img cow.img
	[ "$(sums)" = "$before" ]
}

# bats test_tags=long
@test "siblings that cannot be: invalid, twice, the COW image itself, no store" {
	pair both-c32
	sibling a.img 4K
	sibling dead.img 4K
	cp cow.img spare.img
	snapmerge -y -q --drop-sibling=dead.img origin.img spare.img
	pair both-c32
	truncate -s 1M zero.img
	before=$(sums)
	for bad in "invalid --sibling=dead.img" "overlap --sibling=a.img --sibling=a.img" \
		"overlap --sibling=cow.img" "overlap --sibling=a.img --drop-sibling=a.img" "not-a-store --sibling=zero.img"; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr snapmerge -y --json=j ${bad#* } origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = "${bad%% *}" ] || { echo "$bad: $stderr"; return 1; }
		one_sentence
	done
	[ "$(sums)" = "$before" ]
}

# bats test_tags=long
@test "an undo file is a snapshot of the old origin, and is taken back bit for bit" {
	pair both-c32
	before=$(sum origin.img)
	run -0 --separate-stderr snapmerge -y --save-undo=undo origin.img cow.img
	[[ $stderr == *"to take it back: snapmerge --take-back origin.img undo"* ]]
	[[ $stderr == *"the snapshot's own changes are gone then"* ]]
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(view undo)" = "$before" ]
	run -0 snapcheck origin.img undo
	run -0 --separate-stderr snapmerge --take-back -n origin.img undo
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	run -0 --separate-stderr snapmerge -y --take-back --json=j origin.img undo
	[ "$(member j 'j["take_back"]["chunks"], j["done"]')" = "(223, True)" ]
	[ "$(sum origin.img)" = "$before" ]
	# The same again: it is done, and the file says so.
	run -0 --separate-stderr snapmerge -y --take-back --json=j origin.img undo
	[ "$(member j 'j["take_back"]["chunks"], j["done"]')" = "(0, True)" ]
	[[ $stderr == *"nothing to take back: what undo held was taken back already, and it can be removed"* ]]
	[ "$(sum origin.img)" = "$before" ]
	run -0 snapcheck --is-empty undo
	# An empty store that never was one.
	snapcreate -q origin.img fresh
	run -64 --separate-stderr snapmerge -y --take-back --json=j origin.img fresh
	[ "$(member j 'j["error"]["id"]')" = no-undo ]
}

# bats test_tags=slow
@test "a take-back that is killed goes on with the same command" {
	for call in pwritev:1 pwrite64:1 pwrite64:2 fdatasync:1 fdatasync:2 fdatasync:3 fdatasync:4; do
		pair runs-c8
		rm -f undo
		before=$(sum origin.img)
		run -0 snapmerge -y --save-undo=undo origin.img cow.img
		cut_off $call snapmerge -y --take-back origin.img undo
		[ "$(view undo)" = "$before" ]
		run snapmerge -y --take-back origin.img undo
		# After its last step there is nothing left to take back.
		[ "$status" -eq 0 ] || [ "$status" -eq 64 ]
		[ "$(sum origin.img)" = "$before" ]
	done
}

# bats test_tags=long
@test "a target that moved on is not taken back, unless forced" {
	pair both-c32
	before=$(sum origin.img)
	run -0 snapmerge -y --save-undo=undo origin.img cow.img
	at=$(snapdump --map origin.img undo | awk '$1 ~ /^[0-9]+$/ { print $1; exit }')
	printf 'X' | dd of=origin.img bs=1 seek="$at" conv=notrunc status=none
	now=$(sums)
	run -64 --separate-stderr snapmerge -y --take-back --json=j origin.img undo
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('changed', 'changed')" ]
	[ "$(sums)" = "$now" ]
	run -0 snapmerge -y --take-back --force=changed origin.img undo
	[ "$(sum origin.img)" = "$before" ]
}

# bats test_tags=long
@test "an undo file is no snapshot to merge, and not for another origin" {
	pair both-c32
	run -0 snapmerge -y --save-undo=undo origin.img cow.img
	cp origin.img longer.img
	truncate -s +1M longer.img
	now="$(sums) $(sum undo)"
	run -64 --separate-stderr snapmerge -y --json=j origin.img undo
	[ "$(member j 'j["error"]["id"]')" = undo-file ]
	run -64 --separate-stderr snapmerge -y --json=j --take-back longer.img undo
	[ "$(member j 'j["error"]["id"]')" = other-origin ]
	run -64 --separate-stderr snapmerge -y --json=j --take-back origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = no-undo ]
	[ "$(sums) $(sum undo)" = "$now" ]
}

# bats test_tags=long
@test "an existing file is not taken for the undo, whatever it is" {
	pair both-c32
	head -c 600 /dev/zero | tr '\0' x >text
	truncate -s 1M zeros
	sibling other 4K
	now="$(sums) $(sum text) $(sum zeros) $(sum other)"
	for file in text zeros; do
		run -64 --separate-stderr snapmerge -y --json=j --save-undo=$file origin.img cow.img
		one_sentence
		[ "$(member j 'j["error"]["id"]')" = exists ]
	done
	rm text
	run -64 --separate-stderr snapmerge -y --drop-sibling=other --save-undo=zeros origin.img cow.img
	[ "$(sum other)" = "${now##* }" ]
	cp origin.img o2.img
	cp cow.img c2.img
	snapmerge -y -q --save-undo=undo o2.img c2.img
	now="$(sums) $(sum undo)"
	run -64 --separate-stderr snapmerge -y --json=j --save-undo=undo origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = other-job ]
	[ "$(sums) $(sum undo)" = "$now" ]
	for file in cow.img origin.img; do
		run -64 --separate-stderr snapmerge -y --json=j --save-undo=$file origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = overlap ]
	done
}

# bats test_tags=slow
@test "a new undo file for a merge that has begun to write is refused" {
	pair runs-c8
	cut_off pwritev:1 snapmerge -y origin.img cow.img
	now=$(sums)
	run -64 --separate-stderr snapmerge -y --json=j --save-undo=undo origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = other-job ]
	[ ! -e undo ]
	[ "$(sums)" = "$now" ]
	sibling a.img 4K
	run -64 --separate-stderr snapmerge -y --json=j --sibling=a.img origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = siblings ]
	run -0 snapmerge -y origin.img cow.img
}

# bats test_tags=slow
@test "killed between the undo file's name and the first write: used if still right, else refused" {
	pair runs-c8
	before=$(sum origin.img)
	cp origin.img o.save
	cp cow.img c.save
	cut_off fsync:2 snapmerge -y --save-undo=undo origin.img cow.img
	[ -e undo ]
	[ "$(sum origin.img)" = "$before" ]
	# Something that will be overwritten changes.
	cp undo u.save
	cp cow.img c.now
	at=$(snapdump --map origin.img cow.img | awk '$1 ~ /^[0-9]+$/ { print $1; exit }')
	printf 'X' | dd of=origin.img bs=1 seek="$at" conv=notrunc status=none
	run -64 --separate-stderr snapmerge -y --json=j --save-undo=undo origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = other-job ]
	cp o.save origin.img
	run -0 snapmerge -y --save-undo=undo origin.img cow.img
	cmp -n 1048576 undo u.save
	[ "$(sum origin.img)" = "$(fact runs-c8 merged_origin_sha256)" ]
	run -0 snapmerge -y --take-back origin.img undo
	[ "$(sum origin.img)" = "$before" ]
}

# bats test_tags=long
@test "a volatile place, a full place, no place for the undo file" {
	pair both-c32
	now=$(sums)
	run -8 --separate-stderr snapmerge -y --json=j --save-undo=missing/undo origin.img cow.img
	[ "$(sums)" = "$now" ]
	[ "$(stat -f -c %T /dev/shm)" = tmpfs ] || skip "no tmpfs"
	name=/dev/shm/undo.$$
	run -64 --separate-stderr snapmerge -y --json=j --save-undo=$name origin.img cow.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('volatile', 'volatile')" ]
	[[ $stderr == *"--force=volatile"* ]]
	[ ! -e $name ]
	[ "$(sums)" = "$now" ]
	run -0 snapmerge -y --force=volatile --save-undo=$name origin.img cow.img
	run -0 snapmerge -y --take-back origin.img $name
	rm $name
	[ "$(id -u)" -eq 0 ] || skip "the rest needs root"
	pair both-c32
	now=$(sums)
	mkdir full
	mount -t tmpfs -o size=1M none full || skip "cannot mount"
	run --separate-stderr snapmerge -y --force=volatile --json=j --save-undo=full/undo origin.img cow.img
	umount full
	[ "$status" -eq 64 ]
	[ "$(member j 'j["error"]["id"]')" = no-space ]
	[ "$(sums)" = "$now" ]
}

# bats test_tags=long
@test "--keep leaves the exceptions" {
	pair both-c32
	cp origin.img before.img
	cp cow.img full.img
	run -0 --separate-stderr snapmerge -y --keep --save-undo=undo origin.img cow.img
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(view cow.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[[ $stderr == *"still holds them"* ]]
	run -0 snapmerge -y --take-back origin.img undo
	cmp origin.img before.img
	[ "$(view cow.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	cmp cow.img full.img
}

# bats test_tags=long
@test "-n names siblings and undo, and makes no file" {
	pair both-c32
	sibling a.img 4K
	chmod 0444 ./*.img
	now=$(sums)
	run -0 --separate-stderr snapmerge -n --json=j --sibling=a.img --save-undo=undo origin.img cow.img
	[ ! -e undo ]
	[[ $stderr == *"undo: what will be overwritten is saved in undo"* ]]
	[ "$(member j 'j["plan"]["siblings"], j["plan"]["undo"]')" = "(['a.img'], 'undo')" ]
	[ "$(sums)" = "$now" ]
}

# bats test_tags=long
@test "what does not go together is a wrong call" {
	pair both-c32
	cp cow.img second.img
	now=$(sums)
	for bad in "-o new --sibling=a" "-o new --keep" "-o new --save-undo=u" "-o new --take-back" "--take-back --keep" "--take-back --save-undo=u"; do
		# shellcheck disable=SC2086
		run -16 --separate-stderr snapmerge -y $bad origin.img cow.img
		one_sentence
	done
	run -16 --separate-stderr snapmerge -y origin.img cow.img second.img
	[[ $stderr == *"-o"* ]]
	[ "$(sums)" = "$now" ]
}

# bats test_tags=long
@test "interrupted while siblings are completed: nothing is a mixture, and it says what goes on" {
	pair multiarea-c8
	sibling a.img 4K
	before=$(sum origin.img)
	run --separate-stderr strace -qq -o /dev/null -e inject=pwrite64:signal=SIGTERM:when=2 snapmerge -y --json=j --sibling=a.img origin.img cow.img
	[ "$status" -eq 32 ]
	[ "$(sum origin.img)" = "$before" ]
	[[ $stderr != *"is inconsistent"* ]]
	[ "$(member j 'j["next"]')" = "['snapmerge', '-y', '--json=j', '--sibling=a.img', 'origin.img', 'cow.img']" ]
	run -0 snapmerge -y --sibling=a.img origin.img cow.img
	[ "$(sum origin.img)" = "$(fact multiarea-c8 merged_origin_sha256)" ]
	[ "$(view a.img)" = "$before" ]
}
